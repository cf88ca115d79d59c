package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	sdk "go.temporal.io/sdk/temporal"

	"github.com/rotate-user/rotate-user/internal/schedule"
	"github.com/rotate-user/rotate-user/workflows"
)

const (
	rotateUserWorkflow = "RotateUserWorkflow"

	pollInterval = 200 * time.Millisecond // between two looks at a rotation under way
	queryTimeout = 10 * time.Second
	patience     = 10 * time.Second // without a step, before the absence of a worker is suspected

	// A rotation that ends as another is asked for takes its run along; the next run begins within a moment.
	nextRunTries = 20
	nextRunPause = 250 * time.Millisecond
)

func (a *app) startCommand() *cobra.Command {
	var f inputFlags
	var noWait bool
	cmd := &cobra.Command{
		Use:   "start",
		Short: "Rotate a secret on a schedule",
		Long: `Rotate a secret on a schedule, the first time at once. The command ends with the first rotation; --no-wait does not wait for it.

Where the secret is rotated already by the same rules, nothing is changed.`,
		Example: `  starter start --secret-id MyTestDatabaseUserSecret
  starter start --secret-id MyTestDatabaseUserSecret --schedule-expression 'cron(0 2 ? * SUN *)' --duration 3h --rotate-immediately=false`,
	}
	f.add(cmd)
	f.addImmediately(cmd)
	cmd.Flags().BoolVar(&noWait, "no-wait", false, "do not wait for the first rotation")
	return a.does(cmd, f.check, func(ctx context.Context) error { return a.start(ctx, &f, noWait) })
}

func (a *app) start(ctx context.Context, f *inputFlags, noWait bool) error {
	if f.immediately && !noWait {
		rotated, err := a.rotate(ctx, f.input, workflows.RotateRequest{}, enums.WORKFLOW_ID_CONFLICT_POLICY_FAIL)
		if isRunning(err) {
			return a.alreadyStarted(ctx, f)
		}
		if err != nil {
			return err
		}
		return a.print(startedView{rotated})
	}
	options := a.startOptions(workflows.RotateUserWorkflowID(f.input.SecretID))
	options.WorkflowExecutionErrorWhenAlreadyStarted = true
	if _, err := a.temporal.ExecuteWorkflow(ctx, options, rotateUserWorkflow, f.input); err != nil {
		if isRunning(err) {
			return a.alreadyStarted(ctx, f)
		}
		return err
	}
	if noWait {
		return a.print(started{SecretID: f.input.SecretID, WorkflowID: options.ID})
	}
	return a.looked(ctx, f.input.SecretID)
}

// looked waits until a workflow that does not rotate at its start has looked whether it could.
func (a *app) looked(ctx context.Context, secretID string) error {
	defer time.AfterFunc(patience, a.wonder).Stop()
	for {
		// The look is under way once the workflow answers, and over when it waits for no activity.
		if _, err := a.status(ctx, secretID); err != nil {
			return err
		}
		if a.idle(ctx, workflows.RotateUserWorkflowID(secretID)) {
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pollInterval):
		}
	}
	status, err := a.status(ctx, secretID)
	if err != nil {
		return err
	}
	if status.RotationStatus == workflows.Failed {
		return advise("It is tried at "+date(status.NextRotationDate, a.now()), "started, but a rotation would be refused now: %s", status.Rotations[0].Error)
	}
	return a.print(statusView{status, a.now()})
}

// alreadyStarted is no failure where what runs is what was asked for.
func (a *app) alreadyStarted(ctx context.Context, f *inputFlags) error {
	id := f.input.SecretID
	status, err := a.status(ctx, id)
	if err != nil {
		return err
	}
	if f.differs(status.RotationRules) {
		return advise("Change them with: starter reschedule --secret-id "+id,
			"secret %s is rotated already, but by other rules: %s", id, status.RotationRules)
	}
	if master := f.input.MasterSecretID; master != "" && status.MasterSecretID != "" && status.MasterSecretID != master {
		return advise("Stop it first, with: starter stop --secret-id "+id,
			"secret %s is rotated already, but with master secret %s", id, status.MasterSecretID)
	}
	if a.output == table {
		fmt.Fprintf(a.out, "Secret %s is rotated already; nothing was changed.\n\n", id)
	}
	return a.print(statusView{status, a.now()})
}

func (a *app) rotateCommand() *cobra.Command {
	var f inputFlags
	var request workflows.RotateRequest
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Rotate a secret now, and show each step as it happens",
		Long: `Rotate a secret now, and show each step as it happens. Where no rotation of the secret runs, one is started with the given input;
where one runs, its own input counts.

A credential that is younger than the minimum overlap is not rotated without --force, because clients may still use the one
before. For a credential that has leaked, --revoke-previous locks the account that was in use once the new one is promoted,
and ends its sessions.`,
		Example: `  starter rotate --secret-id MyTestDatabaseUserSecret
  starter rotate --secret-id MyTestDatabaseUserSecret --force --revoke-previous --grace 10m`,
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&request.Force, "force", false, "rotate even within the minimum overlap of the last rotation")
	cmd.Flags().BoolVar(&request.RevokePrevious, "revoke-previous", false, "lock the account in use until now, end its sessions, scramble its password")
	cmd.Flags().TextVar(&request.Grace, "grace", schedule.Duration(0), "`duration` for which --revoke-previous waits after the promotion, 24h at most")
	check := func() error {
		if request.Grace > 0 && !request.RevokePrevious {
			return errors.New("--grace belongs to --revoke-previous")
		}
		if time.Duration(request.Grace) > 24*time.Hour {
			return fmt.Errorf("--grace is %s: 24h at most", request.Grace)
		}
		return f.check()
	}
	return a.does(cmd, check, func(ctx context.Context) error {
		rotated, err := a.rotate(ctx, f.input, request, enums.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING)
		if err != nil {
			return err
		}
		return a.print(rotated)
	})
}

