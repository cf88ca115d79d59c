package activities

import (
	"context"
	"errors"
	"slices"
	"strings"

	"go.temporal.io/sdk/activity"

	"github.com/rotate-user/rotate-user/internal/account"
	"github.com/rotate-user/rotate-user/internal/grants"
	"github.com/rotate-user/rotate-user/rotation"
)

// LockAccounts locks as many accounts of a deletion as it can, while the secret is scheduled for deletion.
func (a *Activities) LockAccounts(ctx context.Context, in rotation.Deletion) error {
	only := rotation.SecretScheduled
	if in.Gone {
		only = rotation.SecretGone
	}
	return a.each(ctx, in, "locked", (*account.Admin).Lock, only)
}

// UnlockAccounts unlocks as many accounts of a deletion as it can, while the secret is not
// scheduled for deletion. An account that was locked before the deletion stays locked, because its
// password may have leaked.
func (a *Activities) UnlockAccounts(ctx context.Context, in rotation.Deletion) error {
	in.Accounts = in.LockedForIt()
	return a.each(ctx, in, "unlocked", (*account.Admin).Unlock, rotation.SecretRestored)
}

// DropAccounts drops as many accounts of a deletion as it can, once the secret has been deleted. An
// account that was locked for the deletion and is no longer locked is in use again, so it is kept.
// Without Force, definers of objects are kept too, because the objects would break.
func (a *Activities) DropAccounts(ctx context.Context, in rotation.Deletion) error {
	drop := func(admin *account.Admin, ctx context.Context, n grants.Name, fence func(context.Context) error) error {
		if !in.Force {
			fence = admin.KeepDefiner(n, fence)
		}
		if in.Locked {
			return admin.DropLocked(ctx, n, fence)
		}
		return admin.Drop(ctx, n, fence)
	}
	return a.each(ctx, in, "dropped", drop, rotation.SecretGone)
}

// changeAccount is a method of account.Admin that changes an account if the fence lets it.
type changeAccount func(a *account.Admin, ctx context.Context, n grants.Name, fence func(context.Context) error) error

// each changes every account of a deletion. Right before each change, under the account's lock, it
// checks the secret, so that a late or repeated step does not touch accounts that are in use again.
func (a *Activities) each(ctx context.Context, in rotation.Deletion, done string, do changeAccount, only rotation.SecretFate) error {
	still := func(ctx context.Context) error {
		fate, err := a.fate(ctx, in, only)
		if err == nil && fate != only {
			err = refuse(rotation.ErrorEdited, "secret %s is %s: its accounts are not %s", in.SecretID, fateWords(fate), done)
		}
		return err
	}
	return a.onServer(ctx, in, func(admin *account.Admin) error {
		var failed []error
		for _, name := range in.Accounts {
			fence := func(ctx context.Context) error {
				if err := sameAccount(ctx, admin, in, name); err != nil {
					return err
				}
				return still(ctx)
			}
			if err := do(admin, ctx, name, fence); err != nil {
				failed = append(failed, err)
				continue
			}
			activity.GetLogger(ctx).Warn("account "+done, "secret", in.SecretID, "account", name.String())
		}
		return errors.Join(failed...)
	})
}

// sameAccount refuses an account whose password has changed since it was found, as far as that is
// known.
func sameAccount(ctx context.Context, admin *account.Admin, d rotation.Deletion, n grants.Name) error {
	digest := d.Stored[n.String()]
	if digest == "" {
		return nil
	}
	stored, err := admin.Stored(ctx, n.User)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(stored, func(s grants.Stored) bool { return s.Account == n && s.Digest() != digest }) {
		return refuse(rotation.ErrorEdited, "%s is not changed because it no longer has the password that the rotation of secret %s set,"+
			" as if something else used it: cancel this deletion, and DROP USER by hand what is not in use", n, d.SecretID)
	}
	return nil
}

// onServer calls do with a session of the administrator on the server of a deletion.
func (a *Activities) onServer(ctx context.Context, in rotation.Deletion, do func(*account.Admin) error) (err error) {
	defer a.Secrets.Forget(in.MasterSecretID)
	admin, master, err := a.adminOf(ctx, in.MasterSecretID, at(in.Server))
	if n := len(in.MasterSecretID) - len("-xxxxxx"); isMissing(err) && n > 0 && strings.HasPrefix(in.MasterSecretID, "arn:") {
		again := in.MasterSecretID[:n] // a new master secret with the same name has another suffix
		defer a.Secrets.Forget(again)
		admin, master, err = a.adminOf(ctx, again, at(in.Server))
	}
	if err != nil {
		return err
	}
	defer closeInto(&err, admin)
	if master.Address() != in.Server {
		return refuse(rotation.ErrorOtherServer, "master secret %s is now for %s, but the accounts of secret %s are on %s:"+
			" make it name that server until this deletion has ended, or cancel the deletion and drop the accounts by hand",
			master.Name, master.Address(), in.SecretID, in.Server)
	}
	return do(admin)
}
