package account

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/rotate-user/rotate-user/internal/grants"
)

// cutter forwards connections to a server in clear text, and cuts off one that is about to send one
// ALTER USER too many.
type cutter struct {
	net.Listener
	server string
	left   atomic.Int32 // statements that may still pass
}

func (b *bench) cutter(statements int) Endpoint {
	b.Helper()
	l, err := new(net.ListenConfig).Listen(b.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	c := &cutter{Listener: l, server: b.endpoint().String()}
	c.left.Store(int32(statements))
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go c.pass(client)
		}
	}()
	return Endpoint{Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port}
}

func (c *cutter) pass(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", c.server)
	if err != nil {
		return
	}
	defer server.Close()
	go func() { _, _ = io.Copy(client, server) }() // ends with the connection
	buffer := make([]byte, 1<<16)
	for {
		n, err := client.Read(buffer)
		if err != nil || bytes.Contains(buffer[:n], []byte("ALTER USER")) && c.left.Add(-1) < 0 {
			return
		}
		if _, err := server.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// Wherever a revocation is cut off, an account that it has locked no longer stores any of its
// passwords. So unlocking it never reactivates a leaked credential.
func TestCutRevocationLeavesNoLockedAccountWithItsPassword(t *testing.T) {
	each(t, func(b *bench) {
		ctx := context.Background()
		app := grants.Name{User: "app", Host: "%"}
		for statements := 0; ; statements++ {
			b.exec("DROP USER IF EXISTS app", "CREATE USER app IDENTIFIED BY 'Leaked-1'")
			if !b.maria {
				b.exec("ALTER USER app IDENTIFIED BY 'Leaked-2' RETAIN CURRENT PASSWORD")
			}
			a, err := b.dialer.Admin(ctx, b.cutter(statements), b.server.AdminUser, b.server.AdminPassword)
			if err != nil {
				b.Fatal(err)
			}
			_, cut := a.Revoke(ctx, app, "mark", nil)
			_ = a.Close() // the connection may be cut off
			s, _, err := b.admin.readPair(ctx, app, app)
			if err != nil {
				b.Fatal(err)
			}
			stored := s.SecondPassword
			for _, password := range []string{"Leaked-1", "Leaked-2"} {
				if ok, err := s.Stored().Matches(password); ok || err != nil {
					stored = true
				}
			}
			if s.Locked && stored {
				b.Errorf("cut off after %d statements, the account is locked and stores its password", statements)
			}
			if cut == nil {
				if !s.Locked || stored {
					b.Errorf("revoked, the account is locked: %t, stores its password: %t", s.Locked, stored)
				}
				if statements == 0 {
					b.Error("nothing was cut off")
				}
				return
			}
		}
	})
}

// A revoked account becomes the standby only for the owner of its mark, or if the rotation knows
// that the account is its own.
func TestRevokedAccountBelongsToTheOwnerOfItsMark(t *testing.T) {
	each(t, func(b *bench) {
		ctx := context.Background()
		for _, tt := range []struct {
			name   string
			mark   string // mark of the revocation
			pair   grants.Pair
			reason string // empty if the standby is accepted
		}{
			{"of this secret", "a mark", pair, ""},
			{"of another secret", "another mark", pair, grants.NotOurs},
			{"of another secret, and the account is ours", "another mark", owned(pair), grants.StandbyLocked},
			{"of an earlier release", "'app_clone'@'%'", pair, grants.NotOurs},
			{"of an earlier release, and the account is ours", "'app_clone'@'%'", owned(pair), ""},
		} {
			b.exec("DROP USER IF EXISTS app, app_clone", "CREATE USER app IDENTIFIED BY 'Aa1-first'",
				"CREATE USER app_clone IDENTIFIED BY 'Aa1-first'")
			if _, err := b.admin.Revoke(ctx, grants.Name{User: "app_clone", Host: "%"}, tt.mark, nil); err != nil {
				b.Fatal(err)
			}
			_, err := b.admin.Sync(ctx, tt.pair)
			if tt.reason == "" && err != nil || tt.reason != "" && !refused(err, tt.reason) {
				b.Errorf("%s: got %v, want %q", tt.name, err, tt.reason)
			}
		}
	})
}

// open opens a session of an account.
func (b *bench) open(user, password string) *sql.Conn {
	b.Helper()
	db, err := b.server.Open(user, password)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { db.Close() })
	conn, err := db.Conn(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	return conn
}

// Sessions older than the current account's password would outlive a revocation, because no later
// step ends them.
func TestRevokingRotationEndsTheStandbysSessions(t *testing.T) {
	each(t, func(b *bench) {
		ctx := context.Background()
		b.exec("CREATE USER app IDENTIFIED BY 'Aa1-first'", "GRANT SELECT ON shop.* TO app")
		b.rotate(pair)
		clone, app := grants.Name{User: "app_clone", Host: "%"}, grants.Name{User: "app", Host: "%"}
		thief := b.open("app_clone", secret)
		p := owned(pair)
		if plan, err := b.admin.Sync(ctx, p); err != nil || plan.EndSessions {
			b.Fatalf("an ordinary rotation would end sessions: %+v, %v", plan, err)
		}
		p.Revoke = true
		if plan, err := b.admin.Sync(ctx, p); err != nil || !plan.EndSessions {
			b.Fatalf("a rotation that revokes would not end sessions: %+v, %v", plan, err)
		}
		_, ended, err := b.admin.ReplacePassword(ctx, clone, app, "Next-1", nil)
		if want := (Ended{Ended: 1}); err != nil || ended != want {
			b.Errorf("%+v, %v; want %+v", ended, err, want)
		}
		if thief.PingContext(ctx) == nil {
			b.Error("the session is still open")
		}
		if _, err := b.dialer.Login(ctx, b.endpoint(), "app_clone", "Next-1"); err != nil {
			b.Error(err)
		}
	})
}

// A session that a revocation could not end must end before its account is unlocked, whatever the
// next rotation is asked to do.
func TestRevokedStandbysSessionsEndBeforeItIsUnlocked(t *testing.T) {
	each(t, func(b *bench) {
		ctx := context.Background()
		b.exec("CREATE USER app IDENTIFIED BY 'Aa1-first'")
		b.rotate(pair)
		clone, app := grants.Name{User: "app_clone", Host: "%"}, grants.Name{User: "app", Host: "%"}
		thief := b.open("app_clone", secret)
		a := b.ops(least...)
		if _, err := a.Revoke(ctx, clone, pair.Mark, nil); !refused(err, grants.MissingRight) {
			b.Fatal(err)
		}
		a = b.again(a)
		plan, err := a.Sync(ctx, owned(pair))
		if err != nil || plan.EndSessions || !slices.ContainsFunc(plan.Warnings, func(w string) bool {
			return strings.HasPrefix(w, "sessions of 'app_clone'@'%' opened before it was locked may continue")
		}) {
			b.Errorf("without PROCESS: %+v, %v", plan, err)
		}
		b.exec("GRANT PROCESS ON *.* TO ops")
		a = b.again(a)
		if _, err := a.Sync(ctx, owned(pair)); !refused(err, grants.MissingRight) ||
			!strings.Contains(err.Error(), "1 session of 'app_clone'@'%' opened before it was locked would continue") {
			b.Errorf("without the right to end them: %v", err)
		}
		if _, _, err := a.ReplacePassword(ctx, clone, app, "Next-1", nil); !refused(err, grants.MissingRight) {
			b.Errorf("the password was set while the session is open: %v", err)
		}
		if s, _, err := b.admin.readPair(ctx, clone, clone); err != nil || !s.Locked || !owned(pair).Revoked(s) {
			b.Errorf("the account was unlocked while the session is open, %v", err)
		}
		b.exec("GRANT " + a.server.KillRight() + " ON *.* TO ops")
		a = b.again(a)
		if plan, err := a.Sync(ctx, owned(pair)); err != nil || !plan.EndSessions {
			b.Fatalf("with both rights: %+v, %v", plan, err)
		}
		stop := errors.New("stop")
		if _, _, err := a.ReplacePassword(ctx, clone, app, "Next-1",
			func(context.Context, grants.Stored) error { return stop }); !errors.Is(err, stop) || thief.PingContext(ctx) != nil {
			b.Errorf("stopped by %v: want the session to stay open", err)
		}
		_, ended, err := a.ReplacePassword(ctx, clone, app, "Next-1", nil)
		if want := (Ended{Ended: 1}); err != nil || ended != want || thief.PingContext(ctx) == nil {
			b.Errorf("%+v, %v; want %+v", ended, err, want)
		}
		if _, err := b.dialer.Login(ctx, b.endpoint(), "app_clone", "Next-1"); err != nil {
			b.Error(err)
		}
	})
}

// A standby that was locked by hand is accepted only with Force, and gets another password before
// it is unlocked. Unlocking it by hand would reactivate its old password, which may have leaked.
func TestLockedStandbyIsNotUnlockedWithItsPassword(t *testing.T) {
	each(t, func(b *bench) {
		ctx := context.Background()
		b.exec("CREATE USER app IDENTIFIED BY 'Aa1-first'")
		b.rotate(pair)
		b.exec("ALTER USER app_clone ACCOUNT LOCK")
		p := owned(pair)
		if _, err := b.admin.Sync(ctx, p); !refused(err, grants.StandbyLocked) || !strings.Contains(err.Error(), "rotate with Force") ||
			strings.Contains(err.Error(), "UNLOCK") {
			b.Errorf("got %v", err)
		}
		p.Force = true
		if plan, err := b.admin.Sync(ctx, p); err != nil || !plan.EndSessions {
			b.Errorf("with Force: %+v, %v", plan, err)
		}
	})
}
