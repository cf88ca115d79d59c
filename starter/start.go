package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"

	"github.com/rotate-user/rotate-user/internal/plaintext"
	"github.com/rotate-user/rotate-user/rotation"
)

func (a *app) startCommand() *cobra.Command {
	var f inputFlags
	var noWait bool
	cmd := &cobra.Command{
		Use:   "start",
		Short: "Rotate a secret on a schedule",
		Long: `Rotate a secret on a schedule, starting now. The command waits for the first rotation unless you give --no-wait.

If the secret is already rotated with the same options, this command changes nothing. To change the schedule of a running rotation,
use reschedule. To change its other options, stop it and start it again.`,
		Example: `  starter start --secret-id MyTestDatabaseUserSecret
  starter start --secret-id MyTestDatabaseUserSecret --schedule-expression 'cron(0 2 ? * SUN *)' --duration 3h --rotate-immediately=false`,
	}
	f.add(cmd)
	f.addImmediately(cmd)
	cmd.Flags().BoolVar(&noWait, "no-wait", false, "do not wait for the first rotation")
	return a.action(cmd, f.check, func(ctx context.Context) error { return a.start(ctx, &f, noWait) })
}

func (a *app) start(ctx context.Context, f *inputFlags, noWait bool) error {
	id := f.input.SecretID
	if lost := a.lostRevocation(ctx, id); lost != "" {
		a.say(lost + ".")
	}
	if f.immediately && !noWait {
		rotated, err := a.follow(ctx, id, func(ctx context.Context) (rotation.Rotation, error) { return a.startAndRotate(ctx, f.input) })
		if isRunning(err) {
			return a.alreadyStarted(ctx, f)
		}
		if err != nil {
			return a.firstRotationFailed(ctx, err, id)
		}
		return a.print(startedView{rotated})
	}
	options := a.startOptions(rotation.RotateUserWorkflowID(id), startSummary(f.input))
	options.WorkflowExecutionErrorWhenAlreadyStarted = true
	if _, err := a.temporal.ExecuteWorkflow(ctx, options, rotation.RotateUserWorkflow, f.input); err != nil {
		if isRunning(err) {
			return a.alreadyStarted(ctx, f)
		}
		return err
	}
	if noWait {
		return a.print(started{SecretID: id, WorkflowID: options.ID})
	}
	return a.awaitFirstCheck(ctx, id)
}

func startSummary(input rotation.RotateUserInput) string {
	return "secret " + input.SecretID + ", " + input.ScheduleText()
}

// startAndRotate starts the workflow of a secret, which must not be running, and waits for its first rotation.
func (a *app) startAndRotate(ctx context.Context, input rotation.RotateUserInput) (r rotation.Rotation, err error) {
	options := a.startOptions(rotation.RotateUserWorkflowID(input.SecretID), startSummary(input))
	options.WorkflowIDConflictPolicy = enums.WORKFLOW_ID_CONFLICT_POLICY_FAIL
	updateID := uuid.NewString()
	handle, err := a.temporal.UpdateWithStartWorkflow(ctx, client.UpdateWithStartWorkflowOptions{
		StartWorkflowOperation: a.temporal.NewWithStartWorkflowOperation(options, rotation.RotateUserWorkflow, input),
		UpdateOptions: client.UpdateWorkflowOptions{
			UpdateID: updateID, UpdateName: rotation.RotateUpdate, Args: []any{rotation.RotateRequest{}},
			WaitForStage: client.WorkflowUpdateStageAccepted,
		},
	})
	if err != nil {
		return r, err
	}
	return a.awaitRotation(ctx, input.SecretID, rotation.RotateRequest{}, handle, updateID)
}

