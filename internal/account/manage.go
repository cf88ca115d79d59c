package account

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// MayDrop refuses what would stop an account from being locked, unlocked or dropped, as far as the administrator can see
// it. It writes nothing.
func (a *Admin) MayDrop(ctx context.Context, n Name) error {
	if err := a.mayWrite(ctx, n); err != nil {
		return err
	}
	states, err := a.read(ctx, n.User)
	if err != nil {
		return err
	}
	p, err := a.powers(ctx, states)
	if err != nil {
		return err
	}
	var account []*state
	for _, s := range states {
		if s.name.same(n) {
			account = append(account, s)
		}
	}
	if lacking := p.lackingToChange(account...); len(lacking) > 0 {
		return refuse(MissingRight, "administrator %s lacks what locking and dropping %s takes: %s", a.name, n, strings.Join(lacking, "; "))
	}
	return a.checkDefiner(ctx, p, n)
}

// mayWrite refuses a server that takes no changes, and an account that is never changed.
func (a *Admin) mayWrite(ctx context.Context, n Name) error {
	if err := a.checkWritable(); err != nil {
		return err
	}
	if err := a.survey(ctx); err != nil {
		return err
	}
	return a.checkChangeable(n)
}

// checkDefiner refuses an account that is the definer of objects and so cannot be dropped. MySQL asks for a right of its
// own, whose name has changed.
func (a *Admin) checkDefiner(ctx context.Context, p *powers, n Name) error {
	if !a.server.keepsDefiners() || p.dynamic("ALLOW_NONEXISTENT_DEFINER") || p.dynamic("SET_USER_ID") {
		return nil
	}
	rows, err := a.defined(ctx, n)
	if err != nil || len(rows) == 0 {
		return err
	}
	var objects []string
	for _, r := range rows {
		objects = append(objects, r.text("n")+" "+r.text("kind"))
	}
	return refuse(MissingRight, "%s is the definer of %s, and administrator %s may not drop it: give them another definer,"+
		" or GRANT ALLOW_NONEXISTENT_DEFINER (SET_USER_ID before MySQL 8.2) ON *.* TO %s and leave them without one", n, strings.Join(objects, ", "), a.name, a.name)
}

// Lock, Unlock, Drop and Revoke change one account under the server's lock on it. fence, which may be nil, is called under
// the lock right before the first change and stops it by an error.

// Lock locks an account: new logins fail, open sessions go on. That it does not exist is no error.
func (a *Admin) Lock(ctx context.Context, n Name, fence func(context.Context) error) error {
	return a.alter(ctx, n, "ACCOUNT LOCK", fence)
}

// Unlock unlocks an account. That it does not exist is no error.
func (a *Admin) Unlock(ctx context.Context, n Name, fence func(context.Context) error) error {
	return a.alter(ctx, n, "ACCOUNT UNLOCK", fence)
}

func (a *Admin) alter(ctx context.Context, n Name, clause string, fence func(context.Context) error) error {
	return a.locked(ctx, []string{n.User}, func(ctx context.Context) error {
		_, _, err := a.readPair(ctx, n, n)
		if r, ok := errors.AsType[*Refusal](err); ok && r.Reason == NoSuchAccount {
			return nil
		}
		if err != nil {
			return err
		}
		if err := pass(ctx, fence); err != nil {
			return err
		}
		if err := a.exec(ctx, "ALTER USER "+n.String()+" "+clause); err != nil {
			return fmt.Errorf("alter %s: %w", n, err)
		}
		return nil
	})
}

// pass calls a fence, if there is one.
func pass(ctx context.Context, fence func(context.Context) error) error {
	if fence == nil {
		return nil
	}
	return fence(ctx)
}

