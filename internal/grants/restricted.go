package grants

import (
	"slices"
	"strings"
)

// restrictedFromRevoking returns the administrator's restrictions because of which the server would
// refuse to let it revoke rights from an account (error 3879): it must not reach into a database
// from which it is kept itself. For a static right, the account must have the same restriction. For
// a dynamic right, any restriction of the account will do, as was seen on MySQL 9.7.
func (p *Powers) restrictedFromRevoking(a *Account, rights []right) []right {
	isRestriction := func(r right) bool { return r.kind == restriction }
	var found []right
	for _, r := range rights {
		var own []right
		switch r.kind {
		case global:
			own = p.restrictionsPassedOn(r.privilege)
		case dynamic:
			if !slices.ContainsFunc(sorted(a.rights), isRestriction) {
				own = p.restrictions()
			}
		}
		for _, c := range own {
			if _, same := a.rights[c]; !same && !slices.Contains(found, c) {
				found = append(found, c)
			}
		}
	}
	return found
}

// restrictions returns all restrictions that apply to the administrator.
func (p *Powers) restrictions() []right {
	var all []right
	for _, s := range p.accounts {
		for _, r := range sorted(s.rights) {
			if r.kind == restriction && slices.Contains(p.restrictionsPassedOn(r.privilege), r) {
				all = append(all, r)
			}
		}
	}
	return all
}

// refuseRestricted refuses steps that only an administrator without this one's restrictions can
// execute.
func refuseRestricted(administrator Name, steps []Step) *Refusal {
	var statements, restrictions []string
	add := func(list *[]string, s string) {
		if !slices.Contains(*list, s) {
			*list = append(*list, s)
		}
	}
	for _, st := range steps {
		if st.restricted == nil {
			continue
		}
		add(&statements, st.Statement)
		for _, r := range st.restricted {
			add(&restrictions, r.privilege+" on "+r.on())
		}
	}
	if statements == nil {
		return nil
	}
	return refusal(MissingRight, "administrator %s is restricted by partial revokes (%s), and the server does not let it revoke global rights"+
		" from an account that is not restricted in the same way: log in as an administrator without these restrictions, and run %s",
		administrator, strings.Join(restrictions, ", "), strings.Join(statements, "; "))
}
