package account

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/rotate-user/rotate-user/internal/grants"
)

// MayDrop refuses what would stop an account from being locked, unlocked or dropped, as far as the administrator can see
// it. It writes nothing.
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
		return grants.Refuse(grants.MissingRight, "administrator %s lacks what locking and dropping %s takes: %s", a.name, n, strings.Join(lacking, "; "))
	}
	return nil
}

// mayWrite refuses a server that takes no changes, and an account that is never changed.
func (a *Admin) mayWrite(ctx context.Context, n grants.Name) error {
	if err := a.checkWritable(ctx); err != nil {
		return err
	}
	if err := a.survey(ctx); err != nil {
		return err
	}
	return grants.CheckChangeable(n, a.name)
}

// Lock, Unlock, Drop and Revoke change one account under the server's lock on it. fence, which may be nil, is called under
// the lock right before the first change and stops it by an error.

// Lock locks an account: new logins fail, open sessions go on. It is not an error if the account does not exist.
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
		if err := callFence(ctx, fence); err != nil {
			return err
		}
		if err := a.exec(ctx, "ALTER USER "+n.String()+" "+clause); err != nil {
			return fmt.Errorf("alter %s: %w", n, err)
		}
		return nil
	})
}

// callFence calls a fence, if there is one.
func callFence(ctx context.Context, fence func(context.Context) error) error {
	if fence == nil {
		return nil
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
		if err := callFence(ctx, fence); err != nil {
			return err
		}
		if err := a.exec(ctx, "DROP USER IF EXISTS "+n.String()); err != nil {
			return fmt.Errorf("drop %s: %w", n, err)
		}
		return nil
	})
}

// DropLocked is Drop for an account that was locked before. It refuses an account that is no longer locked: that is another account
// of the name, or is in use again.
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
			return grants.Refuse(grants.NotOurs, "%s was locked and no longer is, as if something else used it: DROP USER %s if nothing does", n, n)
		}
		return callFence(ctx, fence)
	})
}

// Revoke makes an account useless at once: it is locked, its password and second password are replaced by one that does
// not exist, and its sessions are ended. Rights and properties stay. The mark is that of the account's Pair, which it is
// known to belong to from then on.
func (a *Admin) Revoke(ctx context.Context, n grants.Name, mark string, fence func(context.Context) error) (Ended, error) {
	return a.scramble(ctx, n, mark, " ACCOUNT LOCK", fence)
}

// Scramble is Revoke without the lock: the account no longer lets anyone log in, and another password makes it usable again.
func (a *Admin) Scramble(ctx context.Context, n grants.Name, mark string, fence func(context.Context) error) (Ended, error) {
	return a.scramble(ctx, n, mark, "", fence)
}

func (a *Admin) scramble(ctx context.Context, n grants.Name, mark, lock string, fence func(context.Context) error) (ended Ended, err error) {
	err = a.withCurrentRights(ctx, func() error {
		ended, err = a.scrambleLocked(ctx, n, mark, lock, fence)
		return err
	})
	return ended, err
}

func (a *Admin) scrambleLocked(ctx context.Context, n grants.Name, mark, lock string, fence func(context.Context) error) (ended Ended, err error) {
	err = a.locked(ctx, []string{n.User}, func(ctx context.Context) error {
		s, _, err := a.readPair(ctx, n, n)
		if err != nil {
			return err
		}
		hash, err := a.server.Unmatchable(s.Plugin, grants.RevokedMark(mark), s)
		if err != nil {
			return fmt.Errorf("scramble the password of %s: %w", n, err)
		}
		if err := callFence(ctx, fence); err != nil {
			return err
		}
		// One statement, and the second password before it: an account that is locked and stores a password could be
		// unlocked by hand, because this was cut off, with the password that leaked.
		if err := a.setHash(ctx, s, s.Plugin, hash, lock); err != nil {
			return err
		}
		if ended, err = a.endSessions(ctx, n.User); err != nil {
			state := "the password of " + n.String() + " is gone"
			if lock != "" {
				state = n.String() + " is locked and its password is gone"
			}
			return fmt.Errorf("%s, but its sessions may go on: %w", state, err)
		}
		return nil
	})
	return ended, err
}

// Exists lists the accounts of a user name, one for each host.
func (a *Admin) Exists(ctx context.Context, user string) ([]grants.Name, error) {
	if err := a.survey(ctx); err != nil {
		return nil, err
	}
	states, err := a.readAccounts(ctx, []string{user})
	if err != nil {
		return nil, fmt.Errorf("look for %s: %w", grants.QuoteUser(user), a.deniedRead(ctx, err))
	}
	var names []grants.Name
	for _, s := range states {
		names = append(names, s.Name)
	}
	slices.SortFunc(names, func(x, y grants.Name) int { return strings.Compare(x.Host, y.Host) })
	return names, nil
}
