package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/rotate-user/rotate-user/internal/plaintext"
	"github.com/rotate-user/rotate-user/rotation"
)

func (a *app) fleetPlanCommand() *cobra.Command {
	var input rotation.PlanFleetInput
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Show which of the next rotations would change rights, or be refused",
		Long: `Show which of the next rotations would change rights, or be refused, and why. This command writes nothing. It plans all running
rotations, or those that --query finds, as if you forced each of them now. For the statements of one of them, run starter plan.

Exit codes:
  0: only passwords would change
  1: a rotation would be refused, or could not be planned
  2: wrong usage
  3: rights or properties would change, or a standby account would be created`,
		Example: `  starter fleet plan
  starter fleet plan --query "DatabaseHost = 'db1.example.com:3306'"`,
	}
	cmd.Flags().StringVar(&input.Query, "query", "", "`condition` on the search attributes of rotations, "+
		"as for temporal workflow list (default: all running rotations)")
	activityQueueFlag(cmd, &input.ActivityTaskQueue)
	return a.action(cmd, nil, func(ctx context.Context) error {
		var result rotation.PlanFleetResult
		if err := a.execute(ctx, "plan-fleet/"+uuid.NewString(), "show what the next rotations would change",
			rotation.PlanFleetWorkflow, &result, input); err != nil {
			return err
		}
		if err := a.print(fleetPlannedView{result}); err != nil {
			return err
		}
		switch {
		case result.Failing > 0:
			return fmt.Errorf("%s would be refused, or could not be planned", plaintext.Count(result.Failing, "rotation"))
		case result.Changing > 0:
			return errWouldChange
		}
		return nil
	})
}

// fleetPlannedView is what the next rotations of a fleet would do.
type fleetPlannedView struct{ result rotation.PlanFleetResult }

func (v fleetPlannedView) value() any { return v.result }

func (v fleetPlannedView) text(w io.Writer) {
	var changing, reasons []string
	refused := map[string][]string{} // secrets by the reason
	for _, p := range slices.SortedFunc(slices.Values(v.result.Plans), func(a, b rotation.PlannedRotation) int {
		return cmp.Compare(a.SecretID, b.SecretID)
	}) {
		if p.Failed() {
			reason := p.ErrorType + ": " + p.Error
			if refused[reason] == nil {
				reasons = append(reasons, reason)
			}
			refused[reason] = append(refused[reason], p.SecretID)
			continue
		}
		text := p.SecretID + ": " + strings.Join(p.Changes, "; ")
		if n := p.Changed - len(p.Changes); n > 0 {
			text += fmt.Sprintf("; and %d more", n)
		}
		changing = append(changing, text)
	}
	var failing []string
	for _, reason := range reasons { // a server that does not answer is the same reason for all of its users
		secrets := refused[reason]
		if len(secrets) == 1 {
			failing = append(failing, secrets[0]+": "+reason)
			continue
		}
		failing = append(failing, reason)
		for _, id := range secrets {
			failing = append(failing, "  "+id)
		}
	}
	r := v.result
	fmt.Fprintf(w, "%s: %d would change only the password, %d more than that, %d would be refused or could not be planned.\n",
		plaintext.Count(r.Total, "rotation"), r.Total-r.Changing-r.Failing, r.Changing, r.Failing)
	section(w, "Would change"+firstOf(len(changing), r.Changing), changing)
	section(w, "Would be refused, or could not be planned"+firstOf(len(v.result.Plans)-len(changing), r.Failing), failing)
}
