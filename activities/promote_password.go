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

// PromotePassword makes the staged version AWSCURRENT. Secrets Manager makes
// the one before it AWSPREVIOUS.
//
// The pair's lock is held from the last look at the labels and at the stored
// password until AWSCURRENT has moved, so that no other rotation can change the
// standby's password in between. AWSPENDING goes last: as long as a version has
// it, other rotations know that a promotion may be under way.
func (a *Activities) PromotePassword(ctx context.Context, r rotation.StepInput) (result rotation.PromotePasswordResult, err error) {
	t := a.begin(ctx)
	defer t.edge(ctx, &err)

	already := r.CurrentVersionID == r.VersionID
	if !already {
		if already, err = t.promote(ctx, r); err != nil {
			t.withdraw(ctx, r, err)
			return rotation.PromotePasswordResult{}, err
		}
	}
	if err := t.Secrets.Tidy(ctx, r.SecretID, r.VersionID); err != nil {
		return rotation.PromotePasswordResult{}, err
	}
	if already && r.Reset {
		if err := t.tidyOwn(ctx, r); err != nil {
			return rotation.PromotePasswordResult{}, err
		}
	}
	t.Secrets.Forget(r.SecretID)
	t.Secrets.Forget(r.MasterSecretID)
	activity.GetLogger(ctx).Info("promoted", "secret", r.SecretID, "version", r.VersionID, "user", r.Standby.User)
	return rotation.PromotePasswordResult{VersionID: r.VersionID, PreviousVersionID: r.CurrentVersionID, PromotedAt: time.Now().UTC()}, nil
}

// tidyOwn removes AWSPENDING from a version that this workflow staged in the run that a reset ended. Without a reset such a
// version is that of a newer rotation, and this is a late try of an older one.
func (t *attempt) tidyOwn(ctx context.Context, r rotation.StepInput) error {
	me := rotatorOf(ctx)
	d, err := t.Secrets.Describe(ctx, r.SecretID)
	if err != nil {
		return err
	}
	pending := d.Stages[secret.Pending]
	if me == (rotator{}) || pending == "" || d.Stages[me.label()] != pending || d.Stages[secret.Current] != r.VersionID {
		return nil
	}
	return t.Secrets.Tidy(ctx, r.SecretID, pending)
}

// withdraw removes AWSPENDING from the version of a rotation that has been overtaken. Otherwise it would stay there until the
// next rotation.
func (t *attempt) withdraw(ctx context.Context, r rotation.StepInput, overtaken error) {
	if moved, ok := errors.AsType[*secret.MovedError](overtaken); !ok || moved.Label != secret.Current {
		return
	}
	if err := t.Secrets.Tidy(ctx, r.SecretID, r.VersionID); err != nil {
		activity.GetLogger(ctx).Warn("AWSPENDING stays behind", "secret", r.SecretID, "version", r.VersionID, "error", t.scrub(err))
	}
}

// promote reports whether the version was promoted already, by an earlier try whose answer was lost.
func (t *attempt) promote(ctx context.Context, r rotation.StepInput) (already bool, err error) {
	admin, err := t.administer(ctx, r)
	if err != nil {
		return false, err
	}
	defer closeInto(&err, admin)
	err = admin.Locked(ctx, r.Source.User, r.Standby.User, func(ctx context.Context) error {
		already, err = t.moveCurrent(ctx, admin, r)
		return err
	})
	return already, err
}

func (t *attempt) moveCurrent(ctx context.Context, admin *account.Admin, r rotation.StepInput) (already bool, err error) {
	d, err := t.Secrets.StillStaged(ctx, r.SecretID, expectedLabels(r))
	if d.Stages[secret.Current] == r.VersionID {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	pending, err := t.staged(ctx, r)
	if err != nil {
		return false, err
	}
	stored, err := admin.Stored(ctx, r.Standby.User)
	if err != nil {
		return false, err
	}
	for _, s := range stored {
		if s.Account != r.Standby {
			continue
		}
		ok := s.Digest() == r.PasswordStored // as set by this rotation, or by another try of it
		if !ok {
			if ok, err = s.Matches(pending.Password); err != nil {
				return false, err
			}
		}
		if ok {
			return false, t.Secrets.MoveCurrent(ctx, r.SecretID, r.CurrentVersionID, r.VersionID)
		}
	}
	return false, refuse(rotation.ErrorEdited, "the server no longer stores the password of version %s of secret %s for %s: it was changed after the test; rotate again, and find out who changed it", r.VersionID, r.SecretID, r.Standby)
}
