package grants

import (
	"fmt"
	"slices"
	"strings"
)

// Powers are what an administrator may do, by his account and the roles that are on in his session.
type Powers struct {
	states []*Account
	flavor Flavor
}

// any says whether some right that the administrator has satisfies f.
func (p *Powers) any(f func(r right, passOn bool) bool) bool {
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
func (p *Powers) holds(privilege string, where right) bool {
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

func (p *Powers) HasGlobal(privilege string) bool {
	return p.holds(privilege, right{kind: global})
}

func (p *Powers) HasDynamic(privilege string) bool {
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
func (p *Powers) mayGive(r right) bool {
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
		return p.flavor.HasRoleAdmin() && (p.HasDynamic("ROLE_ADMIN") || p.HasGlobal("SUPER")) ||
			p.any(func(held right, passOn bool) bool {
				return held.kind == role && held.a == r.a && held.b == r.b && passOn
			})
	case defaultRole: // CREATE USER is all that MySQL asks
		return !p.flavor.DefaultRoleNeedsUpdate() || p.writesGrants()
	case restriction:
		r.kind = database
	}
	return p.holds(grantOption, r) && p.holds(r.privilege, r)
}

// writesGrants says whether he may UPDATE the grant tables.
func (p *Powers) writesGrants() bool { return p.holds("UPDATE", right{kind: database, a: "mysql"}) }

// carried are the restrictions that a global privilege takes along when this administrator grants it: his own.
func (p *Powers) carried(privilege string) []right {
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

// systemUser is the dynamic right whose holders may be changed by other holders only.
const systemUser = "SYSTEM_USER"

// LackingToChange lists what the administrator needs to change or drop accounts at all and has not, readable.
func (p *Powers) LackingToChange(accounts ...*Account) []string {
	var all []string
	if !p.HasGlobal("CREATE USER") {
		all = append(all, "CREATE USER on *.*")
	}
	for _, s := range accounts {
		if s == nil || p.HasDynamic(systemUser) {
			continue
		}
		if _, ok := s.rights[right{kind: dynamic, privilege: systemUser}]; ok {
			return append(all, fmt.Sprintf("%s, as %s has it", systemUser, s.Name))
		}
	}
	return all
}

// lacking lists what the administrator needs for the steps and does not have, each once, but nothing for roles that are gone.
func (p *Powers) lacking(source *Account, steps []Step, gone []right) []string {
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
			if r.kind == role && slices.Contains(gone, right{kind: defaultRole, a: r.a, b: r.b}) || slices.Contains(gone, r) {
				continue
			}
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

func NewPowers(s *Server) *Powers { return &Powers{flavor: s.Flavor} }

// Add adds what an account may do: the administrator's own, or that of a role.
func (p *Powers) Add(s *Account) { p.states = append(p.states, s) }

// Text spells all the rights, for a digest.
func (p *Powers) Text() string {
	var b strings.Builder
	for _, s := range p.states {
		lines := s.rightLines()
		slices.Sort(lines)
		b.WriteString(s.Name.String() + "\n" + strings.Join(lines, "\n") + "\n")
	}
	return b.String()
}

// MayRead reports whether the administrator may read a table.
func (p *Powers) MayRead(schema, name string) bool {
	return p.holds("SELECT", right{kind: table, a: schema, b: name})
}

// Roles are those that the account has.
func (s *Account) Roles() []Name {
	var names []Name
	for r := range s.rights {
		if r.kind == role {
			names = append(names, Name{r.a, r.b})
		}
	}
	return names
}

// SystemRolesQuery reads which roles in the steps have SYSTEM_USER; empty if it does not matter.
func (p *Powers) SystemRolesQuery(s *Server, steps []Step) string {
	roles := rolesOf(steps)
	if roles == nil || !s.HasTable("global_grants") || p.HasDynamic(systemUser) {
		return ""
	}
	var users []string
	for _, r := range roles {
		users = append(users, r.a)
	}
	return "SELECT USER, HOST FROM mysql.global_grants WHERE PRIV = '" + systemUser + "' AND USER IN " + QuoteValues(users)
}

func rolesOf(steps []Step) []right {
	var roles []right
	for _, st := range steps {
		for _, r := range st.needs {
			if r.kind == role {
				roles = append(roles, r)
			}
		}
	}
	return roles
}

// SystemRoles lists the roles in the steps that have SYSTEM_USER, readable: an administrator without it can pass none of them on.
func SystemRoles(steps []Step, rows []Row) []string {
	var system []string
	for _, r := range rolesOf(steps) {
		for _, have := range rows {
			if r.a == have.Text("user") && strings.EqualFold(r.b, have.Text("host")) {
				system = append(system, fmt.Sprintf("SYSTEM_USER, as %s has it", r))
			}
		}
	}
	return system
}

// Check refuses an administrator that may not run the steps, with everything that it lacks.
func (p *Powers) Check(administrator Name, ps *Snapshot, steps []Step, systemRoles []string) error {
	if r := p.refuseLacking(administrator, ps, steps, nil, false, systemRoles); r != nil {
		return r
	}
	return nil
}

func (p *Powers) refuseLacking(administrator Name, ps *Snapshot, steps []Step, gone []right, revoke bool, more []string) *Refusal {
	lacking := slices.Concat(p.LackingToChange(ps.Source, ps.Standby), p.lacking(ps.Source, steps, gone), more)
	if len(lacking) == 0 {
		return nil
	}
	what := "making the clone of " + ps.Source.Name.String()
	if revoke {
		what += " and revoking it"
	}
	return refusal(MissingRight, "administrator %s lacks what %s takes: %s", administrator, what, strings.Join(lacking, "; "))
}

// LikePattern reports whether a database's name matches a pattern of a grant, as SQL's LIKE does.
func LikePattern(pattern, name string) bool { return like([]rune(pattern), []rune(name)) }
