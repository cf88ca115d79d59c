package activities

import (
	"context"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/rotate-user/rotate-user/internal/account"
	"github.com/rotate-user/rotate-user/internal/secret"
)

// PromotePasswordResult says what AWSCURRENT is now, and since when.
type PromotePasswordResult struct {
	VersionID         string    `json:"VersionId"`
	PreviousVersionID string    `json:"PreviousVersionId"`
	PromotedAt        time.Time `json:"PromotedAt"`
}

// PromotePassword makes the staged version AWSCURRENT. Secrets Manager makes
// the one before it AWSPREVIOUS.
//
// The pair's lock is held from the last look at the labels and at the stored
// password until AWSCURRENT has moved, so that no other rotation can change the
// standby's password in between. AWSPENDING goes last: as long as a version has
// it, other rotations know that a promotion may be under way.
func (a *Activities) PromotePassword(ctx context.Context, r Rotation) (result PromotePasswordResult, err error) {
	t := a.begin(ctx)
	defer t.edge(ctx, &err)

	if r.CurrentVersionID != r.VersionID { // or it is promoted already
		if err := t.promote(ctx, r); err != nil {
			return PromotePasswordResult{}, err
		}
	}
	if err := t.Secrets.Tidy(ctx, r.SecretID, r.VersionID); err != nil {
		return PromotePasswordResult{}, err
	}
	t.Secrets.Forget(r.SecretID)
	t.Secrets.Forget(r.MasterSecretID)
	activity.GetLogger(ctx).Info("promoted", "secret", r.SecretID, "version", r.VersionID, "user", r.Standby.User)
	return PromotePasswordResult{VersionID: r.VersionID, PreviousVersionID: r.CurrentVersionID, PromotedAt: time.Now().UTC()}, nil
}

func (t *attempt) promote(ctx context.Context, r Rotation) (err error) {
	admin, err := t.administer(ctx, r)
	if err != nil {
		return err
	}
	defer closeInto(&err, admin)
	return admin.Locked(ctx, r.Source.User, r.Standby.User, func(ctx context.Context) error { return t.moveCurrent(ctx, admin, r) })
}

func (t *attempt) moveCurrent(ctx context.Context, admin *account.Admin, r Rotation) error {
	d, err := t.Secrets.StillStaged(ctx, r.SecretID, r.labels())
	if d.Stages[secret.Current] == r.VersionID { // by an earlier try, whose answer was lost
		return nil
	}
	if err != nil {
		return err
	}
	pending, err := t.staged(ctx, r)
	if err != nil {
		return err
	}
	stored, err := admin.Stored(ctx, r.Standby.User)
	if err != nil {
		return err
	}
	for _, s := range stored {
		if s.Account != r.Standby {
			continue
		}
		ok := s.Digest() == r.PasswordStored // as set by this rotation, or by another try of it
		if !ok {
			if ok, err = s.Matches(pending.Password); err != nil {
				return err
			}
		}
		if ok {
			return t.Secrets.MoveCurrent(ctx, r.SecretID, r.CurrentVersionID, r.VersionID)
		}
	}
	return refuse(ErrorEdited, "the server no longer stores the password of version %s of secret %s for %s: it was changed after the test; rotate again, and find out who changed it", r.VersionID, r.SecretID, r.Standby)
}
