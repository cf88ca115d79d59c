package main

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/failure/v1"
	"go.temporal.io/api/workflowservice/v1"

	"github.com/rotate-user/rotate-user/internal/plaintext"
)

const (
	queryTimeout = 10 * time.Second
	pollInterval = 200 * time.Millisecond // how often a command checks the workflow that it waits for

	hintAfter = 5 * time.Second // how long watch waits for an answer before it looks for the cause

	// pollerTimeout is longer than a poll lasts. A worker that has not polled for that long is gone.
	pollerTimeout = 90 * time.Second
)

// describe returns what Temporal itself knows about a workflow, even if no worker answers or the workflow has ended.
func (a *app) describe(ctx context.Context, workflowID string) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	return a.temporal.DescribeWorkflowExecution(ctx, workflowID, "")
}

// retry is a step that has failed and is being retried.
type retry struct {
	Step  string `json:"Step"`
	Tries int    `json:"Tries"` // failed so far
	Error string `json:"Error"`
	// ErrorType is empty for a failure without a type, such as a timeout.
	ErrorType string    `json:"ErrorType,omitempty"`
	Next      time.Time `json:"NextTry,omitzero"` // zero during an attempt
}

func retries(d *workflowservice.DescribeWorkflowExecutionResponse) []retry {
	var all []retry
	for _, p := range d.GetPendingActivities() {
		if p.GetLastFailure() == nil {
			continue
		}
		r := retry{Step: p.GetActivityType().GetName(), Tries: int(p.GetAttempt()) - 1, Error: plaintext.Line(failureText(p.GetLastFailure())),
			ErrorType: failureType(p.GetLastFailure())}
		if p.GetState() == enums.PENDING_ACTIVITY_STATE_SCHEDULED {
			if next := cmp.Or(p.GetNextAttemptScheduleTime(), p.GetScheduledTime()); next != nil {
				r.Next = next.AsTime()
			}
		}
		all = append(all, r)
	}
	return all
}

// failureText returns the text of the innermost failure.
func failureText(f *failure.Failure) string {
	for f.GetCause() != nil {
		f = f.GetCause()
	}
	if f.GetTimeoutFailureInfo() != nil {
		return "the step timed out"
	}
	return f.GetMessage()
}

// failureType returns the type of the innermost failure, or an empty string.
func failureType(f *failure.Failure) string {
	for f.GetCause() != nil {
		f = f.GetCause()
	}
	return f.GetApplicationFailureInfo().GetType()
}

func (r retry) text(now time.Time) string { return r.times(now) + ": " + r.Error }

// times returns the text without the error.
func (r retry) times(now time.Time) string {
	times := fmt.Sprintf("%d times", r.Tries)
	if r.Tries <= 1 {
		times = "once"
	}
	next := "is being retried now"
	if r.Next.After(now) {
		next = "is retried at " + date(r.Next, now)
	}
	return fmt.Sprintf("%s has failed %s and %s", r.Step, times, next)
}

// watch reports what a workflow is waiting for until stop is called: each failed attempt of a step,
// or what is missing if nothing happens at all.
func (a *app) watch(ctx context.Context, workflowID string, say func(string)) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(a.watchInterval)
		defer tick.Stop()
		silent := time.NewTimer(a.hintAfter)
		defer silent.Stop()
		said := map[string]retry{} // by step
		for {
			select {
			case <-ctx.Done():
				return
			case <-silent.C:
				if text := a.diagnose(ctx, workflowID); text != "" && len(said) == 0 && ctx.Err() == nil {
					say("Still waiting: " + text)
				}
			case <-tick.C:
				d, err := a.describe(ctx, workflowID)
				if err != nil {
					continue // the command that waits for the workflow reports it
				}
				for _, r := range retries(d) {
					before := said[r.Step]
					if r.Tries <= before.Tries || ctx.Err() != nil {
						continue
					}
					said[r.Step] = r
					if r.Error == before.Error {
						say(r.times(a.now()))
					} else {
						say(r.text(a.now()))
					}
				}
			}
		}
	}()
	return func() { cancel(); <-done }
}

// diagnose says why a workflow makes no progress. It is empty if nothing is wrong, or if nothing is known.
func (a *app) diagnose(ctx context.Context, workflowID string) string {
	d, err := a.describe(ctx, workflowID)
	if err != nil {
		return ""
	}
	for _, r := range retries(d) {
		return r.text(a.now())
	}
	queue := cmp.Or(d.GetExecutionConfig().GetTaskQueue().GetName(), a.taskQueue)
	for _, p := range d.GetPendingActivities() {
		step, on := p.GetActivityType().GetName(), cmp.Or(p.GetActivityOptions().GetTaskQueue().GetName(), queue)
		switch {
		case p.GetState() == enums.PENDING_ACTIVITY_STATE_STARTED:
			return fmt.Sprintf("%s has been running since %s", step, date(p.GetLastStartedTime().AsTime(), a.now()))
		case !a.hasPoller(ctx, on, enums.TASK_QUEUE_TYPE_ACTIVITY):
			return fmt.Sprintf("%s is waiting, and no worker polls task queue %s: start one", step, on)
		default:
			return fmt.Sprintf("%s is waiting for its turn: the workers of task queue %s are busy, or other rotations come first", step, on)
		}
	}
	if d.GetPendingWorkflowTask() == nil {
		return ""
	}
	if !a.hasPoller(ctx, queue, enums.TASK_QUEUE_TYPE_WORKFLOW) {
		return fmt.Sprintf("no worker polls task queue %s: start one, or set --task-queue to the worker's queue", queue)
	}
	return fmt.Sprintf("the worker on task queue %s has not answered: see its log", queue)
}

// hasPoller reports whether a worker polls a task queue. It returns true if Temporal does not say.
func (a *app) hasPoller(ctx context.Context, queue string, kind enums.TaskQueueType) bool {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	d, err := a.temporal.DescribeTaskQueue(ctx, queue, kind)
	if err != nil {
		return true
	}
	for _, p := range d.GetPollers() {
		if a.now().Sub(p.GetLastAccessTime().AsTime()) < pollerTimeout {
			return true
		}
	}
	return false
}

// isIdle reports whether a workflow is not waiting for an activity.
func (a *app) isIdle(ctx context.Context, workflowID string) bool {
	description, err := a.describe(ctx, workflowID)
	return err == nil && len(description.GetPendingActivities()) == 0
}

// execute runs a workflow to its end.
func (a *app) execute(ctx context.Context, id, summary, workflow string, result any, args ...any) error {
	options := a.startOptions(id, summary)
	options.WorkflowExecutionErrorWhenAlreadyStarted = true
	run, err := a.temporal.ExecuteWorkflow(ctx, options, workflow, args...)
	if err != nil {
		return err
	}
	defer a.watch(ctx, id, a.say)()
	return run.Get(ctx, result)
}
