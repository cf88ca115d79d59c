package grants

import (
	"fmt"
	"slices"
	"strings"

	"github.com/rotate-user/rotate-user/internal/password"
)

// Draft is a plan in the making: pure steps, between which its caller asks the server.
type Draft struct {
	Plan  *Plan
	pair  Pair
	read  *Snapshot
	fresh bool // the standby is known by its mark to be new

	server         *Server
	source, target *Account // what the standby is made equal to, and the standby as it is or will be created
}

// NewDraft checks the accounts. certificates reports whether a client certificate is configured.
func NewDraft(server *Server, p Pair, ps *Snapshot, administrator Name, certificates bool) (*Draft, error) {
	fresh, err := server.Check(p, ps, administrator, certificates)
	if err != nil {
		return nil, err
	}
	if p.AsOf != nil && !p.AsOf(ps.Source.Stored()) {
		p.Digest, p.Rights = "", ""
	}
	plan := &Plan{
		Source:  ps.Source.Name,
		Standby: Name{p.Standby, ps.Source.Name.Host},
		Create:  ps.Standby == nil,
		Digest:  ps.Source.digest(),
	}
	if ps.Standby != nil {
		plan.StandbyStored = ps.Standby.Stored()
	}
	return &Draft{Plan: plan, pair: p, read: ps, fresh: fresh, server: server, source: ps.Source, target: ps.Standby}, nil
}

// ChooseReference finds out what both accounts are to have, by what each of them was given or has lost since the last rotation.
func (d *Draft) ChooseReference(policy password.Policy, powers *Powers) error {
	p, plan := d.pair, d.Plan
	plan.Policy, plan.Powers = policy, powers
	if plan.Create {
		return nil
	}
	// A standby that is as the last rotation left it was not given anything since: the source has lost it.
	if p.Digest != d.target.digest() {
		d.source, plan.Steps = shared(d.source, d.target, powers)
		plan.Digest = d.source.digest()
	}
	if !d.fresh && p.Base && p.Owned && p.Digest != "" && !p.UndoDrift && !p.Revoke {
		plan.drift = findDrift(d.source, d.target, p.last(d.read.Source, d.target), powers)
		if err := plan.drift.held(); err != nil {
			return err
		}
		d.source = plan.drift.source
		plan.Steps = append(plan.Steps, plan.drift.steps...)
		plan.Digest = d.source.digest()
	}
	return nil
}

// Compare finds the steps. ofStandby is what the server remembers of the standby, and uses is what others have of an account
// of its name that does not exist.
func (d *Draft) Compare(ofStandby *InMemory, uses []string) error {
	plan, in := d.Plan, d.read.Source
	plan.Rights = d.source.rightsDigest()
	plan.StandbyInMemory = ofStandby
	if plan.Create {
		in.uses = append(in.uses, uses...)
		d.target = &Account{Name: plan.Standby, Plugin: in.Plugin, properties: in.properties, rights: map[right]bool{}}
		st, err := d.server.CreateStep(d.target, d.pair.Mark, in)
		if err != nil {
			return err
		}
		plan.Steps = append(plan.Steps, st)
	}
	if err := checkMemory(in, d.read.SourceInMemory, d.target, ofStandby, d.server.Flavor); err != nil {
		return err
	}
	plan.Steps = append(plan.Steps, Difference(d.source, d.target, ofStandby, plan.Powers)...)
	return nil
}

