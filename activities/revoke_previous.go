package activities

import (
	"context"

	"go.temporal.io/sdk/activity"

	"github.com/rotate-user/rotate-user/internal/account"
	"github.com/rotate-user/rotate-user/internal/secret"
	"github.com/rotate-user/rotate-user/rotation"
)

// RevokePrevious locks the account that was current before the rotation, ends its sessions and scrambles its
// password, so that AWSPREVIOUS no longer logs in. If the account was dropped, only its sessions are left to end.
func (a *Activities) RevokePrevious(ctx context.Context, r rotation.StepInput) (result rotation.RevokePreviousResult, err error) {
	admin, master, err := a.adminOf(ctx, r.MasterSecretID, at(r.Server))
	if err != nil {
		return rotation.RevokePreviousResult{}, err
	}
	defer closeInto(&err, admin)
	if master.Address() != r.Server {
		return rotation.RevokePreviousResult{}, refuse(rotation.ErrorOtherServer, "master secret %s is now for %s, but %s is on %s:"+
			" let it name that server, or revoke the account by hand", master.Name, master.Address(), r.Source, r.Server)
	}
	promoted, err := a.version(ctx, r.SecretID, r.VersionID)
	if err != nil {
		return rotation.RevokePreviousResult{}, err
	}
	mark := pairMark(promoted.ARN)
	ended, err := admin.Revoke(ctx, r.Source, mark, func(ctx context.Context) error {
		asBefore, err := a.storedAsBefore(ctx, admin, r, mark)
		if err != nil {
			return err
		}
		return a.notInUse(ctx, r, asBefore)
	})
	if err != nil {
		return rotation.RevokePreviousResult{}, err
	}
	activity.GetLogger(ctx).Warn("previous account revoked", "secret", r.SecretID, "account", r.Source.String(),
		"sessionsEnded", ended.Ended, "dropped", ended.Dropped)
	return rotation.RevokePreviousResult{Account: r.Source.String(), SessionsEnded: ended.Ended, Dropped: ended.Dropped}, nil
}

// storedAsBefore reports whether the server stores for the previous account what it did at the promotion, or what an earlier
// attempt to revoke it left, or nothing because the account was dropped.
func (a *Activities) storedAsBefore(ctx context.Context, admin *account.Admin, r rotation.StepInput, mark string) (bool, error) {
	stored, found, err := admin.StoredFor(ctx, r.Source)
	if err != nil || !found || stored.Unset(mark) {
		return err == nil, err
	}
	return a.holds(ctx, r.SecretID, r.CurrentVersionID, stored)
}

// notInUse refuses to revoke an account that may be in use again: AWSCURRENT may have been moved back, or another rotation may have
// promoted the account. It is called under the pair's lock. An edit of the secret does not matter if AWSCURRENT is still for another
// user, and the account still has the password that is to be revoked.
//
// If something has set the account's password since the promotion (asBefore is false), that may have been such a rotation, whose
// promotion no answer shows yet. Then notInUse looks for it for as long as answers may lag. It may as well have been the holder of
// the leaked credential, who must not be able to prevent the revocation.
func (a *Activities) notInUse(ctx context.Context, r rotation.StepInput, asBefore bool) error {
	d, err := a.Secrets.DescribeUntil(ctx, r.SecretID, func(d secret.Description) bool {
		// The answer is newer than the promotion: AWSCURRENT has left the old version, or was
		// moved back to it.
		recent := d.Stages[secret.Current] != r.CurrentVersionID || d.Stages[secret.Previous] == r.VersionID
		return recent && (asBefore || d.Stages[secret.Current] != r.VersionID)
	})
	if err != nil {
		return err
	}
	if current := d.Stages[secret.Current]; current != r.VersionID {
		user, err := a.user(ctx, r.SecretID, current)
		if err != nil {
			return err
		}
		if !asBefore || user == "" || user == r.Source.User {
			return refuse(rotation.ErrorEdited, "%[3]s is not revoked because it may be in use again: "+
				"AWSCURRENT of secret %[1]s is no longer version %[2]s",
				r.SecretID, r.VersionID, r.Source)
		}
	}
	waited, err := a.awaitReplicas(ctx, r.SecretID, d)
	if waited && err == nil { // something else may have moved the label meanwhile
		err = a.notInUse(ctx, r, asBefore)
	}
	return err
}
