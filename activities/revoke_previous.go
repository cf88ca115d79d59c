package activities

import (
	"context"

	"go.temporal.io/sdk/activity"

	"github.com/rotate-user/rotate-user/internal/secret"
	"github.com/rotate-user/rotate-user/rotation"
)

// RevokePrevious locks the account that was current before the rotation, ends its sessions and scrambles its
// password, so that AWSPREVIOUS no longer logs in.
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
	// Checked under the lock: the label may have been moved back, or a newer rotation may have promoted the account.
	var notInUse func(ctx context.Context) error
	notInUse = func(ctx context.Context) error {
		d, err := a.Secrets.DescribeUntil(ctx, r.SecretID, func(d secret.Description) bool {
			// The answer is newer than the promotion: AWSCURRENT has left the old version, or was
			// moved back to it.
			return d.Stages[secret.Current] != r.CurrentVersionID || d.Stages[secret.Previous] == r.VersionID
		})
		if err == nil && d.Stages[secret.Current] != r.VersionID {
			err = refuse(rotation.ErrorEdited, "%[3]s is not revoked because it may be in use again: "+
				"AWSCURRENT of secret %[1]s is no longer version %[2]s",
				r.SecretID, r.VersionID, r.Source)
		}
		if err != nil {
			return err
		}
		waited, err := a.awaitReplicas(ctx, r.SecretID, d)
		if waited && err == nil { // something else may have moved the label meanwhile
			err = notInUse(ctx)
		}
		return err
	}
	promoted, err := a.version(ctx, r.SecretID, r.VersionID)
	if err != nil {
		return rotation.RevokePreviousResult{}, err
	}
	ended, err := admin.Revoke(ctx, r.Source, pairMark(promoted.ARN), notInUse)
	if err != nil {
		return rotation.RevokePreviousResult{}, err
	}
	activity.GetLogger(ctx).Warn("previous account revoked", "secret", r.SecretID, "account", r.Source.String(),
		"sessionsEnded", ended.Ended)
	return rotation.RevokePreviousResult{Account: r.Source.String(), SessionsEnded: ended.Ended}, nil
}
