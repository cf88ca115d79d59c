package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/rotate-user/rotate-user/activities"
)

// RecoverSecretWorkflow moves AWSCURRENT to the newest version of a secret that
// logs in, where the one that is there does not. It takes the input of
// RotateUserWorkflow; known is what the workflow that rotates the secret knows of
// its pair, nil where there is none. Where no version logs in, it fails.
func (Workflows) RecoverSecretWorkflow(ctx workflow.Context, input RotateUserInput, known *State) (result activities.RecoverSecretResult, err error) {
	if err := input.Validate(); err != nil {
		return result, invalidInput(err)
	}
	ctx = workflow.WithActivityOptions(ctx, stepOptions(input.ActivityTaskQueue, input.SecretID))
	err = workflow.ExecuteActivity(ctx, "RecoverSecret", asKnown(ctx, input, known)).Get(ctx, &result)
	return result, err
}
