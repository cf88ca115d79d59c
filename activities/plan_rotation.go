package activities

import "context"

// PlanRotationResult is what the next rotation would do. It is refused where
// the rotation would be.
type PlanRotationResult struct {
	// Source is the account in use, Standby the one that the rotation would promote.
	Source  string `json:"Source"`
	Standby string `json:"Standby"`
	Server  string `json:"Server"`
	// Created says that the standby would be made.
	Created bool `json:"Created"`
	// Changes are the rights and properties that would change on the standby,
	// Statements what would change them, passwords left out.
	Changes    []string `json:"Changes,omitempty"`
	Statements []string `json:"Statements,omitempty"`
	// Drift are those of the changes that somebody made on the standby alone.
	Drift    []string `json:"Drift,omitempty"`
	Warnings []string `json:"Warnings,omitempty"`
	// InUse is who is logged in as the standby.
	InUse []string `json:"InUse,omitempty"`
}

// PlanRotation looks at everything that a rotation looks at and writes nothing.
func (a *Activities) PlanRotation(ctx context.Context, in CloneUserInput) (result PlanRotationResult, err error) {
	t := a.begin(ctx)
	defer t.edge(ctx, &err)

	subject, err := t.examine(ctx, in)
	if err != nil {
		return PlanRotationResult{}, err
	}
	login, err := subject.login()
	if err != nil {
		return PlanRotationResult{}, err
	}
	admin, err := t.admin(ctx, subject.master)
	if err != nil {
		return PlanRotationResult{}, err
	}
	defer closeInto(&err, admin)
	plan, err := admin.Plan(ctx, subject.accounts)
	if err != nil {
		return PlanRotationResult{}, err
	}
	d := describe(plan)
	result = PlanRotationResult{
		Source: login.Account.String(), Standby: plan.Standby.String(), Server: subject.Server, Created: plan.Create,
		Drift: d.Drift, Warnings: d.Warnings, InUse: d.InUse,
	}
	for _, c := range plan.Changes {
		result.Changes = append(result.Changes, c.Text)
		if c.Statement != "" {
			result.Statements = append(result.Statements, c.Statement)
		}
	}
	return result, nil
}
