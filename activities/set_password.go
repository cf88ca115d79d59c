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

// SetPassword gives the standby the staged password and unlocks it. From here
// on AWSPREVIOUS no longer logs in.
//
// The labels are looked at once more while the account is held on the server, so
// that an attempt that was overtaken cannot change an account that is in use by now.
func (a *Activities) SetPassword(ctx context.Context, r rotation.StepInput) (result rotation.SetPasswordResult, err error) {
	t := a.begin(ctx)
	defer t.edge(ctx, &err)

	pending, err := t.staged(ctx, r)
	if err != nil {
		return rotation.SetPasswordResult{}, err
	}
	admin, err := t.administer(ctx, r)
	if err != nil {
		return rotation.SetPasswordResult{}, err
	}
	defer closeInto(&err, admin)
	stillStaged := func(ctx context.Context, stored grants.Stored) error {
		d, err := t.checkStaged(ctx, r, pending, stored)
		if err != nil {
			return err
		}
		waited, err := t.awaitReplicas(ctx, r.SecretID, d)
		if waited && err == nil { // something else may have moved the labels meanwhile
			_, err = t.checkStaged(ctx, r, pending, stored)
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
		t.withdraw(ctx, r, err)
		return rotation.SetPasswordResult{}, err
	}
	if err := t.keepProxies(ctx, admin, r, pending); err != nil {
		return rotation.SetPasswordResult{}, err
	}
	activity.GetLogger(ctx).Info("password set", "secret", r.SecretID, "version", r.VersionID, "account", r.Standby.String(), "sessionsEnded", ended.Ended)
	return rotation.SetPasswordResult{Account: r.Standby.String(), VersionID: r.VersionID, SessionsEnded: ended.Ended, PasswordStored: set.Digest()}, nil
}

// stillStaged stops a change of the standby's password by an attempt that was overtaken, or where something else has set it.
func (t *attempt) stillStaged(r rotation.StepInput, pending secret.Version) func(context.Context, grants.Stored) error {
	return func(ctx context.Context, stored grants.Stored) error {
		_, err := t.checkStaged(ctx, r, pending, stored)
		return err
	}
}

func (t *attempt) checkStaged(ctx context.Context, r rotation.StepInput, pending secret.Version, stored grants.Stored) (secret.Description, error) {
	d, err := t.Secrets.StillStaged(ctx, r.SecretID, expectedLabels(r))
	// A secret scheduled for deletion keeps its labels, and the deletion has locked the account.
	if err := cmp.Or(notDeleted(d), err); err != nil {
		return d, err
	}
	master, err := t.masterVersion(ctx, r)
	if err != nil {
		return d, err
	}
	if stored.Keyed(master.Password) == r.StandbyStored {
		return d, nil
	}
	if set, err := stored.Matches(pending.Password); err == nil && set { // by an earlier try
		return d, nil
	}
	return d, refuse(rotation.ErrorEdited, "the password of %s was set by something else since this rotation of secret %s began, which may be about to promote it: rotate again", r.Standby, r.SecretID)
}
