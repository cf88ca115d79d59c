package workflows

import (
	"errors"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"

	"github.com/rotate-user/rotate-user/internal/plaintext"
	"github.com/rotate-user/rotate-user/rotation"
)

// explain returns the text and the type of the error of a step. The activity has already taken out of the text whatever must
// not be stored.
func explain(err error) (text, kind string) {
	var app *temporal.ApplicationError
	if errors.As(err, &app) {
		return plaintext.Line(app.Message()), app.Type()
	}
	var timeout *temporal.TimeoutError
	if errors.As(err, &timeout) {
		if notServed(err) {
			return "no worker took the step: start one for the task queue of the activities, or read its log", "Timeout"
		}
		return "the step did not end in time: check that a worker serves the task queue and that the database answers", "Timeout"
	}
	return err.Error(), "Unknown"
}

// invalidInput turns what Validate says into the error of a workflow or an update; nil stays nil.
func invalidInput(err error) error {
	if err == nil {
		return nil
	}
	return temporal.NewNonRetryableApplicationError(err.Error(), rotation.ErrorInvalidInput, nil)
}

// outOfTime reports whether a step had all of its time.
func outOfTime(err error) bool {
	var timeout *temporal.TimeoutError
	return errors.As(err, &timeout) &&
		(timeout.TimeoutType() == enums.TIMEOUT_TYPE_SCHEDULE_TO_START || timeout.TimeoutType() == enums.TIMEOUT_TYPE_SCHEDULE_TO_CLOSE)
}

// notServed reports whether a step failed because no worker took it.
func notServed(err error) bool {
	var timeout *temporal.TimeoutError
	if !errors.As(err, &timeout) {
		return false
	}
	switch timeout.TimeoutType() {
	case enums.TIMEOUT_TYPE_SCHEDULE_TO_START:
		return true
	case enums.TIMEOUT_TYPE_SCHEDULE_TO_CLOSE:
		return timeout.Unwrap() == nil // no attempt failed before
	default:
		return false
	}
}
