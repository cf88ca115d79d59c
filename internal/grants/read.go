package grants

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
)

// knownColumns are the columns of mysql.user and mysql.global_priv that are read, or that do not
// describe the account.
var knownColumns = setOf("host", "user", "priv", "ssl_type", "ssl_cipher", "x509_issuer", "x509_subject",
	"max_questions", "max_updates", "max_connections", "max_user_connections", "plugin", "authentication_string",
	"password_expired", "password_last_changed", "password_lifetime", "account_locked", "password_reuse_history",
	"password_reuse_time", "password_require_current", "user_attributes")

// add adds a right to the state, or its name to the unknown ones.
func (s *Account) add(r right, passOn bool) {
	if r.kind >= global && r.kind <= routine && !privileges[r.privilege] {
		s.unknown = append(s.unknown, "right "+r.String())
		return
	}
	s.rights[r] = passOn
}

// grantedBy reports whether a row names the account itself as the grantor, with the host of its
// session. This is how a server records the rights that it grants to the creator of a routine, by
// its setting automatic_sp_privileges.
func (s *Account) grantedBy(grantor string) bool {
	i := strings.LastIndexByte(grantor, '@')
	return i >= 0 && (grantor[:i] == s.Name.User || routineName(grantor[:i]) == s.Name.User)
}

var routineKinds = setOf("PROCEDURE", "FUNCTION", "PACKAGE", "PACKAGE BODY", "LIBRARY")

// knownTables have a user and a host, and are read above, or hold what does not belong to an account's properties.
var knownTables = setOf("user", "global_priv", "db", "tables_priv", "columns_priv", "procs_priv", "proxies_priv",
	"audit_log_user", "global_grants", "default_roles", "roles_mapping", "password_history", "slave_master_info", "servers",
	// of MariaDB's password_reuse_check plugin and of old servers
	"password_reuse_check_history", "host")

func setOf(words ...string) map[string]bool {
	set := make(map[string]bool, len(words))
	for _, w := range words {
		set[w] = true
	}
	return set
}

// routineName undoes what MySQL and MariaDB do to the names of routines and their databases in
// mysql.procs_priv: they store the bytes of UTF-8 as if they were latin1 (cp1252, as MySQL defines
// it). Text that cannot be the result of this is unchanged.
func routineName(stored string) string {
	bytes := make([]byte, 0, len(stored))
	for _, r := range stored {
		b, ok := charmap.Windows1252.EncodeRune(r)
		if !ok {
			return stored
		}
		bytes = append(bytes, b)
	}
	if !utf8.Valid(bytes) {
		return stored
	}
	return string(bytes)
}

// AccountsQuery returns the query for the accounts themselves. It reads all columns, so that
// unknown ones are noticed.
//
// The key of an account begins with the host. A server has few different hosts and finds them by
// skipping through its index. So the cost of looking up each user on each host does not depend on
// the number of accounts.
func (s *Server) AccountsQuery(users []string) string {
	table := "mysql." + s.AccountsTable()
	var wanted [][]string
	for _, user := range users {
		wanted = append(wanted, []string{user})
	}
	return "SELECT a.* FROM " + listed(table, []string{"User"}, wanted) + " AS u JOIN (SELECT DISTINCT Host FROM " + table + ") AS h JOIN " +
		table + " AS a ON a.Host = h.Host AND a.User = u.User"
}

// NamedAccountsQuery returns a query for accounts by their names. Its result may have further
// accounts. The case of a host's letters does not matter, but MariaDB's key has it, so such accounts
// are looked for on all hosts.
func (s *Server) NamedAccountsQuery(names []Name) string {
	var users, keys []string
	letters := false
	for _, n := range names {
		letters = letters || strings.ToLower(n.Host) != strings.ToUpper(n.Host)
		users = append(users, n.User)
		keys = append(keys, "Host = "+QuoteValue(n.Host)+" AND User = "+QuoteValue(n.User))
	}
	if letters && s.IsMariaDB() {
		return s.AccountsQuery(users)
	}
	return "SELECT * FROM mysql." + s.AccountsTable() + " WHERE " + strings.Join(keys, " OR ")
}

// ParseAccounts parses the result of AccountsQuery or NamedAccountsQuery.
func (server *Server) ParseAccounts(users []string, rows []Row) ([]*Account, error) {
	var states []*Account
	for _, r := range rows {
		s := &Account{
			Name:       Name{r.Text("user"), r.Text("host")},
			properties: map[string]string{},
			rights:     map[right]bool{},
			fromServer: map[right]bool{},
		}
		if !slices.Contains(users, s.Name.User) || slices.ContainsFunc(states, func(have *Account) bool { return have.Name == s.Name }) {
			continue // equal but for what the collation ignores
		}
		read := readMySQL
		if server.IsMariaDB() {
			read = server.readMariaDB
		}
		if err := read(s, r); err != nil {
			return nil, fmt.Errorf("account %s: %w", s.Name, err)
		}
		for name, value := range r {
			if !knownColumns[name] && !strings.HasSuffix(name, "_priv") && value.String != server.Columns[server.AccountsTable()][name].Default {
				s.unknown = append(s.unknown, fmt.Sprintf("column %s of mysql.%s", name, server.AccountsTable()))
			}
		}
		slices.Sort(s.unknown)
		states = append(states, s)
	}
	return states, nil
}

