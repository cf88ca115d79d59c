package grants

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// The grant tables show what a server will know after a restart. SHOW GRANTS and SHOW CREATE USER
// show what it knows now. The two can differ after a write to the tables, and after statements that
// change the tables but not the memory. So the accounts of a pair are compared by both. The lines
// that SHOW prints are compared as text and never executed.

// InMemory is what the server's memory has for an account, as SHOW GRANTS and SHOW CREATE USER
// print it.
type InMemory struct {
	grants   []string        // SHOW GRANTS, sorted, in a form that is the same for two accounts with equal rights
	dynamics map[string]bool // the dynamic rights among them, true with grant option
	roles    map[right]bool  // the roles, true with admin option
	static   map[right]bool  // the static rights except those on routines; nil if one of their lines cannot be parsed
	expiry   string          // the expiry rule; empty for an account that was expired by hand, which shows none
	// shared and sharedExpiry are what differs from the tables in the same way for the other
	// account of the pair.
	shared       map[right]bool
	sharedExpiry bool
}

var (
	globalLine = regexp.MustCompile(`^GRANT ([A-Z0-9_ ,]+) ON \*\.\* TO `)
	// routineLine matches grants on a routine with a non-ASCII name. The server reads the name from its table, where it is
	// garbled (see routineName), so it is garbled in memory as well.
	routineLine = regexp.MustCompile(` ON (PROCEDURE|FUNCTION|PACKAGE|PACKAGE BODY|LIBRARY) .*[^\x00-\x7f]`)
	// quotedText may read like a rule: a comment, the subject of a certificate.
	quotedText = regexp.MustCompile("(?s)'(?:[^'\\\\]|\\\\.|'')*'|`(?:[^`]|``)*`")
	expiryRule = regexp.MustCompile(`PASSWORD EXPIRE (DEFAULT|NEVER|INTERVAL \d+ DAY)`)
)

// parseLine parses one line of SHOW GRANTS.
func (m *InMemory) parseLine(line string, n Name, parse func(string) (map[right]bool, error)) {
	before, after, ok := strings.Cut(line, " TO "+inBackticks(n))
	text, grant := strings.CutPrefix(before, "GRANT ")
	switch {
	case !ok || !grant || strings.HasPrefix(text, "PROXY "):
	case strings.HasPrefix(text, "`"):
		for _, name := range ParseNames(text) {
			m.roles[right{kind: role, schema: name.User, object: name.Host}] = strings.Contains(after, " WITH ADMIN OPTION")
		}
	case m.static != nil:
		rights, err := parse(text + option(strings.Contains(after, " WITH GRANT OPTION"), " WITH GRANT OPTION"))
		if err != nil {
			m.static = nil
			return
		}
		for r := range rights {
			if r.kind >= global && r.kind <= columnOf {
				m.static[r] = true
			}
		}
	}
}

// disagreements returns the rights of an account in which the memory and the tables differ.
func (m *InMemory) disagreements(s *Account, flavor Flavor) map[right]bool {
	all := map[right]bool{}
	for _, r := range m.stale(s, flavor) {
		all[r] = true
	}
	if m.static == nil {
		return all
	}
	for r := range s.rights {
		if r.kind >= global && r.kind <= columnOf && !m.static[r] {
			all[r] = true
		}
	}
	for r := range m.static {
		if _, ok := s.rights[r]; !ok {
			all[r] = true
		}
	}
	return all
}

// checkMemory refuses a pair that cannot be made equal both in the grant tables and in the server's
// memory. It refuses any difference between the two for the current account, and those for the
// standby that no statement repairs. It accepts a difference that both accounts share.
func checkMemory(source *Account, inUse *InMemory, standby *Account, m *InMemory, flavor Flavor) error {
	ofSource, ofStandby := inUse.disagreements(source, flavor), map[right]bool{}
	expiry := ""
	if m != nil {
		ofStandby = m.disagreements(standby, flavor)
		m.shared = map[right]bool{}
		expiry = m.expiry
	}
	for _, side := range []struct {
		s           *Account
		have, other map[right]bool
		repairable  bool
	}{{source, ofSource, ofStandby, false}, {standby, ofStandby, ofSource, true}} {
		var lines []string
		for _, r := range sorted(side.have) {
			switch {
			case side.other[r]:
				m.shared[r] = true
			case !side.repairable || r.kind >= global && r.kind <= columnOf:
				line := r.String()
				if _, ok := side.s.rights[r]; side.s.rights[r] {
					line += " with " + optionName(r.kind)
				} else if !ok {
					line = "no " + line
				}
				lines = append(lines, line)
			}
		}
		if side.s == source && inUse.staleExpiry(source) {
			if inUse.expiry != expiry {
				lines = append(lines, "PASSWORD EXPIRE "+source.properties["PASSWORD EXPIRE"])
			} else {
				m.sharedExpiry = true
			}
		}
		if lines != nil {
			return Refuse(Stale, "the server's memory differs from its grant tables for %s, as after a write to the tables: %s;"+
				" run FLUSH PRIVILEGES, which reloads the tables", side.s.Name, strings.Join(lines, "; "))
		}
	}
	return nil
}

