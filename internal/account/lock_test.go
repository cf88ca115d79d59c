package account

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rotate-user/rotate-user/internal/grants"
)

// lockName returns the name of the lock on a user's accounts, for a statement about the
// administrator's row of mysql.user. It must be the same in every release, because workers of two
// releases exclude each other.
func lockName(user string) string {
	sum := sha256.Sum256([]byte(user))
	return "CONCAT('rotate-user:', LEFT(SHA2(CONCAT(authentication_string, '" + hex.EncodeToString(sum[:]) + "'), 256), 52))"
}

// changing are the ways to change an account of the pair app and app_clone, each with a fence if it
// takes one.
func changing(a *Admin) map[string]func(context.Context, func(context.Context) error) error {
	app, clone := grants.Name{User: "app", Host: "%"}, grants.Name{User: "app_clone", Host: "%"}
	return map[string]func(context.Context, func(context.Context) error) error{
		"set password": func(ctx context.Context, f func(context.Context) error) error {
			_, err := a.SetPassword(ctx, clone, app, "Next-1", func(ctx context.Context, _ grants.Stored) error { return a.mayChange(ctx, f) })
			return err
		},
		"set first password": func(ctx context.Context, f func(context.Context) error) error {
			_, err := a.SetPassword(ctx, app, app, "Next-1", func(ctx context.Context, _ grants.Stored) error { return a.mayChange(ctx, f) })
			return err
		},
		"lock":             func(ctx context.Context, f func(context.Context) error) error { return a.Lock(ctx, app, f) },
		"lock the standby": func(ctx context.Context, f func(context.Context) error) error { return a.Lock(ctx, clone, f) },
		"unlock":           func(ctx context.Context, f func(context.Context) error) error { return a.Unlock(ctx, clone, f) },
		"revoke": func(ctx context.Context, f func(context.Context) error) error {
			_, err := a.Revoke(ctx, app, pair.Mark, f)
			return err
		},
		"drop": func(ctx context.Context, f func(context.Context) error) error { return a.Drop(ctx, clone, f) },
		"drop what is absent": func(ctx context.Context, f func(context.Context) error) error {
			return a.Drop(ctx, grants.Name{User: "app", Host: "10.%"}, f)
		},
	}
}

func (b *bench) second() *Admin {
	b.Helper()
	other := b.login(b.server.AdminUser, b.server.AdminPassword)
	other.patience = 0
	return other
}

func TestNothingChangesALockedPair(t *testing.T) {
	each(t, func(b *bench) {
		b.exec("CREATE USER app IDENTIFIED BY 'Aa1-first'", "GRANT SELECT ON shop.* TO app")
		b.rotate(pair)
		b.exec("GRANT INSERT ON shop.* TO app")
		other := b.second()
		before := b.everything()
		err := b.admin.Locked(t.Context(), "app_clone", "app", func(ctx context.Context) error {
			all := changing(other)
			all["sync"] = func(ctx context.Context, _ func(context.Context) error) error {
				_, err := other.Sync(ctx, owned(pair))
				return err
			}
			all["sync back"] = func(ctx context.Context, _ func(context.Context) error) error {
				_, err := other.Sync(ctx, back(pair))
				return err
			}
			all["create"] = func(ctx context.Context, _ func(context.Context) error) error {
				return other.Create(ctx, grants.Name{User: "app", Host: "10.%"}, "", nil, "mark")
			}
			for name, change := range all {
				err := change(ctx, func(context.Context) error {
					b.Errorf("%s: the fence was called without the lock", name)
					return nil
				})
				if !refused(err, grants.Busy) || !strings.Contains(err.Error(), "user '"+b.server.AdminUser+"', host ") ||
					!strings.Contains(err.Error(), "retry later") {
					b.Errorf("%s: got %v, want a refusal that names the session", name, err)
				}
			}
			// Another pair that shares no account with this one.
			return other.Locked(ctx, "billing", "billing_clone", func(context.Context) error { return nil })
		})
		if err != nil {
			b.Error(err)
		}
		if diff := cmp.Diff(before, b.everything()); diff != "" {
			b.Errorf("a pair was changed under a lock (-before +after):\n%s", diff)
		}
		if _, err := other.Sync(t.Context(), owned(pair)); err != nil {
			b.Errorf("after the lock was released: %v", err)
		}
	})
}

