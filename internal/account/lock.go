package account

import (
	"cmp"
	"context"
	"crypto/sha256"
	"database/sql/driver"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/rotate-user/rotate-user/internal/grants"
)

const (
	lockPatience = 10 * time.Second       // how long to wait for the lock on an account
	lockRetry    = 100 * time.Millisecond // how often to try
	lockedFor    = 60 * time.Second       // how long Locked lets f run; shorter than the server waits for an idle session
)

// Locked runs f while this session holds the server's lock on the accounts of two user names, which
// may be the same. Every method of Admin that writes to an account holds its lock. So none of them
// runs in another session in the meantime, while f may call those of this session. The context of f
// ends before the server would end an idle session and release its lock.
//
// The lock belongs to one server, and members of a cluster do not see each other's locks. So all
// sessions use the same member; see toWriter.
func (a *Admin) Locked(ctx context.Context, x, y string, f func(context.Context) error) error {
	return a.locked(ctx, []string{x, y}, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, lockedFor)
		defer cancel()
		return f(ctx)
	})
}

// locked runs f while this session holds the locks on the accounts of the given user names on all
// hosts. There is one lock for each user name, so that sessions exclude each other without agreeing
// on which accounts are a pair. The locks end with the connection, so nothing that f does on this
// session can outlive them.
func (a *Admin) locked(ctx context.Context, users []string, f func(context.Context) error) error {
	users = slices.DeleteFunc(slices.Compact(slices.Sorted(slices.Values(users))), func(user string) bool {
		return slices.Contains(a.locks, user)
	})
	if len(users) == 0 {
		return f(ctx)
	}
	if err := a.lock(ctx, users); err != nil {
		return err
	}
	held := a.locks
	a.locks = slices.Concat(held, users)
	defer func() {
		a.locks = held
		a.unlock(ctx, users)
	}()
	return f(ctx)
}

