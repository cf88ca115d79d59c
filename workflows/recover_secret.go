package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/rotate-user/rotate-user/rotation"
)

// RecoverSecretWorkflow moves AWSCURRENT to the newest version of a secret that logs in, if the current one does not. It fails if
// no version logs in. If a deletion of the secret was cut off and left its accounts locked, it unlocks them and resumes the
// rotation. It takes the input of RotateUserWorkflow; known is what the workflow that rotates the secret knows of its pair, nil if
// there is none, and earlier is the state of the deletion.
func (Workflows) RecoverSecretWorkflow(ctx workflow.Context, input rotation.RotateUserInput, known *rotation.State,
	earlier *rotation.DeletionState) (result rotation.RecoverSecretResult, err error) {
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
