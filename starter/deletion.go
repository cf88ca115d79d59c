package main

import (
	"context"
	"errors"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"

	"github.com/rotate-user/rotate-user/rotation"
)

// deletion returns the state of a deletion, zero if it does not answer yet.
func (a *app) deletion(ctx context.Context, workflowID string) (state rotation.DeletionState) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	answer, err := a.temporal.QueryWorkflow(ctx, workflowID, "", rotation.StatusQuery)
	if err != nil || answer.Get(&state) != nil {
		return rotation.DeletionState{}
	}
	return state
}

// unfinishedDeletion returns the state of the last deletion of a secret if that was cancelled or
// terminated after it had started, and nil otherwise. It also returns nil if the secret has been
// rotated since then: its accounts were in use again, so the deletion is not what locks them now.
// Temporal forgets a deletion after its retention period.
func (a *app) unfinishedDeletion(ctx context.Context, secretID string) (*rotation.DeletionState, *ending) {
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

// isBeingDeleted reports whether a deletion of a secret is running. It returns true if Temporal does not answer.
func (a *app) isBeingDeleted(ctx context.Context, secretID string) bool {
	d, err := a.describe(ctx, rotation.DeleteUserWorkflowID(secretID))
	if err != nil {
		var none *serviceerror.NotFound
		return !errors.As(err, &none)
	}
	return d.GetWorkflowExecutionInfo().GetStatus() == enums.WORKFLOW_EXECUTION_STATUS_RUNNING
}

// unlockTimeout bounds the wait for a deletion to unlock the accounts of a restored secret, once it was told to check.
const unlockTimeout = 5 * time.Second

// wakeDeletion tells a running deletion to check now whether its secret was restored, and waits briefly for it to end. It reports
// whether the deletion is still running.
func (a *app) wakeDeletion(ctx context.Context, secretID string) (running bool) {
	ctx, cancel := context.WithTimeout(ctx, unlockTimeout)
	defer cancel()
	d, err := a.describe(ctx, rotation.DeleteUserWorkflowID(secretID))
	if err != nil || d.GetWorkflowExecutionInfo().GetStatus() != enums.WORKFLOW_EXECUTION_STATUS_RUNNING {
		return false
	}
	if err := a.temporal.SignalWorkflow(ctx, rotation.DeleteUserWorkflowID(secretID), "", rotation.ResumeUpdate, nil); err != nil {
		return a.isBeingDeleted(ctx, secretID)
	}
	a.say("A deletion of the secret is running. It unlocks the accounts if the secret was restored.")
	for a.isBeingDeleted(ctx, secretID) {
		select {
		case <-ctx.Done():
			return true
		case <-time.After(pollInterval):
		}
	}
	return false
}

// heldWithoutDeletion returns a warning if a deletion holds the rotation, but no running deletion
// will release it.
func (a *app) heldWithoutDeletion(ctx context.Context, s rotation.Status) string {
	if !s.Held {
		return ""
	}
	state, e := a.unfinishedDeletion(ctx, s.SecretID)
	what := "a deletion holds the rotation of the secret, but none is running: "
	switch {
	case state != nil && state.Cancelled != "":
		return state.Cancelled
	case e != nil:
		what = "the deletion of the secret " + e.text(a.now()) + ": "
	case a.isBeingDeleted(ctx, s.SecretID):
		return ""
	}
	return what + "its accounts may be locked. To unlock them, run `aws secretsmanager restore-secret --secret-id " + s.SecretID +
		"` if the secret is scheduled for deletion, " +
		"and then `starter recover --secret-id " + s.SecretID + "`; to drop them with the secret, run `starter delete --secret-id " +
		s.SecretID + "`"
}