// Drop drops an account with its rights. That it does not exist is no error.
func (a *Admin) Drop(ctx context.Context, n Name, fence func(context.Context) error) error {
	if err := a.survey(ctx); err != nil {
		return err
	}
	if err := a.checkChangeable(n); err != nil {
		return err
	}
	return a.locked(ctx, []string{n.User}, func(ctx context.Context) error {
		if err := pass(ctx, fence); err != nil {
			return err
		}
		if err := a.exec(ctx, "DROP USER IF EXISTS "+n.String()); err != nil {
			return fmt.Errorf("drop %s: %w", n, err)
		}
		return nil
	})
}

// Revoke makes an account useless at once: it is locked, its password and second password are replaced by one that does
// not exist, and its sessions are ended. Rights and properties stay.
func (a *Admin) Revoke(ctx context.Context, n Name, fence func(context.Context) error) error {
	return a.locked(ctx, []string{n.User}, func(ctx context.Context) error {
		s, _, err := a.readPair(ctx, n, n)
		if err != nil {
			return err
		}
		hash, err := a.unmatchable(s.plugin, revokedMark(s.name))
		if err != nil {
			return fmt.Errorf("scramble the password of %s: %w", n, err)
		}
		if err := pass(ctx, fence); err != nil {
			return err
		}
		// Locked first, by itself: should the rest fail, nobody logs in any more.
		if err := a.exec(ctx, "ALTER USER "+n.String()+" ACCOUNT LOCK"); err != nil {
			return fmt.Errorf("lock %s: %w", n, err)
		}
		if err := a.setHash(ctx, s, s.plugin, hash, ""); err != nil {
			return err
		}
		return a.endSessions(ctx, n)
	})
}

// endSessions ends the user's connections. A session shows its user's name and the host that it comes from, not its
// account: where the name has several accounts, those of the others are ended too and connect again.
func (a *Admin) endSessions(ctx context.Context, n Name) error {
	ids, err := a.sessionIDs(ctx, n.User)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := a.kill(ctx, id); err != nil {
			return fmt.Errorf("end a session of %s: %w", n, err)
		}
	}
	return nil
}

// kill ends a session. That it has ended by itself is no error.
func (a *Admin) kill(ctx context.Context, id string) error {
	err := a.exec(ctx, "KILL "+id)
	e := serverError(err)
	if e != nil && e.Number == errKillDenied {
		// A cloud's administrator may not kill but call a procedure that does.
		fallback := a.exec(ctx, "CALL mysql.rds_kill("+id+")")
		if e = serverError(fallback); fallback == nil {
			return nil
		}
	}
	if e != nil && e.Number == errNoSuchThread {
		return nil
	}
	return err
}

func (a *Admin) sessionIDs(ctx context.Context, user string) ([]string, error) {
	view, err := a.sessionsView(ctx, nil)
	if err != nil {
		return nil, err
	}
	query := "SELECT ID AS id FROM information_schema.PROCESSLIST WHERE USER = "
	switch view {
	case "":
		return nil, refuse(MissingRight, "administrator %s cannot see the sessions of %s, which go on: GRANT PROCESS ON *.* TO %s",
			a.name, quoteUser(user), a.name)
	case threads:
		query = "SELECT PROCESSLIST_ID AS id FROM performance_schema.threads WHERE TYPE = 'FOREGROUND' AND PROCESSLIST_USER = "
	}
	rows, err := a.query(ctx, query+quoteValue(user))
	if err != nil {
		return nil, fmt.Errorf("look who is logged in as %s: %w", quoteUser(user), err)
	}
	var ids []string
	for _, r := range rows {
		ids = append(ids, r.text("id"))
	}
	return ids, nil
}

// Exists lists the accounts of a user name, one for each host.
func (a *Admin) Exists(ctx context.Context, user string) ([]Name, error) {
	if err := a.survey(ctx); err != nil {
		return nil, err
	}
	states, err := a.readAccounts(ctx, []string{user})
	if err != nil {
		return nil, fmt.Errorf("look for %s: %w", quoteUser(user), a.deniedRead(err))
	}
	var names []Name
	for _, s := range states {
		names = append(names, s.name)
	}
	slices.SortFunc(names, func(x, y Name) int { return strings.Compare(x.Host, y.Host) })
	return names, nil
}
