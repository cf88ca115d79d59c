package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	sdk "go.temporal.io/sdk/temporal"

	"github.com/rotate-user/rotate-user/internal/plaintext"
	"github.com/rotate-user/rotate-user/rotation"
)

// What follows is for those whose rotation was disturbed: its run was reset, terminated or cancelled.

// runEnded is the type of Temporal's error for an update that was accepted by a run which then ended.
const runEnded = "AcceptedUpdateCompletedWorkflow"

// wasCutOff reports whether a rotation was asked for, and is not known to have ended.
func wasCutOff(err error) bool {
	var cancelled *sdk.CanceledError
	var gone *serviceerror.NotFound
	return applicationType(err) == runEnded || errors.As(err, &cancelled) || errors.As(err, &gone)
}

// settle waits for the end of a rotation that was accepted under an update id. A reset applies the update again, in another run.
func (a *app) settle(ctx context.Context, secretID string, request rotation.RotateRequest, handle client.WorkflowUpdateHandle, updateID string) (r rotation.Rotation, err error) {
	for {
		err := handle.Get(ctx, &r)
		if err == nil || ctx.Err() != nil || !wasCutOff(err) {
			return r, err
		}
		d, describeErr := a.describe(ctx, rotation.RotateUserWorkflowID(secretID))
		if describeErr != nil {
			return r, err
		}
		if e := a.ending(ctx, d); e != nil {
			return r, a.cutOff(ctx, secretID, e)
		}
		var cancelled *sdk.CanceledError
		if !errors.As(err, &cancelled) {
			a.say("The run that the rotation was asked of has ended, as after a reset. Waiting for the run in its place.")
			again, updateErr := a.askOnce(ctx, secretID, request, updateID)
			if updateErr != nil {
				return r, updateErr
			}
			handle = again
		}
		select {
		case <-ctx.Done():
			return r, ctx.Err()
		case <-time.After(pollInterval): // a worker of an earlier release answers a cancellation at once, and rotates to the end
		}
	}
}

// askOnce asks for a rotation, or finds the one that was asked for under the same id.
func (a *app) askOnce(ctx context.Context, secretID string, request rotation.RotateRequest, updateID string) (client.WorkflowUpdateHandle, error) {
	return a.temporal.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{
		WorkflowID: rotation.RotateUserWorkflowID(secretID), UpdateID: updateID, UpdateName: rotation.RotateUpdate, Args: []any{request},
		WaitForStage: client.WorkflowUpdateStageAccepted,
	})
}

// cutOff says what became of a rotation whose workflow ended before it.
func (a *app) cutOff(ctx context.Context, secretID string, e *ending) error {
	said := fmt.Sprintf("the rotation of secret %s %s", secretID, e.text(a.now()))
	status, err := a.query(ctx, secretID)
	if err != nil {
		return advise("See what the secret holds with: starter validate --secret-id "+secretID, "%s", said)
	}
	return advised{errors.New(said + ". " + a.became(status)), "Start it again with: " + restart(secretID, status.Input)}
}

// became is what a workflow that has ended knows of its last rotation.
func (a *app) became(s rotation.Status) string {
	r := s.Current
	switch {
	case r == nil && len(s.Rotations) > 0 && s.Rotations[0].Error == "":
		last := s.Rotations[0]
		return fmt.Sprintf("Its last rotation, at %s, promoted version %s, user %s", date(last.EndedAt, a.now()), last.VersionID, plaintext.Line(last.Username))
	case r == nil:
		return "No rotation was under way"
	case r.Promotion() != nil:
		text := fmt.Sprintf("Version %s, user %s, was promoted before that", r.VersionID, plaintext.Line(r.Username))
		if lost := a.lost(s); lost != "" {
			text += ". " + lost
		}
		return text
	case len(r.Steps) == 0:
		return "The rotation had not begun"
	default:
		step := r.Steps[len(r.Steps)-1].Name
		text := step + " was under way and may still take effect; AWSCURRENT logs in whether it does or not"
		if i := slices.IndexFunc(r.Steps, func(s rotation.Step) bool { return s.Name == rotation.SetPassword }); i >= 0 {
			text += fmt.Sprintf(". AWSPREVIOUS may no longer log in, as the password of %s was being replaced", plaintext.Line(r.Username))
		}
		return text
	}
}

