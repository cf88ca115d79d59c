package grants

import (
	"fmt"
	"slices"
	"strings"
)

// Lookup checks whether the objects of some rights still exist.
type Lookup struct {
	View, x, y, z string // the view to query, and its columns with the names
	rights        []right
}

// Query returns the statement that lists the objects that still exist, among others in the same databases.
func (l Lookup) Query() string {
	var schemas []string
	for _, r := range l.rights {
		schemas = append(schemas, r.schema)
	}
	return "SELECT " + l.x + " AS a, " + l.y + " AS b, " + l.z + " AS c FROM " + l.View + " WHERE " + l.x + " IN " + QuoteValues(schemas)
}

// Lookups returns the queries that are needed before CheckGrantable.
func (d *Draft) Lookups() []Lookup { return append(d.rolesToFind(), d.objectsToFind()...) }

// rolesToFind are the default roles that MariaDB keeps when the role is dropped.
func (d *Draft) rolesToFind() []Lookup {
	if !d.server.KeepsDefaultRoleWithoutRole() {
		return nil
	}
	var roles []right
	for _, st := range d.Plan.Steps {
		for _, r := range st.needs {
			if _, stays := d.snapshot.Source.rights[r]; r.kind == defaultRole && stays {
				roles = append(roles, r)
			}
		}
	}
	return wanted(Lookup{"mysql.global_priv", "User", "Host", "''", roles})
}

// objectsToFind are the columns and routines of the rights to be granted.
func (d *Draft) objectsToFind() []Lookup {
	var tables, columns, routines, libraries []right
	for _, st := range d.Plan.Steps {
		if !strings.HasPrefix(st.Statement, "GRANT") {
			continue
		}
		if st.OnSource && st.DroppedTable != nil && st.DroppedTable.RevokeCreate != "" { // which would revoke CREATE from the current account
			tables = append(tables, right{kind: table, privilege: st.needs[0].privilege, schema: st.needs[0].schema, object: st.needs[0].object})
		}
		for _, r := range st.needs {
			switch {
			case r.kind == columnOf:
				columns = append(columns, r)
			case r.kind == routine && r.detail == "LIBRARY":
				libraries = append(libraries, r)
			case r.kind == routine:
				routines = append(routines, r)
			}
		}
	}
	return wanted(
		Lookup{"information_schema.TABLES", "TABLE_SCHEMA", "TABLE_NAME", "''", tables},
		Lookup{"information_schema.COLUMNS", "TABLE_SCHEMA", "TABLE_NAME", "COLUMN_NAME", columns},
		Lookup{"information_schema.LIBRARIES", "LIBRARY_SCHEMA", "LIBRARY_NAME", "'LIBRARY'", libraries},
		Lookup{"information_schema.ROUTINES", "ROUTINE_SCHEMA", "ROUTINE_NAME", "ROUTINE_TYPE", routines},
	)
}

// wanted omits lookups that have nothing to find.
func wanted(lookups ...Lookup) []Lookup {
	return slices.DeleteFunc(lookups, func(l Lookup) bool { return len(l.rights) == 0 })
}

// Look records which rights are on objects that the result of a lookup does not list.
func (d *Draft) Look(l Lookup, rows []Row) {
	exist := map[[3]string]bool{}
	key := func(a, b, c string) [3]string {
		return [3]string{strings.ToLower(a), strings.ToLower(b), strings.ToLower(c)}
	}
	for _, r := range rows {
		exist[key(r.Text("a"), r.Text("b"), r.Text("c"))] = true
	}
	for _, r := range l.rights {
		if !exist[key(r.schema, r.object, r.detail)] && !slices.Contains(d.gone, r) {
			d.gone = append(d.gone, r)
		}
	}
}

// CheckGrantable refuses what no statement can grant, and what this administrator may not grant.
// toEnd is what it lacks to end sessions. systemRoles are the roles that only an administrator with
// SYSTEM_USER can grant.
func (d *Draft) CheckGrantable(administrator Name, systemRoles, toEnd []string) error {
	var refusals []*Refusal
	isRole := func(r right) bool { return r.kind == defaultRole }
	if r := d.refuseGone(isRole); r != nil {
		refusals = append(refusals, r)
	}
	lacking := d.Plan.Powers.refuseLacking(administrator, d.snapshot, d.Plan.Steps, d.gone, d.pair.Revoke, slices.Concat(systemRoles, toEnd))
	if lacking != nil {
		refusals = append(refusals, lacking)
	}
	if r := refuseRestricted(administrator, d.Plan.Steps); r != nil {
		refusals = append(refusals, r)
	}
	if r := d.refuseGone(func(r right) bool { return !isRole(r) }); r != nil {
		refusals = append(refusals, r)
	}
	return Join(refusals...)
}

// refuseGone refuses rights on objects that no longer exist, which no statement can grant. It lists
// all of them that are of one kind.
func (d *Draft) refuseGone(of func(right) bool) *Refusal {
	held := map[Name][]string{}
	for _, r := range d.gone {
		if !of(r) {
			continue
		}
		holder := d.snapshot.Source
		if _, ok := holder.rights[r]; !ok && d.snapshot.Standby != nil {
			holder = d.snapshot.Standby
		}
		held[holder.Name] = append(held[holder.Name], r.String())
	}
	var parts []string
	for _, n := range []Name{d.Plan.Source, d.Plan.Standby} {
		switch rights := held[n]; len(rights) {
		case 0:
		case 1:
			parts = append(parts, fmt.Sprintf("%s has %s, which no longer exists or which the administrator cannot see: REVOKE that right from it",
				n, rights[0]))
		default:
			parts = append(parts, fmt.Sprintf("%s has %s, which no longer exist or which the administrator cannot see: REVOKE these rights from it",
				n, some(rights, "; ")))
		}
	}
	if parts == nil {
		return nil
	}
	return refusal(ObjectGone, "%s", strings.Join(parts, "; "))
}
