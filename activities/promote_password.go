package activities

import (
	"context"
	"errors"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/rotate-user/rotate-user/internal/account"
	"github.com/rotate-user/rotate-user/internal/secret"
	"github.com/rotate-user/rotate-user/rotation"
)

// PromotePassword moves AWSCURRENT to the staged version. Secrets Manager then moves AWSPREVIOUS to
// the version that was current.
//
// It holds the pair's lock from its last check of the labels and of the stored password until
// AWSCURRENT has moved, so that no other rotation can change the standby's password in between. The
// rotation is done then. AWSPENDING is removed from the version later, when the worker has time, because
// next to AWSCURRENT the label means nothing: see docs/threat-model.md.
func (a *Activities) PromotePassword(ctx context.Context, r rotation.StepInput) (result rotation.PromotePasswordResult, err error) {
	already := r.CurrentVersionID == r.VersionID
	if !already {
		if already, err = a.promote(ctx, r); err != nil {
			a.withdraw(ctx, r, err)
			return rotation.PromotePasswordResult{}, err
		}
	}
	a.Secrets.TidyLater(r.SecretID, r.VersionID)
	if already && r.Reset {
		if err := a.tidyOwn(ctx, r); err != nil {
			activity.GetLogger(ctx).Warn("AWSPENDING may be left on a version of a run that was reset", "secret", r.SecretID, "error", err)
		}
	}
	a.Secrets.Forget(r.SecretID)
	a.Secrets.Forget(r.MasterSecretID)
	activity.GetLogger(ctx).Info("promoted", "secret", r.SecretID, "version", r.VersionID, "user", r.Standby.User)
	return rotation.PromotePasswordResult{VersionID: r.VersionID, PreviousVersionID: r.CurrentVersionID, PromotedAt: time.Now().UTC()}, nil
}

// tidyOwn removes AWSPENDING from a version that this workflow staged in a run that was reset.
// Without a reset, such a version would belong to a newer rotation, and this would be a late
// attempt of an older one.
func (a *Activities) tidyOwn(ctx context.Context, r rotation.StepInput) error {
	me := rotatorOf(ctx)
	d, err := a.Secrets.Describe(ctx, r.SecretID)
	if err != nil {
		return err
	}
	pending := d.Stages[secret.Pending]
	if me == (rotator{}) || pending == "" || d.Stages[me.label()] != pending || d.Stages[secret.Current] != r.VersionID {
		return nil
	}
	return a.Secrets.Tidy(ctx, r.SecretID, pending)
}

// withdraw removes AWSPENDING from the version of a rotation that was overtaken. Otherwise the
// version would keep it until the next rotation.
func (a *Activities) withdraw(ctx context.Context, r rotation.StepInput, overtaken error) {
	if moved, ok := errors.AsType[*secret.MovedError](overtaken); !ok || moved.Label != secret.Current {
		return
	}
	if err := a.Secrets.Tidy(ctx, r.SecretID, r.VersionID); err != nil {
		activity.GetLogger(ctx).Warn("AWSPENDING was not removed", "secret", r.SecretID, "version", r.VersionID, "error", err)
	}
}

// promote promotes the version. already reports whether an earlier attempt, whose answer was lost,
// had done so.
func (a *Activities) promote(ctx context.Context, r rotation.StepInput) (already bool, err error) {
	admin, err := a.administer(ctx, r)
	if err != nil {
		return false, err
	}
	defer closeInto(&err, admin)
	err = admin.Locked(ctx, r.Source.User, r.Standby.User, func(ctx context.Context) error {
		already, err = a.moveCurrent(ctx, admin, r)
		return err
	})
	return already, err
}

func (a *Activities) moveCurrent(ctx context.Context, admin *account.Admin, r rotation.StepInput) (already bool, err error) {
	d, err := a.Secrets.StillStaged(ctx, r.SecretID, expectedLabels(r))
	if d.Stages[secret.Current] == r.VersionID {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	pending, err := a.staged(ctx, r)
	if err != nil {
		return false, err
	}
	// The session may be older than the test, and on a server that another one has replaced since.
	if err := admin.CheckWritable(ctx); err != nil {
		return false, err
	}
	stored, found, err := admin.StoredFor(ctx, r.Standby)
	if err != nil {
		return false, err
	}
	if found && !stored.Usable() {
		return false, refuse(rotation.ErrorEdited, "%s was locked, or its password was expired, after the test, so version %s of secret %s"+
			" is not promoted: find out what did that, and rotate again", r.Standby, r.VersionID, r.SecretID)
	}
	ok := found && stored.Digest() == r.PasswordStored // set by this rotation, in whichever attempt
	if found && !ok {
		if ok, err = stored.Matches(pending.Password); err != nil {
			return false, err
		}
	}
	if ok {
		return false, a.Secrets.MoveCurrent(ctx, r.SecretID, r.CurrentVersionID, r.VersionID)
	}
	return false, refuse(rotation.ErrorEdited, "the server no longer stores the password of version %s of secret %s for %s, because it was changed"+
		" after the test: find out what changed it, and rotate again", r.VersionID, r.SecretID, r.Standby)
}
