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

// ValidateSecretWorkflow proves that the stored credential logs in.
func (Workflows) ValidateSecretWorkflow(ctx workflow.Context, input ValidateSecretInput) (result activities.ValidateSecretResult, err error) {
	if err := input.Validate(); err != nil {
		return result, invalidInput(err)
	}
	ctx = workflow.WithActivityOptions(ctx, stepOptions(input.ActivityTaskQueue, input.SecretID))
	err = workflow.ExecuteActivity(ctx, "ValidateSecret", activities.ValidateSecretInput{SecretID: input.SecretID}).Get(ctx, &result)
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
