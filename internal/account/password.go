package account

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/rotate-user/rotate-user/internal/grants"
	"github.com/rotate-user/rotate-user/internal/panics"
	"github.com/rotate-user/rotate-user/internal/password"
)

// SetPassword sets a new password for the account n, with the authentication plugin of the account
// like, which may be n itself. It discards a second password and unlocks the account. The server
// receives only a hash. The session holds the lock on both accounts. It calls fence, which may be
// nil, right before the change with what the server stores for n. If fence returns an error, the
// password is not changed.
func (a *Admin) SetPassword(ctx context.Context, n, like grants.Name, pw string,
	fence func(context.Context, grants.Stored) error) (grants.Stored, error) {
	set, _, err := a.setPassword(ctx, n, like, pw, false, fence)
	return set, err
}

// ReplacePassword is SetPassword for an account whose sessions must not outlive its password. If
// the account is locked, its sessions end before it is unlocked, and a session that cannot be ended
// prevents the change.
func (a *Admin) ReplacePassword(ctx context.Context, n, like grants.Name, pw string,
	fence func(context.Context, grants.Stored) error) (set grants.Stored, ended Ended, err error) {
	err = a.withCurrentRights(ctx, func() error {
		set, ended, err = a.setPassword(ctx, n, like, pw, true, fence)
		return err
	})
	return set, ended, err
}

func (a *Admin) setPassword(ctx context.Context, n, like grants.Name, pw string, end bool,
	fence func(context.Context, grants.Stored) error) (set grants.Stored, ended Ended, err error) {
	if err := a.CheckWritable(ctx); err != nil {
		return grants.Stored{}, Ended{}, err
	}
	// Computing a hash takes as long as the round trips before it is needed. Only these show which
	// hash is needed, so the likely one is computed in the meantime.
	likely, storage := a.server.DefaultPlugin(), a.server.Storage()
	var hash []byte
	var hashErr error
	var hashing sync.WaitGroup
	hashing.Go(func() {
		defer panics.Into(&hashErr)
		hash, hashErr = storage.Hash(likely, pw)
	})
	defer hashing.Wait()
	err = a.locked(ctx, []string{n.User, like.User}, func(ctx context.Context) error {
		if err := a.CheckWritable(ctx); err != nil {
			return err
		}
		s, model, err := a.readPair(ctx, n, like)
		if err != nil {
			return err
		}
		hashing.Wait()
		if needed := a.server.Storage(s, model); model.Plugin != likely || needed != storage {
			hash, hashErr = needed.Hash(model.Plugin, pw)
		}
		if errors.Is(hashErr, password.ErrUnsupportedPlugin) {
			return a.server.RefusePlugin(model)
		} else if hashErr != nil {
			return fmt.Errorf("password of %s: %w", n, hashErr)
		}
		pass := func() error {
			if fence == nil {
				return nil
			}
			return fence(ctx, s.Stored())
		}
		if err := pass(); err != nil {
			return err
		}
		if end && s.Locked { // no new session can start
			if ended, err = a.endSessions(ctx, n.User); err != nil {
				return fmt.Errorf("%s stays locked: %w", n, err)
			}
			if ended.Ended > 0 { // that may have taken a while
				if err := pass(); err != nil {
					return err
				}
			}
		}
		set = grants.NewStored(n, model.Plugin, string(hash))
		if err := a.setHash(ctx, s, model.Plugin, string(hash), " ACCOUNT UNLOCK"); err != nil || !end {
			return err
		}
		more, err := a.endSessions(ctx, n.User)
		ended.Ended, ended.Left = ended.Ended+more.Ended, more.Left
		if err != nil {
			return fmt.Errorf("the password of %s is set, but its earlier sessions may still be open: %w", n, err)
		}
		return nil
	})
	return set, ended, err
}

// setHash replaces the password. It first discards a second one, which would survive every other
// statement.
func (a *Admin) setHash(ctx context.Context, s *grants.Account, plugin, hash, lock string) error {
	if s.SecondPassword {
		if err := a.exec(ctx, "ALTER USER "+s.Name.String()+" DISCARD OLD PASSWORD"); err != nil {
			return fmt.Errorf("discard the second password of %s: %w", s.Name, err)
		}
	}
	if err := a.exec(ctx, "ALTER USER "+s.Name.String()+a.server.IdentifiedBy(plugin, hash)+lock); err != nil {
		return fmt.Errorf("set the password of %s: %w", s.Name, err)
	}
	return nil
}

// readPair reads two accounts without their rights, and checks that the first may be changed.
func (a *Admin) readPair(ctx context.Context, n, like grants.Name) (s, model *grants.Account, err error) {
	if a.name == (grants.Name{}) {
		if err := a.survey(ctx); err != nil {
			return nil, nil, err
		}
	}
	if err := grants.CheckChangeable(n, a.name); err != nil {
		return nil, nil, err
	}
	states, err := a.readNamed(ctx, n, like)
	if err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", n, a.deniedRead(ctx, err))
	}
	for _, have := range states {
		if have.Name.Same(n) {
			s = have
		}
		if have.Name.Same(like) {
			model = have
		}
	}
	return s, model, errors.Join(grants.RefuseAbsent(s, n), grants.RefuseAbsent(model, like))
}

// PasswordPolicy returns the server's requirements for a new password of the account. The server
// cannot check a hash against them, but their purpose still holds. The error is a *Refusal if the
// policy cannot be met.
func (a *Admin) PasswordPolicy(ctx context.Context, n grants.Name) (password.Policy, error) {
	if err := a.survey(ctx); err != nil {
		return password.Policy{}, err
	}
	return a.server.PasswordPolicy(n)
}
