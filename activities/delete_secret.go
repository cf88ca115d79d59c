package activities

import (
	"cmp"
	"context"
	"slices"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/rotate-user/rotate-user/internal/account"
	"github.com/rotate-user/rotate-user/internal/secret"
	"github.com/rotate-user/rotate-user/rotation"
)

// DeleteSecret schedules the secret for deletion and returns when it will be deleted. Its error is
// of type ErrorEdited if a rotation has changed the secret or its accounts since they were found.
//
// It holds the pair's lock. Under the same lock, a rotation checks whether its secret is scheduled
// for deletion. So from then on, no rotation creates or unlocks an account.
func (a *Activities) DeleteSecret(ctx context.Context, in rotation.Deletion) (deletionDate time.Time, err error) {
	remove := func(ctx context.Context) error {
		deletionDate, err = a.Secrets.Delete(ctx, secretIDOf(in), in.RecoveryWindowInDays)
		return err
	}
	if len(in.Users) != 2 { // found by an earlier release
		err = remove(ctx)
	} else {
		err = a.onServer(ctx, in, func(admin *account.Admin) error {
			return admin.Locked(ctx, in.Users[0], in.Users[1], func(ctx context.Context) error {
				if err := a.asFound(ctx, admin, in); err != nil {
					return err
				}
				return remove(ctx)
			})
		})
	}
	if err == nil {
		activity.GetLogger(ctx).Warn("secret scheduled for deletion", "secret", in.SecretID, "date", deletionDate)
	}
	return deletionDate, err
}

// asFound returns an error if a rotation has changed the secret or its accounts since they were found.
func (a *Activities) asFound(ctx context.Context, admin *account.Admin, in rotation.Deletion) error {
	d, err := a.Secrets.Describe(ctx, secretIDOf(in))
	if err != nil {
		return err
	}
	if !d.DeletedDate.IsZero() { // by an earlier attempt
		return nil
	}
	stored, err := admin.Stored(ctx, in.Users...)
	if err != nil {
		return err
	}
	for _, s := range stored {
		if !slices.Contains(slices.Concat(in.Accounts, in.Others), s.Account) && s.Account.Host == in.Accounts[0].Host {
			return refuse(rotation.ErrorEdited, "account %s was created after the accounts of secret %s were found: delete the secret again",
				s.Account, in.SecretID)
		}
	}
	pending := d.Stages[secret.Pending]
	if d.Stages[secret.Current] != in.CurrentVersionID || !slices.Contains([]string{"", in.CurrentVersionID, in.PendingVersionID}, pending) {
		return refuse(rotation.ErrorEdited, "secret %s was rotated or edited after its accounts were found: delete it again", in.SecretID)
	}
	return nil
}

// secretIDOf returns an id that only the secret that was found has. A later secret with the same
// name has another ARN.
func secretIDOf(d rotation.Deletion) string { return cmp.Or(d.SecretARN, d.SecretID) }
