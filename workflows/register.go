// Package workflows is the deterministic part: when a credential is rotated,
// in which steps, and what is done when one of them fails. All that touches the
// world is in package activities.
package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/rotate-user/rotate-user/rotation"
)

// Workflows are registered as one; the type of each workflow is the name of its method.
type Workflows struct {
	// SearchAttributes says whether the cluster has the search attributes of
	// this package; nil is no. The answer is recorded in the workflow's history.
	SearchAttributes func() bool
}

// Register registers every workflow. Workers, replayers and test environments
// register alike.
func Register(r worker.WorkflowRegistry, w Workflows) {
	r.RegisterWorkflow(w.RotateUserWorkflow)
	r.RegisterWorkflow(w.PlanRotationWorkflow)
	r.RegisterWorkflow(w.ValidateSecretWorkflow)
	r.RegisterWorkflow(w.LookAtSecretWorkflow)
	r.RegisterWorkflow(w.RecoverSecretWorkflow)
	r.RegisterWorkflow(w.CreateUserWorkflow)
	r.RegisterWorkflow(w.DeleteUserWorkflow)
}

const (
	// StepTimeout bounds one try of one activity. A worker that stops lets the
	// tries it has begun end first.
	StepTimeout = time.Minute

	// HeartbeatTimeout is how long after a worker's death its steps are begun anew
	// by another.
	HeartbeatTimeout = 10 * time.Second

	// stepPatience is how long a step is tried before the attempt has failed and
	// the next is left to the rotation's window.
	stepPatience = 10 * time.Minute
)

const (
	// pacedPatience is how long a rotation waits for its turn, at most.
	pacedPatience = 48 * time.Hour

	// quickTries are the attempts of a step that the server makes, seconds apart. After them
	// the workflow repeats the step itself, which costs events and lets it say why.
	quickTries = 4
	// revokePatience is how long the previous account is tried to be revoked.
	revokePatience = 24 * time.Hour
)

// The priorities of steps on their task queue, where those that wait are handed out in this order. A server that knows no
// priorities leaves them out.
const (
	personPriority   = 1 // a person waits for the step, or a credential has leaked
	schedulePriority = 3
	massPriority     = 5 // asked for by a signal, as a batch operation does for many
)

// paced makes options those of a first step. Waiting for its turn is no failure.
func paced(o workflow.ActivityOptions, taskQueue string, untilWindowCloses time.Duration) workflow.ActivityOptions {
	o.TaskQueue = rotation.PacedTaskQueue(taskQueue)
	o.ScheduleToCloseTimeout = max(stepPatience, min(untilWindowCloses, pacedPatience))
	return o
}

// stepOptions retry what passes quickly; activities say themselves which errors
// no retry can mend.
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
