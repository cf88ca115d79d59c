package grants

import (
	"fmt"
	"slices"

	"github.com/rotate-user/rotate-user/internal/password"
)

// Draft is an unfinished plan. Its methods must be called in the order NewDraft, ChooseReference,
// Compare, Look, CheckGrantable, Finish. In between, the caller queries the server.
type Draft struct {
	Plan     *Plan
	pair     Pair
	snapshot *Snapshot
	fresh    bool // the mark shows that the standby is new

	server         *Server
	gone           []right  // rights of the pair on objects that no longer exist
	source, target *Account // what the standby should equal, and the standby as it exists or will be created
}

// NewDraft makes the AccountChecks and starts a plan.
func NewDraft(f Facts) (*Draft, error) {
	if err := AccountChecks.Run(f); err != nil {
		return nil, err
	}
	p := f.Pair
	if p.AsOf != nil && !p.AsOf(f.Source.Stored()) {
		p.Digest, p.Rights = "", ""
	}
	plan := &Plan{
		Source:  f.Source.Name,
		Standby: f.StandbyName(),
		Create:  f.Standby == nil,
		Digest:  f.Source.digest(),
	}
	if f.Standby != nil {
		plan.StandbyStored = f.Standby.Stored()
		for name := range f.Source.properties {
			if _, ok := f.Standby.properties[name]; !ok {
				return nil, fmt.Errorf("account %s was read without %s", f.Standby.Name, name)
			}
		}
	}
	return &Draft{Plan: plan, pair: p, snapshot: f.Snapshot, fresh: f.fresh(), server: f.Server, source: f.Source, target: f.Standby}, nil
}

// ChooseReference decides what both accounts should have, from what each of them gained or lost
// since the last rotation.
func (d *Draft) ChooseReference(policy password.Policy, powers *Powers) error {
	p, plan := d.pair, d.Plan
	plan.Policy, plan.Powers = policy, powers
	if plan.Create {
		return nil
	}
	// If the standby is as the last rotation left it, it has gained nothing, and the source has
	// lost whatever differs.
	if p.Digest != d.target.digest() {
		d.source, plan.Steps = includeServerGiven(d.source, d.target, powers)
		plan.Digest = d.source.digest()
	}
	if !d.fresh && p.Base && p.Owned && p.Digest != "" && !p.UndoDrift && !p.Revoke {
		plan.drift = findDrift(d.source, d.target, p.last(d.snapshot.Source, d.target), powers)
		if err := plan.drift.refusal(); err != nil {
			return err
		}
		d.source = plan.drift.source
		plan.Steps = append(plan.Steps, plan.drift.steps...)
		plan.Digest = d.source.digest()
	}
	return nil
}

// Compare finds the steps. ofStandby is what the server's memory has for the standby. If the
// standby does not exist, usedBy is what other accounts have of an account with its name.
func (d *Draft) Compare(ofStandby *InMemory, usedBy []string) error {
	plan, in := d.Plan, d.snapshot.Source
	plan.Rights = d.source.rightsDigest()
	plan.StandbyInMemory = ofStandby
	if plan.Create {
		in.usedBy = append(in.usedBy, usedBy...)
		d.target = &Account{Name: plan.Standby, Plugin: in.Plugin, properties: in.properties, rights: map[right]bool{}}
		st, err := d.server.CreateStep(d.target, d.pair.Mark, in)
		if err != nil {
			return err
		}
		plan.Steps = append(plan.Steps, st)
	}
	if err := checkMemory(in, d.snapshot.SourceInMemory, d.target, ofStandby, d.server.Flavor); err != nil {
		return err
	}
	plan.Steps = append(plan.Steps, Difference(d.source, d.target, ofStandby, plan.Powers)...)
	return nil
}

// Finish returns the plan once every check has passed.
func (d *Draft) Finish() *Plan {
	plan, in := d.Plan, d.snapshot.Source
	if d.target.Plugin != in.Plugin {
		plan.Steps = append(plan.Steps, Step{Change: Change{
			Text: fmt.Sprintf("the next password of %s is for %s instead of %s", plan.Standby, in.Plugin, d.target.Plugin),
		}})
	}
	if !plan.Create && !d.fresh {
		markDrift(plan.Steps, d.pair.Digest, in.digest(), d.snapshot)
	}
	for _, st := range plan.Steps {
		plan.Changes = append(plan.Changes, st.Change)
	}
	if d.pair.Base && d.pair.Digest == "" && !plan.Create && !d.fresh && slices.ContainsFunc(plan.Steps, Step.ofRights) {
		plan.Warnings = append(plan.Warnings, fmt.Sprintf("the rights of the pair after the last rotation are unknown, "+
			"so %s is made equal to %s, the current account:"+
			" if a right granted to %s is meant for both, grant it to %s as well", plan.Standby, plan.Source, plan.Standby, plan.Source))
	}
	plan.warn(d.snapshot, d.server, d.pair.Plain)
	return plan
}

// CheckForeignPassword refuses a standby that was granted a right and also given a password that is
// not the secret's.
func (plan *Plan) CheckForeignPassword(ps *Snapshot) error {
	if !ps.foreign || plan.drift == nil || len(plan.drift.given) == 0 {
		return nil
	}
	return plan.drift.undecided(fmt.Sprintf("%s was granted a right, and was also given a password that is not one of this secret's: %s",
		plan.Standby, someOf(plan.drift.given)), plan.drift.given)
}
