package grants

import (
	"strings"
)

// Difference returns the statements that make target's properties and rights equal to source's.
// Additions come before removals, and each kind of right after the kinds whose granting affects it.
// target is not changed. m, which may be nil, is what the server's memory has for the target:
// rights that are out of date in it are granted again.
func Difference(source, target *Account, m *InMemory, p *Powers) []Step {
	d := &differ{source: source, result: target.clone(), name: target.Name, powers: p, flavor: p.server.Flavor}
	d.properties(m != nil && m.staleExpiry(target))
	if m != nil {
		d.refresh(m.stale(target, p.server.Flavor))
	}
	d.resetDynamics()
	d.proxies()
	d.grantStatic()
	d.revokeGlobalGrantOption()
	d.dynamics()
	d.restrict()
	d.grantRoles()
	d.revokeStatic()
	d.revokeProxies()
	d.revokeRoles()
	d.defaultRoles()
	return d.steps
}

// includeServerGiven adds to the source the rights that the server itself gave to the standby. If a
// client that still used the standby created a routine, neither account could call it once the
// standby had lost the right to it. It returns the source as it will be, and the steps. The current
// account only gains rights.
func includeServerGiven(source, standby *Account, p *Powers) (*Account, []Step) {
	wanted := source.clone()
	for r := range standby.fromServer {
		wanted.rights[r] = false
	}
	steps := Difference(wanted, source, nil, p)
	for i := range steps {
		steps[i].OnSource = true
		steps[i].Text += ", which the server gave to " + standby.Name.String() + " as the creator"
	}
	return wanted, steps
}

// differ collects the steps from one account to the other. now is the target as it will be after
// the steps so far.
type differ struct {
	source, result *Account
	name           Name
	powers         *Powers // of the administrator that will run the steps
	flavor         Flavor
	steps          []Step
}

func (d *differ) step(statement, text string, needs ...right) *Step {
	d.steps = append(d.steps, Step{Change: Change{Text: text, Statement: statement}, needs: needs})
	return &d.steps[len(d.steps)-1]
}

// grant adds a step that grants a list of privileges, which may contain GRANT OPTION.
func (d *differ) grant(list, on, option string, needs ...right) *Step {
	s := list + " on " + on + " to " + d.name.String()
	if option != "" {
		return d.step("GRANT "+list+" ON "+on+" TO "+d.name.String()+" WITH "+option, "grant "+s+" with "+strings.ToLower(option), needs...)
	}
	return d.step("GRANT "+list+" ON "+on+" TO "+d.name.String(), "grant "+s, needs...)
}

func (d *differ) revoke(list, on string, needs ...right) *Step {
	s := d.step("REVOKE "+list+" ON "+on+" FROM "+d.name.String(), "revoke "+list+" on "+on+" from "+d.name.String(), needs...)
	s.restricted = d.powers.restrictedFromRevoking(d.result, needs)
	return s
}

// missing returns the source's rights of one kind that the target lacks, or may not pass on
// although the source may.
func (d *differ) missing(k kind) []right {
	var rights []right
	for _, r := range sorted(d.source.rights) {
		if passOn, ok := d.result.rights[r]; r.kind == k && (!ok || d.source.rights[r] && !passOn) {
			rights = append(rights, r)
		}
	}
	return rights
}

// extra returns the target's rights of one kind that the source lacks, or may not pass on although
// the target may.
func (d *differ) extra(k kind) []right {
	var rights []right
	for _, r := range sorted(d.result.rights) {
		if passOn, ok := d.source.rights[r]; r.kind == k && (!ok || d.result.rights[r] && !passOn) {
			rights = append(rights, r)
		}
	}
	return rights
}

func (d *differ) has(r right) bool {
	_, ok := d.result.rights[r]
	return ok
}

func (d *differ) wants(r right) bool {
	_, ok := d.source.rights[r]
	return ok
}

func (d *differ) setGlobalGrantOption() {
	d.result.rights[globalGrantOption] = false
	if !d.flavor.HasDynamicRights() {
		return
	}
	for r := range d.result.rights {
		if r.kind == dynamic {
			d.result.rights[r] = true
		}
	}
}

func option(on bool, words string) string {
	if on {
		return words
	}
	return ""
}

// scopes groups rights by what one statement can contain. Each privilege on columns needs its own
// statement: an administrator with rights on only some columns would need, on MariaDB, all
// privileges of a statement on all its columns.
func scopes(rights []right) [][]right {
	var groups [][]right
	index := map[right]int{}
	for _, r := range rights {
		scope := right{kind: r.kind, schema: r.schema, object: r.object, detail: r.detail}
		if r.kind == columnOf {
			scope.detail, scope.privilege = "", r.privilege
		}
		i, ok := index[scope]
		if !ok {
			i = len(groups)
			index[scope] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], r)
	}
	return groups
}

// list writes the rights of one scope: each privilege once, with its columns in parentheses.
func list(rights []right) string {
	var parts []string
	columns := map[string][]string{}
	for _, r := range rights {
		if r.kind != columnOf {
			parts = append(parts, r.privilege)
			continue
		}
		if columns[r.privilege] == nil {
			parts = append(parts, r.privilege+" (")
		}
		columns[r.privilege] = append(columns[r.privilege], QuoteIdentifier(r.detail))
	}
	for i, p := range parts {
		if name, ok := strings.CutSuffix(p, " ("); ok {
			parts[i] = p + strings.Join(columns[name], ", ") + ")"
		}
	}
	return strings.Join(parts, ", ")
}

var staticKinds = []kind{global, database, table, columnOf, routine}

