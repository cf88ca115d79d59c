package main

import (
	"context"
	"errors"
	"time"
	_ "time/tzdata"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"

	"github.com/rotate-user/rotate-user/rotation"
)

// deletion is how far a deletion has come; zero where it cannot tell yet.
func (a *app) deletion(ctx context.Context, workflowID string) (state rotation.DeletionState) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	answer, err := a.temporal.QueryWorkflow(ctx, workflowID, "", rotation.StatusQuery)
	if err != nil || answer.Get(&state) != nil {
		return rotation.DeletionState{}
	}
	return state
}

// unfinishedDeletion is the state of the last deletion of a secret, if that was cut off after it had begun; nil otherwise, and where
// the secret was rotated since: the accounts were in use again, and are locked by something else if they are. What no longer runs
// is not always known: Temporal forgets it after its retention period.
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

// isBeingDeleted reports whether a deletion of a secret runs. What is not known counts as yes.
func (a *app) isBeingDeleted(ctx context.Context, secretID string) bool {
	d, err := a.describe(ctx, rotation.DeleteUserWorkflowID(secretID))
	if err != nil {
		var none *serviceerror.NotFound
		return !errors.As(err, &none)
	}
	return d.GetWorkflowExecutionInfo().GetStatus() == enums.WORKFLOW_EXECUTION_STATUS_RUNNING
}

// unlockTimeout is how long a deletion takes to unlock the accounts of a secret that was restored, once it is told to look.
const unlockTimeout = 5 * time.Second

// wakeDeletion has a deletion that runs look at once whether its secret was restored, and waits a little for its end. It reports whether
// the deletion goes on.
func (a *app) wakeDeletion(ctx context.Context, secretID string) (goesOn bool) {
	ctx, cancel := context.WithTimeout(ctx, unlockTimeout)
	defer cancel()
	d, err := a.describe(ctx, rotation.DeleteUserWorkflowID(secretID))
	if err != nil || d.GetWorkflowExecutionInfo().GetStatus() != enums.WORKFLOW_EXECUTION_STATUS_RUNNING {
		return false
	}
	if err := a.temporal.SignalWorkflow(ctx, rotation.DeleteUserWorkflowID(secretID), "", rotation.ResumeUpdate, nil); err != nil {
		return a.isBeingDeleted(ctx, secretID)
	}
	a.say("A deletion of the secret runs. It unlocks the accounts if the secret was restored.")
	for a.isBeingDeleted(ctx, secretID) {
		select {
		case <-ctx.Done():
			return true
		case <-time.After(pollInterval):
		}
	}
	return false
}

// heldWithoutDeletion says that nothing runs which would let a held rotation go on; empty if it is not held, or by a deletion that runs.
func (a *app) heldWithoutDeletion(ctx context.Context, s rotation.Status) string {
	if !s.Held {
		return ""
	}
	state, e := a.unfinishedDeletion(ctx, s.SecretID)
	what := "no deletion of the secret runs, though one holds its rotation: "
	switch {
	case state != nil && state.Cancelled != "":
		return state.Cancelled
	case e != nil:
		what = "the deletion of the secret " + e.text(a.now()) + ": "
	case a.isBeingDeleted(ctx, s.SecretID):
		return ""
	}
	return what + "its accounts may be locked. To unlock them, run `aws secretsmanager restore-secret --secret-id " + s.SecretID + "`, if it is scheduled for deletion, " +
		"and then `starter recover --secret-id " + s.SecretID + "`; to have them dropped with the secret, run `starter delete --secret-id " + s.SecretID + "`"
}
