// Package workflows is the deterministic part: when a credential is rotated,
// in which steps, and what is done when one of them fails. All that touches the
// world is in package activities.
package workflows

import (
	"go.temporal.io/sdk/worker"
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
