package account

import (
	"context"
	"fmt"
	"sync"

	"github.com/rotate-user/rotate-user/internal/grants"
	"github.com/rotate-user/rotate-user/internal/panics"
)

// Stored reads the stored passwords of all accounts with these user names.
func (a *Admin) Stored(ctx context.Context, users ...string) ([]grants.Stored, error) {
	if err := a.survey(ctx); err != nil {
		return nil, err
	}
	states, err := a.readAccounts(ctx, users)
	if err != nil {
		return nil, fmt.Errorf("read the accounts of %s: %w", grants.QuoteValues(users), a.deniedRead(ctx, err))
	}
	var all []grants.Stored
	for _, s := range states {
		all = append(all, s.Stored())
	}
	return all, nil
}

// StoredFor reads the stored password of one account. found reports whether the account exists.
func (a *Admin) StoredFor(ctx context.Context, n grants.Name) (stored grants.Stored, found bool, err error) {
	if err := a.survey(ctx); err != nil {
		return grants.Stored{}, false, err
	}
	states, err := a.readNamed(ctx, n)
	if err != nil {
		return grants.Stored{}, false, fmt.Errorf("read %s: %w", n, a.deniedRead(ctx, err))
	}
	for _, s := range states {
		if s.Name.Same(n) {
			return s.Stored(), true, nil
		}
	}
	return grants.Stored{}, false, nil
}

// startProof starts to compare what the server stores with what the secret says, and returns a
// function that waits for the result. It does not use this session.
func (a *Admin) startProof(ctx context.Context, p grants.Pair, ps *grants.Snapshot) (wait func() error) {
	done := sync.OnceValue(func() (err error) {
		defer panics.Into(&err)
		if err := p.CheckSourcePassword(ps.Source); err != nil {
			return err
		}
		login := sync.OnceValue(func() (err error) {
			defer panics.Into(&err)
			if p.Proof == nil {
				return nil
			}
			return p.Proof()
		})
		go func() { _ = login() }() // the call below returns its error
		// Wait for the login in any case.
		if err := p.CheckStandbyPassword(ctx, ps); err != nil {
			_ = login()
			return err
		}
		return login()
	})
	go func() { _ = done() }()
	return done
}
