package account

import (
	"context"
	"fmt"
	"slices"

	"github.com/rotate-user/rotate-user/internal/grants"
)

// checkLeftovers refuses to create an account that no longer exists but still has rows in the grant
// tables, or is still in the server's memory, because it was removed with DELETE. CREATE USER would
// fail with error 1396, or the new account would have the rights of the old one. It returns, as
// text, what other accounts may do as this account.
func (a *Admin) checkLeftovers(ctx context.Context, n grants.Name) (uses []string, err error) {
	rows, err := a.query(ctx, a.server.RightsQuery([]*grants.Account{grants.NewAccount(n)}))
	if err != nil {
		return nil, fmt.Errorf("read rights left over from %s: %w", n, a.deniedRead(ctx, err))
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
		return nil, fmt.Errorf("read what the server remembers of %s: %w", n, a.deniedRead(ctx, err))
	}
	return nil, a.inTheWay(ctx, n)
}

// inTheWay refuses an account that was created after the accounts were read, or that exists only in
// the server's memory.
func (a *Admin) inTheWay(ctx context.Context, n grants.Name) error {
	names, err := a.Exists(ctx, n.User)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(names, n.Same) {
		return grants.Refuse(grants.Busy, "another session has just created %s: retry later", n)
	}
	return grants.Refuse(grants.Leftovers, "%s is in no grant table, but it is still in the server's memory, so it cannot be created: %s", n,
		grants.RemovalOf(n, nil))
}

// notCreated explains the error of CREATE USER if the account exists despite the earlier check.
func (a *Admin) notCreated(ctx context.Context, n grants.Name, err error) error {
	if e := serverError(err); e == nil || e.Number != errUserFailed {
		return err
	}
	return a.inTheWay(ctx, n)
}
