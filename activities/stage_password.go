package activities

import (
	"context"
	"fmt"

	"go.temporal.io/sdk/activity"

	"github.com/rotate-user/rotate-user/internal/password"
	"github.com/rotate-user/rotate-user/internal/secret"
	"github.com/rotate-user/rotate-user/rotation"
)

// StagePassword stores the standby's next credential under AWSPENDING, before
// the database hears of it: what is stored can be set again, what was set and
// not stored would be lost. The rotation's version id makes it safe to repeat. Its
// error is of type ErrorTaken where that id is in use already; the rotation may
// then go on under another.
func (a *Activities) StagePassword(ctx context.Context, r rotation.StepInput) (result rotation.StagePasswordResult, err error) {
	t := a.begin(ctx)
	defer t.edge(ctx, &err)

	if r.ValueSHA256 != "" { // staged by the attempt before this one
		if _, err := t.staged(ctx, r); err != nil {
			return rotation.StagePasswordResult{}, err
		}
		return rotation.StagePasswordResult{Username: r.Standby.User, VersionID: r.VersionID, ValueSHA256: r.ValueSHA256}, nil
	}
	current, err := t.version(ctx, r.SecretID, r.CurrentVersionID)
	if err != nil {
		return rotation.StagePasswordResult{}, err
	}
	generated, err := password.Generate(r.Policy)
	if err != nil {
		return rotation.StagePasswordResult{}, fmt.Errorf("generate a password for %s: %w", r.Standby, err)
	}
	t.learn(generated)
	value, err := current.With(r.Standby.User, generated)
	if err != nil {
		return rotation.StagePasswordResult{}, fmt.Errorf("secret %s: %w", r.SecretID, err)
	}
	var labels []string
	if me := rotatorOf(ctx); me != (rotator{}) {
		labels = append(labels, me.label())
	}
	v, err := t.Secrets.Stage(ctx, r.SecretID, r.VersionID, value, labels...)
	t.learn(v.Password)
	if err != nil {
		return rotation.StagePasswordResult{}, err
	}
	activity.GetLogger(ctx).Info("version staged", "secret", r.SecretID, "version", r.VersionID, "user", r.Standby.User)
	return rotation.StagePasswordResult{Username: r.Standby.User, VersionID: r.VersionID, ValueSHA256: v.SHA256()}, nil
}

// staged reads the version of a rotation and refuses a value that the rotation
// has not generated.
func (t *attempt) staged(ctx context.Context, r rotation.StepInput) (secret.Version, error) {
	v, err := t.version(ctx, r.SecretID, r.VersionID)
	if err != nil {
		return secret.Version{}, err
	}
	if v.SHA256() != r.ValueSHA256 || v.Username != r.Standby.User {
		return secret.Version{}, refuse(rotation.ErrorEdited, "version %s of secret %s is not the value that this rotation staged for %s at %s: it is not promoted; rotate again, and find out who put it", r.VersionID, r.SecretID, r.Standby, r.Server)
	}
	return v, nil
}
