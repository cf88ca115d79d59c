package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/rotate-user/rotate-user/internal/plaintext"
	"github.com/rotate-user/rotate-user/rotation"
)

// exitWouldChange is the exit code of plan if the next rotation would create the standby account, or change its rights or
// properties.
const exitWouldChange = 3

// errWouldChange makes plan return its own exit code.
var errWouldChange = errors.New("the next rotation would change something")

func (a *app) planCommand() *cobra.Command {
	var f inputFlags
	var all bool
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Show what the next rotation would change, or why it would be refused",
		Long: `Show what the next rotation would change, or why it would be refused. This command writes nothing.

Exit codes:
  0: only the password would change
  1: the rotation would be refused, or the plan failed
  2: wrong usage
  3: rights or properties would change, or the standby account would be created`,
		Example: `  starter plan --secret-id MyTestDatabaseUserSecret`,
	}
	secretFlag(cmd, &f.input.SecretID)
	pairFlags(cmd, &f.input)
	endpointsFlag(cmd, &f.input)
	cmd.Flags().BoolVar(&all, "all", false, "show every change, even if there are thousands")
	activityQueueFlag(cmd, &f.input.ActivityTaskQueue)
	return a.action(cmd, func() error { return f.input.Validate() }, func(ctx context.Context) error {
		input, known, err := a.withKnownState(ctx, f.input)
		if err != nil {
			return err
		}
		plan, err := a.plan(ctx, input, known, 1)
		if err != nil {
			return a.planError(ctx, err)
		}
		for page := 2; all && page <= plan.Pages; page++ {
			next, err := a.plan(ctx, input, known, page)
			if err != nil {
				return a.planError(ctx, err)
			}
			if next.Changed != plan.Changed || next.Pages != plan.Pages {
				return fmt.Errorf("the accounts of secret %s changed while the plan was being read: run the command again", input.SecretID)
			}
			plan.Changes = append(plan.Changes, next.Changes...)
			plan.Statements = append(plan.Statements, next.Statements...)
			plan.Drift = append(plan.Drift, next.Drift...)
		}
		if err := a.print(planView{input.SecretID, plan}); err != nil {
			return err
		}
		if plan.Created || len(plan.Changes) > 0 {
			return errWouldChange
		}
		return nil
	})
}

// plan returns one page of the plan of a rotation.
func (a *app) plan(ctx context.Context, input rotation.RotateUserInput, known *rotation.State,
	page int) (plan rotation.PlanRotationResult, err error) {
	id := "plan-rotation/" + input.SecretID + "/" + uuid.NewString()
	args := []any{input, known}
	if page > 1 {
		args = append(args, page)
	}
	err = a.execute(ctx, id, "show what the next rotation of secret "+input.SecretID+" would change",
		rotation.PlanRotationWorkflow, &plan, args...)
	return plan, err
}

// planError tells a refused rotation from a plan that failed.
func (a *app) planError(ctx context.Context, err error) error {
	switch applicationType(err) {
	case "", rotation.ErrorUnreachable, rotation.ErrorThrottled, rotation.ErrorUnknown:
		return err
	default:
		return errors.New("the next rotation would be refused: " + a.explain(ctx, err))
	}
}

// planView is what the next rotation would do.
type planView struct {
	secretID string
	plan     rotation.PlanRotationResult
}

func (v planView) value() any { return v.plan }

func (v planView) text(w io.Writer) {
	p := v.plan
	standby := p.Standby
	if p.Created {
		standby += ", which would be created"
	}
	pairs(w, "Secret", v.secretID, "Server", p.Server, "Current", p.Source, "Standby", standby)
	// A worker of an earlier release returns everything, and no counts.
	changed, drifted := max(p.Changed, len(p.Changes)), max(p.Drifted, len(p.Drift))
	section(w, "Would change"+firstOf(len(p.Changes), changed), p.Changes)
	section(w, "Statements"+firstOf(len(p.Changes), changed), p.Statements)
	section(w, "Changed only on the standby"+firstOf(len(p.Drift), drifted), p.Drift)
	section(w, "Logged in as the standby", p.InUse)
	section(w, "Warnings", p.Warnings)
	switch {
	case p.Created || changed > 0:
		fmt.Fprintf(w, "\n%s, and a new password.\n", plaintext.Count(changed, "change"))
		if len(p.Changes) < changed {
			fmt.Fprintf(w, "To see them all: starter plan --secret-id %s --all\n", v.secretID)
		}
	default:
		fmt.Fprintln(w, "\nThe accounts are equal: only the password would change.")
	}
}