// stale returns the rights of an account that are out of date in memory, of the kinds for which
// that is known to happen. Granting them again repairs it.
func (m *InMemory) stale(s *Account, flavor Flavor) []right {
	var rights []right
	for _, r := range sorted(s.rights) {
		passOn := s.rights[r]
		switch r.kind {
		case proxy:
			line := "GRANT PROXY ON " + inBackticks(Name{r.schema, r.object}) + " TO " + inBackticks(s.Name) +
				option(passOn, " WITH GRANT OPTION")
			if !slices.Contains(m.grants, normalLine(line, s.Name)) {
				rights = append(rights, r)
			}
		case dynamic:
			if remembered, ok := m.dynamics[r.privilege]; flavor.HasDynamicRights() && (!ok || remembered != passOn) {
				rights = append(rights, r)
			}
		case role:
			if remembered, ok := m.roles[r]; !ok || remembered != passOn {
				rights = append(rights, r)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(m.dynamics)) {
		r := right{kind: dynamic, privilege: name}
		if _, ok := s.rights[r]; !ok {
			rights = append(rights, r)
		}
	}
	return slices.DeleteFunc(rights, func(r right) bool { return m.shared[r] })
}

// staleExpiry reports whether the memory has an expiry that is no longer in the table.
func (m *InMemory) staleExpiry(s *Account) bool {
	return !m.sharedExpiry && m.expiry != "" && m.expiry != "PASSWORD EXPIRE "+s.properties["PASSWORD EXPIRE"]
}

// inBackticks writes a name as most servers do in SHOW GRANTS.
func inBackticks(n Name) string { return QuoteIdentifier(n.User) + "@" + QuoteIdentifier(n.Host) }

// singleQuoted writes the grantee as MySQL 5.7 does, and both names of a PROXY line as some
// releases of MySQL 8.0 and MariaDB do. They do not escape quotes in it.
func singleQuoted(n Name) string { return "'" + n.User + "'@'" + n.Host + "'" }

// proxyLine is a PROXY line whose first name is in single quotes.
var proxyLine = regexp.MustCompile(`(?s)^GRANT PROXY ON '(.*)'@'(.*)' TO `)

// respell rewrites the names in a line of SHOW GRANTS with backticks, as most servers do.
func respell(line string, n Name) string {
	// Search from the right, where the grantee is, because the name of a database may look like it.
	if i := strings.LastIndex(line, " TO "+singleQuoted(n)); i >= 0 && !strings.Contains(line, " TO "+inBackticks(n)) {
		line = line[:i] + " TO " + inBackticks(n) + line[i+len(" TO "+singleQuoted(n)):]
	}
	if m := proxyLine.FindStringSubmatch(line); m != nil {
		line = "GRANT PROXY ON " + inBackticks(Name{m[1], m[2]}) + " TO " + line[len(m[0]):]
	}
	return line
}

// normalLine removes the grantee from a line, and everything after it except the options. It sorts
// the line's lists, whose order varies. It need not be exact for lines that no server prints.
func normalLine(line string, n Name) string {
	own := inBackticks(n)
	for _, word := range []string{" TO ", " FROM ", " FOR "} {
		// The first match is the grantee: within an identifier its backticks would be doubled, and
		// literals come later.
		before, after, ok := strings.Cut(line, word+own)
		if !ok {
			continue
		}
		options := ""
		for _, o := range []string{" WITH GRANT OPTION", " WITH ADMIN OPTION"} {
			if strings.Contains(after, o) {
				options += o
			}
		}
		line = before + word + options
		break
	}
	items := strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(",()", r) })
	for i, item := range items {
		items[i] = strings.TrimSpace(item)
	}
	slices.Sort(items)
	return strings.Join(items, ", ")
}

// DifferencesInMemory returns what only one of two accounts has in memory.
func DifferencesInMemory(x Name, mx *InMemory, y Name, my *InMemory) []string {
	xs, ys := mx.grants, my.grants
	if mx.expiry != "" && my.expiry != "" {
		xs, ys = append(slices.Clone(xs), mx.expiry), append(slices.Clone(ys), my.expiry)
	}
	return DifferentLines(x, xs, y, ys)
}

// DifferentLines returns the lines that only one of two accounts has.
func DifferentLines(x Name, xs []string, y Name, ys []string) []string {
	var lines []string
	for _, side := range []struct {
		who         Name
		have, other []string
	}{{x, xs, ys}, {y, ys, xs}} {
		other := setOf(side.other...)
		for _, line := range side.have {
			if !other[line] {
				lines = append(lines, fmt.Sprintf("only %s: %s", side.who, line))
			}
		}
	}
	return lines
}

// ParseShown parses the output of SHOW GRANTS and SHOW CREATE USER for an account.
func (s *Server) ParseShown(n Name, grants, account []string) *InMemory {
	m := &InMemory{dynamics: map[string]bool{}, roles: map[right]bool{}, static: map[right]bool{}}
	for _, line := range grants {
		if routineLine.MatchString(line) {
			continue
		}
		line = respell(line, n)
		m.grants = append(m.grants, normalLine(line, n))
		m.parseLine(line, n, s.parseGrant)
		if global := globalLine.FindStringSubmatch(line); global != nil && s.HasDynamicRights() {
			for name := range strings.SplitSeq(global[1], ",") {
				if name = strings.TrimSpace(name); !privileges[name] && name != "USAGE" && name != "ALL PRIVILEGES" {
					m.dynamics[name] = strings.HasSuffix(line, " WITH GRANT OPTION")
				}
			}
		}
	}
	slices.Sort(m.grants)
	for _, line := range account {
		if rule := expiryRule.FindString(quotedText.ReplaceAllString(line, "")); rule != "" {
			m.expiry = rule
		}
	}
	return m
}
