package activities

import (
	"context"

	"go.temporal.io/sdk/activity"

	"github.com/rotate-user/rotate-user/internal/secret"
	"github.com/rotate-user/rotate-user/rotation"
)

// RevokePrevious locks the account that was in use before the rotation, ends
// its sessions and scrambles its password. AWSPREVIOUS no longer logs in.
func (a *Activities) RevokePrevious(ctx context.Context, r rotation.StepInput) (result rotation.RevokePreviousResult, err error) {
	t := a.begin(ctx)
	defer t.edge(ctx, &err)

	admin, master, err := t.adminOf(ctx, r.MasterSecretID, at(r.Server))
	if err != nil {
		return rotation.RevokePreviousResult{}, err
	}
	defer closeInto(&err, admin)
	if !t.sameServer(master, r) {
		return rotation.RevokePreviousResult{}, refuse(rotation.ErrorOtherServer, "master secret %s is for %s now, and %s is on %s", master.Name, master.Address(), r.Source, r.Server)
	}
	// Looked at under the lock: the label may have been moved back, or the account promoted by a newer rotation.
	var notInUse func(ctx context.Context) error
	notInUse = func(ctx context.Context) error {
		d, err := t.Secrets.DescribeUntil(ctx, r.SecretID, func(d secret.Description) bool {
			// Not as before the promotion, or moved back after it.
			return d.Stages[secret.Current] != r.CurrentVersionID || d.Stages[secret.Previous] == r.VersionID
		})
		if err == nil && d.Stages[secret.Current] != r.VersionID {
			err = refuse(rotation.ErrorEdited, "AWSCURRENT of secret %s is no longer version %s: %s is not revoked, as it may be in use again", r.SecretID, r.VersionID, r.Source)
		}
		if err != nil {
			return err
		}
		waited, err := t.awaitReplicas(ctx, r.SecretID, d)
		if waited && err == nil { // the label may have been moved meanwhile
			err = notInUse(ctx)
		}
		return err
	}
	promoted, err := t.version(ctx, r.SecretID, r.VersionID)
	if err != nil {
		return rotation.RevokePreviousResult{}, err
	}
	ended, err := admin.Revoke(ctx, r.Source, pairMark(promoted.ARN), notInUse)
	if err != nil {
		return rotation.RevokePreviousResult{}, err
	}
	activity.GetLogger(ctx).Warn("previous account revoked", "secret", r.SecretID, "account", r.Source.String(), "sessionsEnded", ended.Ended)
	return rotation.RevokePreviousResult{Account: r.Source.String(), SessionsEnded: ended.Ended}, nil
}
