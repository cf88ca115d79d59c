package account

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
)

// read reads every account of the given user names, on whatever host, with all its properties and rights: two
// statements, however many there are.
func (a *Admin) read(ctx context.Context, users ...string) ([]*state, error) {
	if err := a.survey(ctx); err != nil {
		return nil, err
	}
	states, err := a.readAccounts(ctx, users)
	if err != nil {
		return nil, fmt.Errorf("read accounts: %w", a.deniedRead(ctx, err))
	}
	by := make(map[grantee]*state, len(states))
	for _, s := range states {
		by[s.name.grantee()] = s
	}
	if err := a.readRights(ctx, states, by); err != nil {
		return nil, fmt.Errorf("read rights: %w", a.deniedRead(ctx, err))
	}
	if err := a.readForeignTables(ctx, users, by); err != nil {
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

// readAccounts reads the accounts themselves. All columns, so that one unheard of is seen.
//
// The key of an account begins with the host. A server has few different ones and finds them by leaps through its index, so
// that to ask for each user on each of them costs the same however many accounts there are.
func (a *Admin) readAccounts(ctx context.Context, users []string) ([]*state, error) {
	table := "mysql." + a.server.accounts()
	var wanted [][]string
	for _, user := range users {
		wanted = append(wanted, []string{user})
	}
	rows, err := a.query(ctx, "SELECT a.* FROM "+listed(table, []string{"User"}, wanted)+" AS u JOIN (SELECT DISTINCT Host FROM "+table+") AS h JOIN "+
		table+" AS a ON a.Host = h.Host AND a.User = u.User")
	if err != nil {
		return nil, err
	}
	var states []*state
	for _, r := range rows {
		s := &state{
			name:       Name{r.text("user"), r.text("host")},
			properties: map[string]string{},
			rights:     map[right]bool{},
			given:      map[right]bool{},
		}
		if !slices.Contains(users, s.name.User) || slices.ContainsFunc(states, func(have *state) bool { return have.name == s.name }) {
			continue // equal but for what the collation ignores
		}
		read := readMySQL
		if a.server.mariadb {
			read = a.server.readMariaDB
		}
		if err := read(s, r); err != nil {
			return nil, fmt.Errorf("account %s: %w", s.name, err)
		}
		for name, value := range r {
			if !knownColumns[name] && !strings.HasSuffix(name, "_priv") && value.String != a.server.columns[a.server.accounts()][name].standard {
				s.unknown = append(s.unknown, fmt.Sprintf("column %s of mysql.%s", name, a.server.accounts()))
			}
		}
		slices.Sort(s.unknown)
		states = append(states, s)
	}
	return states, nil
}

// knownColumns are those of mysql.user and mysql.global_priv that are read, or are of no account's making.
var knownColumns = setOf("host", "user", "priv", "ssl_type", "ssl_cipher", "x509_issuer", "x509_subject",
	"max_questions", "max_updates", "max_connections", "max_user_connections", "plugin", "authentication_string",
	"password_expired", "password_last_changed", "password_lifetime", "account_locked", "password_reuse_history",
	"password_reuse_time", "password_require_current", "user_attributes")

// add puts a right into the state, or its name among the unknown things.
func (s *state) add(r right, passOn bool) {
	if r.kind >= global && r.kind <= routine && !privileges[r.privilege] {
		s.unknown = append(s.unknown, "right "+r.String())
		return
	}
	s.rights[r] = passOn
}

// privileges are the static ones of all servers.
var privileges = setOf("SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "RELOAD", "SHUTDOWN", "PROCESS", "FILE",
	grantOption, "REFERENCES", "INDEX", "ALTER", "SHOW DATABASES", "SUPER", "CREATE TEMPORARY TABLES", "LOCK TABLES",
	"EXECUTE", "REPLICATION SLAVE", "REPLICATION CLIENT", "CREATE VIEW", "SHOW VIEW", "CREATE ROUTINE", "ALTER ROUTINE",
	"CREATE USER", "EVENT", "TRIGGER", "CREATE TABLESPACE", "CREATE ROLE", "DROP ROLE",
	// MariaDB's
	"DELETE HISTORY", "BINLOG MONITOR", "BINLOG ADMIN", "BINLOG REPLAY", "REPLICATION MASTER ADMIN",
	"REPLICATION SLAVE ADMIN", "SLAVE MONITOR", "SET USER", "FEDERATED ADMIN", "CONNECTION ADMIN", "READ_ONLY ADMIN",
	"SHOW CREATE ROUTINE", "REPLICA MONITOR")

// columnPrivilege turns a column of mysql.user or mysql.db into the privilege that it stands for.
func columnPrivilege(column string) string {
	switch word := strings.TrimSuffix(column, "_priv"); word {
	case "grant":
		return grantOption
	case "show_db":
		return "SHOW DATABASES"
	case "create_tmp_table":
		return "CREATE TEMPORARY TABLES"
	case "repl_slave":
		return "REPLICATION SLAVE"
	case "repl_client":
		return "REPLICATION CLIENT"
	default:
		return strings.ToUpper(strings.ReplaceAll(word, "_", " "))
	}
}

// setPrivileges turns the value of a SET column of mysql.tables_priv and its like into privileges.
func setPrivileges(set string) []string {
	if set == "" {
		return nil
	}
	all := strings.Split(strings.ToUpper(set), ",")
	for i, p := range all {
		switch p {
		case "GRANT":
			all[i] = grantOption
		case "DELETE VERSIONING ROWS":
			all[i] = "DELETE HISTORY"
		}
	}
	return all
}

// grantTables are those of rights: what their rows are here, and the columns with the account, what the right is on, and
// the right itself. Those with a reversed account tell what others have of it.
var grantTables = []struct {
	table, kind, user, host string
	columns                 [5]string // of table.db the third is put together from all columns ending in _priv
}{
	{"db", "database", "User", "Host", [5]string{"Db"}},
	{"tables_priv", "table", "User", "Host", [5]string{"Db", "Table_name", "Table_priv"}},
	{"columns_priv", "column", "User", "Host", [5]string{"Db", "Table_name", "Column_priv", "Column_name"}},
	{"procs_priv", "routine", "User", "Host", [5]string{"Db", "Routine_name", "Proc_priv", "Routine_type", "Grantor"}},
	{"proxies_priv", "proxy", "User", "Host", [5]string{"Proxied_user", "Proxied_host", "With_grant"}},
	{"global_grants", "dynamic", "USER", "HOST", [5]string{"PRIV", "", "WITH_GRANT_OPTION"}},
	{"role_edges", "role", "TO_USER", "TO_HOST", [5]string{"FROM_USER", "FROM_HOST", "WITH_ADMIN_OPTION"}},
	{"default_roles", "default", "USER", "HOST", [5]string{"DEFAULT_ROLE_USER", "DEFAULT_ROLE_HOST"}},
	{"roles_mapping", "role", "User", "Host", [5]string{"Role", "", "Admin_option"}},
	{"role_edges", granted, "FROM_USER", "FROM_HOST", [5]string{"TO_USER", "TO_HOST"}},
	{"proxies_priv", proxied, "Proxied_user", "Proxied_host", [5]string{"User", "Host"}},
}

// The kinds of rows that tell what others have of an account.
const (
	granted = "granted"
	proxied = "proxied"
)

// grantColumns are the columns of those tables that no property hides in, beside those read.
var grantColumns = setOf("grantor", "timestamp", "column_priv") // the last of tables_priv sums up columns_priv

// rightsQuery reads all the tables of rights at once. Columns are cast as UNION wants one collation and these have many.
// A column unheard of whose value is not its default comes as a row of its own.
func (a *Admin) rightsQuery(accounts []*state) string {
	parts := []string{"SELECT '' AS kind, '' AS c0, '' AS c1, '' AS c2, '' AS c3, '' AS c4, '' AS c5, '' AS c6 FROM DUAL WHERE FALSE"}
	for _, g := range grantTables {
		columns := a.server.columns[g.table]
		if columns == nil {
			continue
		}
		known := setOf(strings.ToLower(g.user), strings.ToLower(g.host))
		list := []string{"'" + g.kind + "'"}
		for i, c := range append([]string{g.user, g.host}, g.columns[:]...) {
			known[strings.ToLower(c)] = true
			switch {
			case g.table == "db" && i == 4:
				list = append(list, flagsColumn(columns))
			case c == "":
				list = append(list, "''")
			default:
				list = append(list, "CAST("+c+" AS BINARY)")
			}
		}
		from := a.rowsOf(accounts, g.table, g.user, g.host)
		parts = append(parts, "SELECT "+strings.Join(list, ", ")+from)
		if g.kind == granted || g.kind == proxied {
			continue // the rest of the row belongs to the other account
		}
		for _, name := range slices.Sorted(maps.Keys(columns)) {
			if known[name] || grantColumns[name] || g.table == "db" && strings.HasSuffix(name, "_priv") {
				continue
			}
			parts = append(parts, "SELECT 'unknown', CAST("+g.user+" AS BINARY), CAST("+g.host+" AS BINARY), "+
				quoteValue("column "+name+" of mysql."+g.table)+", '', '', '', ''"+from+
				" AND COALESCE(CAST("+quoteIdentifier(name)+" AS CHAR), '') <> "+quoteValue(columns[name].standard))
		}
	}
	return strings.Join(parts, " UNION ALL ")
}

// listed is a table of values, for FROM, with the columns and the collations of another: with collations of their own the
// server could not look them up by a key.
func listed(like string, columns []string, rows [][]string) string {
	parts := []string{"SELECT " + strings.Join(columns, ", ") + " FROM " + like + " WHERE FALSE"}
	for _, r := range rows {
		values := quoteValues(r)
		parts = append(parts, "SELECT "+values[1:len(values)-1])
	}
	return "(" + strings.Join(parts, " UNION ALL ") + ")"
}

// rowsOf is the FROM and WHERE of a query for the rows of some accounts in a table, whose columns user and host name them. It
// uses the table's key wherever the server has one that helps, so that it costs the same however many accounts there are.
func (a *Admin) rowsOf(accounts []*state, table, user, host string) string {
	var users, hosts []string
	var names [][]string
	for _, s := range accounts {
		users, hosts, names = append(users, s.name.User), append(hosts, s.name.Host), append(names, []string{s.name.User, s.name.Host})
	}
	if table == "role_edges" && user == "TO_USER" {
		// The key begins with the role, of which a server has few.
		return " FROM " + listed("mysql.role_edges", []string{"TO_USER AS u", "TO_HOST AS h"}, names) +
			" AS a JOIN (SELECT DISTINCT FROM_HOST AS rh, FROM_USER AS ru FROM mysql.role_edges) AS r JOIN mysql.role_edges" +
			" ON FROM_HOST = rh AND FROM_USER = ru AND TO_HOST = h AND TO_USER = u"
	}
	clause := " FROM mysql." + table + " WHERE " + user + " IN " + quoteValues(users)
	if a.server.hasTable("role_edges") {
		// Since MySQL has roles its keys have the user behind the host, which compares without regard to case.
		clause += " AND " + host + " IN " + quoteValues(hosts)
	}
	return clause
}

// flagsColumn is the list of those columns ending in _priv that are on.
func flagsColumn(columns map[string]column) string {
	var flags []string
	for _, name := range slices.Sorted(maps.Keys(columns)) {
		if strings.HasSuffix(name, "_priv") {
			flags = append(flags, "IF("+quoteIdentifier(name)+" = 'Y', "+quoteValue(name)+", NULL)")
		}
	}
	return "CAST(CONCAT_WS(',', " + strings.Join(flags, ", ") + ") AS BINARY)"
}

func (a *Admin) readRights(ctx context.Context, accounts []*state, by map[grantee]*state) error {
	if len(accounts) == 0 {
		return nil
	}
	query := a.rightsQuery(accounts)
	var grantees []string
	for _, s := range accounts {
		if s.unread {
			grantees = append(grantees, unescapedName(s.name))
		}
	}
	if grantees != nil {
		// In the server's own words. It goes through all accounts for it, and does not escape quotes in the grantee, so that
		// a grantee spelt here is only as good as its being compared whole.
		query += " UNION ALL SELECT 'global', CAST(GRANTEE AS BINARY), '', CAST(PRIVILEGE_TYPE AS BINARY), '', CAST(IS_GRANTABLE AS BINARY), '', ''" +
			" FROM information_schema.USER_PRIVILEGES WHERE GRANTEE IN " + quoteValues(grantees)
	}
	rows, err := a.query(ctx, query)
	if err != nil {
		return err
	}
	spelt := make(map[string]*state, len(by))
	for _, s := range by {
		spelt[unescapedName(s.name)] = s
	}
	for _, r := range rows {
		a, b, value, c := r.text("c2"), r.text("c3"), r.text("c4"), r.text("c5")
		s := by[grantee{r.text("c0"), strings.ToLower(r.text("c1"))}]
		if r.text("kind") == "global" {
			s = spelt[r.text("c0")]
		}
		if s == nil {
			continue
		}
		switch r.text("kind") {
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
					s.add(right{kind: database, privilege: columnPrivilege(flag), a: a}, false)
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
				s.unknown = append(s.unknown, fmt.Sprintf("right on %s %s.%s", c, quoteIdentifier(a), quoteIdentifier(b)))
				continue
			}
			for _, p := range setPrivileges(value) {
				s.add(right{routine, p, a, b, c}, false)
				if byItself := s.grantedBy(r.text("c6")) && (p == "EXECUTE" || p == "ALTER ROUTINE"); byItself {
					s.given[right{routine, p, a, b, c}] = true
				}
			}
		case "proxy":
			s.add(right{proxy, "PROXY", a, b, ""}, value != "0")
		case "dynamic":
			s.add(right{dynamic, a, "", "", ""}, value == "Y")
		case "role":
			s.add(right{role, "", a, b, ""}, value == "Y")
		case granted:
			s.uses = append(s.uses, fmt.Sprintf("%s has %s as a role", Name{a, b}, s.name))
		case proxied:
			s.uses = append(s.uses, fmt.Sprintf("%s may be a proxy of %s", Name{a, b}, s.name))
		case "default":
			s.add(right{defaultRole, "", a, b, ""}, false)
		}
	}
	return nil
}

// grantedBy reports whether the account itself is the one that a row names as the grantor, with the host of its session: so
// a server writes down what it gives to the creator of a routine, by its setting automatic_sp_privileges.
func (s *state) grantedBy(grantor string) bool {
	i := strings.LastIndexByte(grantor, '@')
	return i >= 0 && (grantor[:i] == s.name.User || routineName(grantor[:i]) == s.name.User)
}

var routineKinds = setOf("PROCEDURE", "FUNCTION", "PACKAGE", "PACKAGE BODY", "LIBRARY")

// unescapedName is how information_schema spells an account.
func unescapedName(n Name) string { return "'" + n.User + "'@'" + n.Host + "'" }

// readForeignTables looks for grants of a kind unheard of: tables of the server that have rows for an account.
func (a *Admin) readForeignTables(ctx context.Context, users []string, by map[grantee]*state) error {
	for table, columns := range a.server.columns {
		_, user := columns["user"]
		_, host := columns["host"]
		if !user || !host || knownTables[table] {
			continue
		}
		rows, err := a.query(ctx, "SELECT DISTINCT User, Host FROM mysql."+quoteIdentifier(table)+" WHERE User IN "+quoteValues(users))
		if err != nil {
			return err
		}
		for _, r := range rows {
			if s := by[grantee{r.text("user"), strings.ToLower(r.text("host"))}]; s != nil {
				s.unknown = append(s.unknown, "rows of mysql."+table)
			}
		}
	}
	return nil
}

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

// routineName undoes what MySQL and MariaDB both do to the names of routines and their databases in mysql.procs_priv: the bytes of UTF-8 are
// stored as if they were latin1's (cp1252, as MySQL defines it). A text that cannot have come about so stays as it is.
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
