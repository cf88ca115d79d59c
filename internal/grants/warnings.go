package grants

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rotate-user/rotate-user/internal/password"
)

// warnBlocks warns about rules that let a client with an old password in its cache lock an account
// for everyone.
func (plan *Plan) warnBlocks(ps *Snapshot, server *Server) {
	rule := ""
	if v := ps.Source.properties["FAILED_LOGIN_ATTEMPTS"]; v != "" && !strings.HasPrefix(v, "0 ") && !strings.HasSuffix(v, " 0") {
		rule = "FAILED_LOGIN_ATTEMPTS " + v + " (error 3955)"
	} else if v := server.Variables["max_password_errors"]; v != "" && v != "4294967295" {
		rule = "max_password_errors = " + v + " (error 4150)"
	}
	if rule != "" {
		plan.Warnings = append(plan.Warnings, fmt.Sprintf("a client that keeps using an old password can lock %s and %s for everyone, "+
			"because of %s:"+
			" ALTER USER … ACCOUNT UNLOCK unlocks the account", plan.Source, plan.Standby, rule))
	}
}

// lifetime returns how many days a password of the account lasts, and by which rule. 0 means that
// it does not expire.
func (s *Account) lifetime(server *Server) (days int, rule string) {
	value, clause := server.Variables["default_password_lifetime"], s.properties["PASSWORD EXPIRE"]
	rule = "default_password_lifetime of the server"
	if clause != "DEFAULT" {
		rule = "PASSWORD EXPIRE " + clause + " of the account"
		value = strings.TrimSuffix(strings.TrimPrefix(clause, "INTERVAL "), " DAY")
	}
	days, _ = strconv.Atoi(value) // NEVER is none
	return days, rule
}

// WarnExpiry records when the password of the account that is or will be current expires. That
// password was set at the given time, and next is when the rotation after it is due. Either may be
// unknown.
func (plan *Plan) WarnExpiry(source *Account, server *Server, n Name, set, next time.Time) {
	days, rule := source.lifetime(server)
	if days == 0 {
		return
	}
	life := time.Duration(days) * 24 * time.Hour
	date := func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }
	if set.IsZero() {
		plan.Warnings = append(plan.Warnings, fmt.Sprintf("passwords of %s expire after %d days (%s): rotate at least twice in that time", n,
			days, rule))
		return
	}
	plan.Expires = set.Add(life)
	switch {
	case next.IsZero():
		plan.Warnings = append(plan.Warnings, fmt.Sprintf("the password of %s expires on %s, after %d days (%s): "+
			"rotate at least twice in that time",
			n, date(plan.Expires), days, rule))
	case plan.Expires.Before(next):
		plan.Warnings = append(plan.Warnings, fmt.Sprintf("the password of %s expires on %s, before the next rotation on %s, after %d days (%s):"+
			" rotate at least twice in that time, or ALTER USER %[1]s PASSWORD EXPIRE NEVER", n, date(plan.Expires), date(next), days, rule))
	case plan.Expires.Before(next.Add(next.Sub(set))):
		plan.Warnings = append(plan.Warnings, fmt.Sprintf("the password of %s expires on %s, after %d days (%s), "+
			"while AWSPREVIOUS may still name it:"+
			" rotate at least twice in that time", n, date(plan.Expires), days, rule))
	}
}

// userRules are variables with comma-separated lists of user names.
var userRules = []string{"server_audit_incl_users", "server_audit_excl_users", "audit_log_include_accounts", "audit_log_exclude_accounts",
	"mandatory_roles"}

// userTables are tables that name users, or users and hosts, for purposes other than rights.
var userTables = []struct{ schema, table, column string }{
	{"performance_schema", "setup_actors", "user"},
	{"mysql", "audit_log_user", "user"},
	{"mysql", "audit_log_user", "username"},
	{"mysql", "firewall_users", "userhost"},
	{"mysql", "firewall_whitelist", "userhost"},
	{"mysql", "firewall_membership", "member_id"},
}

// WarnRules warns about rules that name only one account of the pair, so that they apply or not
// depending on which one is current. tables are the users that tables name.
func (plan *Plan) WarnRules(server *Server, tables map[string][]string) {
	named := map[string][]string{}
	for _, v := range userRules {
		if list := server.Variables[v]; list != "" {
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
		lines = append(lines, fmt.Sprintf("%s names %s but not %s, so it applies to only one of them: add the other name",
			rule, QuoteUser(one.User), QuoteUser(other.User)))
	}
	slices.Sort(lines)
	plan.Warnings = append(plan.Warnings, lines...)
}

// userOf returns the user of an entry such as app, app@% or `app`@`%`.
func userOf(entry string) string {
	return strings.Trim(ParseName(strings.TrimSpace(entry)).User, "'`\"")
}

// warn adds warnings about what depends on the source's name, or applies to both accounts, and is
// not part of the comparison.
func (plan *Plan) warn(ps *Snapshot, server *Server, plain bool) {
	if had, ok := password.StorageOf(ps.Source.Plugin, ps.Source.hash); ok &&
		server.Variables[StorageFormat] != "" && had.PBKDF2 != server.pbkdf2() {
		plan.Warnings = append(plan.Warnings, fmt.Sprintf("the password of %s is not stored in the format that this server now requires "+
			"(%s = %s): caching_sha2_password_enforce_storage_format = ON would refuse every statement of the account with error 1820, "+
			"so rotate twice before you set it", plan.Source, StorageFormat, server.Variables[StorageFormat]))
	}
	slices.Sort(ps.Source.usedBy)
	for _, use := range ps.Source.usedBy {
		plan.Warnings = append(plan.Warnings, fmt.Sprintf("%s, and %s is not the same to it", use, plan.Standby))
	}
	plan.warnBlocks(ps, server)
	if plain && ps.Source.Plugin == password.CachingSHA2 {
		plan.Warnings = append(plan.Warnings, fmt.Sprintf("the secret says \"ssl\": false, and %s refuses a login without TLS until a "+
			"client has logged in as the account with TLS or the server's key: on a replica after each rotation, here after FLUSH PRIVILEGES "+
			"or a restart. Clients that do not ask for the key (MariaDB Connector/J, npm mariadb, libmysqlclient) then get S1009, 45044 or "+
			"2061: use TLS, or have them ask for it (allowPublicKeyRetrieval, --get-server-public-key)", ps.Source.Plugin))
	}
}
