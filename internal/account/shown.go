package account

import (
	"context"
	"fmt"

	"github.com/rotate-user/rotate-user/internal/grants"
)

// readInMemory reads what the server's memory has for an account. Of the properties, only the
// password's expiry is known to stay in MySQL's memory after it has changed in the table.
func (a *Admin) readInMemory(ctx context.Context, n grants.Name) (*grants.InMemory, error) {
	rows, err := a.query(ctx, "SHOW GRANTS FOR "+n.String())
	if err != nil {
		return nil, fmt.Errorf("show the grants of %s: %w", n, a.deniedRead(ctx, err))
	}
	lines := rowTexts(rows)
	if a.server.IsMariaDB() {
		return a.server.ParseShown(n, lines, nil), nil
	}
	if rows, err = a.query(ctx, "SHOW CREATE USER "+n.String()); err != nil {
		return nil, fmt.Errorf("show %s: %w", n, a.deniedRead(ctx, err))
	}
	return a.server.ParseShown(n, lines, rowTexts(rows)), nil
}

// rowTexts returns the values of a result with one column.
func rowTexts(rows []grants.Row) []string {
	var all []string
	for _, r := range rows {
		for _, v := range r {
			all = append(all, v.String)
		}
	}
	return all
}
