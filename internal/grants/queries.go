package grants

import (
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
)

// RulesQueries returns queries for the users that tables of rules name: column a has the table, and
// b the user.
func (s *Server) RulesQueries(plan *Plan) (parts []string) {
	names := []string{plan.Source.User, plan.Standby.User}
	for _, n := range []Name{plan.Source, plan.Standby} {
		names = append(names, n.User+"@"+n.Host)
	}
	for _, t := range userTables {
		if t.schema == "mysql" {
			if _, ok := s.Columns[t.table][t.column]; !ok {
				continue
			}
		} else if !s.On("performance_schema") || !plan.Powers.MayRead(t.schema, t.table) {
			continue
		}
		parts = append(parts, "SELECT 'rule' AS kind, '"+t.schema+"."+t.table+"' AS a, CAST("+t.column+" AS BINARY) AS b, 1 AS n FROM "+
			t.schema+"."+t.table+" WHERE "+t.column+" IN "+QuoteValues(names))
	}
	return parts
}

// definedIn are the views that list objects with a definer, with their columns for database, name
// and definer. For routines and events, MariaDB has tables, where an administrator also sees
// objects that it has no rights on.
var definedIn = []struct{ kind, mysql, mariadb, schema, name string }{
	{"view", "information_schema.VIEWS", "information_schema.VIEWS", "TABLE_SCHEMA", "TABLE_NAME"},
	{"trigger", "information_schema.TRIGGERS", "information_schema.TRIGGERS", "TRIGGER_SCHEMA", "TRIGGER_NAME"},
	{"routine", "information_schema.ROUTINES", "", "ROUTINE_SCHEMA", "ROUTINE_NAME"},
	{"routine", "", "mysql.proc", "db", "name"},
	{"event", "information_schema.EVENTS", "", "EVENT_SCHEMA", "EVENT_NAME"},
	{"event", "", "mysql.event", "db", "name"},
}

// DefinersQueries return the objects whose definers are the accounts, as far as the administrator
// can see them. Column a has the definer and b an object. With a count in column n, there is one
// row for each kind and definer, with its first object as an example.
func (s *Server) DefinersQueries(count string, accounts ...Name) []string {
	var definers, parts []string
	for _, n := range accounts {
		definers = append(definers, n.User+"@"+n.Host)
	}
	for _, d := range definedIn {
		view := d.mysql
		if s.IsMariaDB() {
			view = d.mariadb
		}
		if view == "" || !s.ListsDefinersCheaply() && (d.kind == "views" || d.kind == "triggers") {
			continue
		}
		object, group := "CAST(CONCAT("+d.schema+", '.', "+d.name+") AS BINARY)", ""
		if count != "1" {
			object, group = "MIN("+object+")", " GROUP BY DEFINER"
		}
		parts = append(parts, "SELECT '"+d.kind+"' AS kind, CAST(DEFINER AS BINARY) AS a, "+object+" AS b, "+count+" AS n FROM "+view+
			" WHERE DEFINER IN "+QuoteValues(definers)+group)
	}
	return parts
}

// SessionsQuery returns the query that counts a user's connections to this server, except for one,
// by host (column a) and program (b).
func SessionsQuery(user, view string, except uint64) string {
	if view == ThreadsView {
		return "SELECT 'session' AS kind, CAST(t.PROCESSLIST_HOST AS BINARY) AS a, CAST(p.ATTR_VALUE AS BINARY) AS b, COUNT(*) AS n" +
			" FROM performance_schema.threads t LEFT JOIN performance_schema.session_connect_attrs p" +
			" ON p.PROCESSLIST_ID = t.PROCESSLIST_ID AND p.ATTR_NAME = 'program_name'" +
			" WHERE t.TYPE = 'FOREGROUND' AND t.PROCESSLIST_USER = " + QuoteValue(user) +
			" AND t.PROCESSLIST_ID NOT IN (CONNECTION_ID(), " + strconv.FormatUint(except, 10) + ") GROUP BY 2, 3"
	}
	return "SELECT 'session' AS kind, CAST(HOST AS BINARY) AS a, NULL AS b, COUNT(*) AS n FROM information_schema.PROCESSLIST" +
		" WHERE USER = " + QuoteValue(user) + " AND ID NOT IN (CONNECTION_ID(), " + strconv.FormatUint(except, 10) + ") GROUP BY 2"
}

// AddSession adds a row of its result.
func AddSession(all []Session, r Row) []Session {
	s := Session{Host: r.Text("a"), Program: r.Text("b")}
	if host, _, err := net.SplitHostPort(s.Host); err == nil {
		s.Host = host
	}
	n, _ := strconv.Atoi(r.Text("n")) // a count
	for i := range all {
		if have := &all[i]; have.Host == s.Host && have.Program == s.Program {
			have.Count += n
			return all
		}
	}
	s.Count = n
	return append(all, s)
}

// ThreadsView is the view of sessions that also shows programs. It needs SELECT rather than
// PROCESS.
const ThreadsView = "performance_schema.threads"