// AddRights adds the rights in the result of RightsQuery to the accounts.
func AddRights(accounts []*Account, rows []Row) {
	by := byGrantee(accounts)
	spelt := make(map[string]*Account, len(by))
	for _, s := range by {
		spelt[unescapedName(s.Name)] = s
	}
	for _, r := range rows {
		s := by[Key{r.Text("c0"), strings.ToLower(r.Text("c1"))}]
		if r.Text("kind") == "global" {
			s = spelt[r.Text("c0")]
		}
		if s == nil {
			continue
		}
		s.addRow(r)
	}
}

// addRow adds one row of that result to the account.
func (s *Account) addRow(r Row) {
	a, b, value, c := r.Text("c2"), r.Text("c3"), r.Text("c4"), r.Text("c5")
	switch r.Text("kind") {
	case "global":
		if a != "USAGE" {
			s.add(right{kind: global, privilege: a}, false)
		}
		if value == "YES" {
			s.add(right{kind: global, privilege: grantOption}, false)
		}
	case "unknown":
		if !slices.Contains(s.unknown, a) {
			s.unknown = append(s.unknown, a)
		}
	case "database":
		for flag := range strings.SplitSeq(value, ",") {
			if flag != "" {
				s.add(right{kind: database, privilege: columnPrivilege(flag), schema: a}, false)
			}
		}
	case "table":
		for _, p := range setPrivileges(value) {
			s.add(right{table, p, a, b, ""}, false)
		}
	case "column":
		for _, p := range setPrivileges(value) {
			s.add(right{columnOf, p, a, b, c}, false)
		}
	case "routine":
		a, b = routineName(a), routineName(b)
		if !routineKinds[c] {
			s.unknown = append(s.unknown, fmt.Sprintf("right on %s %s.%s", c, QuoteIdentifier(a), QuoteIdentifier(b)))
			return
		}
		for _, p := range setPrivileges(value) {
			s.add(right{routine, p, a, b, c}, false)
			if byItself := s.grantedBy(r.Text("c6")) && (p == "EXECUTE" || p == "ALTER ROUTINE"); byItself {
				s.fromServer[right{routine, p, a, b, c}] = true
			}
		}
	case "proxy":
		s.add(right{proxy, "PROXY", a, b, ""}, value != "0")
	case "dynamic":
		s.add(right{dynamic, a, "", "", ""}, value == "Y")
	case "role":
		s.add(right{role, "", a, b, ""}, value == "Y")
	case granted:
		s.usedBy = append(s.usedBy, fmt.Sprintf("%s has %s as a role", Name{a, b}, s.Name))
	case proxied:
		s.usedBy = append(s.usedBy, fmt.Sprintf("%s may be a proxy of %s", Name{a, b}, s.Name))
	case "default":
		s.add(right{defaultRole, "", a, b, ""}, false)
	}
}

// byGrantee finds accounts by their names in the grant tables.
func byGrantee(accounts []*Account) map[Key]*Account {
	by := make(map[Key]*Account, len(accounts))
	for _, s := range accounts {
		by[s.Name.Key()] = s
	}
	return by
}

// UnknownTables returns the tables in the schema mysql that may have rows about accounts and that
// this package does not know.
func (s *Server) UnknownTables() []string {
	var tables []string
	for table, columns := range s.Columns {
		_, user := columns["user"]
		_, host := columns["host"]
		if user && host && !knownTables[table] {
			tables = append(tables, table)
		}
	}
	slices.Sort(tables)
	return tables
}

// UnknownRowsQuery returns the statement that lists the accounts of some users that have rows in a grant table.
func UnknownRowsQuery(table string, users []string) string {
	return "SELECT DISTINCT User, Host FROM mysql." + QuoteIdentifier(table) + " WHERE User IN " + QuoteValues(users)
}

// AddUnknownRows records which accounts have rows in such a table, from the result of
// UnknownRowsQuery.
func AddUnknownRows(accounts []*Account, table string, rows []Row) {
	by := byGrantee(accounts)
	for _, r := range rows {
		if s := by[Key{r.Text("user"), strings.ToLower(r.Text("host"))}]; s != nil {
			s.unknown = append(s.unknown, "rows of mysql."+table)
		}
	}
}
