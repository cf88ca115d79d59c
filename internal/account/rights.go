package account

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// powers are what an administrator may do, by his account and the roles that are on in his session.
type powers struct {
	states  []*state
	mariadb bool
}

// powers gathers the administrator's rights from the accounts read, and reads those of roles' roles until none is new.
func (a *Admin) powers(ctx context.Context, states []*state) (*powers, error) {
	known := map[grantee]*state{}
	for _, s := range states {
		known[s.name.grantee()] = s
	}
	p := &powers{mariadb: a.server.mariadb}
	seen := map[grantee]bool{}
	for wanted := append([]Name{a.name}, a.roles...); len(wanted) > 0; {
		var next []Name
		var unread []string
		for _, n := range wanted {
			if known[n.grantee()] == nil && !seen[n.grantee()] {
				unread = append(unread, n.User)
			}
		}
		if unread != nil {
			more, err := a.read(ctx, unread...)
			if err != nil {
				return nil, err
			}
			for _, s := range more {
				known[s.name.grantee()] = s
			}
		}
		for _, n := range wanted {
			s := known[n.grantee()]
			if s == nil || seen[n.grantee()] {
				continue
			}
			seen[n.grantee()] = true
			p.states = append(p.states, s)
			if n == a.name {
				continue // his roles are on or off by the session, a role's roles follow it
			}
			for r := range s.rights {
				if r.kind == role {
					next = append(next, Name{r.a, r.b})
				}
			}
		}
		wanted = next
	}
	return p, a.trust(p)
}

// any says whether some right that the administrator has satisfies f.
func (p *powers) any(f func(r right, passOn bool) bool) bool {
	for _, s := range p.states {
		for r, passOn := range s.rights {
			if f(r, passOn) {
				return true
			}
		}
	}
	return false
}

// holds says whether he has a static privilege where the right is, or wider.
func (p *powers) holds(privilege string, where right) bool {
	for _, s := range p.states {
		for r := range s.rights {
			if r.privilege != privilege || r.kind == dynamic || r.kind == restriction || !covers(r, where) {
				continue
			}
			if _, restricted := s.rights[right{kind: restriction, privilege: privilege, a: where.a}]; r.kind == global && where.a != "" && restricted {
				continue
			}
			return true
		}
	}
	return false
}

func (p *powers) global(privilege string) bool {
	return p.holds(privilege, right{kind: global})
}

func (p *powers) dynamic(privilege string) bool {
	return p.any(func(r right, _ bool) bool { return r.kind == dynamic && r.privilege == privilege })
}

// covers says whether a right held extends to what another is on.
func covers(held, where right) bool {
	switch held.kind {
	case global:
		return true
	case database:
		return where.kind != global && where.kind != dynamic && matches(held.a, where.a, where.kind == database)
	case table:
		return (where.kind == table || where.kind == columnOf) && held.a == where.a && held.b == where.b
	case columnOf:
		return where.kind == columnOf && held.a == where.a && held.b == where.b && held.c == where.c
	case routine:
		return where.kind == routine && held.a == where.a && held.b == where.b && held.c == where.c
	}
	return false
}

