package account

import (
	"context"
	"fmt"

	"github.com/rotate-user/rotate-user/internal/grants"
)

// read reads every account of the given user names, on whatever host, with all its properties and rights: two
// statements, however many there are.
func (a *Admin) read(ctx context.Context, users ...string) ([]*grants.Account, error) {
	if err := a.survey(ctx); err != nil {
		return nil, err
	}
	states, err := a.readAccounts(ctx, users)
	if err != nil {
		return nil, fmt.Errorf("read accounts: %w", a.deniedRead(ctx, err))
	}
	if err := a.readRights(ctx, states); err != nil {
		return nil, fmt.Errorf("read rights: %w", a.deniedRead(ctx, err))
	}
	if err := a.readForeignTables(ctx, users, states); err != nil {
		return nil, fmt.Errorf("read tables of the server's plugins: %w", a.deniedRead(ctx, err))
	}
	return states, nil
}

// deniedRead says more of the error of a query that the administrator may not make.
func (a *Admin) deniedRead(ctx context.Context, err error) error {
	if e := serverError(err); e != nil && (e.Number == errTableDenied || e.Number == errColumnDenied || e.Number == errAccessDeniedToDB) {
		return a.cannotRead(ctx)
	}
	return err
}

func (a *Admin) readAccounts(ctx context.Context, users []string) ([]*grants.Account, error) {
	rows, err := a.query(ctx, a.server.AccountsQuery(users))
	if err != nil {
		return nil, err
	}
	return a.server.ParseAccounts(users, rows)
}

func (a *Admin) readRights(ctx context.Context, accounts []*grants.Account) error {
	if len(accounts) == 0 {
		return nil
	}
	rows, err := a.query(ctx, a.server.RightsQuery(accounts))
	if err != nil {
		return err
	}
	grants.AddRights(accounts, rows)
	return nil
}

// readForeignTables looks for grants of an unknown kind: tables of the server that have rows for an account.
func (a *Admin) readForeignTables(ctx context.Context, users []string, accounts []*grants.Account) error {
	for _, table := range a.server.UnknownTables() {
		rows, err := a.query(ctx, grants.UnknownRowsQuery(table, users))
		if err != nil {
			return err
		}
		grants.AddUnknownRows(accounts, table, rows)
	}
	return nil
}
