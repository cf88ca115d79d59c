package activities

import (
	"cmp"
	"context"

	"go.temporal.io/sdk/activity"

	"github.com/rotate-user/rotate-user/internal/account"
	"github.com/rotate-user/rotate-user/internal/grants"
	"github.com/rotate-user/rotate-user/internal/secret"
	"github.com/rotate-user/rotate-user/rotation"
)

// SetPassword sets the standby's password to the staged one and unlocks the account. From then on,
// AWSPREVIOUS no longer logs in.
//
// It checks the labels again under the account's lock on the server, so that an attempt that was
// overtaken cannot change an account that has become the current one.
func (a *Activities) SetPassword(ctx context.Context, r rotation.StepInput) (result rotation.SetPasswordResult, err error) {
	pending, err := a.staged(ctx, r)
	if err != nil {
		return rotation.SetPasswordResult{}, err
	}
	admin, err := a.administer(ctx, r)
	if err != nil {
		return rotation.SetPasswordResult{}, err
	}
	defer closeInto(&err, admin)
	stillStaged := func(ctx context.Context, stored grants.Stored) error {
		d, err := a.checkStaged(ctx, r, pending, stored)
		if err != nil {
			return err
		}
		waited, err := a.awaitReplicas(ctx, r.SecretID, d)
		if waited && err == nil { // something else may have moved the labels meanwhile
			_, err = a.checkStaged(ctx, r, pending, stored)
		}
		return err
	}
	var set grants.Stored
	var ended account.Ended
	if r.EndSessions {
		set, ended, err = admin.ReplacePassword(ctx, r.Standby, r.Source, pending.Password, stillStaged)
	} else {
		set, err = admin.SetPassword(ctx, r.Standby, r.Source, pending.Password, stillStaged)
	}
	if err != nil {
		a.withdraw(ctx, r, err)
		return rotation.SetPasswordResult{}, err
	}
	if err := a.keepProxies(ctx, admin, r, pending); err != nil {
		return rotation.SetPasswordResult{}, err
	}
	activity.GetLogger(ctx).Info("password set", "secret", r.SecretID, "version", r.VersionID, "account", r.Standby.String(),
		"sessionsEnded", ended.Ended)
	return rotation.SetPasswordResult{
		Account: r.Standby.String(), VersionID: r.VersionID, SessionsEnded: ended.Ended, PasswordStored: set.Digest(),
	}, nil
}

// stillStaged returns checkStaged as a function that can guard a change.
func (a *Activities) stillStaged(r rotation.StepInput, pending secret.Version) func(context.Context, grants.Stored) error {
	return func(ctx context.Context, stored grants.Stored) error {
		_, err := a.checkStaged(ctx, r, pending, stored)
		return err
	}
}

// checkStaged refuses to change the standby's password if another rotation has overtaken this
// attempt, or if something else has set the password or locked the account.
func (a *Activities) checkStaged(
	ctx context.Context, r rotation.StepInput, pending secret.Version, stored grants.Stored,
) (secret.Description, error) {
	d, err := a.Secrets.StillStaged(ctx, r.SecretID, expectedLabels(r))
	// A secret scheduled for deletion keeps its labels, and the deletion has locked the account.
	if err := cmp.Or(notDeleted(d), err); err != nil {
		return d, err
	}
	if stored.Locked && r.StandbyUnlocked {
		return d, refuse(grants.StandbyLocked, "%s was locked by hand after this rotation of secret %s began: if it may be used again,"+
			" rotate with Force, which ends its sessions and replaces its password before the account can log in", r.Standby, r.SecretID)
	}
	master, err := a.masterVersion(ctx, r)
	if err != nil {
		return d, err
	}
	if stored.Keyed(master.Password) == r.StandbyStored {
		return d, nil
	}
	if set, err := stored.Matches(pending.Password); err == nil && set { // by an earlier attempt
		return d, nil
	}
	return d, refuse(rotation.ErrorEdited, "something else has set the password of %s since this rotation of secret %s began,"+
		" and may be about to promote it: rotate again", r.Standby, r.SecretID)
}
