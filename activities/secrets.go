package activities

import (
	"context"
	"fmt"

	"github.com/rotate-user/rotate-user/internal/grants"
	"github.com/rotate-user/rotate-user/internal/password"
	"github.com/rotate-user/rotate-user/internal/secret"
	"github.com/rotate-user/rotate-user/rotation"
)

// version reads a version of a secret, whose password is redacted from then on.
func (a *Activities) version(ctx context.Context, id, versionID string) (secret.Version, error) {
	r, err := redactorOf(ctx)
	if err != nil {
		return secret.Version{}, err
	}
	v, err := a.Secrets.Version(ctx, id, versionID)
	r.remember(v.Password)
	return v, err
}

// labelled reads the version that has a staging label, and is otherwise like version.
func (a *Activities) labelled(ctx context.Context, id, label string) (secret.Version, error) {
	r, err := redactorOf(ctx)
	if err != nil {
		return secret.Version{}, err
	}
	v, err := a.Secrets.Labelled(ctx, id, label)
	r.remember(v.Password)
	return v, err
}

// generate returns a password for an account that meets its server's policy.
func generate(ctx context.Context, n grants.Name, policy password.Policy) (string, error) {
	generated, err := password.Generate(policy)
	if err != nil {
		return "", fmt.Errorf("generate a password for %s: %w", n, err)
	}
	return generated, remember(ctx, generated)
}

// user returns the user of a version. It is empty if the version does not contain a credential.
func (a *Activities) user(ctx context.Context, id, versionID string) (string, error) {
	v, err := a.version(ctx, id, versionID)
	if holdsNothing(err) {
		return "", nil
	}
	return v.Username, err
}

// expectedLabels returns which versions the labels must be on until the rotation promotes.
func expectedLabels(r rotation.StepInput) secret.Labels {
	return secret.Labels{Current: r.CurrentVersionID, Pending: r.VersionID, Before: r.PendingVersionID}
}