// lost says that a revocation was not carried out by a workflow that has ended; empty if there was none.
func (a *app) lost(s rotation.Status) string {
	r := s.Current
	if r.Promotion() == nil {
		return ""
	}
	last := r.Steps[len(r.Steps)-1]
	var what string
	switch {
	case !s.PreviousUntil.IsZero():
		what = fmt.Sprintf("The revocation of %s, due at %s, was lost with its run: %[1]s still logs in, as AWSPREVIOUS", s.StandbyUsername, date(s.PreviousUntil, a.now()))
	case last.Name == rotation.RevokePrevious && last.EndedAt.IsZero():
		what = fmt.Sprintf("The revocation of %s was under way: whether it still logs in, and its sessions go on, is unknown", s.StandbyUsername)
	default:
		return ""
	}
	return plaintext.Line(what + ". Once the rotation is started again, revoke it with: starter rotate --secret-id " + s.SecretID + " --force --revoke-previous")
}

// lostRevocation is lost for the last workflow of a secret, if that has ended.
func (a *app) lostRevocation(ctx context.Context, secretID string) string {
	if _, ended := a.whetherEnded(ctx, secretID); !ended {
		return ""
	}
	status, err := a.query(ctx, secretID)
	if err != nil {
		return ""
	}
	return a.lost(status)
}

// cutDeletion is the state of the last deletion of a secret, if that was cut off after it had begun; nil otherwise, and where
// the secret was rotated since: the accounts were in use again, and are locked by something else if they are. What no longer runs
// is not always known: Temporal forgets it after its retention period.
func (a *app) cutDeletion(ctx context.Context, secretID string) (*rotation.DeletionState, *ending) {
	id := rotation.DeleteUserWorkflowID(secretID)
	d, err := a.describe(ctx, id)
	if err != nil {
		return nil, nil
	}
	e := a.ending(ctx, d)
	if e == nil || e.status == enums.WORKFLOW_EXECUTION_STATUS_COMPLETED {
		return nil, nil
	}
	state := a.deletion(ctx, id)
	if state.DeletionDate.IsZero() {
		return nil, nil
	}
	if rotated, err := a.query(ctx, secretID); err == nil && rotated.LastRotatedDate.After(e.at) {
		return nil, nil
	}
	return &state, e
}

// deletes reports whether a deletion of a secret runs. What is not known counts as yes.
func (a *app) deletes(ctx context.Context, secretID string) bool {
	d, err := a.describe(ctx, rotation.DeleteUserWorkflowID(secretID))
	if err != nil {
		var none *serviceerror.NotFound
		return !errors.As(err, &none)
	}
	return d.GetWorkflowExecutionInfo().GetStatus() == enums.WORKFLOW_EXECUTION_STATUS_RUNNING
}

// unlocksSoon is how long a deletion takes to unlock the accounts of a secret that was restored, once it is told to look.
const unlocksSoon = 5 * time.Second

// nudge has a deletion that runs look at once whether its secret was restored, and waits a little for its end. It reports whether
// the deletion goes on.
func (a *app) nudge(ctx context.Context, secretID string) (goesOn bool) {
	ctx, cancel := context.WithTimeout(ctx, unlocksSoon)
	defer cancel()
	d, err := a.describe(ctx, rotation.DeleteUserWorkflowID(secretID))
	if err != nil || d.GetWorkflowExecutionInfo().GetStatus() != enums.WORKFLOW_EXECUTION_STATUS_RUNNING {
		return false
	}
	if err := a.temporal.SignalWorkflow(ctx, rotation.DeleteUserWorkflowID(secretID), "", rotation.ResumeUpdate, nil); err != nil {
		return a.deletes(ctx, secretID)
	}
	a.say("A deletion of the secret runs. It unlocks the accounts if the secret was restored.")
	for a.deletes(ctx, secretID) {
		select {
		case <-ctx.Done():
			return true
		case <-time.After(pollInterval):
		}
	}
	return false
}

// heldInVain says that nothing runs which would let a held rotation go on; empty if it is not held, or by a deletion that runs.
func (a *app) heldInVain(ctx context.Context, s rotation.Status) string {
	if !s.Held {
		return ""
	}
	state, e := a.cutDeletion(ctx, s.SecretID)
	what := "no deletion of the secret runs, though one holds its rotation: "
	switch {
	case state != nil && state.Cancelled != "":
		return state.Cancelled
	case e != nil:
		what = "the deletion of the secret " + e.text(a.now()) + ": "
	case a.deletes(ctx, s.SecretID):
		return ""
	}
	return what + "its accounts may be locked. To unlock them, run `aws secretsmanager restore-secret --secret-id " + s.SecretID + "`, if it is scheduled for deletion, " +
		"and then `starter recover --secret-id " + s.SecretID + "`; to have them dropped with the secret, run `starter delete --secret-id " + s.SecretID + "`"
}