// A fence runs under the lock, and its error prevents the change.
func TestFences(t *testing.T) {
	each(t, func(b *bench) {
		b.exec("CREATE USER app IDENTIFIED BY 'Aa1-first'")
		b.rotate(pair)
		other := b.second()
		moved := errors.New("the label has moved")
		before := b.everything()
		for name, change := range changing(b.admin) {
			called := false
			err := change(t.Context(), func(ctx context.Context) error {
				called = true
				for _, user := range []string{"app", "app_clone"} {
					err := other.Locked(ctx, user, user, func(context.Context) error { return nil })
					if takesBoth := name == "set password"; takesBoth && !refused(err, grants.Busy) {
						b.Errorf("%s: the lock on %s was free", name, user)
					}
				}
				if err := other.Locked(ctx, "app", "app_clone", func(context.Context) error { return nil }); !refused(err, grants.Busy) {
					b.Errorf("%s: the pair's lock: %v", name, err)
				}
				return moved
			})
			if !called || !errors.Is(err, moved) {
				b.Errorf("%s: fence called %t, error %v", name, called, err)
			}
		}
		if diff := cmp.Diff(before, b.everything()); diff != "" {
			b.Errorf("a fenced call wrote (-before +after):\n%s", diff)
		}
	})
}

// A session that holds the pair's lock can change both of its accounts, and keeps the lock until
// the end.
func TestLockedSessionChangesItsAccounts(t *testing.T) {
	each(t, func(b *bench) {
		b.exec("CREATE USER app IDENTIFIED BY 'Aa1-first'")
		other := b.second()
		free := func(ctx context.Context) error {
			return other.Locked(ctx, "app", "app_clone", func(context.Context) error { return nil })
		}
		err := b.admin.Locked(t.Context(), "app", "app_clone", func(ctx context.Context) error {
			if _, err := b.admin.Sync(ctx, pair); err != nil {
				return err
			}
			if _, err := b.admin.SetPassword(ctx, grants.Name{User: "app_clone", Host: "%"}, grants.Name{User: "app", Host: "%"}, "Next-1",
				nil); err != nil {
				return err
			}
			if err := free(ctx); !refused(err, grants.Busy) {
				b.Errorf("an inner change released the lock: %v", err)
			}
			return nil
		})
		if err := errors.Join(err, free(t.Context())); err != nil {
			b.Error(err)
		}
	})
}

// No two sessions hold the lock at the same time, whatever part of a pair they lock, and all of
// them get it eventually.
func TestLockExcludes(t *testing.T) {
	each(t, func(b *bench) {
		b.dialer.Close()
		var inside atomic.Int32
		var wg sync.WaitGroup
		for i := range poolSize {
			wg.Go(func() {
				a, err := b.dialer.Admin(t.Context(), b.endpoint(), b.server.AdminUser, b.server.AdminPassword)
				if err != nil {
					b.Error(err)
					return
				}
				defer a.Close()
				a.patience *= 12 // for a busy machine
				for range 3 {
					users := [][2]string{{"app", "app_clone"}, {"app_clone", "app"}, {"app_clone", "app_clone"}, {"app_clone_clone", "app_clone"}}[i%4]
					err := a.Locked(t.Context(), users[0], users[1], func(context.Context) error {
						if inside.Add(1) > 1 {
							b.Error("two sessions at the same time")
						}
						inside.Add(-1)
						return nil
					})
					if err != nil {
						b.Error(err)
					}
				}
			})
		}
		wg.Wait()
	})
}

// GET_LOCK requires no privilege. So only administrators must be able to compute the name of a
// lock.
func TestOnlyAdministratorsKnowTheLock(t *testing.T) {
	each(t, func(b *bench) {
		b.exec("CREATE USER app IDENTIFIED BY 'Aa1-first'", "CREATE USER thief IDENTIFIED BY 'Aa1-thief'")
		app := grants.Name{User: "app", Host: "%"}
		thief, err := b.server.Open("thief", "Aa1-thief")
		if err != nil {
			b.Fatal(err)
		}
		defer thief.Close()
		take := func(name string) {
			b.Helper()
			var got sql.NullInt64
			if err := thief.QueryRowContext(t.Context(), "SELECT GET_LOCK(?, 0)", name).Scan(&got); err != nil || got.Int64 != 1 {
				b.Fatalf("take %s: %v, %v", name, got, err)
			}
		}
		thief.SetMaxOpenConns(1) // so that one connection holds the locks
		sum := sha256.Sum256([]byte("app"))
		take("rot:" + hex.EncodeToString(sum[:16]))
		// The name that an empty or missing hash would give.
		var name string
		if err := b.root.QueryRowContext(t.Context(), "SELECT "+strings.ReplaceAll(lockName("app"), "authentication_string",
			"''")).Scan(&name); err != nil {
			b.Fatal(err)
		}
		take(name)
		if _, err := thief.ExecContext(t.Context(), "SELECT "+b.admin.lockName("app")+b.admin.fromOwnRow()); err == nil {
			b.Error("an account without rights can compute the name")
		}
		b.admin.patience = 0
		if _, err := b.admin.SetPassword(t.Context(), app, app, "Next-1", nil); err != nil {
			b.Error(err)
		}
	})
}

