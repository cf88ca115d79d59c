package main

import (
	"context"
	"errors"
	"fmt"

	"go.temporal.io/api/serviceerror"
	sdk "go.temporal.io/sdk/temporal"
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

// noRotation explains that a secret has no running workflow.
func noRotation(err error, secretID string) error {
	var gone *serviceerror.NotFound
	if !errors.As(err, &gone) {
		return err
	}
	return advise("Start one with: starter start --secret-id "+secretID, "no rotation of secret %s runs", secretID)
}

// explain is what a person reads of an error: the text of who refused, without the layers it came through.
func (a *app) explain(ctx context.Context, err error) string {
	var application *sdk.ApplicationError
	var timeout *sdk.TimeoutError
	var canceled *sdk.CanceledError
	var terminated *sdk.TerminatedError
	var namespace *serviceerror.NamespaceNotFound
	var advice advised
	switch {
	case ctx.Err() != nil:
		return "interrupted; what was begun goes on"
	case errors.As(err, &advice):
		return a.explain(ctx, advice.error) + "\n" + advice.advice
	case errors.As(err, &application):
		return application.Message()
	case errors.As(err, &timeout):
		return "a step did not end in time: look whether the database and Secrets Manager answer the worker"
	case errors.As(err, &canceled):
		return "the workflow was cancelled"
	case errors.As(err, &terminated):
		return "the workflow was terminated"
	case errors.As(err, &namespace):
		return fmt.Sprintf("namespace %s does not exist: set TEMPORAL_NAMESPACE", namespace.Namespace)
	case isDeadline(err):
		return "no answer: is a worker running on task queue " + a.taskQueue + "?"
	default:
		return err.Error()
	}
}

func isDeadline(err error) bool {
	var exceeded *serviceerror.DeadlineExceeded
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &exceeded)
}

// applicationType is the type of the error of a workflow or an activity, empty where it is another error.
func applicationType(err error) string {
	var application *sdk.ApplicationError
	if errors.As(err, &application) {
		return application.Type()
	}
	return ""
}
