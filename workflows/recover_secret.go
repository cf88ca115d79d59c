package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/rotate-user/rotate-user/rotation"
)

// RecoverSecretWorkflow moves AWSCURRENT to the newest version of a secret that
// logs in, where the one that is there does not. It takes the input of
// RotateUserWorkflow; known is what the workflow that rotates the secret knows of
// its pair, nil where there is none. Where no version logs in, it fails. If a deletion
// of the secret was cut and left its accounts locked, it unlocks them and lets the
// rotation go on: known says that the deletion holds it, and earlier is its state.
func (Workflows) RecoverSecretWorkflow(ctx workflow.Context, input rotation.RotateUserInput, known *rotation.State, earlier *rotation.DeletionState) (result rotation.RecoverSecretResult, err error) {
	if err := input.Validate(); err != nil {
		return result, invalidInput(err)
	}
	ctx = workflow.WithActivityOptions(ctx, stepOptions(input.ActivityTaskQueue, input.SecretID))
	in := rotation.RecoverSecretInput{CloneUserInput: asKnown(ctx, input, known), Held: known != nil && known.Held}
	if earlier != nil {
		in.Locked, in.LockedBefore = earlier.Deletion.LockedForIt(), earlier.Deletion.LockedBefore
	}
	if err := workflow.ExecuteActivity(ctx, rotation.Activities.RecoverSecret, in).Get(ctx, &result); err != nil {
		return result, err
	}
	if in.Held || len(result.Unlocked) > 0 {
		releaseRotation(ctx, input.SecretID)
	}
	return result, nil
}
