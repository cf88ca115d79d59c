package activities

import (
	"context"

	"github.com/rotate-user/rotate-user/internal/secret"
	"github.com/rotate-user/rotate-user/rotation"
)

// LookAtCurrent returns the state of a secret, for a workflow that was reset and may have forgotten
// a rotation.
func (a *Activities) LookAtCurrent(ctx context.Context, in rotation.LookAtCurrentInput) (result rotation.LookAtCurrentResult, err error) {
	defer a.Secrets.Forget(in.SecretID)

	d, err := a.Secrets.DescribeUntil(ctx, in.SecretID, func(d secret.Description) bool {
		return shows(d, in.PromotedVersionID)
	})
	if err != nil {
		return rotation.LookAtCurrentResult{}, err
	}
	current, err := a.version(ctx, in.SecretID, d.Stages[secret.Current])
	if err != nil {
		return rotation.LookAtCurrentResult{}, err
	}
	return rotation.LookAtCurrentResult{
		VersionID: current.ID, Username: current.Username, Since: currentSince(rotation.CloneUserInput{}, current, d).UTC(),
		Ours: d.Stages[rotatorOf(ctx).label()] == current.ID,
	}, nil
}
