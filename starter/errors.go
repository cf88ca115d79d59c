package main

import (
	"context"
	"errors"
	"fmt"
	_ "time/tzdata"

	"go.temporal.io/api/serviceerror"
	sdk "go.temporal.io/sdk/temporal"

	"github.com/rotate-user/rotate-user/rotation"
)

// advised is an error and what to do about it.
type advised struct {
	error
	advice string
}

func (e advised) Unwrap() error { return e.error }

func advise(advice, format string, args ...any) error {
	return advised{fmt.Errorf(format, args...), advice}
}

// isUnanswered reports whether nobody took up what was asked.
func isUnanswered(err error) bool {
	var exceeded *serviceerror.DeadlineExceeded
	var precondition *serviceerror.FailedPrecondition // no worker has polled for minutes
	var notReady *serviceerror.WorkflowNotReady       // a worker has not begun it yet
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &exceeded) || errors.As(err, &precondition) || errors.As(err, &notReady)
}

// applicationType is the type of the error of a workflow or an activity, empty where it is another error.
func applicationType(err error) string {
	var application *sdk.ApplicationError
	if errors.As(err, &application) {
		return application.Type()
	}
	return ""
}

// runEnded is the type of Temporal's error for an update that was accepted by a run which then ended.
const runEnded = "AcceptedUpdateCompletedWorkflow"

// isRunGone reports whether a rotation was asked for, and is not known to have ended.
func isRunGone(err error) bool {
	var cancelled *sdk.CanceledError
	var gone *serviceerror.NotFound
	return applicationType(err) == runEnded || errors.As(err, &cancelled) || errors.As(err, &gone)
}

// isSameFailure tells a rotation that failed from one that was never begun.
func isSameFailure(r rotation.Rotation, err error) bool {
	var application *sdk.ApplicationError
	return errors.As(err, &application) && r.Error != "" && r.Error == application.Message()
}

func isRunning(err error) bool {
	var running *serviceerror.WorkflowExecutionAlreadyStarted
	return errors.As(err, &running)
}
