package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	_ "time/tzdata"

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
		Long: `Rotate a secret on a schedule, the first time at once. The command ends with the first rotation; --no-wait does not wait for it.

If the secret is already rotated with the same options, nothing is changed. The options of a rotation that runs are changed by
stop and another start, and its schedule also by reschedule.`,
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
	options := a.startOptions(rotation.RotateUserWorkflowID(id))
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

// startAndRotate starts the workflow of a secret, which must not run, and waits for its first rotation.
func (a *app) startAndRotate(ctx context.Context, input rotation.RotateUserInput) (r rotation.Rotation, err error) {
	options := a.startOptions(rotation.RotateUserWorkflowID(input.SecretID))
	options.WorkflowIDConflictPolicy = enums.WORKFLOW_ID_CONFLICT_POLICY_FAIL
	updateID := uuid.NewString()
	handle, err := a.temporal.UpdateWithStartWorkflow(ctx, client.UpdateWithStartWorkflowOptions{
		StartWorkflowOperation: a.temporal.NewWithStartWorkflowOperation(options, rotation.RotateUserWorkflow, input),
		UpdateOptions: client.UpdateWorkflowOptions{
			UpdateID: updateID, UpdateName: rotation.RotateUpdate, Args: []any{rotation.RotateRequest{}}, WaitForStage: client.WorkflowUpdateStageAccepted,
		},
	})
	if err != nil {
		return r, err
	}
	return a.awaitRotation(ctx, input.SecretID, rotation.RotateRequest{}, handle, updateID)
}

// firstRotationFailed says what has become of a workflow whose first rotation failed: it goes on, also for a secret that is misspelt.
func (a *app) firstRotationFailed(ctx context.Context, err error, secretID string) error {
	if ctx.Err() != nil {
		return err
	}
	d, describeErr := a.describe(ctx, rotation.RotateUserWorkflowID(secretID))
	if describeErr != nil { // there may be no workflow at all
		return err
	}
	if e := a.ending(ctx, d); e != nil {
		var became advised
		if applicationType(err) != "" || e.reason == "" || errors.As(err, &became) && e.status != enums.WORKFLOW_EXECUTION_STATUS_FAILED {
			return err
		}
		return fmt.Errorf("the rotation of secret %s was not started: %s", secretID, e.reason)
	}
	next := "goes on"
	status, queryErr := a.query(ctx, secretID)
	if queryErr == nil && status.GaveWay() {
		return err
	}
	if queryErr == nil && !status.NextRotationDate.IsZero() {
		next = "tries again at " + date(status.NextRotationDate, a.now())
	}
	var advice advised
	if errors.As(err, &advice) {
		err = advice.error
	}
	return advised{err, fmt.Sprintf("Its workflow %s. To end it, for example because the name is misspelt: starter stop --secret-id %s", next, secretID)}
}

// awaitFirstCheck waits until a workflow that does not rotate at its start has looked whether it could.
func (a *app) awaitFirstCheck(ctx context.Context, secretID string) error {
	defer a.watch(ctx, rotation.RotateUserWorkflowID(secretID), a.say)()
	for {
		// The look is under way once the workflow answers, and over when it waits for no activity.
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
		return a.firstRotationFailed(ctx, fmt.Errorf("started, but a rotation would be refused now: %s", plaintext.Line(view.status.Rotations[0].Error)), secretID)
	}
	return a.print(view)
}

// alreadyStarted is no failure where what runs is what was asked for.
func (a *app) alreadyStarted(ctx context.Context, f *inputFlags) error {
	id := f.input.SecretID
	view, err := a.inspect(ctx, id)
	if err != nil {
		return err
	}
	different, want := f.compare(view.status)
	queue := ""
	if f.cmd.Flags().Changed("task-queue") && view.taskQueue != "" && view.taskQueue != a.taskQueue {
		different = append(different, fmt.Sprintf("--task-queue: is %s, asked for %s", view.taskQueue, a.taskQueue))
		queue = " --task-queue " + quoted(a.taskQueue)
	}
	if len(different) > 0 {
		advice := "Change it with: starter stop --secret-id " + id + " && " + startCommandFor(id, &want) + queue
		if f.onlyRules(different) {
			advice = "Change them with: starter reschedule --secret-id " + id + scheduleFlagsOf(want)
		}
		return advise(advice, "secret %s is rotated already, with other options; nothing was changed:\n  %s", id, strings.Join(different, "\n  "))
	}
	if view.status.Stopping {
		if a.output == table {
			fmt.Fprintf(a.out, "Secret %s was about to stop after the rotation under way; it goes on.\n\n", id)
		}
		return a.update(ctx, id, rotation.ResumeUpdate, rotation.Sender{SentAt: a.now()})
	}
	if a.output == table {
		fmt.Fprintf(a.out, "Secret %s is rotated already; nothing was changed. To rotate it now: starter rotate --secret-id %[1]s\n\n", id)
	}
	return a.print(view)
}

// started is the answer where nobody waits for the first rotation.
type started struct {
	SecretID   string `json:"SecretId"`
	WorkflowID string `json:"WorkflowId"`
}

func (v started) value() any { return v }

func (v started) text(w io.Writer) {
	fmt.Fprintf(w, "Started. Look with: starter status --secret-id %s\n", v.SecretID)
}

// startedView is the first rotation of a secret. Programs get the status, as from start in every other case.
type startedView struct{ rotationView }

func (v startedView) value() any { return v.next }
