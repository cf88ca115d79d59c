package activities

import (
	"context"
	"fmt"

	"go.temporal.io/sdk/activity"

	"github.com/rotate-user/rotate-user/internal/password"
)

// StagePasswordResult names the version that was staged.
type StagePasswordResult struct {
	Username  string `json:"Username"`
	VersionID string `json:"VersionId"`
}

// StagePassword stores the standby's next credential under AWSPENDING, before
// the database hears of it: what is stored can be set again, what was set and
// not stored would be lost. The rotation's version id makes it safe to repeat.
func (a *Activities) StagePassword(ctx context.Context, r Rotation) (result StagePasswordResult, err error) {
	t := a.begin(ctx)
	defer t.edge(ctx, &err)

	current, err := t.version(ctx, r.SecretID, r.CurrentVersionID)
	if err != nil {
		return StagePasswordResult{}, err
	}
	generated, err := password.Generate(r.Policy)
	if err != nil {
		return StagePasswordResult{}, fmt.Errorf("generate a password for %s: %w", r.Standby, err)
	}
	t.learn(generated)
	value, err := current.With(r.Standby.User, generated)
	if err != nil {
		return StagePasswordResult{}, fmt.Errorf("secret %s: %w", r.SecretID, err)
	}
	if err := t.Secrets.Stage(ctx, r.SecretID, r.VersionID, value); err != nil {
		return StagePasswordResult{}, err
	}
	activity.GetLogger(ctx).Info("version staged", "secret", r.SecretID, "version", r.VersionID, "user", r.Standby.User)
	return StagePasswordResult{Username: r.Standby.User, VersionID: r.VersionID}, nil
}
