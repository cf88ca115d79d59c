package activities

import (
	"context"
	"slices"
	"strings"

	"github.com/rotate-user/rotate-user/internal/grants"
	"github.com/rotate-user/rotate-user/internal/secret"
	"github.com/rotate-user/rotate-user/rotation"
)

// LookAtSecret reports whether a secret is still scheduled for deletion. If a new secret has its
// name, the secret is gone.
func (a *Activities) LookAtSecret(ctx context.Context, in rotation.Deletion) (fate rotation.SecretFate, err error) {
	return a.fate(ctx, in, "")
}

// fate returns what has become of the secret. If the answer is not the likely one, it may be older
// than our own write, so fate repeats the call for a few seconds. If likely is empty, it calls
// once.
func (a *Activities) fate(ctx context.Context, in rotation.Deletion, likely rotation.SecretFate) (rotation.SecretFate, error) {
	d, err := a.Secrets.DescribeUntil(ctx, in.SecretID, func(d secret.Description) bool {
		return likely == "" || in.SecretARN != "" && d.ARN != in.SecretARN || d.DeletedDate.IsZero() == (likely == rotation.SecretRestored)
	})
	switch {
	case isMissing(err):
		return rotation.SecretGone, nil
	case err != nil:
		return "", err
	case in.SecretARN != "" && d.ARN != in.SecretARN, in.SecretARN == "" && in.Gone:
		return rotation.SecretGone, a.notReused(ctx, in)
	case d.DeletedDate.IsZero():
		return rotation.SecretRestored, nil
	default:
		return rotation.SecretScheduled, nil
	}
}

func fateWords(f rotation.SecretFate) string {
	switch f {
	case rotation.SecretScheduled:
		return "scheduled for deletion"
	case rotation.SecretRestored:
		return "not scheduled for deletion"
	default:
		return "gone"
	}
}

// notReused refuses to treat a secret as gone if a new secret with its name is for one of its
// accounts. That account would be dropped while it is in use.
func (a *Activities) notReused(ctx context.Context, in rotation.Deletion) error {
	defer a.Secrets.Forget(in.SecretID)
	v, err := a.labelled(ctx, in.SecretID, secret.Current)
	if isMalformed(err) {
		return nil
	}
	if err != nil {
		return err
	}
	i := slices.IndexFunc(in.Accounts, func(n grants.Name) bool { return n.User == v.Username })
	// The host of the new secret can be a reader or a proxy of the same server, unless it names another master secret.
	sameServer := v.Address() == in.Server || !strings.HasPrefix(v.MasterARN, "arn:") || secret.Version{ARN: in.MasterSecretID}.Is(v.MasterARN)
	if i >= 0 && sameServer {
		return refuse(rotation.ErrorSecretExists, "a new secret %s uses %s, an account of the deleted secret, which would be dropped:"+
			" use another user in the new secret, or cancel this deletion and run ALTER USER %[2]s ACCOUNT UNLOCK", v.Name, in.Accounts[i])
	}
	return nil
}
