package activities

import (
	"context"

	"github.com/rotate-user/rotate-user/internal/account"
	"github.com/rotate-user/rotate-user/internal/grants"
	"github.com/rotate-user/rotate-user/internal/secret"
	"github.com/rotate-user/rotate-user/rotation"
)

// recognize reports whether the password that a server stores for an account is that of a version
// of the secret, and whether that version has a label. If the workflow remembers that it set the
// password, recognize reads no version.
func (a *Activities) recognize(
	ctx context.Context, in rotation.CloneUserInput, d secret.Description, stored grants.Stored, owned bool,
) (labelled, known bool, err error) {
	if in.Stored[stored.Account.User] == stored.Digest() {
		return true, true, nil
	}
	for _, label := range []string{secret.Previous, secret.Pending} {
		if known, err := a.holds(ctx, in.SecretID, d.Stages[label], stored); err != nil || known {
			return true, known, err
		}
	}
	if !owned { // an old version proves nothing about an account that may belong to someone else
		return false, false, nil
	}
	v, err := a.newest(ctx, in.SecretID, []grants.Stored{stored}, func(secret.Version) bool { return true })
	return false, v.ID != "", err
}

// holds reports whether a version contains the password of one of the accounts.
func (a *Activities) holds(ctx context.Context, id, versionID string, stored ...grants.Stored) (bool, error) {
	if versionID == "" {
		return false, nil
	}
	v, err := a.version(ctx, id, versionID)
	if holdsNothing(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return holds(v, stored...), nil
}

func holds(v secret.Version, stored ...grants.Stored) bool {
	for _, s := range stored {
		if s.Account.User != v.Username {
			continue
		}
		if ok, err := s.Matches(v.Password); err == nil && ok { // an error means that the account has no password
			return true
		}
	}
	return false
}

// isSet reports whether the server stores the password of a version for one of its user's accounts.
func (a *Activities) isSet(ctx context.Context, admin *account.Admin, v secret.Version) (bool, error) {
	stored, err := admin.Stored(ctx, v.Username)
	if err != nil {
		return false, err
	}
	return holds(v, stored...), nil
}

// history is how many versions are tried, newest first.
const history = 20

// newest returns the newest version of a secret, with or without a label, that satisfies fits and
// contains the password of one of the accounts. It returns an empty version if there is none.
func (a *Activities) newest(
	ctx context.Context, id string, stored []grants.Stored, fits func(secret.Version) bool,
) (secret.Version, error) {
	ids, err := a.Secrets.History(ctx, id)
	if err != nil {
		return secret.Version{}, err
	}
	for _, versionID := range ids[:min(len(ids), history)] {
		ok, err := a.holds(ctx, id, versionID, stored...)
		if err != nil {
			return secret.Version{}, err
		}
		if !ok {
			continue
		}
		if v, err := a.version(ctx, id, versionID); err != nil || fits(v) {
			return v, err
		}
	}
	return secret.Version{}, nil
}
