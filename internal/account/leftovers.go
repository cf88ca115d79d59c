package account

import (
	"context"
	"fmt"
	"slices"

	"github.com/rotate-user/rotate-user/internal/grants"
)

// checkLeftovers refuses to create an account whose name has rows in the grant tables, or a place in the server's memory,
// though it is in no table of accounts, because the account was removed with DELETE. CREATE USER would fail with 1396, or the
// new account would have the rights of the old one. What others may do as the account is returned, readable.
func (a *Admin) checkLeftovers(ctx context.Context, n grants.Name) (uses []string, err error) {
	rows, err := a.query(ctx, a.server.RightsQuery([]*grants.Account{grants.NewAccount(n)}))
	if err != nil {
		return nil, fmt.Errorf("look for rights that are left of %s: %w", n, a.deniedRead(ctx, err))
	}
	uses, err = a.server.CheckLeftovers(n, rows)
	if err != nil {
		return nil, err
	}
	_, err = a.query(ctx, "SHOW GRANTS FOR "+n.String())
	if e := serverError(err); e != nil && e.Number == errNoSuchGrant {
		return uses, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for what the server remembers of %s: %w", n, a.deniedRead(ctx, err))
	}
	return nil, a.inTheWay(ctx, n)
}

// inTheWay is the refusal for an account that came in since the accounts were read, or is in the server's memory only.
func (a *Admin) inTheWay(ctx context.Context, n grants.Name) error {
	names, err := a.Exists(ctx, n.User)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(names, n.Same) {
		return grants.Refuse(grants.Busy, "%s was created by another session meanwhile: retry later", n)
	}
	return grants.Refuse(grants.Leftovers, "%s is in no grant table, but the server remembers it and creates no other: %s", n, grants.RemovalOf(n, nil))
}

// notCreated says more of the error of CREATE USER, if the account is there in spite of the look before.
func (a *Admin) notCreated(ctx context.Context, n grants.Name, err error) error {
	if e := serverError(err); e == nil || e.Number != errUserFailed {
		return err
	}
	return a.inTheWay(ctx, n)
}