// rotate asks for a rotation, starting the workflow where that is needed, and follows it to its end.
func (a *app) rotate(ctx context.Context, input workflows.RotateUserInput, request workflows.RotateRequest, running enums.WorkflowIdConflictPolicy) (rotationView, error) {
	type outcome struct {
		rotation workflows.Rotation
		err      error
	}
	ended := make(chan outcome, 1)
	go func() {
		rotation, err := a.askToRotate(ctx, input, request, running)
		ended <- outcome{rotation, err}
	}()

	p := &progress{out: a.out, live: a.live}
	if a.output != table {
		p.out, p.live = nil, false
	}
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	waiting := time.NewTimer(patience)
	defer waiting.Stop()
	for {
		select {
		case o := <-ended:
			if o.err != nil {
				return rotationView{}, a.rotationFailed(ctx, p, input.SecretID, o.err)
			}
			p.show(o.rotation.Steps)
			next, err := a.status(ctx, input.SecretID)
			if err != nil { // the rotation is done; only when the next one is due cannot be told
				next = workflows.Status{}
			}
			return rotationView{input.SecretID, o.rotation, next, a.now()}, nil
		case <-waiting.C:
			if !p.begun {
				a.wonder()
			}
		case <-tick.C:
			if status, err := a.status(ctx, input.SecretID); err == nil && status.Current != nil {
				p.show(status.Current.Steps)
			}
		}
	}
}

// rotationFailed shows how far a rotation came, where there was one, and says when it is tried again.
func (a *app) rotationFailed(ctx context.Context, p *progress, secretID string, failure error) error {
	status, err := a.status(ctx, secretID)
	if err != nil || len(status.Rotations) == 0 || !isFailure(status.Rotations[0], failure) {
		p.interrupt()
		return failure
	}
	p.fail(status.Rotations[0].Steps)
	if status.NextRotationDate.IsZero() {
		return failure
	}
	return advised{failure, "The next attempt is at " + date(status.NextRotationDate, a.now())}
}

// isFailure tells a rotation that failed from one that was never begun.
func isFailure(r workflows.Rotation, err error) bool {
	var application *sdk.ApplicationError
	return errors.As(err, &application) && r.Error != "" && r.Error == application.Message()
}

func (a *app) askToRotate(ctx context.Context, input workflows.RotateUserInput, request workflows.RotateRequest, running enums.WorkflowIdConflictPolicy) (workflows.Rotation, error) {
	for try := 1; ; try++ {
		var rotation workflows.Rotation
		options := a.startOptions(workflows.RotateUserWorkflowID(input.SecretID))
		options.WorkflowIDConflictPolicy = running
		handle, err := a.temporal.UpdateWithStartWorkflow(ctx, client.UpdateWithStartWorkflowOptions{
			StartWorkflowOperation: a.temporal.NewWithStartWorkflowOperation(options, rotateUserWorkflow, input),
			UpdateOptions: client.UpdateWorkflowOptions{
				UpdateName: workflows.RotateUpdate, Args: []any{request}, WaitForStage: client.WorkflowUpdateStageAccepted,
			},
		})
		if err == nil {
			err = handle.Get(ctx, &rotation)
		}
		if applicationType(err) != workflows.ErrorJustRotated || try == nextRunTries {
			return rotation, err
		}
		select {
		case <-ctx.Done():
			return rotation, ctx.Err()
		case <-time.After(nextRunPause):
		}
	}
}

// wonder tells somebody who waits in vain what to look for.
func (a *app) wonder() {
	fmt.Fprintf(a.errors, "Nothing has happened yet: is a worker running on task queue %s, and what does its log say?\n", a.taskQueue)
}

func (a *app) startOptions(workflowID string) client.StartWorkflowOptions {
	return client.StartWorkflowOptions{ID: workflowID, TaskQueue: a.taskQueue}
}

func isRunning(err error) bool {
	var running *serviceerror.WorkflowExecutionAlreadyStarted
	return errors.As(err, &running)
}

// status asks the workflow of a secret, running or ended.
func (a *app) status(ctx context.Context, secretID string) (workflows.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	var status workflows.Status
	answer, err := a.temporal.QueryWorkflow(ctx, workflows.RotateUserWorkflowID(secretID), "", workflows.StatusQuery)
	if err != nil {
		return status, noRotation(err, secretID)
	}
	return status, answer.Get(&status)
}
