package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/rotate-user/rotate-user/activities"
)

// ValidateSecretInput names the secret to validate.
type ValidateSecretInput struct {
	SecretID          string `json:"SecretId"`
	ActivityTaskQueue string `json:"ActivityTaskQueue,omitempty"`

	typed typed
}

// ValidateSecretWorkflow proves that the stored credential logs in. known is what the
// workflow that rotates the secret knows of its pair, nil where there is none; that one
// is told if the secret turns out to be deleted.
func (Workflows) ValidateSecretWorkflow(ctx workflow.Context, input ValidateSecretInput, known *State) (result activities.ValidateSecretResult, err error) {
	if err := input.Validate(); err != nil {
		return result, invalidInput(err)
	}
	ctx = workflow.WithActivityOptions(ctx, stepOptions(input.ActivityTaskQueue, input.SecretID))
	in := activities.ValidateSecretInput{SecretID: input.SecretID}
	if known != nil {
		in.Known = activities.KnownPair{Usernames: known.Usernames, Server: known.DatabaseHost}
	}
	err = workflow.ExecuteActivity(ctx, "ValidateSecret", in).Get(ctx, &result)
	tellFate(ctx, input.SecretID, known, err)
	return result, err
}

// Validate names the first field that is wrong.
func (in ValidateSecretInput) Validate() error {
	if in.typed.err != nil {
		return in.typed.err
	}
	return validSecretID("SecretId", in.SecretID, true)
}

// UnmarshalJSON keeps what is wrong with the text for Validate.
func (in *ValidateSecretInput) UnmarshalJSON(data []byte) error {
	type plain ValidateSecretInput
	return in.typed.decode(data, (*plain)(in))
}
