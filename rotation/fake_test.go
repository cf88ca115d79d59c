package rotation_test

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/stretchr/testify/mock"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/mocks"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/rotate-user/rotate-user/rotation"
)

// connect returns a client whose server behaves like a real worker: it rotates secrets, and refuses
// a rotation within the minimum overlap unless it is forced.
func connect() client.Client {
	c := &mocks.Client{}
	started := client.StartWorkflowOptions{ID: "rotate-user/shop/app", TaskQueue: "rotate-user"}
	c.On("ExecuteWorkflow", mock.Anything, started, "RotateUserWorkflow", mock.Anything).Return(&mocks.WorkflowRun{}, nil)
	c.On("UpdateWorkflow", mock.Anything, mock.Anything).Return(
		func(_ context.Context, o client.UpdateWorkflowOptions) client.WorkflowUpdateHandle {
			if !o.Args[0].(rotation.RotateRequest).Force {
				return result(nil, temporal.NewNonRetryableApplicationError("rotating again is safe from 21:58 UTC", "MinimumOverlap", nil))
			}
			return result(rotation.Rotation{Username: "app_clone", PreviousUsername: "app"}, nil)
		}, nil)
	c.On("QueryWorkflow", mock.Anything, "rotate-user/shop/app", "", "status").Return(encoded(rotation.Status{
		RotationStatus: rotation.Scheduled, NextRotationDate: time.Date(2026, time.December, 6, 2, 0, 0, 0, time.UTC),
	}), nil)
	c.On("SignalWorkflow", mock.Anything, "rotate-user/shop/app", "", "pause", mock.Anything).Return(nil)
	c.On("Close")
	return c
}

func result(value any, err error) client.WorkflowUpdateHandle {
	handle := &mocks.WorkflowUpdateHandle{}
	handle.On("Get", mock.Anything, mock.Anything).Return(func(_ context.Context, into any) error {
		if err != nil {
			return err
		}
		return encoded(value).Get(into)
	})
	return handle
}

func encoded(value any) converter.EncodedValue {
	payloads, err := converter.GetDefaultDataConverter().ToPayloads(value)
	if err != nil {
		panic(err)
	}
	return client.NewValue(payloads)
}

// runWorkflow runs another team's workflow beside those of rotate-user, and returns its result.
func runWorkflow(w func(workflow.Context) (string, error), activities any) (result string, err error) {
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	env := suite.NewTestWorkflowEnvironment()
	env.RegisterActivity(activities)
	env.RegisterWorkflowWithOptions(func(workflow.Context, rotation.ValidateSecretInput) (rotation.ValidateSecretResult, error) {
		return rotation.ValidateSecretResult{Username: "app_clone"}, nil
	}, workflow.RegisterOptions{Name: "ValidateSecretWorkflow"})
	env.OnSignalExternalWorkflow(mock.Anything, mock.Anything, mock.Anything, mock.Anything, mock.Anything).Return(
		func(_, workflowID, _, name string, _ any) error {
			fmt.Println("signal", name, "to", workflowID)
			return nil
		})
	env.ExecuteWorkflow(w)
	if err := env.GetWorkflowError(); err != nil {
		return "", err
	}
	return result, env.GetWorkflowResult(&result)
}
