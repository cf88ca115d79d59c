package main

import (
	"context"
	"errors"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/rotate-user/rotate-user/rotation"
	"github.com/rotate-user/rotate-user/workflows"
)

// denials finds when a rotation is attempted again after AWS has denied its calls for an hour or more. The workflow runs in simulated
// time. How long it waits depends on the minute at which the denials end.
func (b *bench) denials(context.Context) error {
	var waits samples
	for minutes := 60; minutes < 120; minutes++ {
		wait, err := b.afterDenials(time.Duration(minutes) * time.Minute)
		if err != nil {
			return err
		}
		waits = append(waits, wait.Minutes())
	}
	b.report.AfterDenialsMinutes = waits[0]
	b.report.AfterDenialsMinutesMedian, b.report.AfterDenialsMinutesMax = waits.median(), waits.quantile(1)
	return nil
}

// afterDenials returns how long after the end of denials, which last from the start of a rotation, its first step succeeds.
func (b *bench) afterDenials(denied time.Duration) (time.Duration, error) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var succeeded time.Time
	input, state := rotation.RotateUserInput{SecretID: "denied"}, (*rotation.State)(nil)
	for now := start; ; {
		var suite testsuite.WorkflowTestSuite
		suite.SetLogger(b.silent)
		env := suite.NewTestWorkflowEnvironment()
		env.SetStartTime(now)
		workflows.Register(env, workflows.Workflows{})
		env.RegisterActivityWithOptions(func(context.Context, rotation.CloneUserInput) (rotation.CloneUserResult, error) {
			if env.Now().Sub(start) >= denied {
				succeeded = env.Now() // what follows is not simulated
			}
			return rotation.CloneUserResult{}, temporal.NewNonRetryableApplicationError("denied", rotation.ErrorAccessDenied, nil)
		}, activity.RegisterOptions{Name: rotation.CloneUser})
		if state == nil {
			env.ExecuteWorkflow(rotation.RotateUserWorkflow, input)
		} else {
			env.ExecuteWorkflow(rotation.RotateUserWorkflow, input, state)
		}
		if !succeeded.IsZero() {
			return succeeded.Sub(start) - denied, nil
		}
		err := env.GetWorkflowError()
		next, ok := errors.AsType[*workflow.ContinueAsNewError](err)
		if !ok {
			return 0, errors.Join(errors.New("the simulated rotation ended"), err)
		}
		now, state = env.Now(), new(rotation.State)
		if err := converter.GetDefaultDataConverter().FromPayloads(next.Input, &input, state); err != nil {
			return 0, err
		}
	}
}
