package main

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
	"go.temporal.io/api/enums/v1"

	"github.com/rotate-user/rotate-user/rotation"
)

func (a *app) statusCommand() *cobra.Command {
	var id string
	cmd := &cobra.Command{
		Use:     "status",
		Short:   "Show when a secret was last rotated, whether it is healthy, and what comes next",
		Example: `  starter status --secret-id MyTestDatabaseUserSecret -o json`,
	}
	secretFlag(cmd, &id)
	return a.action(cmd, nil, func(ctx context.Context) error {
		view, err := a.inspect(ctx, id)
		if err != nil {
			return err
		}
		if view.ending == nil && a.checkSecret(ctx, view.status) {
			if view, err = a.inspect(ctx, id); err != nil {
				return err
			}
		}
		if view.status.SecretID != "" {
			if err := a.print(view); err != nil {
				return err
			}
		}
		if e := view.ending; e != nil && (e.status != enums.WORKFLOW_EXECUTION_STATUS_COMPLETED || view.status.SecretID == "") {
			ended := fmt.Errorf("the rotation of secret %s %s", id, e.text(a.now()))
			if lost := a.lostRevocationText(view.status); lost != "" {
				ended = fmt.Errorf("%w. %s", ended, lost)
			}
			if view.status.GaveWay() {
				return ended
			}
			return advised{ended, "Start it again with: " + startCommandFor(id, view.status.Input)}
		}
		return nil
	})
}

// inspect returns the status of a rotation. It asks Temporal first, because a workflow that has
// ended still answers queries as if it were running.
func (a *app) inspect(ctx context.Context, secretID string) (statusView, error) {
	view := statusView{now: a.now()}
	d, err := a.describe(ctx, rotation.RotateUserWorkflowID(secretID))
	if err != nil {
		return view, a.noRotation(ctx, err, secretID)
	}
	view.retrying, view.ending, view.taskQueue = retries(d), a.ending(ctx, d), d.GetExecutionConfig().GetTaskQueue().GetName()
	view.status, err = a.query(ctx, secretID)
	switch {
	case view.ending != nil: // it may have ended before it could answer
		view.status.RotationStatus, view.status.NextRotationDate = rotation.Stopped, time.Time{}
		return view, nil
	case err != nil:
		return view, a.unanswered(ctx, err, secretID)
	}
	if text := a.heldWithoutDeletion(ctx, view.status); text != "" {
		view.status.Warnings = append(view.status.Warnings, text)
	}
	return view, nil
}

// checkSecret has a worker check whether the secret still exists, which the workflow itself would
// find out only at its next rotation. It reports whether the workflow has learned something new.
func (a *app) checkSecret(ctx context.Context, s rotation.Status) bool {
	if s.Pair == nil || s.Held || s.Current != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, rotation.LookPatience)
	defer cancel()
	input := rotation.ValidateSecretInput{SecretID: s.SecretID}
	if s.Input != nil {
		input.ActivityTaskQueue = s.Input.ActivityTaskQueue
	}
	options := a.startOptions("look-at-secret/"+s.SecretID+"/"+uuid.NewString(),
		"see whether secret "+s.SecretID+" still exists")
	options.WorkflowExecutionTimeout = 2 * rotation.LookPatience
	run, err := a.temporal.ExecuteWorkflow(ctx, options, rotation.LookAtSecretWorkflow, input,
		&rotation.State{Usernames: s.Pair.Usernames, Deleted: s.Deleted})
	var fate rotation.SecretFate
	if err != nil || run.Get(ctx, &fate) != nil { // the status stays that of the last rotation
		return false
	}
	return s.Deleted == nil && fate != rotation.SecretRestored ||
		s.Deleted != nil && (fate == rotation.SecretRestored || s.Deleted.Gone != (fate == rotation.SecretGone))
}
