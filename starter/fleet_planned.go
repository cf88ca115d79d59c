package main

import (
	"context"
	"fmt"
	"io"
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
	var changing, failing []string
	for _, p := range v.result.Plans {
		if p.Failed() {
			failing = append(failing, p.SecretID+": "+p.ErrorType+": "+p.Error)
			continue
		}
		text := p.SecretID + ": " + strings.Join(p.Changes, "; ")
		if n := p.Changed - len(p.Changes); n > 0 {
			text += fmt.Sprintf("; and %d more", n)
		}
		changing = append(changing, text)
	}
	r := v.result
	fmt.Fprintf(w, "%s: %d would change only the password, %d more than that, %d would be refused or could not be planned.\n",
		plaintext.Count(r.Total, "rotation"), r.Total-r.Changing-r.Failing, r.Changing, r.Failing)
	section(w, "Would change"+firstOf(len(changing), r.Changing), changing)
	section(w, "Would be refused, or could not be planned"+firstOf(len(failing), r.Failing), failing)
}
