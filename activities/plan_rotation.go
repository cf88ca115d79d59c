package activities

import (
	"context"
	"fmt"

	"github.com/rotate-user/rotate-user/internal/grants"
	"github.com/rotate-user/rotate-user/internal/plaintext"
	"github.com/rotate-user/rotate-user/rotation"
)

// PlanRotation makes every check of a rotation and writes nothing.
func (a *Activities) PlanRotation(ctx context.Context, in rotation.PlanRotationInput) (result rotation.PlanRotationResult, err error) {
	in.EarlierSHA256 = "" // the plan is for a new rotation, not for the rest of a failed one
	subject, err := a.examine(ctx, in.CloneUserInput, showsPromotion(in.CloneUserInput))
	if err != nil {
		return rotation.PlanRotationResult{}, err
	}
	admin, err := a.admin(ctx, subject.master)
	if err != nil {
		return rotation.PlanRotationResult{}, err
	}
	defer closeInto(&err, admin)
	if err := a.notPairedOtherwise(ctx, admin, subject); err != nil {
		return rotation.PlanRotationResult{}, err
	}
	plan, err := admin.Plan(ctx, subject.accounts)
	if wrongPassword(err) {
		err = fmt.Errorf("version %s of secret %s: %w", subject.current.ID, subject.SecretID, err)
		works, lookErr := a.working(ctx, admin, subject)
		if lookErr == nil && works != "" {
			err = fmt.Errorf("%w; version %s logs in, and `starter recover` or the next rotation will move AWSCURRENT to it", err, works)
		}
	}
	if err = a.nameOther(ctx, subject, err); err != nil {
		return rotation.PlanRotationResult{}, err
	}
	d := describe(plan)
	result = rotation.PlanRotationResult{
		Source: plaintext.Line(plan.Source.String()), Standby: plaintext.Line(plan.Standby.String()),
		Server: subject.Server, Created: plan.Create,
		Warnings: append(subject.warnings, d.Warnings...), InUse: d.InUse, PasswordExpires: d.PasswordExpires,
	}
	addPage(&result, plan.Changes, max(in.Page, 1))
	return result, nil
}

const (
	pageChanges = 200
	pageBytes   = 50_000
	// changeBytes limits each text on a page.
	changeBytes = 10_000
)

// addPage adds one page of the changes, and counts all of them. An account can have more changes
// than fit into one payload.
func addPage(r *rotation.PlanRotationResult, changes []grants.Change, page int) {
	r.Changed = len(changes)
	count, bytes := 0, 0
	for _, c := range changes {
		text := short(plaintext.Line(c.Text), changeBytes)
		statement := short(plaintext.Line(c.Statement), changeBytes)
		size := len(text) + len(statement)
		if c.Drift {
			r.Drifted++
			size += len(text)
		}
		if r.Pages == 0 || count == pageChanges || bytes+size > pageBytes {
			r.Pages++
			count, bytes = 0, 0
		}
		count, bytes = count+1, bytes+size
		if r.Pages != page {
			continue
		}
		r.Changes = append(r.Changes, text)
		if statement != "" {
			r.Statements = append(r.Statements, statement)
		}
		if c.Drift {
			r.Drift = append(r.Drift, text)
		}
	}
}
