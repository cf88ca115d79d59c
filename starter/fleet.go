package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"

	"github.com/rotate-user/rotate-user/internal/plaintext"
	"github.com/rotate-user/rotate-user/rotation"
)

func (a *app) fleetCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "fleet",
		Short: "Rotate many secrets, declared by their tags or in a file",
		Long: `Rotate many secrets, declared by their tags or in a file.

starter fleet sync runs a workflow that keeps the rotations in step with tags. starter fleet apply makes them match a file.
starter fleet plan shows what the next rotations would change. starter fleet rotate runs a workflow that rotates all secrets now, or
those that a query finds.`,
	}
	cmd.AddCommand(a.fleetSyncCommand(), a.fleetStatusCommand(), a.fleetStopCommand(), a.fleetApplyCommand(), a.fleetExportCommand(),
		a.fleetPlanCommand(), a.fleetRotateCommand())
	return cmd
}

func tagFlag(cmd *cobra.Command, tag *string) {
	cmd.Flags().StringVar(tag, "tag", rotation.FleetTag, "`key` of the tag")
}

// syncFlags are the flags for the input of SyncFleetWorkflow.
type syncFlags struct {
	schedule    rulesFlags
	input       rotation.SyncFleetInput
	every, over rotation.Duration
	overlap     rotation.Duration
}

func (f *syncFlags) add(cmd *cobra.Command) {
	f.schedule.cmd = cmd
	flags, defaults := cmd.Flags(), &f.input.Defaults
	tagFlag(cmd, &f.input.Tag)
	flags.TextVar(&f.every, "every", rotation.Duration(time.Hour), "`duration` between two checks of the tags")
	flags.TextVar(&f.over, "over", rotation.Duration(7*24*time.Hour),
		"`duration` over which the first rotations are spread; 0s rotates each secret at once")
	flags.IntVar(&f.input.AtOnce, "at-once", 20, "`number` of rotations that start together; the next ones follow 10s later")
	flags.StringVar(&defaults.MasterSecretID, "master-secret-id", "",
		"name or ARN of the master secret (default: \"masterarn\" in each secret)")
	flags.StringVar(&f.schedule.rules.Duration, "duration", "",
		"length of the rotation windows, 1h to 24h (default: until the end of the day, or 1h if there are several rotations a day)")
	f.schedule.addCalendar(cmd)
	flags.TextVar(&f.overlap, "minimum-overlap", rotation.Duration(0),
		"`duration` that a promoted credential stays untouched before the other one may change (default 1h)")
	flags.TextVar(&defaults.Drain, "drain", rotation.Duration(0),
		"`duration` that a rotation waits for the sessions of the standby account to end")
	activityQueueFlag(cmd, &defaults.ActivityTaskQueue)
	for _, name := range []string{"minimum-overlap", "drain"} {
		flags.Lookup(name).DefValue = "" // the default is not 0s
	}
}

// given reports whether the command line has options for the workflow. The tag only names the workflow.
func (f *syncFlags) given() (given bool) {
	f.schedule.cmd.LocalNonPersistentFlags().VisitAll(func(flag *pflag.Flag) {
		given = given || flag.Changed && flag.Name != "tag"
	})
	return given
}

func (f *syncFlags) check() error {
	d := &f.input.Defaults
	d.RotationRules.Duration, d.TimeZone, d.Blackout = f.schedule.rules.Duration, f.schedule.timeZone, f.schedule.entries()
	f.input.Every, f.input.Over = &f.every, &f.over
	if f.schedule.cmd.Flags().Changed("minimum-overlap") {
		d.MinimumOverlap = &f.overlap
	}
	return f.input.Validate()
}

func (a *app) fleetSyncCommand() *cobra.Command {
	var f syncFlags
	cmd := &cobra.Command{
		Use:   "sync",
		Short: "Keep the rotations in step with the tags of secrets",
		Long: `Keep the rotations in step with the tags of secrets. A workflow checks the tags every hour. It starts the rotation of each secret
that has the tag, reschedules it when the tag changes, and stops it when the tag is removed. This command checks at once and shows
the result. Run it again without options to check again, or with options to replace all those given before.

The tag's value is the schedule: 30d, 12h, rate(10 days), cron(0 8 ? * MON *), or off. If your tools do not allow brackets and stars
in tags, write "rate 10 days" and "cron 0 8 none any MON any": any stands for *, none for ?, + for a comma, and : for #.

The worker needs the permission secretsmanager:ListSecrets. A secret with an invalid tag is reported and does not affect the others.`,
		Example: `  starter fleet sync
  starter fleet sync --tag rotate --over 14d --time-zone Europe/Berlin --blackout 'Fri 16:00 - Mon 08:00'`,
	}
	f.add(cmd)
	return a.action(cmd, f.check, func(ctx context.Context) error {
		status, err := a.syncFleet(ctx, f.input, f.given())
		if err != nil {
			return err
		}
		if err := a.print(fleetView{status, a.now()}); err != nil {
			return err
		}
		if p := status.LastPass; p != nil && p.Error != "" {
			return fmt.Errorf("the tags could not be checked; the next check is at %s", date(status.NextPass, a.now()))
		}
		return nil
	})
}

