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
		source, err := a.source(ctx, p)
		if err != nil {
			return err
		}
		if plan, err = a.planWithProof(ctx, p, source); err != nil {
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

// planWithProof calls plan. At the same time, it compares the passwords of the pair and logs in
// with the source's. If one of these tests fails, it returns that error, which explains more than
// an error of the plan.
func (a *Admin) planWithProof(ctx context.Context, p grants.Pair, ps *grants.Snapshot) (*grants.Plan, error) {
	if err := grants.AccountChecks.Run(a.facts(p, ps)); err != nil {
		return nil, err
	}
	wait := a.startProof(ctx, p, ps)
	plan, err := a.plan(ctx, p, ps)
	if refused := wait(); refused != nil {
		return nil, refused
	}
	if err != nil {
		return nil, err
	}
	return plan, plan.CheckForeignPassword(ps)
}

func (a *Admin) checkWritable(ctx context.Context) error {
	for _, v := range []string{"innodb_read_only", "super_read_only", "read_only"} {
		if a.server.On(v) {
			a.unusable = true
			return grants.Refuse(grants.ReadOnly, "the server %s has %s on, so it is a replica or a reader endpoint:"+
				" accounts can be changed only on the writer, so set the secret's host to that%s",
				a.server.Variables["hostname"], v, a.writer(ctx))
		}
	}
	return nil
}

func (a *Admin) source(ctx context.Context, p grants.Pair) (*grants.Snapshot, error) {
	if err := a.checkWritable(ctx); err != nil {
		return nil, err
	}
	if err := a.survey(ctx); err != nil {
		return nil, err
	}
	users := []string{p.Source.User, p.Standby, a.name.User}
	for _, r := range a.roles {
		users = append(users, r.User)
	}
	states, err := a.read(ctx, users...)
	if err != nil {
		return nil, err
	}
	return p.Pick(states)
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
