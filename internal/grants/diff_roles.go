package grants

import "strings"

func (d *differ) grantRoles() {
	for _, r := range d.missing(role) {
		passOn := d.source.rights[r]
		statement, text := "GRANT "+r.on()+" TO "+d.name.String(), "grant role "+r.on()+" to "+d.name.String()
		if passOn {
			statement, text = statement+" WITH ADMIN OPTION", text+" with admin option"
		}
		d.step(statement, text, r)
		d.result.rights[r] = passOn
	}
}

func (d *differ) revokeRoles() {
	for _, r := range d.extra(role) {
		words := "role " + r.on() + " from " + d.name.String()
		switch {
		case !d.wants(r):
			d.step("REVOKE "+r.on()+" FROM "+d.name.String(), "revoke "+words, r)
		case d.flavor.RevokesAdminOption():
			d.step("REVOKE ADMIN OPTION FOR "+r.on()+" FROM "+d.name.String(), "revoke the admin option of "+words, r)
			continue
		default:
			d.step("REVOKE "+r.on()+" FROM "+d.name.String(), "revoke "+words+", for its admin option", r)
			d.step("GRANT "+r.on()+" TO "+d.name.String(), "grant role "+r.on()+" to "+d.name.String(), r)
		}
		if !d.flavor.KeepsDefaultRoleWithoutRole() {
			delete(d.result.rights, right{kind: defaultRole, schema: r.schema, object: r.object})
		}
	}
}

func (d *differ) defaultRoles() {
	if len(d.missing(defaultRole))+len(d.extra(defaultRole)) == 0 {
		return
	}
	var names []string
	for _, r := range sorted(d.source.rights) {
		if r.kind == defaultRole {
			names = append(names, r.on())
		}
	}
	roles := "NONE"
	if names != nil {
		roles = strings.Join(names, ", ")
	}
	// A default role may outlive the role, but can be set only while the account has it.
	var borrowed []right
	for _, r := range d.missing(defaultRole) {
		if lent := (right{kind: role, schema: r.schema, object: r.object}); d.flavor.KeepsDefaultRoleWithoutRole() && !d.wants(lent) {
			borrowed = append(borrowed, lent)
			d.step("GRANT "+r.on()+" TO "+d.name.String(), "grant role "+r.on()+" to "+d.name.String()+", to make it the default", lent)
		}
	}
	d.step("SET DEFAULT ROLE "+roles+" "+d.flavor.DefaultRoleFor()+" "+d.name.String(), "set default role "+roles+" for "+d.name.String(),
		append(d.missing(defaultRole), d.extra(defaultRole)...)...)
	for _, r := range borrowed {
		d.step("REVOKE "+r.on()+" FROM "+d.name.String(), "revoke role "+r.on()+" from "+d.name.String(), r)
	}
}

// proxies come first, because on MySQL and MariaDB the grant option of a proxy includes the global
// grant option.
func (d *differ) proxies() {
	for _, r := range d.missing(proxy) {
		passOn := d.source.rights[r]
		if d.has(r) { // MariaDB would grant the option in memory but not in its table
			d.revoke("PROXY", r.on(), r)
		}
		d.grant("PROXY", r.on(), option(passOn, grantOption), r)
		d.result.rights[r] = passOn
		if passOn {
			d.setGlobalGrantOption()
		}
	}
}

func (d *differ) revokeProxies() {
	for _, r := range d.extra(proxy) {
		d.revoke("PROXY", r.on(), r)
		if d.wants(r) { // without its grant option
			d.grant("PROXY", r.on(), "", r)
		}
	}
}
