// Package account reads, compares and changes accounts of MySQL and MariaDB.
//
// The grant tables are the truth: two accounts are read into one structure, their difference becomes statements, and both
// are read again. Nothing that a server printed is ever run, and no password reaches a server in clear but to log in.
package account

import "strings"

// Name is an account's identity, both parts as the server spells them. User names tell case apart, host names do not.
type Name struct{ User, Host string }

// String spells the name for reading and for SQL: 'user'@'host'.
func (n Name) String() string { return quoteUser(n.User) + "@" + quoteUser(n.Host) }

// same says whether both name one account.
func (n Name) same(o Name) bool { return n.User == o.User && strings.EqualFold(n.Host, o.Host) }

// parseName reads what CURRENT_USER() answers, user@host without quotes. A host holds no @, a user may.
func parseName(s string) Name {
	i := strings.LastIndexByte(s, '@')
	if i < 0 {
		return Name{User: s}
	}
	return Name{User: s[:i], Host: s[i+1:]}
}

// parseNames reads what CURRENT_ROLE() answers: `user`@`host`,`user`@`host` on MySQL, a bare name on MariaDB, NONE for none.
func parseNames(s string) []Name {
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
