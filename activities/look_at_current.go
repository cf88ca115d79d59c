package activities

import (
	"context"

	"github.com/rotate-user/rotate-user/internal/secret"
	"github.com/rotate-user/rotate-user/rotation"
)

// LookAtCurrent tells a workflow that knows less than its secret, because it was reset, what the secret says.
func (a *Activities) LookAtCurrent(ctx context.Context, in rotation.LookAtCurrentInput) (result rotation.LookAtCurrentResult, err error) {
	t := a.begin(ctx)
	defer t.edge(ctx, &err)
	defer t.Secrets.Forget(in.SecretID)

	d, err := t.Secrets.DescribeUntil(ctx, in.SecretID, func(d secret.Description) bool {
		return shows(d, in.PromotedVersionID)
	})
	if err != nil {
		return rotation.LookAtCurrentResult{}, err
	}
	current, err := t.version(ctx, in.SecretID, d.Stages[secret.Current])
	if err != nil {
		return rotation.LookAtCurrentResult{}, err
	}
	return rotation.LookAtCurrentResult{
		VersionID: current.ID, Username: current.Username, Since: currentSince(rotation.CloneUserInput{}, current, d).UTC(),
		Ours: d.Stages[rotatorOf(ctx).label()] == current.ID,
	}, nil
}
