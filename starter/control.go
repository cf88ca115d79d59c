package main

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"

	"github.com/rotate-user/rotate-user/rotation"
)

func (a *app) statusCommand() *cobra.Command {
	var id string
	cmd := &cobra.Command{
		Use:     "status",
		Short:   "Show when a secret was rotated, whether all is well, and what comes next",
		Example: `  starter status --secret-id MyTestDatabaseUserSecret -o json`,
	}
	secretFlag(cmd, &id)
	return a.does(cmd, nil, func(ctx context.Context) error {
		view, err := a.look(ctx, id)
		if err != nil {
			return err
		}
		if view.ending == nil && a.news(ctx, view.status) {
			if view, err = a.look(ctx, id); err != nil {
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
			if lost := a.lost(view.status); lost != "" {
				ended = fmt.Errorf("%w. %s", ended, lost)
			}
			if view.status.GaveWay() {
				return ended
			}
			return advised{ended, "Start it again with: " + restart(id, view.status.Input)}
		}
		return nil
	})
}

// look is how the rotation of a secret stands. Temporal is asked first: a workflow that has ended still answers queries, as
// if it lived.
func (a *app) look(ctx context.Context, secretID string) (statusView, error) {
	view := statusView{now: a.now()}
	d, err := a.describe(ctx, rotation.RotateUserWorkflowID(secretID))
	if err != nil {
		return view, a.noRotation(ctx, err, secretID)
	}
	view.retrying, view.ending, view.taskQueue = retries(d), a.ending(ctx, d), d.GetExecutionConfig().GetTaskQueue().GetName()
	view.status, err = a.query(ctx, secretID)
	switch {
	case view.ending != nil: // it may have ended before it could answer anything
		view.status.RotationStatus, view.status.NextRotationDate = rotation.Stopped, time.Time{}
		return view, nil
	case err != nil:
		return view, a.unanswered(ctx, err, secretID)
	}
	if text := a.heldInVain(ctx, view.status); text != "" {
		view.status.Warnings = append(view.status.Warnings, text)
	}
	return view, nil
}

// news has a worker look whether the secret is still there, which its rotation would find out at the next one only. It reports
// whether the rotation was told otherwise than it knew.
func (a *app) news(ctx context.Context, s rotation.Status) bool {
	if s.Pair == nil || s.Held || s.Current != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, rotation.LookPatience)
	defer cancel()
	input := rotation.ValidateSecretInput{SecretID: s.SecretID}
	if s.Input != nil {
		input.ActivityTaskQueue = s.Input.ActivityTaskQueue
	}
	options := a.startOptions("look-at-secret/" + s.SecretID + "/" + uuid.NewString())
	options.WorkflowExecutionTimeout = 2 * rotation.LookPatience
	run, err := a.temporal.ExecuteWorkflow(ctx, options, rotation.LookAtSecretWorkflow, input, &rotation.State{Usernames: s.Pair.Usernames, Deleted: s.Deleted})
	var fate rotation.SecretFate
	if err != nil || run.Get(ctx, &fate) != nil { // the status is as of the last rotation then
		return false
	}
	return s.Deleted == nil && fate != rotation.SecretRestored || s.Deleted != nil && (fate == rotation.SecretRestored || s.Deleted.Gone != (fate == rotation.SecretGone))
}

func (a *app) pauseCommand() *cobra.Command {
	return a.updateCommand(&cobra.Command{
		Use:   "pause",
		Short: "Rotate a secret by request only, until it is resumed",
	}, rotation.PauseUpdate)
}

func (a *app) resumeCommand() *cobra.Command {
	return a.updateCommand(&cobra.Command{
		Use:   "resume",
		Short: "Rotate a paused secret by its schedule again",
	}, rotation.ResumeUpdate)
}

func (a *app) stopCommand() *cobra.Command {
	return a.updateCommand(&cobra.Command{
		Use:   "stop",
		Short: "End the rotation of a secret, after the one under way",
		Long:  `End the rotation of a secret, after the one under way. Its secret and its accounts stay as they are, and both credentials log in.`,
	}, rotation.StopUpdate)
}

func (a *app) dismissCommand() *cobra.Command {
	return a.updateCommand(&cobra.Command{
		Use:   "dismiss",
		Short: "Forget the accounts that a secret was for before it was edited",
		Long: `Forget the accounts that a secret was for before it was edited to be for another user. They stay as they are; status and list no longer
warn of them, and delete no longer includes them.`,
	}, rotation.DismissUpdate)
}

// updateCommand is a command that sends an update which says no more than when it was sent.
func (a *app) updateCommand(cmd *cobra.Command, name string) *cobra.Command {
	var id string
	cmd.Example = "  starter " + cmd.Name() + " --secret-id MyTestDatabaseUserSecret"
	secretFlag(cmd, &id)
	return a.does(cmd, nil, func(ctx context.Context) error {
		return a.update(ctx, id, name, rotation.Sender{SentAt: a.now()})
	})
}

func (a *app) rescheduleCommand() *cobra.Command {
	var id string
	var f rulesFlags
	cmd := &cobra.Command{
		Use:   "reschedule",
		Short: "Rotate a secret by other rules from now on",
		Example: `  starter reschedule --secret-id MyTestDatabaseUserSecret --automatically-after-days 7
  starter reschedule --secret-id MyTestDatabaseUserSecret --schedule-expression 'cron(0 2 ? * SUN *)' --duration 3h
  starter reschedule --secret-id MyTestDatabaseUserSecret --time-zone Europe/Berlin --blackout 'Fri 16:00 - Mon 08:00' --blackout 2026-12-24/2027-01-02`,
	}
	secretFlag(cmd, &id)
	f.add(cmd)
	cmd.MarkFlagsOneRequired("automatically-after-days", "schedule-expression", "time-zone", "blackout")
	request := func() rotation.RescheduleRequest {
		return rotation.RescheduleRequest{RotationRules: f.rules, TimeZone: f.timeZone, Blackout: f.entries()}
	}
	check := func() error { return cmp.Or(f.check(), request().Validate()) }
	return a.does(cmd, check, func(ctx context.Context) error {
		return a.update(ctx, id, rotation.RescheduleUpdate, request())
	})
}

// update changes how a secret is rotated, and shows the result.
func (a *app) update(ctx context.Context, secretID, name string, args ...any) error {
	var status rotation.Status
	defer a.watch(ctx, rotation.RotateUserWorkflowID(secretID), a.say)()
	handle, err := a.temporal.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{
		WorkflowID: rotation.RotateUserWorkflowID(secretID), UpdateName: name, Args: args, WaitForStage: client.WorkflowUpdateStageCompleted,
	})
	if err == nil {
		err = handle.Get(ctx, &status)
	}
	if err != nil {
		return a.noRotation(ctx, err, secretID)
	}
	return a.print(statusView{status: status, now: a.now()})
}
