package rotation_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/rotate-user/rotate-user/rotation"
)

// OffboardWorkflow is another team's workflow. An administrator has left, so every credential that
// this person knew must change: the shop's before the workflow continues, the reports' at some
// later time.
func OffboardWorkflow(ctx workflow.Context) (string, error) {
	// Request a rotation without waiting for it. This works between any two workflows of a namespace.
	err := workflow.SignalExternalWorkflow(ctx, rotation.RotateUserWorkflowID("shop/reports"), "",
		rotation.RotateUpdate, rotation.RotateRequest{}).Get(ctx, nil)
	if err != nil {
		return "", err
	}

	// Request a rotation and wait for it. A workflow cannot send an update, so an activity does.
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: 10 * time.Minute})
	request := rotation.RotateRequest{Force: true, RevokePrevious: true}
	var rotated rotation.Rotation
	if err := workflow.ExecuteActivity(ctx, (*Rotations).Rotate, "shop/app", request).Get(ctx, &rotated); err != nil {
		return "", err
	}

	// Prove that the new credential logs in: every other workflow of package rotation can be a child.
	child := workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{TaskQueue: rotation.TaskQueue})
	var login rotation.ValidateSecretResult
	err = workflow.ExecuteChildWorkflow(child, rotation.ValidateSecretWorkflow, rotation.ValidateSecretInput{SecretID: "shop/app"}).Get(ctx,
		&login)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s logs in, %s no longer does", login.Username, rotated.PreviousUsername), nil
}

// Rotations has the activities of the other team's worker.
type Rotations struct {
	Client client.Client
}

// Rotate rotates a secret and waits for the result. An attempt that follows a crash or a timeout
// does not rotate a second time: it finds the earlier request by the update's id or, if the
// rotation has ended, in the status.
func (r *Rotations) Rotate(ctx context.Context, secretID string, request rotation.RotateRequest) (rotated rotation.Rotation, err error) {
	info := activity.GetInfo(ctx)
	id := rotation.RotateUserWorkflowID(secretID)
	answer, err := r.Client.QueryWorkflow(ctx, id, "", rotation.StatusQuery)
	var status rotation.Status
	if err == nil {
		err = answer.Get(&status)
	}
	if err != nil {
		return rotated, err
	}
	if len(status.Rotations) > 0 && status.Rotations[0].StartedAt.After(info.ScheduledTime) && status.Rotations[0].Error == "" {
		return status.Rotations[0], nil
	}

	handle, err := r.Client.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{
		WorkflowID: id, UpdateID: info.WorkflowExecution.RunID + "/" + info.ActivityID,
		UpdateName: rotation.RotateUpdate, Args: []any{request}, WaitForStage: client.WorkflowUpdateStageAccepted,
	})
	if err != nil {
		return rotated, err
	}
	err = handle.Get(ctx, &rotated)
	var failed *temporal.ApplicationError
	if errors.As(err, &failed) && failed.Type() != rotation.ErrorJustRotated {
		// The rotation was refused or has failed. The message says what to do, and another attempt
		// would fail as well.
		return rotated, temporal.NewNonRetryableApplicationError(failed.Message(), failed.Type(), err)
	}
	return rotated, err
}

// Another team's workflow requests rotations and waits for one of them.
func Example_workflow() {
	c := connect() // in a program: client.Dial(client.Options{})
	defer c.Close()

	// A program registers both with its own worker, on its own task queue.
	text, err := runWorkflow(OffboardWorkflow, &Rotations{Client: c})
	fmt.Println(text, err)

	// Output:
	// signal rotate to rotate-user/shop/reports
	// app_clone logs in, app no longer does <nil>
}