// lock takes the locks of all users.
func (a *Admin) lock(ctx context.Context, users []string) error {
	for start := time.Now(); ; {
		busy, err := a.tryLock(ctx, users)
		if _, refused := errors.AsType[*grants.Refusal](err); refused {
			return err
		}
		if err != nil {
			return fmt.Errorf("take the lock on %s: %w", grants.QuoteUser(users[0]), err)
		}
		if busy.user == "" {
			return nil
		}
		if late := time.Since(start) >= a.patience; late || a.Force {
			if err := a.identify(ctx, &busy); err != nil {
				return fmt.Errorf("find the holder of the lock on %s: %w", grants.QuoteUser(busy.user), err)
			}
			if a.Force && busy.foreign {
				if err := a.kill(ctx, busy.id); err != nil {
					return fmt.Errorf("end %s, which holds the lock on %s: %w", busy.session(), grants.QuoteUser(busy.user), err)
				}
			} else if late {
				return busy.refusal(a.patience)
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the lock on %s: %w", grants.QuoteUser(busy.user), context.Cause(ctx))
		case <-time.After(lockRetry):
		}
	}
}

// tryLock takes the locks of all users. If one of them is taken, it takes none and returns its
// holder.
func (a *Admin) tryLock(ctx context.Context, users []string) (busy busyLock, err error) {
	// The statement does not wait, because that would keep other sessions from writing to the grant
	// tables. It also reads whether the server still takes writes: a session from the pool may be on a
	// server that was replaced since, where the lock keeps no one off.
	list := []string{"CURRENT_USER() AS me"}
	for i, user := range users {
		list = append(list, fmt.Sprintf("GET_LOCK(%[1]s, 0) AS got%[2]d, IS_USED_LOCK(%[1]s) AS holder%[2]d", a.lockName(user), i))
	}
	settings := slices.DeleteFunc(slices.Clone(readOnlySettings), func(name string) bool {
		_, exists := a.server.Variables[name]
		return !exists
	})
	for _, name := range settings {
		list = append(list, "@@global."+name+" AS "+name)
	}
	rows, err := a.query(ctx, "SELECT "+strings.Join(list, ", ")+a.fromOwnRow())
	if err != nil {
		if e := serverError(err); e != nil {
			if refused := a.server.RefuseLock(e.Number, e.Message); refused != nil {
				return busyLock{}, refused
			}
		}
		if e := serverError(err); e != nil && e.Number == errTableDenied && a.name == (grants.Name{}) {
			if err := a.survey(ctx); err != nil {
				return busyLock{}, err
			}
		}
		return busyLock{}, a.deniedRead(ctx, err)
	}
	if len(rows) != 1 {
		return busyLock{}, errors.New("the administrator's own account is not in mysql.user")
	}
	a.name = grants.ParseName(rows[0].Text("me"))
	a.server.Variables = maps.Clone(a.server.Variables) // shared with other sessions
	for _, name := range settings {
		a.server.Variables[name] = rows[0].Text(name)
	}
	var got []string
	for i, user := range users {
		if rows[0].Text(fmt.Sprint("got", i)) == "1" {
			got = append(got, user)
		} else if busy.user == "" {
			busy = busyLock{user: user, id: cmp.Or(rows[0].Text(fmt.Sprint("holder", i)), "0")} // 0 if the holder is gone by now
		}
	}
	if busy.user != "" && got != nil {
		a.unlock(ctx, got)
	}
	return busy, nil
}

// unlock releases locks that the session holds besides those in a.locks. If it fails, it discards
// the connection, so that the locks do not stay with one in the pool.
func (a *Admin) unlock(ctx context.Context, users []string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	statement := "SELECT RELEASE_ALL_LOCKS() AS released"
	if len(a.locks) > 0 || !a.server.ReleasesAllLocks() {
		var list []string
		for _, user := range users {
			list = append(list, "RELEASE_LOCK("+a.lockName(user)+")")
		}
		statement = "SELECT " + strings.Join(list, " + ") + " AS released" + a.fromOwnRow()
	}
	rows, err := a.query(ctx, statement)
	if err != nil || len(rows) != 1 || rows[0].Text("released") != fmt.Sprint(len(users)) {
		a.discard()
	}
}

// lockName returns the SQL expression for the name of the lock on a user's accounts, for a
// statement that ends in fromOwnRow. Anyone who knows the name can take the lock without any
// privilege. So the name depends on the hash of the administrator's own password, which only
// administrators can read. The server computes it, so neither the hash nor the name is ever sent.
// Rotators with the same administrator exclude each other, except across a change of its password.
func (a *Admin) lockName(user string) string {
	sum := sha256.Sum256([]byte(user))
	return "CONCAT('rotate-user:', LEFT(SHA2(CONCAT(" + a.server.StoredHash() + ", '" + hex.EncodeToString(sum[:]) + "'), 256), 52))"
}

// fromOwnRow selects the administrator's own row by its key.
func (a *Admin) fromOwnRow() string {
	return " FROM mysql." + a.server.AccountsTable() + " WHERE Host = SUBSTRING_INDEX(CURRENT_USER(), '@', -1)" +
		" AND User = LEFT(CURRENT_USER(), CHAR_LENGTH(CURRENT_USER()) - CHAR_LENGTH(SUBSTRING_INDEX(CURRENT_USER(), '@', -1)) - 1)"
}

// busyLock is a lock on a user's accounts that another session holds.
type busyLock struct {
	user, id string
	login    string // the holder's user and host, as far as the administrator sees them
	foreign  bool   // the holder is logged in as a different user than this session
}

func (b busyLock) session() string { return "another session (id " + b.id + b.login + ")" }

func (b busyLock) refusal(waited time.Duration) error {
	advice := "retry later"
	if b.foreign {
		advice += ", KILL " + b.id + ", or rotate with Force, which ends that session"
	}
	return grants.Refuse(grants.Busy, "%s holds the lock on %s (waited %s): %s", b.session(), grants.QuoteUser(b.user), waited, advice)
}

// identify finds the holder's user. Without PROCESS, the administrator sees only its own user's
// sessions, so a session that it does not see is foreign.
func (a *Admin) identify(ctx context.Context, b *busyLock) error {
	rows, err := a.query(ctx, "SELECT ID = CONNECTION_ID() AS me, USER AS user, HOST AS host FROM information_schema.PROCESSLIST"+
		" WHERE ID IN ("+b.id+", CONNECTION_ID())")
	if err != nil {
		return err
	}
	var me, holder string
	for _, r := range rows {
		if r.Text("me") == "1" {
			me = r.Text("user")
		} else {
			holder = r.Text("user")
			b.login = ", user " + grants.QuoteUser(holder) + ", host " + r.Text("host")
		}
	}
	b.foreign = holder != me
	return nil
}

// discard makes the connection close with the session instead of returning to the pool.
func (a *Admin) discard() {
	_ = a.conn.Raw(func(any) error { return driver.ErrBadConn }) // this error makes database/sql discard it
}
