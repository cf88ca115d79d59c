package account

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/rotate-user/rotate-user/internal/grants"
)

// MayDrop refuses anything that would prevent an account from being locked, unlocked or dropped, as
// far as the administrator can see it. It writes nothing.
func (a *Admin) MayDrop(ctx context.Context, n grants.Name) error {
	return a.withCurrentRights(ctx, func() error { return a.mayDrop(ctx, n) })
}

func (a *Admin) mayDrop(ctx context.Context, n grants.Name) error {
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
	var account []*grants.Account
	for _, s := range states {
		if s.Name.Same(n) {
			account = append(account, s)
		}
	}
	lacking := p.LackingToChange(account...)
	definer, err := a.lackingToDropDefiner(ctx, p, n)
	if err != nil {
		return err
	}
	if definer != "" {
		lacking = append(lacking, definer)
	}
	if lacking != nil {
		return grants.Refuse(grants.MissingRight, "administrator %s lacks rights to lock and drop %s: %s", a.name, n, strings.Join(lacking, "; "))
	}
	return nil
}

// mayWrite refuses a server that is read-only, and an account that must not be changed.
func (a *Admin) mayWrite(ctx context.Context, n grants.Name) error {
	if err := a.CheckWritable(ctx); err != nil {
		return err
	}
	if err := a.survey(ctx); err != nil {
		return err
	}
	return grants.CheckChangeable(n, a.name)
}

// Lock, Unlock, Drop and Revoke change one account under the server's lock on it. They call fence,
// which may be nil, under the lock right before the first change. If it returns an error, they
// change nothing.

// Lock locks an account: new logins fail, and open sessions continue. It is not an error if the
// account does not exist.
func (a *Admin) Lock(ctx context.Context, n grants.Name, fence func(context.Context) error) error {
	return a.alter(ctx, n, "ACCOUNT LOCK", fence)
}

// Unlock unlocks an account. It is not an error if the account does not exist.
func (a *Admin) Unlock(ctx context.Context, n grants.Name, fence func(context.Context) error) error {
	return a.alter(ctx, n, "ACCOUNT UNLOCK", fence)
}

func (a *Admin) alter(ctx context.Context, n grants.Name, clause string, fence func(context.Context) error) error {
	return a.locked(ctx, []string{n.User}, func(ctx context.Context) error {
		_, _, err := a.readPair(ctx, n, n)
		if r, ok := errors.AsType[*grants.Refusal](err); ok && r.Reason == grants.NoSuchAccount {
			return nil
		}
		if err != nil {
			return err
		}
		if err := a.mayChange(ctx, fence); err != nil {
			return err
		}
		if err := a.exec(ctx, "ALTER USER "+n.String()+" "+clause); err != nil {
			return fmt.Errorf("alter %s: %w", n, err)
		}
		return nil
	})
}

// mayChange refuses a server that has become read-only, which does not stop an administrator with SUPER, and then calls the fence,
// if there is one.
func (a *Admin) mayChange(ctx context.Context, fence func(context.Context) error) error {
	if err := a.CheckWritable(ctx); err != nil || fence == nil {
		return err
	}
	return fence(ctx)
}

// Drop drops an account with its rights. It is not an error if the account does not exist.
func (a *Admin) Drop(ctx context.Context, n grants.Name, fence func(context.Context) error) error {
	if err := a.survey(ctx); err != nil {
		return err
	}
	if err := grants.CheckChangeable(n, a.name); err != nil {
		return err
	}
	return a.locked(ctx, []string{n.User}, func(ctx context.Context) error {
		if err := a.mayChange(ctx, fence); err != nil {
			return err
		}
		if err := a.exec(ctx, "DROP USER IF EXISTS "+n.String()); err != nil {
			return fmt.Errorf("drop %s: %w", n, err)
		}
		return nil
	})
}

