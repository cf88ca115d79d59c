// Package grants knows what the accounts of MySQL and MariaDB may do, and how to make two accounts equal.
//
// It is pure: it writes queries, reads the rows that answer them, compares accounts, plans statements, and refuses what must
// not be changed. Package account sends the queries and statements to a server. The grant tables are the truth. Nothing that a
// server printed is ever run.
package grants

import "strings"

// Name is an account's identity, both parts as the server spells them. Case matters in user names and not in host names.
type Name struct{ User, Host string }

// String spells the name for reading and for SQL: 'user'@'host'.
func (n Name) String() string { return QuoteUser(n.User) + "@" + QuoteUser(n.Host) }

// Same reports whether both name one account.
func (n Name) Same(o Name) bool { return n.User == o.User && strings.EqualFold(n.Host, o.Host) }

// ParseName reads what CURRENT_USER() answers, user@host without quotes. A host holds no @, a user may.
func ParseName(s string) Name {
	i := strings.LastIndexByte(s, '@')
	if i < 0 {
		return Name{User: s}
	}
	return Name{User: s[:i], Host: s[i+1:]}
}

// ParseNames reads what CURRENT_ROLE() answers: `user`@`host`,`user`@`host` on MySQL, a bare name on MariaDB, NONE for none.
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

// unquoteIdentifier takes a quoted identifier off the front of a text. A text without one gives an empty identifier.
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
