package main

import (
	"cmp"
	"context"

	"github.com/spf13/cobra"
	"go.temporal.io/sdk/client"

	"github.com/rotate-user/rotate-user/rotation"
)

func (a *app) pauseCommand() *cobra.Command {
	return a.updateCommand(&cobra.Command{
		Use:   "pause",
		Short: "Suspend the schedule of a secret until you resume it; requests still rotate it",
	}, rotation.PauseUpdate)
}

func (a *app) resumeCommand() *cobra.Command {
	return a.updateCommand(&cobra.Command{
		Use:   "resume",
		Short: "Resume the schedule of a paused secret",
	}, rotation.ResumeUpdate)
}

func (a *app) stopCommand() *cobra.Command {
	return a.updateCommand(&cobra.Command{
		Use:   "stop",
		Short: "Stop rotating a secret, after the current rotation if any",
		Long:  `Stop rotating a secret, after the current rotation if any. The secret and its accounts stay unchanged, and both credentials log in.`,
	}, rotation.StopUpdate)
}

func (a *app) dismissCommand() *cobra.Command {
	return a.updateCommand(&cobra.Command{
		Use:   "dismiss",
		Short: "Forget the accounts that a secret named before it was edited",
		Long: `Forget the accounts that a secret named before it was edited to name another user. The accounts stay unchanged. status and list
no longer warn about them, and delete no longer includes them.`,
	}, rotation.DismissUpdate)
}

// updateCommand completes a command that sends an update without options.
func (a *app) updateCommand(cmd *cobra.Command, name string) *cobra.Command {
	var id string
	cmd.Example = "  starter " + cmd.Name() + " --secret-id MyTestDatabaseUserSecret"
	secretFlag(cmd, &id)
	return a.action(cmd, nil, func(ctx context.Context) error {
		return a.update(ctx, id, name, rotation.Sender{SentAt: a.now()})
	})
}

func (a *app) rescheduleCommand() *cobra.Command {
	var id string
	var f rulesFlags
	cmd := &cobra.Command{
		Use:   "reschedule",
		Short: "Change the schedule of a secret",
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
	return a.action(cmd, check, func(ctx context.Context) error {
		return a.update(ctx, id, rotation.RescheduleUpdate, request())
	})
}

// update sends an update to a secret's workflow, and prints the status that it returns.
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
