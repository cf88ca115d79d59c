// Package workflows is the deterministic part: when a credential is rotated, in which steps, and what happens when a step fails.
// Package activities does everything that touches the outside world.
package workflows

import (
	"go.temporal.io/sdk/worker"
)

// Workflows holds all workflows as methods. The type of each workflow is the name of its method.
type Workflows struct {
	// SearchAttributes reports whether the cluster has the search attributes; nil means no. The answer is recorded in the
	// workflow's history.
	SearchAttributes func() bool
}

// Register registers every workflow with a worker, a replayer or a test environment.
func Register(r worker.WorkflowRegistry, w Workflows) {
	r.RegisterWorkflow(w.RotateUserWorkflow)
	r.RegisterWorkflow(w.PlanRotationWorkflow)
	r.RegisterWorkflow(w.ValidateSecretWorkflow)
	r.RegisterWorkflow(w.LookAtSecretWorkflow)
	r.RegisterWorkflow(w.RecoverSecretWorkflow)
	r.RegisterWorkflow(w.CreateUserWorkflow)
	r.RegisterWorkflow(w.DeleteUserWorkflow)
	r.RegisterWorkflow(w.SyncFleetWorkflow)
	r.RegisterWorkflow(w.RotateFleetWorkflow)
	r.RegisterWorkflow(w.PlanFleetWorkflow)
}
