package grants

import (
	"fmt"
	"slices"
	"strings"
)

// RemovalOf returns the statements that remove what is left of an account.
func RemovalOf(n Name, tables []string) string {
	drop := fmt.Sprintf("DROP USER IF EXISTS %s", n)
	if slices.Contains(tables, "mysql.role_edges") || slices.Contains(tables, "mysql.default_roles") {
		// MySQL removes roles only together with an account that it has in memory with them.
		drop += fmt.Sprintf("; CREATE USER %s ACCOUNT LOCK; FLUSH PRIVILEGES; DROP USER %[1]s", n)
	}
	return drop
}

// CheckLeftovers refuses an account that does not exist but has rows in the result of RightsQuery.
// It returns, as text, what other accounts may do as this account.
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
	return nil, Refuse(Leftovers, "account %s does not exist but has rows in %s, which a new account would inherit, "+
		"or which prevent its creation: %s",
		n, strings.Join(tables, ", "), RemovalOf(n, tables))
}
