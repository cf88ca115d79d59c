package account

import (
	"context"
	"fmt"
	"slices"

	"github.com/rotate-user/rotate-user/internal/grants"
)

// Create creates a limited account, locked and without a usable password, or completes one that it
// created earlier with the same mark. Grants are written as in GRANT without its TO: "SELECT,
// INSERT ON shop.*", "SELECT (id) ON shop.orders", "EXECUTE ON PROCEDURE shop.close", "ALL ON
// shop.* WITH GRANT OPTION". As in GRANT, _ and % in the name of a database are patterns unless a
// backslash precedes them. Grants are parsed, and never executed as text. standby is the user name
// that the other account of the pair will have. If no account of that name can exist, Create
// refuses, while another name can still be chosen.
func (a *Admin) Create(ctx context.Context, n grants.Name, standby string, rights []string, mark string) error {
	if err := a.mayWrite(ctx, n); err != nil {
		return err
	}
	wanted, err := a.server.NewAccount(n, rights)
	if err != nil {
		return err
	}
	return a.withCurrentRights(ctx, func() error {
		return a.locked(ctx, []string{n.User}, func(ctx context.Context) error { return a.createWith(ctx, wanted, standby, mark) })
	})
}

func (a *Admin) createWith(ctx context.Context, wanted *grants.Account, standby, mark string) error {
	if err := a.CheckWritable(ctx); err != nil {
		return err
	}
	users := []string{wanted.Name.User, a.name.User}
	for _, r := range a.roles {
		users = append(users, r.User)
	}
	states, err := a.read(ctx, users...)
	if err != nil {
		return err
	}
	now, err := wanted.Existing(states, mark)
	if err != nil {
		return err
	}
	exists := now != nil
	if err := a.server.CheckNames(wanted.Name, standby); err != nil {
		return err
	}
	if _, err := a.PasswordPolicy(ctx, wanted.Name); err != nil {
		return err
	}
	var steps []grants.Step
	if !exists {
		if _, err := a.checkLeftovers(ctx, wanted.Name); err != nil {
			return err
		}
		st, err := a.server.CreateStep(wanted, mark, nil)
		if err != nil {
			return err
		}
		steps = append(steps, st)
		now = wanted.WithoutRights()
	}
	p, err := a.powers(ctx, states)
	if err != nil {
		return err
	}
	// A new account loses nothing at this point. The comparison at the end finds rights beyond the
	// grants.
	steps = append(steps, slices.DeleteFunc(grants.Difference(wanted, now, nil, p), grants.Step.Revokes)...)
	system, err := a.systemRoles(ctx, p, steps)
	if err != nil {
		return err
	}
	if err := p.Check(a.name, &grants.Snapshot{Source: wanted, Others: states}, steps, system); err != nil {
		return err
	}
	for i, st := range steps {
		err := a.exec(ctx, st.SQL())
		if !exists && i == 0 {
			err = a.notCreated(ctx, wanted.Name, err)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", st.Text, err)
		}
	}
	states, err = a.read(ctx, wanted.Name.User)
	if err != nil {
		return err
	}
	return wanted.CheckCreated(states)
}
