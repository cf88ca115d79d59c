package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/rotate-user/rotate-user/rotation"
)

// RotateUserWorkflow rotates the credential of one MySQL user for as long as the user lives. Each run sleeps, rotates once, and
// continues as new with its State. It fails only on input that can never work, or if another workflow already rotates the secret.
func (w Workflows) RotateUserWorkflow(ctx workflow.Context, input rotation.RotateUserInput, carried *rotation.State) (rotation.Status,
	error) {
	r, err := w.begin(ctx, input, carried)
	if err != nil {
		return rotation.Status{}, err
	}
	if r.catchUp(ctx, "at its start") {
		r.schedule(ctx, r.LastRotatedDate)
	}
	r.sleep(ctx)
	if r.due(ctx) {
		r.record(ctx, r.rotate(ctx))
	}
	return r.next(ctx)
}

// rotate makes the standby equal to the current account, gives it a new password, proves that it works, and only then promotes
// it. The current credential is valid throughout.
func (r *rotator) rotate(ctx workflow.Context) error {
	ctx = r.toTheEnd(ctx)
	in, promoted, err := r.cloneUser(ctx)
	if err != nil {
		return err
	}
	if !promoted {
		if err := r.stagePassword(ctx, &in); err != nil {
			return err
		}
		if err := r.setPassword(ctx, &in); err != nil {
			return err
		}
		if err := r.testPassword(ctx, in); err != nil {
			return err
		}
	}
	if err := r.promotePassword(ctx, in); err != nil {
		return err
	}
	return r.revokePrevious(ctx, in)
}
