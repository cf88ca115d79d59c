package main

import (
	"context"
	"errors"
	"fmt"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/converter"
	sdk "go.temporal.io/sdk/temporal"

	"github.com/rotate-user/rotate-user/internal/plaintext"
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
		return plaintext.Line(application.Message())
	case errors.As(err, &timeout):
		return "a step did not end in time: look whether the database and Secrets Manager answer the worker"
	case errors.As(err, &canceled):
		return "the workflow was cancelled"
	case errors.As(err, &terminated):
		return "the workflow was terminated"
	case errors.As(err, &namespace):
		return fmt.Sprintf("namespace %s does not exist: set TEMPORAL_NAMESPACE", namespace.Namespace)
	case errors.Is(err, converter.ErrEncodingIsNotSupported):
		return clean(err.Error()) + "\nWhat the worker stores is encoded by a codec server: set TEMPORAL_CODEC_ENDPOINT to the worker's"
	case isUnanswered(err):
		return "no answer from Temporal, or from a worker on task queue " + a.taskQueue
	default:
		return clean(err.Error())
	}
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