// DropLocked is Drop for an account that was locked before. It refuses an account that is no longer
// locked, because that is another account of the same name, or is in use again.
func (a *Admin) DropLocked(ctx context.Context, n grants.Name, fence func(context.Context) error) error {
	return a.Drop(ctx, n, func(ctx context.Context) error {
		s, _, err := a.readPair(ctx, n, n)
		if r, ok := errors.AsType[*grants.Refusal](err); ok && r.Reason == grants.NoSuchAccount {
			return nil
		}
		if err != nil {
			return err
		}
		if !s.Locked {
			return grants.Refuse(grants.NotOurs, "%s is no longer locked, as if something else used it: if nothing does, run DROP USER %s", n, n)
		}
		return a.mayChange(ctx, fence)
	})
}

// Revoke makes an account useless at once. It locks the account, replaces its password and second
// password with one that nothing matches, and ends its sessions. The account keeps its rights and
// properties. Of an account that was dropped, only the sessions are left to end. mark is the Mark of the account's Pair, to which the account can then be attributed.
func (a *Admin) Revoke(ctx context.Context, n grants.Name, mark string, fence func(context.Context) error) (Ended, error) {
	return a.scramble(ctx, n, mark, " ACCOUNT LOCK", fence)
}

// Scramble is Revoke without the lock: no one can log in to the account until it gets another
// password.
func (a *Admin) Scramble(ctx context.Context, n grants.Name, mark string, fence func(context.Context) error) (Ended, error) {
	return a.scramble(ctx, n, mark, "", fence)
}

func (a *Admin) scramble(ctx context.Context, n grants.Name, mark, lock string, fence func(context.Context) error) (ended Ended,
	err error) {
	err = a.withCurrentRights(ctx, func() error {
		ended, err = a.scrambleLocked(ctx, n, mark, lock, fence)
		return err
	})
	return ended, err
}

func (a *Admin) scrambleLocked(ctx context.Context, n grants.Name, mark, lock string, fence func(context.Context) error) (ended Ended,
	err error) {
	err = a.locked(ctx, []string{n.User}, func(ctx context.Context) error {
		s, _, err := a.readPair(ctx, n, n)
		if r, ok := errors.AsType[*grants.Refusal](err); ok && r.Reason == grants.NoSuchAccount {
			ended, err = a.endDropped(ctx, n, fence)
			return err
		}
		if err != nil {
			return err
		}
		hash, err := a.server.Unmatchable(s.Plugin, grants.RevokedMark(mark), s)
		if err != nil {
			return fmt.Errorf("scramble the password of %s: %w", n, err)
		}
		if err := a.mayChange(ctx, fence); err != nil {
			return err
		}
		// Both in one statement, and the second password before it. If this were cut off and left a
		// locked account with a stored password, someone could unlock it by hand, and the leaked
		// password would work again.
		if err := a.setHash(ctx, s, s.Plugin, hash, lock); err != nil {
			return err
		}
		if ended, err = a.endSessions(ctx, n.User); err != nil {
			state := "the password of " + n.String() + " is gone"
			if lock != "" {
				state = n.String() + " is locked and its password is gone"
			}
			return fmt.Errorf("%s, but its sessions may still be open: %w", state, err)
		}
		return nil
	})
	return ended, err
}

// endDropped ends the sessions of an account that was dropped, which the server does not do by itself.
func (a *Admin) endDropped(ctx context.Context, n grants.Name, fence func(context.Context) error) (Ended, error) {
	if err := a.mayChange(ctx, fence); err != nil {
		return Ended{}, err
	}
	ended, err := a.endSessions(ctx, n.User)
	ended.Dropped = true
	if err != nil {
		return ended, fmt.Errorf("%s does not exist, but its sessions may still be open: %w", n, err)
	}
	return ended, nil
}

// Exists returns the accounts of a user name, one for each host.
func (a *Admin) Exists(ctx context.Context, user string) ([]grants.Name, error) {
	if err := a.survey(ctx); err != nil {
		return nil, err
	}
	states, err := a.readAccounts(ctx, []string{user})
	if err != nil {
		return nil, fmt.Errorf("read the accounts of %s: %w", grants.QuoteUser(user), a.deniedRead(ctx, err))
	}
	var names []grants.Name
	for _, s := range states {
		names = append(names, s.Name)
	}
	slices.SortFunc(names, func(x, y grants.Name) int { return strings.Compare(x.Host, y.Host) })
	return names, nil
}
