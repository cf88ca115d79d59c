package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/rotate-user/rotate-user/rotation"
)

// ValidateSecretWorkflow proves that the stored credential logs in. The argument known is what the workflow that rotates the secret
// knows of its pair, nil if there is none. That workflow is told if the secret turns out to be deleted.
func (Workflows) ValidateSecretWorkflow(ctx workflow.Context, input rotation.ValidateSecretInput,
	known *rotation.State) (result rotation.ValidateSecretResult, err error) {
	if err := input.Validate(); err != nil {
		return result, invalidInput(err)
	}
	ctx = workflow.WithActivityOptions(ctx, stepOptions(input.ActivityTaskQueue, input.SecretID))
	in := rotation.KnownSecret{SecretID: input.SecretID, ProxySecretIDs: input.ProxySecretIDs}
	if known != nil {
		in.Known = rotation.KnownPair{Usernames: known.Usernames, Server: known.DatabaseHost}
	}
	err = workflow.ExecuteActivity(ctx, rotation.Activities.ValidateSecret, in).Get(ctx, &result)
	tellFate(ctx, input.SecretID, known, err)
	return result, err
}
