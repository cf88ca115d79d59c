package activities

import (
	"context"
	"time"

	"github.com/rotate-user/rotate-user/internal/secret"
)

// LookAtCurrentInput names the secret to look at.
type LookAtCurrentInput struct {
	SecretID string `json:"SecretId"`
	// PromotedVersionID is the version that the workflow knows to have promoted last: an answer from
	// before that is asked for again.
	PromotedVersionID string `json:"PromotedVersionId,omitempty"`
}

// LookAtCurrentResult says what AWSCURRENT is.
type LookAtCurrentResult struct {
	VersionID string `json:"VersionId"`
	Username  string `json:"Username"`
	// Since is from when on clients may have had it.
	Since time.Time `json:"Since"`
	// Ours says that the workflow itself has staged it.
	Ours bool `json:"Ours,omitempty"`
}

// LookAtCurrent tells a workflow that knows less than its secret, because it was reset, what the secret says.
func (a *Activities) LookAtCurrent(ctx context.Context, in LookAtCurrentInput) (result LookAtCurrentResult, err error) {
	t := a.begin(ctx)
	defer t.edge(ctx, &err)
	defer t.Secrets.Forget(in.SecretID)

	d, err := t.Secrets.DescribeUntil(ctx, in.SecretID, func(d secret.Description) bool {
		return shows(d, in.PromotedVersionID)
	})
	if err != nil {
		return LookAtCurrentResult{}, err
	}
	current, err := t.version(ctx, in.SecretID, d.Stages[secret.Current])
	if err != nil {
		return LookAtCurrentResult{}, err
	}
	return LookAtCurrentResult{
		VersionID: current.ID, Username: current.Username, Since: CloneUserInput{}.currentSince(current, d).UTC(),
		Ours: d.Stages[rotatorOf(ctx).label()] == current.ID,
	}, nil
}
