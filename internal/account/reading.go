package account

import (
	"context"
	"fmt"

	"github.com/rotate-user/rotate-user/internal/grants"
)

// read reads every account with the given user names, on any host, with all of its properties and
// rights. It takes two statements, however many accounts there are.
func (a *Admin) read(ctx context.Context, users ...string) ([]*grants.Account, error) {
	if err := a.survey(ctx); err != nil {
		return nil, err
	}
	states, err := a.readAccounts(ctx, users)
	if err != nil {
		return nil, fmt.Errorf("read accounts: %w", a.deniedRead(ctx, err))
	}
	return states, a.addRights(ctx, users, states)
}

// addRights reads the rights of accounts that were read by the given user names.
func (a *Admin) addRights(ctx context.Context, users []string, states []*grants.Account) error {
	if err := a.readRights(ctx, states); err != nil {
		return fmt.Errorf("read rights: %w", a.deniedRead(ctx, err))
	}
	if err := a.readForeignTables(ctx, users, states); err != nil {
		return fmt.Errorf("read tables of the server's plugins: %w", a.deniedRead(ctx, err))
	}
	return nil
}

// deniedRead replaces the error of a query that the administrator may not make by one that explains
// it.
func (a *Admin) deniedRead(ctx context.Context, err error) error {
	if e := serverError(err); e != nil && (e.Number == errTableDenied || e.Number == errColumnDenied || e.Number == errAccessDeniedToDB) {
		return a.cannotRead(ctx)
	}
	return err
}

// readAccounts reads the accounts with the given user names on all hosts, without their rights.
func (a *Admin) readAccounts(ctx context.Context, users []string) ([]*grants.Account, error) {
	rows, err := a.query(ctx, a.server.AccountsQuery(users))
	if err != nil {
		return nil, err
	}
	return a.server.ParseAccounts(users, rows)
}

// readNamed reads the accounts with the given names, without their rights. That costs the server
// half as much as readAccounts.
func (a *Admin) readNamed(ctx context.Context, names ...grants.Name) ([]*grants.Account, error) {
	rows, err := a.query(ctx, a.server.NamedAccountsQuery(names))
	if err != nil {
		return nil, err
	}
	var users []string
	for _, n := range names {
		users = append(users, n.User)
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

// readForeignTables looks for unknown kinds of grants: rows for an account in tables that this
// program does not know.
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
