package account

import (
	"context"
	"fmt"

	"github.com/rotate-user/rotate-user/internal/grants"
)

// Plan makes every check that may refuse the rotation, and computes what Sync would change. It
// writes nothing. Its error is a *grants.Refusal if Sync must not run.
func (a *Admin) Plan(ctx context.Context, p grants.Pair) (plan *grants.Plan, err error) {
	err = a.withCurrentRights(ctx, func() error {
		source, proof, err := a.sourceWithProof(ctx, p)
		if err != nil {
			return err
		}
		if plan, err = a.planWithProof(ctx, p, source, proof); err != nil {
			return err
		}
		plan.WarnExpiry(source.Source, &a.server, plan.Source, source.Source.PasswordChanged, p.Next)
		return a.beforeChanges(ctx, p, source, plan, true, true)
	})
	if err != nil {
		return nil, err
	}
	return plan, nil
}

// sourceWithProof is source, and starts the proof as soon as the pair's accounts are read, while
// their rights are. Accounts that the checks refuse are not logged in to.
func (a *Admin) sourceWithProof(ctx context.Context, p grants.Pair) (ps *grants.Snapshot, proof func() error, err error) {
	ps, users, err := a.pick(ctx, p)
	if err != nil {
		return nil, nil, err
	}
	proof = func() error { return nil }
	if grants.AccountChecks.Run(a.facts(p, ps)) == nil {
		proof = a.startProof(ctx, p, ps)
	}
	if err := a.addRights(ctx, users, ps.Others); err != nil {
		_ = proof() // the error above comes first
		return nil, nil, err
	}
	return ps, proof, nil
}

// planWithProof calls plan, while the proof that sourceWithProof started compares the passwords of
// the pair and logs in with the source's. If one of these tests fails, it returns that error, which
// explains more than an error of the plan.
func (a *Admin) planWithProof(ctx context.Context, p grants.Pair, ps *grants.Snapshot, proof func() error) (*grants.Plan, error) {
	if err := grants.AccountChecks.Run(a.facts(p, ps)); err != nil { // some need the rights
		_ = proof() // it was perhaps started, and must end before this session's next step
		return nil, err
	}
	plan, err := a.plan(ctx, p, ps)
	if refused := proof(); refused != nil {
		return nil, refused
	}
	if err != nil {
		return nil, err
	}
	return plan, plan.CheckForeignPassword(ps)
}

// readOnlySettings are the settings with which a server takes no writes. Not every server has all of them.
var readOnlySettings = []string{"innodb_read_only", "super_read_only", "read_only"}

// CheckWritable refuses a server that takes no writes: a replica, a reader, or a primary that another server has replaced or is
// about to replace. Under a lock, it knows the settings as they were when the lock was taken.
func (a *Admin) CheckWritable(ctx context.Context) error {
	for _, v := range readOnlySettings {
		if a.server.On(v) {
			a.unusable = true
			return grants.Refuse(grants.ReadOnly, "the server %s has %s on, so it is a replica or a reader endpoint:"+
				" accounts can be changed only on the writer, so set the secret's host to that%s",
				a.server.Variables["hostname"], v, a.writer(ctx))
		}
	}
	return nil
}

// source reads the accounts of a pair, and those of the administrator and its roles, with all of
// their properties and rights.
func (a *Admin) source(ctx context.Context, p grants.Pair) (*grants.Snapshot, error) {
	ps, users, err := a.pick(ctx, p)
	if err != nil {
		return nil, err
	}
	return ps, a.addRights(ctx, users, ps.Others)
}

// pick is source without the rights. It also returns the user names of the accounts.
func (a *Admin) pick(ctx context.Context, p grants.Pair) (ps *grants.Snapshot, users []string, err error) {
	if err := a.CheckWritable(ctx); err != nil {
		return nil, nil, err
	}
	if err := a.survey(ctx); err != nil {
		return nil, nil, err
	}
	users = []string{p.Source.User, p.Standby, a.name.User}
	for _, r := range a.roles {
		users = append(users, r.User)
	}
	states, err := a.readAccounts(ctx, users)
	if err != nil {
		return nil, nil, fmt.Errorf("read accounts: %w", a.deniedRead(ctx, err))
	}
	ps, err = p.Pick(states)
	return ps, users, err
}

// facts returns the input of the checks.
func (a *Admin) facts(p grants.Pair, ps *grants.Snapshot) grants.Facts {
	return grants.Facts{Snapshot: ps, Server: &a.server, Pair: p, Administrator: a.name, HasCertificate: len(a.dialer.certificates()) > 0}
}

// plan checks and compares the accounts.
func (a *Admin) plan(ctx context.Context, p grants.Pair, ps *grants.Snapshot) (*grants.Plan, error) {
	d, err := grants.NewDraft(a.facts(p, ps))
	if err != nil {
		return nil, err
	}
	policy, err := a.PasswordPolicy(ctx, d.Plan.Standby)
	if err != nil {
		return nil, err
	}
	powers, err := a.powers(ctx, ps.Others)
	if err != nil {
		return nil, err
	}
	if err := d.ChooseReference(policy, powers); err != nil {
		return nil, err
	}
	var uses []string
	var ofStandby *grants.InMemory
	if d.Plan.Create {
		if uses, err = a.checkLeftovers(ctx, d.Plan.Standby); err != nil {
			return nil, err
		}
	} else if ofStandby, err = a.readInMemory(ctx, d.Plan.Standby); err != nil {
		return nil, err
	}
	if ps.SourceInMemory == nil {
		if ps.SourceInMemory, err = a.readInMemory(ctx, d.Plan.Source); err != nil {
			return nil, err
		}
	}
	if err := d.Compare(ofStandby, uses); err != nil {
		return nil, err
	}
	if err := a.checkGrantable(ctx, d, p.Revoke); err != nil {
		return nil, err
	}
	return d.Finish(), nil
}

// checkGrantable queries what a draft needs to know, and refuses what cannot be granted.
func (a *Admin) checkGrantable(ctx context.Context, d *grants.Draft, revoke bool) error {
	for _, l := range d.Lookups() {
		rows, err := a.query(ctx, l.Query())
		if err != nil {
			return fmt.Errorf("read %s: %w", l.View, err)
		}
		d.Look(l, rows)
	}
	system, err := a.systemRoles(ctx, d.Plan.Powers, d.Plan.Steps)
	if err != nil {
		return err
	}
	var toEnd []string
	if revoke {
		if toEnd, err = a.lackingToEnd(ctx, d.Plan.Powers); err != nil {
			return err
		}
	}
	return d.CheckGrantable(a.name, system, toEnd)
}

// systemRoles returns the roles in the steps that only an administrator with SYSTEM_USER can grant,
// if this one lacks it.
func (a *Admin) systemRoles(ctx context.Context, p *grants.Powers, steps []grants.Step) ([]string, error) {
	query := p.SystemRolesQuery(&a.server, steps)
	if query == "" {
		return nil, nil
	}
	rows, err := a.query(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("read the roles' rights: %w", err)
	}
	return grants.SystemRoles(steps, rows), nil
}
