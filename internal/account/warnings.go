package account

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// warnBlocks warns of rules that let an old password, which some client still has in a cache, lock an account for everyone.
func (plan *Plan) warnBlocks(ps *pairState, server *server) {
	rule := ""
	if v := ps.source.properties["FAILED_LOGIN_ATTEMPTS"]; v != "" && !strings.HasPrefix(v, "0 ") && !strings.HasSuffix(v, " 0") {
		rule = "FAILED_LOGIN_ATTEMPTS " + v + " (error 3955)"
	} else if v := server.variables["max_password_errors"]; v != "" && v != "4294967295" {
		rule = "max_password_errors = " + v + " (error 4150)"
	}
	if rule != "" {
		plan.Warnings = append(plan.Warnings, fmt.Sprintf("a client that keeps an old password can lock %s and %s for everyone, by %s:"+
			" ALTER USER … ACCOUNT UNLOCK unlocks the account", plan.Source, plan.Standby, rule))
	}
}

// lifetime is how many days a password of the account lasts, and by which rule; 0 for ever.
func (s *state) lifetime(server *server) (days int, rule string) {
	value, clause := server.variables["default_password_lifetime"], s.properties["PASSWORD EXPIRE"]
	rule = "default_password_lifetime of the server"
	if clause != "DEFAULT" {
		rule = "PASSWORD EXPIRE " + clause + " of the account"
		value = strings.TrimSuffix(strings.TrimPrefix(clause, "INTERVAL "), " DAY")
	}
	days, _ = strconv.Atoi(value) // NEVER is none
	return days, rule
}

// expire notes when the password of the account that is, or will be, in use expires. That password was set at the given
// time, and next is when the rotation after it is due; either may be unknown.
func (plan *Plan) expire(source *state, server *server, n Name, set, next time.Time) {
	days, rule := source.lifetime(server)
	if days == 0 {
		return
	}
	life := time.Duration(days) * 24 * time.Hour
	date := func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }
	if set.IsZero() {
		plan.Warnings = append(plan.Warnings, fmt.Sprintf("passwords of %s expire after %d days (%s): rotate at least twice in that time", n, days, rule))
		return
	}
	plan.Expires = set.Add(life)
	switch {
	case next.IsZero():
		plan.Warnings = append(plan.Warnings, fmt.Sprintf("the password of %s expires on %s, after %d days (%s): rotate at least twice in that time",
			n, date(plan.Expires), days, rule))
	case plan.Expires.Before(next):
		plan.Warnings = append(plan.Warnings, fmt.Sprintf("the password of %s expires on %s, before the next rotation on %s, after %d days (%s):"+
			" rotate at least twice in that time, or ALTER USER %[1]s PASSWORD EXPIRE NEVER", n, date(plan.Expires), date(next), days, rule))
	case plan.Expires.Before(next.Add(next.Sub(set))):
		plan.Warnings = append(plan.Warnings, fmt.Sprintf("the password of %s expires on %s, after %d days (%s), while AWSPREVIOUS may still name it:"+
			" rotate at least twice in that time", n, date(plan.Expires), days, rule))
	}
}

// userRules are variables that hold the names of users, in lists with commas.
var userRules = []string{"server_audit_incl_users", "server_audit_excl_users", "audit_log_include_accounts", "audit_log_exclude_accounts", "mandatory_roles"}

// userTables are tables with names of users, or of users and hosts, which are no rights of an account.
var userTables = []struct{ schema, table, column string }{
	{"performance_schema", "setup_actors", "user"},
	{"mysql", "audit_log_user", "user"},
	{"mysql", "audit_log_user", "username"},
	{"mysql", "firewall_users", "userhost"},
	{"mysql", "firewall_whitelist", "userhost"},
	{"mysql", "firewall_membership", "member_id"},
}

// rulesQuery reads which users those tables name: in columns kind, a with the table and b with the user.
func (a *Admin) rulesQuery(plan *Plan) (parts []string) {
	names := []string{plan.Source.User, plan.Standby.User}
	for _, n := range []Name{plan.Source, plan.Standby} {
		names = append(names, n.User+"@"+n.Host)
	}
	for _, t := range userTables {
		if t.schema == "mysql" {
			if _, ok := a.server.columns[t.table][t.column]; !ok {
				continue
			}
		} else if !a.server.on("performance_schema") || !plan.powers.holds("SELECT", right{kind: table, a: t.schema, b: t.table}) {
			continue
		}
		parts = append(parts, "SELECT 'rule' AS kind, '"+t.schema+"."+t.table+"' AS a, CAST("+t.column+" AS BINARY) AS b, 1 AS n FROM "+
			t.schema+"."+t.table+" WHERE "+t.column+" IN "+quoteValues(names))
	}
	return parts
}

// warnRules warns of rules that name one account of the pair and not the other, so that they hold or not by which one is in
// use. tables are the users that tables name.
func (plan *Plan) warnRules(server *server, tables map[string][]string) {
	named := map[string][]string{}
	for _, v := range userRules {
		if list := server.variables[v]; list != "" {
			named[v] = strings.Split(list, ",")
		}
	}
	for table, users := range tables {
		named[table] = users
	}
	var lines []string
	for rule, users := range named {
		has := func(n Name) bool {
			return slices.ContainsFunc(users, func(entry string) bool { return userOf(entry) == n.User })
		}
		one, other := plan.Source, plan.Standby
		if has(one) == has(other) {
			continue
		}
		if has(other) {
			one, other = other, one
		}
		lines = append(lines, fmt.Sprintf("%s names %s and not %s, so that it applies to one of them only: name both", rule, quoteUser(one.User), quoteUser(other.User)))
	}
	slices.Sort(lines)
	plan.Warnings = append(plan.Warnings, lines...)
}

// userOf is the user of an entry such as app, app@% or `app`@`%`.
func userOf(entry string) string {
	return strings.Trim(parseName(strings.TrimSpace(entry)).User, "'`\"")
}