// Finish returns the plan once every check has passed.
func (d *Draft) Finish() *Plan {
	plan, in := d.Plan, d.read.Source
	if d.target.Plugin != in.Plugin {
		plan.Steps = append(plan.Steps, Step{Change: Change{
			Text: fmt.Sprintf("the next password of %s is for %s instead of %s", plan.Standby, in.Plugin, d.target.Plugin),
		}})
	}
	if !plan.Create && !d.fresh {
		markDrift(plan.Steps, d.pair.Digest, in.digest(), d.read)
	}
	for _, st := range plan.Steps {
		plan.Changes = append(plan.Changes, st.Change)
	}
	if d.pair.Base && d.pair.Digest == "" && !plan.Create && !d.fresh && slices.ContainsFunc(plan.Steps, Step.ofRights) {
		plan.Warnings = append(plan.Warnings, fmt.Sprintf("what rights the pair had after the last rotation is not known, so %s is made equal to %s, which is in use:"+
			" if %s was granted something for both, grant it to %s too", plan.Standby, plan.Source, plan.Standby, plan.Source))
	}
	plan.warn(d.read, d.server, d.pair.Plain)
	return plan
}

// CheckForeignPassword refuses a standby that was given a right by the same hands that gave it a password of its own.
func (plan *Plan) CheckForeignPassword(ps *Snapshot) error {
	if !ps.foreign || plan.drift == nil || len(plan.drift.given) == 0 {
		return nil
	}
	return plan.drift.undecided(fmt.Sprintf("%s was given a right, and also a password that is none of this secret's: %s",
		plan.Standby, someOf(plan.drift.given)), plan.drift.given)
}

// Lookup is a question whether what rights are on still exists.
type Lookup struct {
	View, x, y, z string // where to look, and the columns with the names
	rights        []right
}

func (l Lookup) Query() string {
	var schemas []string
	for _, r := range l.rights {
		schemas = append(schemas, r.a)
	}
	return "SELECT " + l.x + " AS a, " + l.y + " AS b, " + l.z + " AS c FROM " + l.View + " WHERE " + l.x + " IN " + QuoteValues(schemas)
}

// RolesToFind are the default roles that MariaDB keeps when the role is dropped.
func (d *Draft) RolesToFind() []Lookup {
	if !d.server.KeepsDefaultRoleWithoutRole() {
		return nil
	}
	var roles []right
	for _, st := range d.Plan.Steps {
		for _, r := range st.needs {
			if _, stays := d.read.Source.rights[r]; r.kind == defaultRole && stays {
				roles = append(roles, r)
			}
		}
	}
	return wanted(Lookup{"mysql.global_priv", "User", "Host", "''", roles})
}

// ObjectsToFind are the columns and routines that rights to grant are on.
func (d *Draft) ObjectsToFind() []Lookup {
	var tables, columns, routines, libraries []right
	for _, st := range d.Plan.Steps {
		if !strings.HasPrefix(st.Statement, "GRANT") {
			continue
		}
		if st.OnSource && st.DroppedTable != nil && st.DroppedTable.RevokeCreate != "" { // which would take CREATE from the account in use again
			tables = append(tables, right{kind: table, privilege: st.needs[0].privilege, a: st.needs[0].a, b: st.needs[0].b})
		}
		for _, r := range st.needs {
			switch {
			case r.kind == columnOf:
				columns = append(columns, r)
			case r.kind == routine && r.c == "LIBRARY":
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

func wanted(lookups ...Lookup) []Lookup {
	return slices.DeleteFunc(lookups, func(l Lookup) bool { return len(l.rights) == 0 })
}

// CheckFound refuses rights on what the answer to a lookup does not list.
func (d *Draft) CheckFound(l Lookup, rows []Row) error {
	exist := map[[3]string]bool{}
	key := func(a, b, c string) [3]string {
		return [3]string{strings.ToLower(a), strings.ToLower(b), strings.ToLower(c)}
	}
	for _, r := range rows {
		exist[key(r.Text("a"), r.Text("b"), r.Text("c"))] = true
	}
	for _, r := range l.rights {
		if !exist[key(r.a, r.b, r.c)] {
			holder := d.read.Source
			if _, ok := holder.rights[r]; !ok && d.read.Standby != nil {
				holder = d.read.Standby
			}
			return Refuse(ObjectGone, "%s holds %s, which no longer exists or which the administrator cannot see: REVOKE that right from it",
				holder.Name, r)
		}
	}
	return nil
}