// firstRotationFailed adds what the workflow does after its first rotation failed. It keeps running
// even if the name of the secret is misspelled.
func (a *app) firstRotationFailed(ctx context.Context, err error, secretID string) error {
	if ctx.Err() != nil {
		return err
	}
	d, describeErr := a.describe(ctx, rotation.RotateUserWorkflowID(secretID))
	if describeErr != nil { // there may be no workflow
		return err
	}
	if e := a.ending(ctx, d); e != nil {
		var became advised
		if applicationType(err) != "" || e.reason == "" || errors.As(err, &became) && e.status != enums.WORKFLOW_EXECUTION_STATUS_FAILED {
			return err
		}
		return fmt.Errorf("the rotation of secret %s was not started: %s", secretID, e.reason)
	}
	next := "keeps running"
	status, queryErr := a.query(ctx, secretID)
	if queryErr == nil && status.GaveWay() {
		return err
	}
	if queryErr == nil && !status.NextRotationDate.IsZero() {
		next = "retries at " + date(status.NextRotationDate, a.now())
	}
	var advice advised
	if errors.As(err, &advice) {
		err = advice.error
	}
	return advised{err, fmt.Sprintf("Its workflow %s. If the name is misspelled, stop it with: starter stop --secret-id %s", next, secretID)}
}

// awaitFirstCheck waits until a workflow that does not rotate at its start has checked whether a
// rotation would work.
func (a *app) awaitFirstCheck(ctx context.Context, secretID string) error {
	defer a.watch(ctx, rotation.RotateUserWorkflowID(secretID), a.say)()
	for {
		// The check has started once the workflow answers, and has ended when the workflow waits for no activity.
		if _, err := a.query(ctx, secretID); err != nil {
			if _, ended := a.hasEnded(ctx, secretID); ended {
				return a.firstRotationFailed(ctx, err, secretID)
			}
			return a.unanswered(ctx, err, secretID)
		}
		if a.isIdle(ctx, rotation.RotateUserWorkflowID(secretID)) {
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pollInterval):
		}
	}
	view, err := a.inspect(ctx, secretID)
	switch {
	case err != nil:
		return err
	case view.ending != nil:
		return a.firstRotationFailed(ctx, fmt.Errorf("the rotation of secret %s %s", secretID, view.ending.text(a.now())), secretID)
	case view.status.RotationStatus == rotation.Failed:
		return a.firstRotationFailed(ctx, fmt.Errorf("started, but a rotation would be refused now: %s",
			plaintext.Line(view.status.Rotations[0].Error)), secretID)
	}
	return a.print(view)
}

// alreadyStarted handles a start of a secret that is already rotated. It succeeds if the options are the same.
func (a *app) alreadyStarted(ctx context.Context, f *inputFlags) error {
	id := f.input.SecretID
	view, err := a.inspect(ctx, id)
	if err != nil {
		return err
	}
	different, want := f.compare(view.status)
	queue := ""
	if f.cmd.Flags().Changed("task-queue") && view.taskQueue != "" && view.taskQueue != a.taskQueue {
		different = append(different, fmt.Sprintf("--task-queue: is %s, requested %s", view.taskQueue, a.taskQueue))
		queue = " --task-queue " + quoted(a.taskQueue)
	}
	if len(different) > 0 {
		advice := "Change them with: starter stop --secret-id " + id + " && " + startCommandFor(id, &want) + queue
		if view.status.Stopping { // another stop would not help
			advice = "It stops after the current rotation. Then run: " + startCommandFor(id, &want) + queue
		} else if f.onlyRules(different) {
			advice = "Change them with: starter reschedule --secret-id " + id + scheduleFlagsOf(want)
		}
		return advise(advice, "secret %s is already rotated with other options; nothing was changed:\n  %s", id, strings.Join(different, "\n  "))
	}
	if view.status.Stopping {
		if a.output == table {
			fmt.Fprintf(a.out, "Secret %s was about to stop after the current rotation. It no longer stops.\n\n", id)
		}
		return a.update(ctx, id, rotation.ResumeUpdate, rotation.Sender{SentAt: a.now()})
	}
	if a.output == table {
		fmt.Fprintf(a.out, "Secret %s is already rotated; nothing was changed. To rotate it now: starter rotate --secret-id %[1]s\n\n", id)
	}
	return a.print(view)
}

// started is the result of a start that does not wait for the first rotation.
type started struct {
	SecretID   string `json:"SecretId"`
	WorkflowID string `json:"WorkflowId"`
}

func (v started) value() any { return v }

func (v started) text(w io.Writer) {
	fmt.Fprintf(w, "Started. Follow it with: starter status --secret-id %s\n", v.SecretID)
}

// startedView is the first rotation of a secret. In JSON it is the status, as for every other
// result of start.
type startedView struct{ rotationView }

func (v startedView) value() any { return v.next }
