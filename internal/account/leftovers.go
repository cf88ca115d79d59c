package account

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// checkLeftovers refuses to create an account whose name has rows in the grant tables, or a place in the server's memory,
// though it is in no table of accounts: someone deleted the account with DELETE. CREATE USER would fail with 1396, or the
// new account would have the rights of the old one. What others may do as the account is returned, readable.
func (a *Admin) checkLeftovers(ctx context.Context, n Name) (uses []string, err error) {
	s := &state{name: n}
	rows, err := a.query(ctx, a.rightsQuery([]*state{s}))
	if err != nil {
		return nil, fmt.Errorf("look for rights that are left of %s: %w", n, a.deniedRead(ctx, err))
	}
	var tables []string
	for _, r := range rows {
		kind := r.text("kind")
		if r.text("c0") != n.User || !strings.EqualFold(r.text("c1"), n.Host) {
			continue
		}
		if kind == proxied {
			uses = append(uses, fmt.Sprintf("%s may be a proxy of %s", Name{r.text("c2"), r.text("c3")}, n))
			continue
		}
		for _, g := range grantTables {
			if table := "mysql." + g.table; g.kind == kind && a.server.hasTable(g.table) && !slices.Contains(tables, table) {
				tables = append(tables, table)
			}
		}
	}
	if tables != nil {
		slices.Sort(tables)
		return nil, refuse(Leftovers, "there is no account %s, but rows for it in %s, which a new account would inherit or could not be created beside: %s",
			n, strings.Join(tables, ", "), wipe(n, tables))
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
func (a *Admin) inTheWay(ctx context.Context, n Name) error {
	names, err := a.Exists(ctx, n.User)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(names, n.same) {
		return refuse(Busy, "%s was created by another session meanwhile: retry later", n)
	}
	return refuse(Leftovers, "%s is in no grant table, but the server remembers it and creates no other: %s", n, wipe(n, nil))
}

// notCreated says more of the error of CREATE USER, if the account is there in spite of the look before.
func (a *Admin) notCreated(ctx context.Context, n Name, err error) error {
	if e := serverError(err); e == nil || e.Number != errUserFailed {
		return err
	}
	return a.inTheWay(ctx, n)
}

// wipe spells the statements that remove what is left of an account.
func wipe(n Name, tables []string) string {
	drop := fmt.Sprintf("DROP USER IF EXISTS %s", n)
	if slices.Contains(tables, "mysql.role_edges") || slices.Contains(tables, "mysql.default_roles") {
		// MySQL removes roles only along with an account that it has read together with them.
		drop += fmt.Sprintf("; CREATE USER %s ACCOUNT LOCK; FLUSH PRIVILEGES; DROP USER %[1]s", n)
	}
	return drop
}
