package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/rotate-user/rotate-user/rotation"
)

// PlanRotationWorkflow shows what the next rotation of a secret would do. It
// takes the input of RotateUserWorkflow and writes nothing. Where the rotation
// would be refused, it fails with the same error. known is what the workflow
// that rotates the secret knows of its pair, nil where there is none. page is
// which page of the changes to answer, from 1 on; the first if it is left out.
func (Workflows) PlanRotationWorkflow(ctx workflow.Context, input rotation.RotateUserInput, known *rotation.State, page int) (plan rotation.PlanRotationResult, err error) {
	if err := input.Validate(); err != nil {
		return plan, invalidInput(err)
	}
	ctx = workflow.WithActivityOptions(ctx, stepOptions(input.ActivityTaskQueue, input.SecretID))
	in := rotation.PlanRotationInput{CloneUserInput: asKnown(ctx, input, known), Page: page}
	err = workflow.ExecuteActivity(ctx, rotation.Activities.PlanRotation, in).Get(ctx, &plan)
	tellFate(ctx, input.SecretID, known, err)
	return plan, err
}

// asKnown is the input of the first step for who looks at a pair and rotates nothing.
func asKnown(ctx workflow.Context, input rotation.RotateUserInput, known *rotation.State) rotation.CloneUserInput {
	r := &rotator{input: input, asked: requests{rotation: &rotation.RotateRequest{Force: true}}}
	if known != nil {
		r.State = *known
	}
	return r.cloneUserInput(ctx)
}
