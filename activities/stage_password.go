package activities

import (
	"context"
	"fmt"
	"sync"

	"go.temporal.io/sdk/activity"

	"github.com/rotate-user/rotate-user/internal/panics"
	"github.com/rotate-user/rotate-user/internal/secret"
	"github.com/rotate-user/rotate-user/rotation"
)

// StagePassword stores the standby's next credential under AWSPENDING before the database gets it,
// because a password that was set but not stored would be lost. The rotation's version id makes the
// step safe to repeat. The error is of type ErrorTaken if that id is in use; the rotation may then
// continue with another id.
func (a *Activities) StagePassword(ctx context.Context, r rotation.StepInput) (result rotation.StagePasswordResult, err error) {
	if r.ValueSHA256 != "" { // the previous attempt staged it
		if _, err := a.staged(ctx, r); err != nil {
			return rotation.StagePasswordResult{}, err
		}
		return rotation.StagePasswordResult{Username: r.Standby.User, VersionID: r.VersionID, ValueSHA256: r.ValueSHA256}, nil
	}
	// SetPassword needs the master secret. A worker that did not run CloneUser reads both secrets at the same time.
	var master sync.WaitGroup
	master.Go(func() {
		var err error
		defer panics.Into(&err)
		_, err = a.masterVersion(ctx, r) // SetPassword meets the same error
	})
	defer master.Wait()
	current, err := a.version(ctx, r.SecretID, r.CurrentVersionID)
	if err != nil {
		return rotation.StagePasswordResult{}, err
	}
	generated, err := generate(ctx, r.Standby, r.Policy)
	if err != nil {
		return rotation.StagePasswordResult{}, err
	}
	value, err := current.With(r.Standby.User, generated)
	if err != nil {
		return rotation.StagePasswordResult{}, fmt.Errorf("secret %s: %w", r.SecretID, err)
	}
	var labels []string
	if me := rotatorOf(ctx); me != (rotator{}) {
		labels = append(labels, me.label())
	}
	v, err := a.Secrets.Stage(ctx, r.SecretID, r.VersionID, value, labels...)
	if err == nil {
		err = remember(ctx, v.Password) // of an earlier attempt, if there was one
	}
	if err != nil {
		return rotation.StagePasswordResult{}, err
	}
	activity.GetLogger(ctx).Info("version staged", "secret", r.SecretID, "version", r.VersionID, "user", r.Standby.User)
	return rotation.StagePasswordResult{Username: r.Standby.User, VersionID: r.VersionID, ValueSHA256: v.SHA256()}, nil
}

// staged reads the version of a rotation and refuses a value that the rotation did not generate.
func (a *Activities) staged(ctx context.Context, r rotation.StepInput) (secret.Version, error) {
	v, err := a.version(ctx, r.SecretID, r.VersionID)
	if err != nil {
		return secret.Version{}, err
	}
	if v.SHA256() != r.ValueSHA256 || v.Username != r.Standby.User {
		return secret.Version{}, refuse(rotation.ErrorEdited, "version %s of secret %s is not promoted because it is not the value that this rotation"+
			" staged for %s at %s: find out what stored it, and rotate again", r.VersionID, r.SecretID, r.Standby, r.Server)
	}
	return v, nil
}
