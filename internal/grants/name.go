// Package grants knows what the accounts of MySQL and MariaDB may do, and how to make two accounts equal.
//
// It is pure: it writes queries, parses their results, compares accounts, plans statements, and
// refuses what must not be changed. Package account runs the queries and statements on a server.
// The grant tables are the source of truth. Text that a server printed is never executed.
package grants

import "strings"

// Name identifies an account. Both parts are spelled as on the server. Case matters in user names,
// but not in host names.
type Name struct{ User, Host string }

// String returns 'user'@'host', for display and for SQL.
func (n Name) String() string { return QuoteUser(n.User) + "@" + QuoteUser(n.Host) }

// Same reports whether both names are of the same account.
func (n Name) Same(o Name) bool { return n.User == o.User && strings.EqualFold(n.Host, o.Host) }

// ParseName parses the result of CURRENT_USER(), user@host without quotes. A user may contain @,
// but a host does not.
func ParseName(s string) Name {
	i := strings.LastIndexByte(s, '@')
	if i < 0 {
		return Name{User: s}
	}
	return Name{User: s[:i], Host: s[i+1:]}
}

// ParseNames parses the result of CURRENT_ROLE(): `user`@`host`,`user`@`host` on MySQL, a bare name
// on MariaDB, and NONE if there is none.
func ParseNames(s string) []Name {
	if s == "" || s == "NONE" {
		return nil
	}
	if s[0] != '`' {
		return []Name{{User: s}}
	}
	var names []Name
	for s != "" {
		var n Name
		n.User, s = unquoteIdentifier(s)
		if rest, ok := strings.CutPrefix(s, "@"); ok {
			n.Host, s = unquoteIdentifier(rest)
		}
		names = append(names, n)
		rest, ok := strings.CutPrefix(s, ",")
		if !ok {
			break
		}
		s = rest
	}
	return names
}

// unquoteIdentifier removes a quoted identifier from the start of a text. If there is none, the
// identifier is empty.
func unquoteIdentifier(s string) (identifier, rest string) {
	if s == "" || s[0] != '`' {
		return "", s
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		if s[i] == '`' {
			if i+1 == len(s) || s[i+1] != '`' {
				return b.String(), s[i+1:]
			}
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String(), ""
}