// syncFleet starts a fleet's workflow, or makes the one that runs check the tags, and waits for that check. If replace is true, the
// input replaces that of a running workflow.
func (a *app) syncFleet(ctx context.Context, input rotation.SyncFleetInput, replace bool) (status rotation.FleetStatus, err error) {
	id := rotation.SyncFleetWorkflowID(a.taskQueue, input.Key())
	var request rotation.SyncRequest
	if replace {
		request.Input = &input
	}
	defer a.watch(ctx, id, a.say)()
	for try := 1; ; try++ {
		options := a.startOptions(id, "keep the rotations in step with the tag "+input.Key())
		options.WorkflowIDConflictPolicy = enums.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING
		handle, err := a.temporal.UpdateWithStartWorkflow(ctx, client.UpdateWithStartWorkflowOptions{
			StartWorkflowOperation: a.temporal.NewWithStartWorkflowOperation(options, rotation.SyncFleetWorkflow, input),
			UpdateOptions: client.UpdateWorkflowOptions{
				UpdateID: uuid.NewString(), UpdateName: rotation.SyncUpdate, Args: []any{request},
				WaitForStage: client.WorkflowUpdateStageAccepted,
			},
		})
		if err == nil {
			err = handle.Get(ctx, &status)
		}
		if applicationType(err) != rotation.ErrorJustRotated || try == nextRunTries {
			return status, err
		}
		select {
		case <-ctx.Done():
			return status, ctx.Err()
		case <-time.After(nextRunPause):
		}
	}
}

func (a *app) fleetStatusCommand() *cobra.Command {
	var tag string
	cmd := &cobra.Command{
		Use:     "status",
		Short:   "Show what the last check of the tags did",
		Example: `  starter fleet status --tag rotate-user`,
	}
	tagFlag(cmd, &tag)
	return a.action(cmd, nil, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, queryTimeout)
		defer cancel()
		id := rotation.SyncFleetWorkflowID(a.taskQueue, tag)
		d, err := a.describe(ctx, id)
		if err != nil {
			return a.noFleet(err, tag)
		}
		if d.GetWorkflowExecutionInfo().GetStatus() != enums.WORKFLOW_EXECUTION_STATUS_RUNNING {
			return advise("Start it again with: starter fleet sync --tag "+quoted(tag),
				"the workflow that syncs tag %s has ended; the rotations continue", tag)
		}
		answer, err := a.temporal.QueryWorkflow(ctx, id, "", rotation.StatusQuery)
		if err != nil {
			return err
		}
		var status rotation.FleetStatus
		if err := answer.Get(&status); err != nil {
			return err
		}
		return a.print(fleetView{status, a.now()})
	})
}

func (a *app) fleetStopCommand() *cobra.Command {
	var tag string
	cmd := &cobra.Command{
		Use:     "stop",
		Short:   "Stop checking the tags; the rotations continue",
		Example: `  starter fleet stop --tag rotate-user`,
	}
	tagFlag(cmd, &tag)
	return a.action(cmd, nil, func(ctx context.Context) error {
		id := rotation.SyncFleetWorkflowID(a.taskQueue, tag)
		defer a.watch(ctx, id, a.say)()
		handle, err := a.temporal.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{
			WorkflowID: id, UpdateName: rotation.StopUpdate, Args: []any{rotation.Sender{SentAt: a.now()}},
			WaitForStage: client.WorkflowUpdateStageCompleted,
		})
		var status rotation.FleetStatus
		if err == nil {
			err = handle.Get(ctx, &status)
		}
		if err != nil {
			return a.noFleet(err, tag)
		}
		return a.print(fleetView{status, a.now()})
	})
}

// noFleet adds how to start the workflow if there is none.
func (a *app) noFleet(err error, tag string) error {
	if !isNotFound(err) {
		return err
	}
	return advise("Start one with: starter fleet sync --tag "+quoted(tag), "no workflow syncs tag %s", tag)
}

// fleetView is the status of a fleet's tags.
type fleetView struct {
	status rotation.FleetStatus
	now    time.Time
}

func (v fleetView) value() any { return v.status }
func (v fleetView) text(w io.Writer) {
	s := v.status
	last, did := "", ""
	if p := s.LastPass; p != nil {
		last, did = date(p.StartedAt, v.now), p.String()
	}
	next := date(s.NextPass, v.now)
	if s.InProgress {
		last, next = last+", in progress", ""
	}
	pairs(w, "Tag", s.Tag, "Managed", plaintext.Count(s.Managed, "secret"), "Last check", last, "Result", did, "Next check", next)
	if s.LastPass != nil {
		section(w, "Changes", s.LastPass.Changes)
		section(w, "Not changed", s.LastPass.Skips)
		section(w, "Problems", s.LastPass.Problems)
	}
}
