package grants

import (
	"fmt"
	"slices"
	"strings"
)

// RemovalOf spells the statements that remove what is left of an account.
func RemovalOf(n Name, tables []string) string {
	drop := fmt.Sprintf("DROP USER IF EXISTS %s", n)
	if slices.Contains(tables, "mysql.role_edges") || slices.Contains(tables, "mysql.default_roles") {
		// MySQL removes roles only along with an account that it has read together with them.
		drop += fmt.Sprintf("; CREATE USER %s ACCOUNT LOCK; FLUSH PRIVILEGES; DROP USER %[1]s", n)
	}
	return drop
}

// CheckLeftovers refuses an account that has rows in the answer to rightsQuery although it is in no table of accounts. What
// others may do as the account is returned, readable.
func (s *Server) CheckLeftovers(n Name, rows []Row) (uses []string, err error) {
	var tables []string
	for _, r := range rows {
		kind := r.Text("kind")
		if r.Text("c0") != n.User || !strings.EqualFold(r.Text("c1"), n.Host) {
			continue
		}
		if kind == proxied {
			uses = append(uses, fmt.Sprintf("%s may be a proxy of %s", Name{r.Text("c2"), r.Text("c3")}, n))
			continue
		}
		for _, g := range grantTables {
			if table := "mysql." + g.table; g.kind == kind && s.HasTable(g.table) && !slices.Contains(tables, table) {
				tables = append(tables, table)
			}
		}
	}
	if tables == nil {
		return uses, nil
	}
	slices.Sort(tables)
	return nil, Refuse(Leftovers, "there is no account %s, but rows for it in %s, which a new account would inherit or could not be created beside: %s",
		n, strings.Join(tables, ", "), RemovalOf(n, tables))
}
