package workflows

import (
	"cmp"
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/rotate-user/rotate-user/internal/plaintext"
	"github.com/rotate-user/rotate-user/rotation"
)

// startable names what a workflow was started with that it could not live with.
func startable(ctx workflow.Context, input rotation.RotateUserInput) error {
	info := workflow.GetInfo(ctx)
	if info.CronSchedule != "" {
		return fmt.Errorf("the workflow was started with the cron schedule %q, which Temporal forgets after the first rotation: "+
			"start it without one, and put the schedule into RotationRules", plaintext.Cut(info.CronSchedule, 100))
	}
	if id, ok := workflow.GetTypedSearchAttributes(ctx).GetKeyword(scheduledByKey); ok {
		return fmt.Errorf("the workflow was started by the Temporal Schedule %q, which starts another rotation of the same secret each time: "+
			"delete the schedule, and start the workflow once, with the id %s and the schedule in RotationRules", plaintext.Cut(id, 100), rotation.RotateUserWorkflowID(input.SecretID))
	}
	timeout := func(name string, after time.Duration) error {
		if after == 0 || after >= shortestLife {
			return nil
		}
		return fmt.Errorf("the workflow was started with the %s timeout %s, after which the secret would no longer be rotated: start it without one", name, after)
	}
	return cmp.Or(timeout("execution", info.WorkflowExecutionTimeout), timeout("run", info.WorkflowRunTimeout))
}

// shortestLife is the shortest timeout that a workflow may have that lives as long as a user.
const shortestLife = 10 * 365 * 24 * time.Hour

// scheduledByKey is set by Temporal on what a Schedule has started.
var scheduledByKey = temporal.NewSearchAttributeKeyKeyword("TemporalScheduledById")
