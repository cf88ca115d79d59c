package workflows

import (
	"cmp"
	"errors"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/rotate-user/rotate-user/internal/plaintext"
	"github.com/rotate-user/rotate-user/rotation"
)

const (
	// StepTimeout bounds one attempt of one activity. A worker that stops lets the attempts that it has begun end first.
	StepTimeout = time.Minute

	// HeartbeatTimeout is how long after a worker's death the server repeats its steps. A worker sends four heartbeats in this
	// time, so that a step which is merely slow is not repeated.
	HeartbeatTimeout = 2 * time.Second

	// StickyTimeout is how long a workflow task waits for the worker that has the workflow in memory, before any other worker
	// may run it.
	StickyTimeout = 1500 * time.Millisecond

	// TaskTimeout is how long after a worker's death another worker repeats its workflow tasks. A task takes milliseconds.
	TaskTimeout = 5 * time.Second

	// stepPatience is how long a step is retried before the rotation has failed, and is left to its window.
	stepPatience = 10 * time.Minute

	// pacedPatience is how long a rotation waits for its turn, at most.
	pacedPatience = 48 * time.Hour

	// quickTries is the number of attempts of a step that the server makes, seconds apart. After them the workflow itself
	// repeats the step, which costs events and lets it say why.
	quickTries = 4

	// firstWait is how long the workflow waits before it repeats the step for the first time, and half of the second wait. So a server
	// that was away is used again before it has been back for as long as it was away.
	firstWait = 5 * time.Second

	// revokePatience is how long the revocation of the previous account is retried.
	revokePatience = 24 * time.Hour

	// firstWindow is how long a rotation at the start is retried. The schedule has no window for it.
	firstWindow = 24 * time.Hour

	// lateSpread is the time over which rotations are spread whose window passed while no worker was there.
	lateSpread = 15 * time.Minute

	// untilVisible is how long a rotation runs before visibility shows it. Most end within a
	// second, and then need no update.
	untilVisible = 30 * time.Second

	// fairnessBytes keeps a fairness key within Temporal's limit of 64 bytes.
	fairnessBytes = 60

	// stageTries is how many version ids a rotation tries. Each id that is taken was used by a worker that died, or by an
	// editor who knew it.
	stageTries = 3
)

// The priorities of steps on their task queue: those with a lower number are dispatched first. A server without priorities
// ignores them.
const (
	personPriority   = 1 // an operator waits for the step, or a credential has leaked
	schedulePriority = 3
	massPriority     = 5 // requested by a signal, as batch operations do
)

// stepOptions retries what passes quickly. Activities themselves say which errors a retry cannot fix.
func stepOptions(taskQueue, summary string) workflow.ActivityOptions {
	return workflow.ActivityOptions{
		TaskQueue:              taskQueue,
		StartToCloseTimeout:    StepTimeout,
		HeartbeatTimeout:       HeartbeatTimeout,
		ScheduleToCloseTimeout: stepPatience,
		RetryPolicy:            &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: time.Minute},
		Summary:                summary,
		Priority:               temporal.Priority{PriorityKey: personPriority},
	}
}

// paced turns options into those of a first step, for which waiting for its turn is not a failure.
func paced(o workflow.ActivityOptions, taskQueue string, untilWindowCloses time.Duration) workflow.ActivityOptions {
	o.TaskQueue = rotation.PacedTaskQueue(taskQueue)
	o.ScheduleToCloseTimeout = max(stepPatience, min(untilWindowCloses, pacedPatience))
	return o
}

// options returns the options of one step. Their summary names the secret, and its accounts once they are known, for the reader
// of a history. Zero tries means as many as the step's time allows.
func (r *rotator) options(ctx workflow.Context, name string, tries int32) workflow.Context {
	summary := r.input.SecretID
	if len(r.Usernames) == 2 {
		summary += ": " + plaintext.Line(r.Usernames[0]+" → "+r.Usernames[1])
	}
	o := stepOptions(r.input.ActivityTaskQueue, short(summary))
	o.Priority.PriorityKey = r.priority()
	// Hosts take turns, so that many rotations on one of them do not hold up those on the others.
	o.Priority.FairnessKey = plaintext.Cut(r.DatabaseHost, fairnessBytes)
	if name == rotation.CloneUser {
		patience := r.WindowCloses.Sub(workflow.Now(ctx))
		if r.asked.rotation != nil { // a request has no window
			patience = pacedPatience
		}
		o = paced(o, cmp.Or(r.input.ActivityTaskQueue, workflow.GetInfo(ctx).TaskQueueName), patience)
		if o.Priority.PriorityKey == personPriority {
			o.TaskQueue = r.input.ActivityTaskQueue // even on a server without priorities
		}
	}
	o.RetryPolicy.MaximumAttempts = tries
	return workflow.WithActivityOptions(ctx, o)
}

// priority returns the priority of the rotation's steps. An operator who waits does not queue behind paced rotations.
func (r *rotator) priority() int {
	switch {
	case r.asked.awaited || r.asked.rotation != nil && r.asked.rotation.RevokePrevious:
		return personPriority
	case r.asked.rotation != nil:
		return massPriority
	}
	return schedulePriority
}

// betweenTries returns how long to wait before a failed step is repeated, and for how long to repeat it: not at all if a
// repetition cannot help. A revocation is repeated for longer, and after any error: the rotation itself is done, and what is
// missing, such as a right of the administrator, can be added meanwhile.
func betweenTries(name string, attempts int, err error) (wait, patience time.Duration) {
	longest := time.Minute
	var app *temporal.ApplicationError
	isApp := errors.As(err, &app)
	switch {
	case temporal.IsCanceledError(err):
		return 0, -1
	case name == rotation.RevokePrevious && !(isApp && (app.Type() == rotation.ErrorEdited || app.Type() == rotation.ErrorOtherServer)):
		longest, patience = time.Hour, revokePatience
	case outOfTime(err), isApp && app.NonRetryable():
		return 0, -1
	default:
		patience = stepPatience
	}
	repeated := max(0, attempts-quickTries+1)
	wait = min(firstWait<<min(repeated, 10), longest)
	if isApp {
		wait = max(wait, app.NextRetryDelay())
	}
	return wait, patience
}
