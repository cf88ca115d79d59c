package main

import (
	"context"
	"errors"
	"fmt"

	"go.temporal.io/api/serviceerror"
	sdk "go.temporal.io/sdk/temporal"

	"github.com/rotate-user/rotate-user/rotation"
)

// advised is an error with advice on what to do about it.
type advised struct {
	error
	advice string
}

func (e advised) Unwrap() error { return e.error }

func advise(advice, format string, args ...any) error {
	return advised{fmt.Errorf(format, args...), advice}
}

// isUnanswered reports whether no worker has answered.
func isUnanswered(err error) bool {
	var exceeded *serviceerror.DeadlineExceeded
	var precondition *serviceerror.FailedPrecondition // no worker has polled for minutes
	var notReady *serviceerror.WorkflowNotReady       // no worker has started it yet
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &exceeded) || errors.As(err, &precondition) || errors.As(err, &notReady)
}

// applicationType returns the type of an error from a workflow or an activity. It is empty for any other error.
func applicationType(err error) string {
	var application *sdk.ApplicationError
	if errors.As(err, &application) {
		return application.Type()
	}
	return ""
}

// runEnded is the type of Temporal's error for an update whose run ended before the update did.
const runEnded = "AcceptedUpdateCompletedWorkflow"

// isRunGone reports whether the run that a rotation was requested from is gone, so that nothing is known about the rotation.
func isRunGone(err error) bool {
	var cancelled *sdk.CanceledError
	var gone *serviceerror.NotFound
	return applicationType(err) == runEnded || errors.As(err, &cancelled) || errors.As(err, &gone)
}

// isSameFailure reports whether err is the failure of r, rather than a refusal to start another rotation.
func isSameFailure(r rotation.Rotation, err error) bool {
	var application *sdk.ApplicationError
	return errors.As(err, &application) && r.Error != "" && r.Error == application.Message()
}

func isNotFound(err error) bool {
	var none *serviceerror.NotFound
	return errors.As(err, &none)
}

func isRunning(err error) bool {
	var running *serviceerror.WorkflowExecutionAlreadyStarted
	return errors.As(err, &running)
}
