package grants

import (
	"fmt"
	"slices"
	"strings"
)

// Powers is what an administrator may do: the rights of its account, and of the roles that are
// active in its session.
type Powers struct {
	accounts []*Account // the administrator's own first, then its roles
	server   *Server
}

// any reports whether the administrator has a right for which f returns true.
func (p *Powers) any(f func(r right, passOn bool) bool) bool {
	for _, s := range p.accounts {
		for r, passOn := range s.rights {
			if f(r, passOn) {
				return true
			}
		}
	}
	return false
}

// holds reports whether the administrator has a static privilege on what a right is on, or on more.
func (p *Powers) holds(privilege string, where right) bool {
	for _, s := range p.accounts {
		for r := range s.rights {
			if r.privilege != privilege || r.kind == dynamic || r.kind == restriction || !p.covers(r, where) {
				continue
			}
			if _, restricted := s.rights[right{kind: restriction, privilege: privilege, schema: where.schema}]; r.kind == global &&
				where.schema != "" && restricted {
				continue
			}
			return true
		}
	}
	return false
}

// HasGlobal reports whether the administrator has a static privilege on everything.
func (p *Powers) HasGlobal(privilege string) bool {
	return p.holds(privilege, right{kind: global})
}

// HasDynamic reports whether the administrator has a dynamic privilege.
func (p *Powers) HasDynamic(privilege string) bool {
	return p.any(func(r right, _ bool) bool { return r.kind == dynamic && r.privilege == privilege })
}

// covers reports whether a right extends to the object of another right. With partial_revokes, the
// server takes the name of a database in a grant literally, not as a pattern.
func (p *Powers) covers(held, where right) bool {
	switch held.kind {
	case global:
		return true
	case database:
		if where.kind == global || where.kind == dynamic {
			return false
		}
		return held.schema == where.schema || !p.server.On("partial_revokes") && matches(held.schema, where.schema, where.kind == database)
	case table:
		return (where.kind == table || where.kind == columnOf) && held.schema == where.schema && held.object == where.object
	case columnOf:
		return where.kind == columnOf && held.schema == where.schema && held.object == where.object && held.detail == where.detail
	case routine:
		return where.kind == routine && held.schema == where.schema && held.object == where.object && held.detail == where.detail
	}
	return false
}

// mayGive reports whether the server lets the administrator grant and revoke a right.
func (p *Powers) mayGive(r right) bool {
	switch r.kind {
	case proxy:
		return p.any(func(held right, passOn bool) bool {
			return held.kind == proxy && passOn && (held.schema == "" || held.schema == r.schema) &&
				(held.object == "" || held.object == "%" || strings.EqualFold(held.object, r.object))
		})
	case dynamic:
		// An administrator that may write the grant tables may grant every dynamic right, except on
		// Amazon RDS.
		return p.writesGrants() && !p.server.isRDS() ||
			p.any(func(held right, passOn bool) bool {
				return held.kind == dynamic && held.privilege == r.privilege && passOn
			})
	case role:
		return p.server.HasRoleAdmin() && (p.HasDynamic("ROLE_ADMIN") || p.HasGlobal("SUPER")) ||
			p.any(func(held right, passOn bool) bool {
				return held.kind == role && held.schema == r.schema && held.object == r.object && passOn
			})
	case defaultRole: // MySQL requires only CREATE USER
		return !p.server.DefaultRoleNeedsUpdate() || p.writesGrants()
	case restriction:
		r.kind = database
	}
	return p.holds(grantOption, r) && p.holds(r.privilege, r)
}

// writesGrants reports whether the administrator may update the grant tables.
func (p *Powers) writesGrants() bool {
	return p.holds("UPDATE", right{kind: database, schema: "mysql"})
}

// restrictionsPassedOn returns the administrator's own restrictions, which a global privilege keeps
// when it grants it.
func (p *Powers) restrictionsPassedOn(privilege string) []right {
	var rights []right
	for _, s := range p.accounts {
		for _, r := range sorted(s.rights) {
			if r.kind == restriction && r.privilege == privilege && !p.holds(privilege, right{kind: database, schema: r.schema}) {
				rights = append(rights, r)
			}
		}
	}
	return rights
}

// systemUser is the dynamic right that an administrator needs to change accounts that have it.
const systemUser = "SYSTEM_USER"

// LackingToChange returns what the administrator lacks to change or drop these accounts.
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
			return append(all, fmt.Sprintf("%s, because %s has it", systemUser, s.Name))
		}
	}
	return all
}

