package activities

import (
	"context"
	"time"

	"go.temporal.io/sdk/activity"
)

// PromotePasswordResult says what AWSCURRENT is now, and since when.
type PromotePasswordResult struct {
	VersionID         string    `json:"VersionId"`
	PreviousVersionID string    `json:"PreviousVersionId"`
	PromotedAt        time.Time `json:"PromotedAt"`
}

// PromotePassword makes the staged version AWSCURRENT. Secrets Manager makes
// the one before it AWSPREVIOUS.
func (a *Activities) PromotePassword(ctx context.Context, r Rotation) (result PromotePasswordResult, err error) {
	t := a.begin(ctx)
	defer t.edge(ctx, &err)

	stillLogsIn := func(ctx context.Context) error {
		v, err := t.version(ctx, r.SecretID, r.VersionID)
		if err == nil {
			_, err = t.login(ctx, v)
		}
		return err
	}
	if err := t.Secrets.Promote(ctx, r.SecretID, r.CurrentVersionID, r.VersionID, stillLogsIn); err != nil {
		return PromotePasswordResult{}, err
	}
	t.Secrets.Forget(r.SecretID)
	t.Secrets.Forget(r.MasterSecretID)
	activity.GetLogger(ctx).Info("promoted", "secret", r.SecretID, "version", r.VersionID, "user", r.Standby.User)
	return PromotePasswordResult{VersionID: r.VersionID, PreviousVersionID: r.CurrentVersionID, PromotedAt: time.Now().UTC()}, nil
}