func TestForceEndsAForeignHolder(t *testing.T) {
	each(t, func(b *bench) {
		b.exec("CREATE USER app IDENTIFIED BY 'Aa1-first'", "CREATE USER thief IDENTIFIED BY 'Aa1-thief'", "GRANT SELECT ON mysql.* TO thief")
		app := grants.Name{User: "app", Host: "%"}
		hold := func() *sql.Conn {
			b.Helper()
			db, err := b.server.Open("thief", "Aa1-thief")
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { db.Close() })
			conn, err := db.Conn(t.Context())
			if err != nil {
				b.Fatal(err)
			}
			var got int
			query := fmt.Sprintf("SELECT GET_LOCK(%s, 0) FROM mysql.user WHERE User = '%s'", lockName("app"), b.server.AdminUser)
			if err := conn.QueryRowContext(t.Context(), query).Scan(&got); err != nil || got != 1 {
				b.Fatalf("take the lock: %d, %v", got, err)
			}
			return conn
		}
		set := func(a *Admin) error { _, err := a.SetPassword(t.Context(), app, app, "Next-1", nil); return err }

		conn := hold()
		b.admin.patience = 0
		if err := set(b.admin); !refused(err, grants.Busy) || !strings.Contains(err.Error(), "user 'thief', host ") ||
			!strings.Contains(err.Error(), "Force") {
			b.Errorf("got %v, want a refusal that names the thief", err)
		}
		if err := conn.PingContext(t.Context()); err != nil {
			b.Errorf("the session was ended without Force: %v", err)
		}
		b.admin.Force, b.admin.patience = true, lockPatience
		if err := set(b.admin); err != nil {
			b.Error(err)
		}
		if err := conn.PingContext(t.Context()); err == nil {
			b.Error("Force did not end the session")
		}

		// The administrator's own sessions are never ended.
		other := b.second()
		other.Force = true
		err := b.admin.Locked(t.Context(), "app", "app", func(ctx context.Context) error {
			if err := set(other); !refused(err, grants.Busy) || strings.Contains(err.Error(), "Force") {
				b.Errorf("got %v, want a refusal", err)
			}
			return b.admin.conn.PingContext(ctx)
		})
		if err != nil {
			b.Errorf("the administrator's own session was ended: %v", err)
		}
	})
}

// If an administrator cannot list or end others' sessions, the error says as much as it can.
func TestForceNeedsARight(t *testing.T) {
	each(t, func(b *bench) {
		b.exec("CREATE USER app IDENTIFIED BY 'Aa1-first'")
		ops := b.ops(least...)
		root, err := b.root.Conn(t.Context())
		if err != nil {
			b.Fatal(err)
		}
		defer root.Close()
		var got int
		if err := root.QueryRowContext(t.Context(), "SELECT GET_LOCK("+lockName("app")+", 0) FROM mysql.user WHERE User = 'ops'").Scan(&got); err != nil || got != 1 {
			b.Fatalf("take the lock: %d, %v", got, err)
		}
		ops.patience = 0
		if err := ops.Lock(t.Context(), grants.Name{User: "app", Host: "%"}, nil); !refused(err, grants.Busy) ||
			strings.Contains(err.Error(), ", user") {
			b.Errorf("got %v, want a refusal without the holder's name", err)
		}
		ops.Force = true
		if err := ops.Lock(t.Context(), grants.Name{User: "app", Host: "%"}, nil); serverError(err) == nil ||
			serverError(err).Number != errKillDenied || !strings.Contains(err.Error(), "holds the lock on 'app'") {
			b.Errorf("got %v, want the error of KILL", err)
		}
	})
}