func (d *differ) grantStatic() {
	var rights []right
	for _, k := range staticKinds {
		rights = append(rights, d.missing(k)...)
	}
	for _, group := range scopes(rights) {
		words, on := list(group), group[0].on()
		s := d.grant(words, on, "", group...)
		s.OracleMode = packaged(group[0])
		if k := group[0].kind; k == table || k == columnOf {
			create := right{table, "CREATE", group[0].schema, group[0].object, ""}
			s.DroppedTable = &DroppedTable{Grant: "GRANT CREATE, " + words + " ON " + on + " TO " + d.name.String()}
			if !d.wants(create) {
				s.DroppedTable.RevokeCreate = "REVOKE CREATE ON " + on + " FROM " + d.name.String()
			}
		}
		for _, r := range group {
			if r == globalGrantOption {
				d.setGlobalGrantOption()
			}
			d.result.rights[r] = false
			if r.kind == global {
				for _, c := range d.powers.restrictionsPassedOn(r.privilege) {
					d.result.rights[c] = false
				}
			}
		}
	}
}

// refresh revokes rights that are out of date in memory. Those that are wanted will be granted
// again.
func (d *differ) refresh(stale []right) {
	for _, r := range stale {
		switch r.kind {
		case dynamic:
			d.revokeDynamic(r)
		case role: // REVOKE removes it from both, and GRANT gives the option to both
			if d.wants(r) && d.source.rights[r] {
				d.result.rights[r] = false
			}
		default:
			d.revoke("PROXY", r.on(), r)
			delete(d.result.rights, r)
		}
	}
}

var globalGrantOption = right{kind: global, privilege: grantOption}

// resetDynamics revokes all dynamic rights if the global grant option is about to change. With it,
// MySQL 9.7 also grants and revokes the grant options of dynamic rights, and then its tables and
// its memory differ: one keeps an option that the other has lost, or a right that was revoked.
// Rights granted after the change are the same in both.
func (d *differ) resetDynamics() {
	changes := d.has(globalGrantOption) != d.wants(globalGrantOption)
	for _, r := range d.missing(proxy) {
		changes = changes || d.source.rights[r]
	}
	if !d.flavor.HasDynamicRights() || !changes {
		return
	}
	for _, r := range sorted(d.result.rights) {
		if r.kind == dynamic {
			d.revokeDynamic(r)
		}
	}
}

// revokeDynamic revokes twice. After GRANT OPTION was granted or revoked globally, the memory may
// contain the right twice, with and without its grant option, and each REVOKE removes one of them.
func (d *differ) revokeDynamic(r right) {
	d.revoke(r.privilege, r.on(), r)
	d.revoke(r.privilege, r.on(), r)
	delete(d.result.rights, r)
}

func (d *differ) revokeGlobalGrantOption() {
	if d.has(globalGrantOption) && !d.wants(globalGrantOption) {
		d.revoke(grantOption, globalGrantOption.on(), globalGrantOption)
		delete(d.result.rights, globalGrantOption)
	}
}

// dynamics come after the static rights, because the global grant option becomes that of each
// dynamic right. A right that must lose its own grant option is revoked and granted again.
func (d *differ) dynamics() {
	for _, r := range d.extra(dynamic) {
		d.revokeDynamic(r)
	}
	for _, passOn := range []bool{false, true} {
		var names []string
		var rights []right
		for _, r := range d.missing(dynamic) {
			if d.source.rights[r] == passOn {
				names, rights = append(names, r.privilege), append(rights, r)
			}
		}
		if names == nil {
			continue
		}
		needs := rights
		if passOn { // MySQL also requires it of the administrator
			needs = append(needs, globalGrantOption)
		}
		d.grant(strings.Join(names, ", "), "*.*", option(passOn, grantOption), needs...)
		for _, r := range rights {
			d.result.rights[r] = passOn
		}
	}
}

// restrict makes partial revokes equal. A partial revoke disappears together with the global right
// that it limits.
func (d *differ) restrict() {
	for _, group := range scopes(d.missing(restriction)) {
		d.step("REVOKE "+list(group)+" ON "+group[0].on()+" FROM "+d.name.String(),
			"restrict "+d.name.String()+": no "+list(group)+" on "+group[0].on(), group...)
	}
	var lifted []right
	for _, r := range d.extra(restriction) {
		if d.wants(right{kind: global, privilege: r.privilege}) {
			lifted = append(lifted, r)
		}
	}
	for _, group := range scopes(lifted) {
		d.step("GRANT "+list(group)+" ON "+group[0].on()+" TO "+d.name.String(),
			"lift the restriction of "+d.name.String()+": "+list(group)+" on "+group[0].on(), group...)
	}
}

// revokeStatic revokes rights on columns before those on their table. Revoking a privilege on a
// table also removes it from its columns. Revoking it there afterwards would be an error, and if it
// should stay there, it is granted again.
func (d *differ) revokeStatic() {
	var rights []right
	for _, k := range []kind{global, database, columnOf, table, routine} {
		rights = append(rights, d.extra(k)...)
	}
	revoked := map[right]bool{}
	for _, group := range scopes(rights) {
		d.revoke(list(group), group[0].on(), group...).OracleMode = packaged(group[0])
		for _, r := range group {
			revoked[r] = true
		}
	}
	var lost []right
	for _, r := range sorted(d.source.rights) {
		if r.kind == columnOf && revoked[right{kind: table, privilege: r.privilege, schema: r.schema, object: r.object}] {
			lost = append(lost, r)
		}
	}
	for _, group := range scopes(lost) {
		d.grant(list(group), group[0].on(), "", group...)
	}
}

// packaged reports whether a right is on a MariaDB package.
func packaged(r right) bool { return r.kind == routine && strings.HasPrefix(r.detail, "PACKAGE") }