var unescapePattern = strings.NewReplacer(`\_`, `_`, `\%`, `%`, `\\`, `\`)

// matches says whether a database pattern of a grant covers a database, which may be spelt as a pattern itself.
func matches(pattern, name string, isPattern bool) bool {
	if pattern == name {
		return true
	}
	if isPattern {
		name = unescapePattern.Replace(name)
	}
	return like([]rune(pattern), []rune(name))
}

// like is SQL's LIKE: % for any characters, _ for one, a backslash makes the next one plain.
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

// mayGive says whether the administrator may grant and revoke a right, as the servers check it.
func (p *powers) mayGive(r right) bool {
	switch r.kind {
	case proxy:
		return p.any(func(held right, passOn bool) bool {
			return held.kind == proxy && passOn && (held.a == "" || held.a == r.a) && (held.b == "" || held.b == "%" || strings.EqualFold(held.b, r.b))
		})
	case dynamic:
		// Who may write the grant tables is let through, as he could write the grant himself.
		return p.writesGrants() ||
			p.any(func(held right, passOn bool) bool {
				return held.kind == dynamic && held.privilege == r.privilege && passOn
			})
	case role:
		return !p.mariadb && (p.dynamic("ROLE_ADMIN") || p.global("SUPER")) ||
			p.any(func(held right, passOn bool) bool {
				return held.kind == role && held.a == r.a && held.b == r.b && passOn
			})
	case defaultRole: // CREATE USER is all that MySQL asks
		return !p.mariadb || p.writesGrants()
	case restriction:
		r.kind = database
	}
	return p.holds(grantOption, r) && p.holds(r.privilege, r)
}

// writesGrants says whether he may UPDATE the grant tables.
func (p *powers) writesGrants() bool { return p.holds("UPDATE", right{kind: database, a: "mysql"}) }

// carried are the restrictions that a global privilege takes along when this administrator grants it: his own.
func (p *powers) carried(privilege string) []right {
	var rights []right
	for _, s := range p.states {
		for _, r := range sorted(s.rights) {
			if r.kind == restriction && r.privilege == privilege && !p.holds(privilege, right{kind: database, a: r.a}) {
				rights = append(rights, r)
			}
		}
	}
	return rights
}

// cannotRead is the refusal of an administrator that cannot read the grant tables, with what else it can be seen to lack by
// what the server shows to everyone: their own grants.
func (a *Admin) cannotRead(ctx context.Context) error {
	rows, err := a.query(ctx, "SELECT CURRENT_USER() AS me")
	if err == nil && len(rows) == 1 {
		a.name = parseName(rows[0].text("me"))
		rows, err = a.query(ctx, "SHOW GRANTS")
	}
	if err != nil {
		return fmt.Errorf("show the administrator's own grants: %w", err)
	}
	creates := false
	for _, r := range rows {
		for _, line := range r {
			if global := globalLine.FindStringSubmatch(line.String); global != nil {
				list := strings.Split(global[1], ", ")
				creates = creates || slices.Contains(list, "CREATE USER") || slices.Contains(list, "ALL PRIVILEGES")
			}
		}
	}
	what, statements := "SELECT on `mysql`.*", fmt.Sprintf("GRANT SELECT ON `mysql`.* TO %s", a.name)
	if !creates {
		what, statements = what+"; CREATE USER on *.*", statements+fmt.Sprintf("; GRANT CREATE USER ON *.* TO %s", a.name)
	}
	return refuse(MissingRight, "administrator %s lacks %s: %s. It needs each right of the account WITH GRANT OPTION besides,"+
		" and SYSTEM_USER if the account has it; which of them it lacks is listed once it can read the grant tables", a.name, what, statements)
}

// systemUser is the dynamic right whose holders may be changed by other holders only.
const systemUser = "SYSTEM_USER"

// lackingToChange lists what the administrator needs to change or drop accounts at all and has not, readable.
func (p *powers) lackingToChange(accounts ...*state) []string {
	var all []string
	if !p.global("CREATE USER") {
		all = append(all, "CREATE USER on *.*")
	}
	for _, s := range accounts {
		if s == nil || p.dynamic(systemUser) {
			continue
		}
		if _, ok := s.rights[right{kind: dynamic, privilege: systemUser}]; ok {
			return append(all, fmt.Sprintf("%s, as %s has it", systemUser, s.name))
		}
	}
	return all
}

// lacking lists what the administrator needs for the steps and has not, readable, each once.
func (p *powers) lacking(source *state, steps []step) []string {
	var all []string
	seen := map[string]bool{}
	lack := func(format string, args ...any) {
		s := fmt.Sprintf(format, args...)
		if !seen[s] {
			seen[s] = true
			all = append(all, s)
		}
	}
	for _, st := range steps {
		for _, r := range st.needs {
			if !p.mayGive(r) {
				switch r.kind {
				case role:
					lack("%s with admin option", r)
				case defaultRole:
					lack("UPDATE on `mysql`.*, to set %s", r)
				default:
					lack("%s with grant option", r)
				}
				continue
			}
			if r.kind != global {
				continue
			}
			// It would be granted with the administrator's restriction, and the server would not say so.
			for _, c := range p.carried(r.privilege) {
				if _, same := source.rights[c]; !same {
					lack("%s on %s, which a partial revoke takes from the administrator", c.privilege, c.on())
				}
			}
		}
	}
	return all
}
