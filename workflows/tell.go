package workflows

import (
	"cmp"
	"errors"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/rotate-user/rotate-user/rotation"
)

// tell sends a signal to the rotation of the secret, if there is one.
func tell(ctx workflow.Context, secretID, message string, d rotation.Deletion) {
	var sender any
	if d.SecretARN != "" { // a deletion that an earlier release began has paused the rotation as an operator would
		sender = rotation.Sender{Deletion: true, SentAt: workflow.Now(ctx)}
	}
	if err := workflow.SignalExternalWorkflow(ctx, rotation.RotateUserWorkflowID(cmp.Or(d.RotatedAs, secretID)), "", message,
		sender).Get(ctx, nil); err != nil {
		workflow.GetLogger(ctx).Info("no rotation to tell", "secret", secretID, "signal", message)
	}
}

// releaseRotation resumes a rotation that is held by a deletion that no longer runs.
func releaseRotation(ctx workflow.Context, secretID string) {
	sender := rotation.Sender{Deletion: true, SentAt: workflow.Now(ctx)}
	if err := workflow.SignalExternalWorkflow(ctx, rotation.RotateUserWorkflowID(secretID), "", rotation.ResumeUpdate, sender).Get(ctx,
		nil); err != nil {
		workflow.GetLogger(ctx).Info("no rotation to release", "secret", secretID)
	}
}

// tellFate tells the rotation of a secret what a step of another workflow has found out about the secret.
func tellFate(ctx workflow.Context, secretID string, known *rotation.State, err error) {
	fate := fateOf(err)
	if err == nil {
		fate = rotation.SecretRestored
	}
	tellSeen(ctx, secretID, known, fate)
}

// tellSeen tells the rotation of a secret what has become of the secret, if the rotation does not know it yet.
func tellSeen(ctx workflow.Context, secretID string, known *rotation.State, fate rotation.SecretFate) {
	if known == nil || len(known.Usernames) == 0 || fate == "" {
		return
	}
	if fate == knownFate(known) {
		return
	}
	if workflow.GetVersion(ctx, "the rotation is told of its secret", workflow.DefaultVersion, 1) == workflow.DefaultVersion {
		return
	}
	if err := workflow.SignalExternalWorkflow(ctx, rotation.RotateUserWorkflowID(secretID), "", rotation.SecretSeenSignal,
		rotation.SecretSeen{Fate: fate}).Get(ctx, nil); err != nil {
		workflow.GetLogger(ctx).Info("no rotation to tell", "secret", secretID, "signal", rotation.SecretSeenSignal)
	}
}

// fateOf returns what the error of a step says about the secret; empty if it says nothing.
func fateOf(err error) rotation.SecretFate {
	var app *temporal.ApplicationError
	if !errors.As(err, &app) {
		return ""
	}
	switch app.Type() {
	case rotation.ErrorDeleted:
		return rotation.SecretScheduled
	case rotation.ErrorSecretGone:
		return rotation.SecretGone
	default:
		return ""
	}
}

// knownFate returns what the rotation of a secret believes about the secret.
func knownFate(known *rotation.State) rotation.SecretFate {
	switch d := known.Deleted; {
	case d == nil:
		return rotation.SecretRestored
	case d.Gone:
		return rotation.SecretGone
	default:
		return rotation.SecretScheduled
	}
}
