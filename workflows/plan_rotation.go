package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/rotate-user/rotate-user/activities"
)

// PlanRotationWorkflow shows what the next rotation of a secret would do. It
// takes the input of RotateUserWorkflow and writes nothing. Where the rotation
// would be refused, it fails with the same error.
func (Workflows) PlanRotationWorkflow(ctx workflow.Context, input RotateUserInput) (plan activities.PlanRotationResult, err error) {
	if err := input.Validate(); err != nil {
		return plan, invalidInput(err)
	}
	ctx = workflow.WithActivityOptions(ctx, stepOptions(input.ActivityTaskQueue, input.SecretID))
	err = workflow.ExecuteActivity(ctx, "PlanRotation", activities.CloneUserInput{
		SecretID: input.SecretID, MasterSecretID: input.MasterSecretID, CloneUsername: input.CloneUsername, Force: true,
		VersionID: workflow.GetInfo(ctx).OriginalRunID,
	}).Get(ctx, &plan)
	return plan, err
}