// lacking returns what the administrator lacks for the steps, each right once. It ignores roles
// that no longer exist.
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
			if r.kind == role && slices.Contains(gone, right{kind: defaultRole, schema: r.schema, object: r.object}) || slices.Contains(gone, r) {
				continue
			}
			if !p.mayGive(r) {
				switch r.kind {
				case role:
					lack("%s with admin option", r)
				case defaultRole:
					lack("UPDATE on `mysql`.*, to set %s", r)
				case dynamic:
					if p.server.isRDS() {
						lack("%s with grant option, which Amazon RDS lets no user pass on if the master user does not have it so: REVOKE %s ON *.* FROM %s",
							r, r.privilege, source.Name)
						continue
					}
					lack("%s with grant option", r)
				default:
					lack("%s with grant option", r)
				}
				continue
			}
			if r.kind != global || st.Revokes() { // see restrictedFromRevoking
				continue
			}
			// It would be granted with the administrator's restriction, and the server would not
			// report that.
			for _, c := range p.restrictionsPassedOn(r.privilege) {
				if _, same := source.rights[c]; !same {
					lack("%s on %s, which a partial revoke takes from the administrator", c.privilege, c.on())
				}
			}
		}
	}
	return all
}

// NewPowers returns the powers of an administrator without rights. Add adds its account, and its roles.
func NewPowers(s *Server) *Powers { return &Powers{server: s} }

// Add adds what an account may do: the administrator's own, or that of a role.
func (p *Powers) Add(s *Account) { p.accounts = append(p.accounts, s) }

// Text returns all rights as text, for a digest.
func (p *Powers) Text() string {
	var b strings.Builder
	for _, s := range p.accounts {
		lines := s.rightLines()
		slices.Sort(lines)
		b.WriteString(s.Name.String() + "\n" + strings.Join(lines, "\n") + "\n")
	}
	return b.String()
}

// MayRead reports whether the administrator may read a table.
func (p *Powers) MayRead(schema, name string) bool {
	return p.holds("SELECT", right{kind: table, schema: schema, object: name})
}

// Roles returns the account's roles.
func (s *Account) Roles() []Name {
	var names []Name
	for r := range s.rights {
		if r.kind == role {
			names = append(names, Name{r.schema, r.object})
		}
	}
	return names
}

// SystemRolesQuery returns the query for the roles in the steps that have SYSTEM_USER, or "" if it
// does not matter.
func (p *Powers) SystemRolesQuery(s *Server, steps []Step) string {
	roles := rolesOf(steps)
	if roles == nil || !s.HasTable("global_grants") || p.HasDynamic(systemUser) {
		return ""
	}
	var users []string
	for _, r := range roles {
		users = append(users, r.schema)
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

// SystemRoles returns the roles in the steps that have SYSTEM_USER. An administrator without it
// cannot grant them.
func SystemRoles(steps []Step, rows []Row) []string {
	var system []string
	for _, r := range rolesOf(steps) {
		for _, have := range rows {
			if r.schema == have.Text("user") && strings.EqualFold(r.object, have.Text("host")) {
				system = append(system, fmt.Sprintf("SYSTEM_USER, because %s has it", r))
			}
		}
	}
	return system
}

// Check refuses an administrator that may not run the steps, and lists everything that it lacks.
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
	what := "synchronize the clone of " + ps.Source.Name.String()
	if revoke {
		what += " and revoke that account"
	}
	return refusal(MissingRight, "administrator %s lacks rights to %s: %s%s",
		administrator, what, strings.Join(lacking, "; "), p.inactiveRoles(administrator))
}

// inactiveRoles adds to a refusal the administrator's roles that are not active in its session.
func (p *Powers) inactiveRoles(administrator Name) string {
	active := map[Key]bool{}
	for _, a := range p.accounts {
		active[a.Name.Key()] = true
	}
	var roles []string
	for _, a := range p.accounts {
		if !a.Name.Same(administrator) {
			continue
		}
		for _, n := range a.Roles() {
			if !active[n.Key()] {
				roles = append(roles, right{kind: role, schema: n.User, object: n.Host}.on())
			}
		}
	}
	if roles == nil {
		return ""
	}
	slices.Sort(roles)
	return fmt.Sprintf(" (its roles %s are not active when it logs in: SET DEFAULT ROLE %[1]s %s %s)", strings.Join(roles, ", "),
		p.server.DefaultRoleFor(), administrator)
}
