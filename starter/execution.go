package main

import (
	"cmp"
	"context"
	"fmt"
	"time"
	_ "time/tzdata"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/failure/v1"
	"go.temporal.io/api/workflowservice/v1"

	"github.com/rotate-user/rotate-user/internal/plaintext"
)

// What follows is what Temporal itself knows of a workflow: it answers when no worker does, and for a workflow that has ended.

const (
	queryTimeout = 10 * time.Second
	pollInterval = 200 * time.Millisecond // between two looks at a workflow that the command waits for

	hintAfter = 5 * time.Second // without an answer, before the reason is looked for

	// pollerTimeout is longer than a poll lasts: a worker that has not asked for that long is gone.
	pollerTimeout = 90 * time.Second
)

func (a *app) describe(ctx context.Context, workflowID string) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	return a.temporal.DescribeWorkflowExecution(ctx, workflowID, "")
}

// retry is a step that has failed and is tried again.
type retry struct {
	Step  string `json:"Step"`
	Tries int    `json:"Tries"` // that have failed
	Error string `json:"Error"`
	// ErrorType is empty for a failure that is not of our making, such as a timeout.
	ErrorType string    `json:"ErrorType,omitempty"`
	Next      time.Time `json:"NextTry,omitzero"` // zero while a try is under way
}

func retries(d *workflowservice.DescribeWorkflowExecutionResponse) []retry {
	var all []retry
	for _, p := range d.GetPendingActivities() {
		if p.GetLastFailure() == nil {
			continue
		}
		r := retry{Step: p.GetActivityType().GetName(), Tries: int(p.GetAttempt()) - 1, Error: plaintext.Line(failureText(p.GetLastFailure())), ErrorType: failureType(p.GetLastFailure())}
		if p.GetState() == enums.PENDING_ACTIVITY_STATE_SCHEDULED {
			if next := cmp.Or(p.GetNextAttemptScheduleTime(), p.GetScheduledTime()); next != nil {
				r.Next = next.AsTime()
			}
		}
		all = append(all, r)
	}
	return all
}

// failureText is the text of who failed, without the layers it came through.
func failureText(f *failure.Failure) string {
	for f.GetCause() != nil {
		f = f.GetCause()
	}
	if f.GetTimeoutFailureInfo() != nil {
		return "the step did not end in time"
	}
	return f.GetMessage()
}

// failureType is the type of the same error, empty if it has none.
func failureType(f *failure.Failure) string {
	for f.GetCause() != nil {
		f = f.GetCause()
	}
	return f.GetApplicationFailureInfo().GetType()
}

func (r retry) text(now time.Time) string { return r.times(now) + ": " + r.Error }

// times is text without the error.
func (r retry) times(now time.Time) string {
	times := fmt.Sprintf("%d times", r.Tries)
	if r.Tries <= 1 {
		times = "once"
	}
	next := "is being tried again"
	if r.Next.After(now) {
		next = "is tried again at " + date(r.Next, now)
	}
	return fmt.Sprintf("%s has failed %s and %s", r.Step, times, next)
}

// watch tells what a workflow waits for, until stop is called: each failed try of a step from the first one on, and what is
// missing if nothing happens at all.
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
					continue // whoever waits for the workflow learns of it
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

// diagnose says why a workflow does not go on; empty where nothing is wrong with it, or nothing is known.
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
			return fmt.Sprintf("%s waits, and no worker polls task queue %s: start one there", step, on)
		default:
			return fmt.Sprintf("%s waits for its turn: the workers of task queue %s are busy, or other rotations are due", step, on)
		}
	}
	if d.GetPendingWorkflowTask() == nil {
		return ""
	}
	if !a.hasPoller(ctx, queue, enums.TASK_QUEUE_TYPE_WORKFLOW) {
		return fmt.Sprintf("no worker polls task queue %s: start one, or name the queue of the worker with --task-queue", queue)
	}
	return fmt.Sprintf("the worker of task queue %s has not answered: see its log", queue)
}

// hasPoller reports whether a worker asks for tasks of a task queue. What cannot be told counts as yes.
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

// isIdle says whether a workflow waits for no activity.
func (a *app) isIdle(ctx context.Context, workflowID string) bool {
	description, err := a.describe(ctx, workflowID)
	return err == nil && len(description.GetPendingActivities()) == 0
}

// execute runs a workflow to its end.
func (a *app) execute(ctx context.Context, id, workflow string, result any, args ...any) error {
	options := a.startOptions(id)
	options.WorkflowExecutionErrorWhenAlreadyStarted = true
	run, err := a.temporal.ExecuteWorkflow(ctx, options, workflow, args...)
	if err != nil {
		return err
	}
	defer a.watch(ctx, id, a.say)()
	return run.Get(ctx, result)
}
