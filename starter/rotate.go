package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	sdk "go.temporal.io/sdk/temporal"

	"github.com/rotate-user/rotate-user/internal/plaintext"
	"github.com/rotate-user/rotate-user/rotation"
)

const (
	rotateUserWorkflow = rotation.RotateUserWorkflow

	pollInterval = 200 * time.Millisecond // between two looks at a rotation under way
	queryTimeout = 10 * time.Second

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

If the secret is already rotated with the same options, nothing is changed. The options of a rotation that runs are changed by
stop and another start, and its schedule also by reschedule.`,
		Example: `  starter start --secret-id MyTestDatabaseUserSecret
  starter start --secret-id MyTestDatabaseUserSecret --schedule-expression 'cron(0 2 ? * SUN *)' --duration 3h --rotate-immediately=false`,
	}
	f.add(cmd)
	f.addImmediately(cmd)
	cmd.Flags().BoolVar(&noWait, "no-wait", false, "do not wait for the first rotation")
	return a.does(cmd, f.check, func(ctx context.Context) error { return a.start(ctx, &f, noWait) })
}

func (a *app) start(ctx context.Context, f *inputFlags, noWait bool) error {
	id := f.input.SecretID
	if lost := a.lostRevocation(ctx, id); lost != "" {
		a.say(lost + ".")
	}
	if f.immediately && !noWait {
		rotated, err := a.follow(ctx, id, func(ctx context.Context) (rotation.Rotation, error) { return a.askToStart(ctx, f.input) })
		if isRunning(err) {
			return a.alreadyStarted(ctx, f)
		}
		if err != nil {
			return a.notStarted(ctx, err, id)
		}
		return a.print(startedView{rotated})
	}
	options := a.startOptions(rotation.RotateUserWorkflowID(id))
	options.WorkflowExecutionErrorWhenAlreadyStarted = true
	if _, err := a.temporal.ExecuteWorkflow(ctx, options, rotateUserWorkflow, f.input); err != nil {
		if isRunning(err) {
			return a.alreadyStarted(ctx, f)
		}
		return err
	}
	if noWait {
		return a.print(started{SecretID: id, WorkflowID: options.ID})
	}
	return a.looked(ctx, id)
}

// notStarted says what has become of a workflow whose first rotation failed: it goes on, also for a secret that is misspelt.
func (a *app) notStarted(ctx context.Context, err error, secretID string) error {
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

// looked waits until a workflow that does not rotate at its start has looked whether it could.
func (a *app) looked(ctx context.Context, secretID string) error {
	defer a.watch(ctx, rotation.RotateUserWorkflowID(secretID), a.say)()
	for {
		// The look is under way once the workflow answers, and over when it waits for no activity.
		if _, err := a.query(ctx, secretID); err != nil {
			if _, ended := a.whetherEnded(ctx, secretID); ended {
				return a.notStarted(ctx, err, secretID)
			}
			return a.unanswered(ctx, err, secretID)
		}
		if a.idle(ctx, rotation.RotateUserWorkflowID(secretID)) {
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pollInterval):
		}
	}
	view, err := a.look(ctx, secretID)
	switch {
	case err != nil:
		return err
	case view.ending != nil:
		return a.notStarted(ctx, fmt.Errorf("the rotation of secret %s %s", secretID, view.ending.text(a.now())), secretID)
	case view.status.RotationStatus == rotation.Failed:
		return a.notStarted(ctx, fmt.Errorf("started, but a rotation would be refused now: %s", plaintext.Line(view.status.Rotations[0].Error)), secretID)
	}
	return a.print(view)
}

// alreadyStarted is no failure where what runs is what was asked for.
func (a *app) alreadyStarted(ctx context.Context, f *inputFlags) error {
	id := f.input.SecretID
	view, err := a.look(ctx, id)
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
		advice := "Change it with: starter stop --secret-id " + id + " && " + restart(id, &want) + queue
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

func (a *app) rotateCommand() *cobra.Command {
	var id string
	var request rotation.RotateRequest
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Rotate a secret now, and show each step as it happens",
		Long: `Rotate a secret now, and show each step as it happens. The rotation of the secret must have been started, with starter start.

A credential that is younger than the minimum overlap is not rotated without --force, because clients may still use the one
before. With --force, clients that cache the secret can be refused, now or after the next rotation, until they read it again.
AWS's caching clients do so within 60 minutes.

For a credential that has leaked, --revoke-previous locks the account that was in use once the new one is promoted, and ends
its sessions and the older ones of the other account. So every client of the secret loses its connections, and one that caches
the secret is refused until it reads it again. --grace gives those that use the current credential time to do so; whoever has
the leaked one has the same time.

While the clone is in use, a right that was granted to the account with the base name since the last rotation is given to both
accounts. If one was revoked from it, the rotation is refused until you decide: revoke it from the clone too, or grant it back.
--undo-drift grants it back, in this rotation only.`,
		Example: `  starter rotate --secret-id MyTestDatabaseUserSecret
  starter rotate --secret-id MyTestDatabaseUserSecret --force --revoke-previous --grace 10m`,
	}
	secretFlag(cmd, &id)
	cmd.Flags().BoolVar(&request.Force, "force", false, "rotate even within the minimum overlap of the last rotation; clients that cache the secret may be refused")
	cmd.Flags().BoolVar(&request.RevokePrevious, "revoke-previous", false, "lock the account in use until now, scramble its password, end the sessions of both accounts; clients that cache the secret are refused until they read it again")
	cmd.Flags().TextVar(&request.Grace, "grace", rotation.Duration(0), "`duration` for which --revoke-previous waits after the promotion, 24h at most")
	cmd.Flags().BoolVar(&request.UndoDrift, "undo-drift", false, "make the account with the base name equal to the one in use: grant back what was revoked from it, revoke what was granted to it")
	check := func() error {
		if request.Grace > 0 && !request.RevokePrevious {
			return errors.New("--grace belongs to --revoke-previous")
		}
		if time.Duration(request.Grace) > 24*time.Hour {
			return fmt.Errorf("--grace is %s: 24h at most", request.Grace)
		}
		return nil
	}
	return a.does(cmd, check, func(ctx context.Context) error {
		rotated, err := a.follow(ctx, id, func(ctx context.Context) (rotation.Rotation, error) { return a.askToRotate(ctx, id, request) })
		if err != nil {
			return a.noRotation(ctx, err, id)
		}
		return a.print(rotated)
	})
}

// follow asks for a rotation and follows it to its end.
func (a *app) follow(ctx context.Context, secretID string, ask func(context.Context) (rotation.Rotation, error)) (rotationView, error) {
	type outcome struct {
		rotation rotation.Rotation
		err      error
	}
	ended := make(chan outcome, 1)
	go func() {
		rotated, err := ask(ctx)
		ended <- outcome{rotated, err}
	}()

	p := &progress{out: a.out, live: a.live}
	if a.output != table {
		p.out, p.live = nil, false
	}
	notes := make(chan string)
	watched, cancel := context.WithCancel(ctx)
	stop := a.watch(watched, rotation.RotateUserWorkflowID(secretID), func(text string) {
		select {
		case notes <- text:
		case <-watched.Done():
		}
	})
	defer func() { cancel(); stop() }()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		select {
		case o := <-ended:
			if o.err != nil {
				return rotationView{}, a.rotationFailed(ctx, p, secretID, o.err)
			}
			p.show(o.rotation.Steps)
			next, err := a.query(ctx, secretID)
			if err != nil { // the rotation is done; only when the next one is due cannot be told
				next = rotation.Status{}
			}
			return rotationView{secretID, o.rotation, next, a.now()}, nil
		case text := <-notes:
			p.pause()
			a.say(text)
		case <-tick.C:
			if status, err := a.query(ctx, secretID); err == nil && status.Current != nil {
				p.show(status.Current.Steps)
			}
		}
	}
}

// rotationFailed shows how far a rotation came, where there was one, and says when it is tried again.
func (a *app) rotationFailed(ctx context.Context, p *progress, secretID string, failure error) error {
	status, err := a.query(ctx, secretID)
	if err != nil || len(status.Rotations) == 0 || !isFailure(status.Rotations[0], failure) {
		p.pause()
		return failure
	}
	p.fail(status.Rotations[0].Steps)
	switch {
	case status.GaveWay():
		return failure
	case status.Requested != nil && !status.RequestDue.IsZero():
		return advised{failure, "The request is kept, and tried again at " + date(status.RequestDue, a.now())}
	case status.NextRotationDate.IsZero():
		return failure
	}
	return advised{failure, "The next attempt is at " + date(status.NextRotationDate, a.now())}
}

// isFailure tells a rotation that failed from one that was never begun.
func isFailure(r rotation.Rotation, err error) bool {
	var application *sdk.ApplicationError
	return errors.As(err, &application) && r.Error != "" && r.Error == application.Message()
}

// askToStart starts the workflow of a secret, which must not run, and waits for its first rotation.
func (a *app) askToStart(ctx context.Context, input rotation.RotateUserInput) (r rotation.Rotation, err error) {
	options := a.startOptions(rotation.RotateUserWorkflowID(input.SecretID))
	options.WorkflowIDConflictPolicy = enums.WORKFLOW_ID_CONFLICT_POLICY_FAIL
	updateID := uuid.NewString()
	handle, err := a.temporal.UpdateWithStartWorkflow(ctx, client.UpdateWithStartWorkflowOptions{
		StartWorkflowOperation: a.temporal.NewWithStartWorkflowOperation(options, rotateUserWorkflow, input),
		UpdateOptions: client.UpdateWorkflowOptions{
			UpdateID: updateID, UpdateName: rotation.RotateUpdate, Args: []any{rotation.RotateRequest{}}, WaitForStage: client.WorkflowUpdateStageAccepted,
		},
	})
	if err != nil {
		return r, err
	}
	return a.settle(ctx, input.SecretID, rotation.RotateRequest{}, handle, updateID)
}

// askToRotate asks the workflow of a secret, which must run, for a rotation and waits for its end.
func (a *app) askToRotate(ctx context.Context, secretID string, request rotation.RotateRequest) (rotation.Rotation, error) {
	for try := 1; ; try++ {
		var r rotation.Rotation
		updateID := uuid.NewString()
		handle, err := a.askOnce(ctx, secretID, request, updateID)
		if err == nil {
			r, err = a.settle(ctx, secretID, request, handle, updateID)
		}
		if applicationType(err) != rotation.ErrorJustRotated || try == nextRunTries {
			return r, err
		}
		select {
		case <-ctx.Done():
			return r, ctx.Err()
		case <-time.After(nextRunPause):
		}
	}
}

func (a *app) startOptions(workflowID string) client.StartWorkflowOptions {
	return client.StartWorkflowOptions{ID: workflowID, TaskQueue: a.taskQueue}
}

func isRunning(err error) bool {
	var running *serviceerror.WorkflowExecutionAlreadyStarted
	return errors.As(err, &running)
}

// query asks the workflow of a secret, running or ended.
func (a *app) query(ctx context.Context, secretID string) (rotation.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	var status rotation.Status
	answer, err := a.temporal.QueryWorkflow(ctx, rotation.RotateUserWorkflowID(secretID), "", rotation.StatusQuery)
	if err != nil {
		return status, err
	}
	return status, answer.Get(&status)
}

// known is the status of a secret, empty for one that has no rotation, or whose rotation failed before it could answer. It
// fails if a rotation does not answer: what it knows of its pair must not be left out.
func (a *app) known(ctx context.Context, secretID string) (rotation.Status, error) {
	status, err := a.query(ctx, secretID)
	var none *serviceerror.NotFound
	var failed *serviceerror.QueryFailed
	switch {
	case err == nil:
		return status, nil
	case errors.As(err, &none), errors.As(err, &failed):
		return rotation.Status{}, nil
	default:
		return rotation.Status{}, a.unanswered(ctx, err, secretID)
	}
}

// unanswered explains why the workflow of a secret has not answered a query.
func (a *app) unanswered(ctx context.Context, err error, secretID string) error {
	if !isUnanswered(err) || ctx.Err() != nil {
		return a.noRotation(ctx, err, secretID)
	}
	if text := a.diagnose(ctx, rotation.RotateUserWorkflowID(secretID)); text != "" {
		return fmt.Errorf("the rotation of secret %s does not answer: %s", secretID, text)
	}
	queue := a.taskQueue
	if d, err := a.describe(ctx, rotation.RotateUserWorkflowID(secretID)); err == nil {
		queue = cmp.Or(d.GetExecutionConfig().GetTaskQueue().GetName(), queue)
	}
	if !a.polled(ctx, queue, enums.TASK_QUEUE_TYPE_WORKFLOW) {
		return fmt.Errorf("the rotation of secret %s does not answer: no worker polls task queue %s", secretID, queue)
	}
	return fmt.Errorf("the rotation of secret %s does not answer: see the log of the worker of task queue %s", secretID, queue)
}