// RightsQuery returns the query for all tables of rights. It casts columns because UNION needs one
// collation and they have many. An unknown column whose value is not its default becomes a separate
// row.
func (s *Server) RightsQuery(accounts []*Account) string {
	parts := []string{"SELECT '' AS kind, '' AS c0, '' AS c1, '' AS c2, '' AS c3, '' AS c4, '' AS c5, '' AS c6 FROM DUAL WHERE FALSE"}
	for _, g := range grantTables {
		columns := s.Columns[g.table]
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
		from := s.rowsOf(accounts, g.table, g.user, g.host)
		parts = append(parts, "SELECT "+strings.Join(list, ", ")+from)
		if g.kind == granted || g.kind == proxied {
			continue // the rest of the row concerns the other account
		}
		for _, name := range slices.Sorted(maps.Keys(columns)) {
			if known[name] || grantColumns[name] || g.table == "db" && strings.HasSuffix(name, "_priv") {
				continue
			}
			parts = append(parts, "SELECT 'unknown', CAST("+g.user+" AS BINARY), CAST("+g.host+" AS BINARY), "+
				QuoteValue("column "+name+" of mysql."+g.table)+", '', '', '', ''"+from+
				" AND COALESCE(CAST("+QuoteIdentifier(name)+" AS CHAR), '') <> "+QuoteValue(columns[name].Default))
		}
	}
	query := strings.Join(parts, " UNION ALL ")
	var grantees []string
	for _, s := range accounts {
		if s.asksServer {
			grantees = append(grantees, unescapedName(s.Name))
		}
	}
	if grantees != nil {
		// The server itself prints these rights. It goes through all accounts, and does not escape
		// quotes in the grantee, so a grantee must be compared as a whole.
		query += " UNION ALL SELECT 'global', CAST(GRANTEE AS BINARY), '', CAST(PRIVILEGE_TYPE AS BINARY), '', " +
			"CAST(IS_GRANTABLE AS BINARY), '', ''" +
			" FROM information_schema.USER_PRIVILEGES WHERE GRANTEE IN " + QuoteValues(grantees)
	}
	return query
}

// listed returns a table of values for FROM, with the column types and collations of another table.
// With other collations, the server could not use that table's key.
func listed(like string, columns []string, rows [][]string) string {
	parts := []string{"SELECT " + strings.Join(columns, ", ") + " FROM " + like + " WHERE FALSE"}
	for _, r := range rows {
		values := QuoteValues(r)
		parts = append(parts, "SELECT "+values[1:len(values)-1])
	}
	return "(" + strings.Join(parts, " UNION ALL ") + ")"
}

// rowsOf returns FROM and WHERE of a query for the rows of some accounts in a table, whose columns
// user and host identify them. It uses the table's key if the server has one that helps. Then the
// cost of the query does not depend on the number of accounts.
func (s *Server) rowsOf(accounts []*Account, table, user, host string) string {
	var users, hosts []string
	var names [][]string
	for _, account := range accounts {
		n := account.Name
		users, hosts, names = append(users, n.User), append(hosts, n.Host), append(names, []string{n.User, n.Host})
	}
	if table == "role_edges" && user == "TO_USER" {
		// The key begins with the role, of which a server has few.
		return " FROM " + listed("mysql.role_edges", []string{"TO_USER AS u", "TO_HOST AS h"}, names) +
			" AS a JOIN (SELECT DISTINCT FROM_HOST AS rh, FROM_USER AS ru FROM mysql.role_edges) AS r JOIN mysql.role_edges" +
			" ON FROM_HOST = rh AND FROM_USER = ru AND TO_HOST = h AND TO_USER = u"
	}
	clause := " FROM mysql." + table + " WHERE " + user + " IN " + QuoteValues(users)
	if s.HasTable("role_edges") {
		// Since MySQL has roles, its keys have the user after the host, which compares without
		// regard to case.
		clause += " AND " + host + " IN " + QuoteValues(hosts)
	}
	return clause
}

// flagsColumn returns the list of the columns ending in _priv that are on.
func flagsColumn(columns map[string]Column) string {
	var flags []string
	for _, name := range slices.Sorted(maps.Keys(columns)) {
		if strings.HasSuffix(name, "_priv") {
			flags = append(flags, "IF("+QuoteIdentifier(name)+" = 'Y', "+QuoteValue(name)+", NULL)")
		}
	}
	return "CAST(CONCAT_WS(',', " + strings.Join(flags, ", ") + ") AS BINARY)"
}

// The kinds of rows about what other accounts have of an account.
const (
	granted = "granted"
	proxied = "proxied"
)

// grantTables are the tables of rights: the kind of their rows, and the columns with the account,
// the object of the right, and the right itself. In those with reversed columns, other accounts
// have rights on the account.
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

// grantColumns are further columns of those tables that contain no property.
var grantColumns = setOf("grantor", "timestamp", "column_priv") // column_priv of tables_priv summarizes columns_priv

// unescapedName writes an account as information_schema does.
func unescapedName(n Name) string { return "'" + n.User + "'@'" + n.Host + "'" }
