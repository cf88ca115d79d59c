package rotation_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/rotate-user/rotate-user/rotation"
)

// A client starts the rotation of a secret, rotates it now, reads its status, and pauses it.
func Example() {
	ctx := context.Background()
	c := connect() // in a program: client.Dial(client.Options{})
	defer c.Close()

	// Start one workflow for the secret. It rotates now, and then every Sunday.
	id := rotation.RotateUserWorkflowID("shop/app")
	overlap := rotation.Duration(2 * time.Hour)
	_, err := c.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: id, TaskQueue: rotation.TaskQueue},
		rotation.RotateUserWorkflow, rotation.RotateUserInput{
			SecretID:       "shop/app",
			RotationRules:  rotation.RotationRules{ScheduleExpression: "cron(0 2 ? * SUN *)", Duration: "3h"},
			MinimumOverlap: &overlap,
		})
	if err != nil {
		fmt.Println("start:", err)
		return
	}

	// Rotate now, and wait for the result.
	rotate := func(request rotation.RotateRequest) (rotated rotation.Rotation, err error) {
		handle, err := c.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{
			WorkflowID: id, UpdateName: rotation.RotateUpdate, Args: []any{request}, WaitForStage: client.WorkflowUpdateStageCompleted,
		})
		if err == nil {
			err = handle.Get(ctx, &rotated)
		}
		return rotated, err
	}
	rotated, err := rotate(rotation.RotateRequest{})
	var refused *temporal.ApplicationError
	if errors.As(err, &refused) && refused.Type() == rotation.ErrorMinimumOverlap {
		fmt.Println("too soon after the last rotation: rotate with Force")
		rotated, err = rotate(rotation.RotateRequest{Force: true})
	}
	if err != nil {
		fmt.Println("rotate:", err)
		return
	}
	fmt.Println("the secret now holds user", rotated.Username)

	// Query the status.
	answer, err := c.QueryWorkflow(ctx, id, "", rotation.StatusQuery)
	var status rotation.Status
	if err == nil {
		err = answer.Get(&status)
	}
	if err != nil {
		fmt.Println("status:", err)
		return
	}
	fmt.Println("status:", status.RotationStatus, "- next rotation:", status.NextRotationDate.Format(time.DateTime))

	// Every update has a signal of the same name, for callers that do not wait for the answer.
	if err := c.SignalWorkflow(ctx, id, "", rotation.PauseUpdate, rotation.Sender{SentAt: time.Now()}); err != nil {
		fmt.Println("pause:", err)
	}

	// Output:
	// too soon after the last rotation: rotate with Force
	// the secret now holds user app_clone
	// status: Scheduled - next rotation: 2026-12-06 02:00:00
}
