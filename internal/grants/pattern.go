package grants

import (
	"slices"
	"strings"
)

var unescapePattern = strings.NewReplacer(`\_`, `_`, `\%`, `%`, `\\`, `\`)

// matches reports whether the database pattern of a grant covers a database, whose name may itself
// be written as a pattern.
func matches(pattern, name string, isPattern bool) bool {
	if pattern == name {
		return true
	}
	if isPattern {
		name = unescapePattern.Replace(name)
	}
	return like([]rune(pattern), []rune(name))
}

// like implements SQL's LIKE: % stands for any number of characters, _ for one, and a backslash
// makes the next character literal.
func like(pattern, s []rune) bool {
	for len(pattern) > 0 {
		switch c := pattern[0]; {
		case c == '%':
			for i := range len(s) + 1 {
				if like(pattern[1:], s[i:]) {
					return true
				}
			}
			return false
		case len(s) == 0:
			return false
		case c == '_':
		case c == '\\' && len(pattern) > 1:
			pattern = pattern[1:]
			if pattern[0] != s[0] {
				return false
			}
		case c != s[0]:
			return false
		}
		pattern, s = pattern[1:], s[1:]
	}
	return len(s) == 0
}

// LikePattern reports whether a database's name matches a pattern of a grant, as SQL's LIKE does.
func LikePattern(pattern, name string) bool { return like([]rune(pattern), []rune(name)) }

// wild reports whether the name of a database in a grant is a pattern.
func wild(name string) bool {
	return slices.ContainsFunc(signs(name), func(s sign) bool { return s.one || s.many })
}

// sign is part of a pattern: a character, any single one, or any number of them.
type sign struct {
	char      rune
	one, many bool
}

// signs parses a pattern in lower case, because some servers ignore case.
func signs(pattern string) (all []sign) {
	escaped := false
	for _, c := range strings.ToLower(pattern) {
		if !escaped && c == '\\' {
			escaped = true
			continue
		}
		switch {
		case !escaped && c == '%':
			all = append(all, sign{many: true})
		case !escaped && c == '_':
			all = append(all, sign{one: true})
		default:
			all = append(all, sign{char: c})
		}
		escaped = false
	}
	return all
}

// overlap reports whether there is a name that matches both patterns.
func overlap(a, b string) bool {
	x, y := signs(a), signs(b)
	meet := make([]bool, len(y)+1) // whether x[i:] and y[j:] overlap, by j, for the i of the loop
	for i := len(x); i >= 0; i-- {
		next := meet
		meet = make([]bool, len(y)+1)
		for j := len(y); j >= 0; j-- {
			switch {
			case i == len(x) && j == len(y):
				meet[j] = true
			case i < len(x) && x[i].many:
				meet[j] = next[j] || j < len(y) && meet[j+1]
			case j < len(y) && y[j].many:
				meet[j] = meet[j+1] || i < len(x) && next[j]
			case i < len(x) && j < len(y):
				meet[j] = (x[i].one || y[j].one || x[i].char == y[j].char) && next[j+1]
			}
		}
	}
	return meet[0]
}
