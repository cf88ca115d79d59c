package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/rotate-user/rotate-user/rotation"
)

// PlanRotationWorkflow returns what the next rotation of a secret would do. It takes the input of RotateUserWorkflow and writes
// nothing. If the rotation would be refused, it fails with the same error. The argument known is what the workflow that rotates
// the secret knows of its pair, nil if there is none; page is the page of the changes to return, counted from 1, the first by
// default.
func (Workflows) PlanRotationWorkflow(ctx workflow.Context, input rotation.RotateUserInput, known *rotation.State,
	page int) (plan rotation.PlanRotationResult, err error) {
	if err := input.Validate(); err != nil {
		return plan, invalidInput(err)
	}
	ctx = workflow.WithActivityOptions(ctx, stepOptions(input.ActivityTaskQueue, input.SecretID))
	in := rotation.PlanRotationInput{CloneUserInput: asKnown(ctx, input, known), Page: page}
	err = workflow.ExecuteActivity(ctx, rotation.Activities.PlanRotation, in).Get(ctx, &plan)
	tellFate(ctx, input.SecretID, known, err)
	return plan, err
}

// asKnown returns the input of the first step for a workflow that does not rotate.
func asKnown(ctx workflow.Context, input rotation.RotateUserInput, known *rotation.State) rotation.CloneUserInput {
	r := &rotator{input: input, asked: requests{rotation: &rotation.RotateRequest{Force: true}}}
	if known != nil {
		r.State = *known
	}
	return r.cloneUserInput(ctx)
}
