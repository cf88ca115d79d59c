package account

import (
	"fmt"
	"testing"

	"github.com/rotate-user/rotate-user/internal/grants"
)

// hostile are values of global variables that people set as guard rails for applications.
var hostile = []struct {
	engine, variable, value string
}{
	{"", "sql_select_limit", "1"},
	{"", "sql_mode", "'ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT'"},
	{"", "sql_quote_show_create", "0"},
	{"", "autocommit", "0"},
	{"", "completion_type", "'RELEASE'"},
	{"", "sql_auto_is_null", "1"},
	{"", "sql_safe_updates", "1"},
	{"", "max_join_size", "1"},
	{"", "character_set_client", "latin1"},
	{"", "character_set_results", "latin1"},
	{"", "collation_connection", "latin1_bin"},
	{"", "time_zone", "'+13:00'"},
	{"", "lc_messages", "'de_DE'"},
	{"", "big_tables", "1"},
	{"", "group_concat_max_len", "4"},
	{"mysql", "transaction_read_only", "1"},
	{"mysql", "transaction_isolation", "'SERIALIZABLE'"},
	{"mysql", "max_execution_time", "1"},
	{"mariadb", "tx_read_only", "1"},
	{"mariadb", "tx_isolation", "'SERIALIZABLE'"},
	{"mariadb", "max_statement_time", "0.00001"},
	{"mariadb", "old_passwords", "1"},
}

// Settings that people make for their applications do not affect an administrator's session.
func TestGlobalVariablesDoNotReachTheSession(t *testing.T) {
	each(t, func(b *bench) {
		outer := b.T
		for _, h := range hostile {
			if h.engine != "" && h.engine != b.server.Engine {
				continue
			}
			outer.Run(h.variable, func(t *testing.T) {
				b.T = t
				defer func() { b.T = outer }()
				b.clean()
				b.exec("CREATE USER app IDENTIFIED BY 'Aa1-first'", "CREATE TABLE shop.`t'é\\\"` (a INT)",
					"GRANT SELECT, INSERT (a) ON shop.`t'é\\\"` TO app", "GRANT UPDATE ON shop.* TO app")
				b.admin = b.login(b.server.AdminUser, b.server.AdminPassword)
				before := b.session(h.variable)
				was := b.rows("SELECT @@GLOBAL." + h.variable)[0][0]
				b.exec(fmt.Sprintf("SET GLOBAL %s = %s", h.variable, h.value))
				t.Cleanup(func() { b.exec("SET GLOBAL " + h.variable + " = " + restored(was)) })
				b.admin = b.login(b.server.AdminUser, b.server.AdminPassword)
				if after := b.session(h.variable); after != before && h.variable != "max_join_size" && h.variable != "big_tables" &&
					h.variable != "group_concat_max_len" && h.variable != "old_passwords" {
					t.Errorf("%s is %s in the session, and %s before", h.variable, after, before)
				}
				b.rotate(pair)
				b.exec("GRANT DELETE ON shop.* TO app")
				b.rotate(owned(pair))
				b.same(owned(pair))
			})
		}
	})
}

// session returns a variable of the administrator's session.
func (b *bench) session(variable string) string {
	b.Helper()
	rows, err := b.admin.query(b.Context(), "SELECT @@SESSION."+variable+" AS value")
	if err != nil {
		b.Fatal(err)
	}
	return rows[0].Text("value")
}

// restored writes a value that was read in a form that SET accepts.
func restored(value string) string {
	var n float64
	if _, err := fmt.Sscan(value, &n); err == nil && value[0] != '+' {
		return value
	}
	return grants.QuoteLiteral(value)
}
