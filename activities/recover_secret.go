package activities

import (
	"context"
	"fmt"
	"slices"

	"go.temporal.io/sdk/activity"

	"github.com/rotate-user/rotate-user/internal/account"
	"github.com/rotate-user/rotate-user/internal/grants"
	"github.com/rotate-user/rotate-user/rotation"
)

// RecoverSecret moves AWSCURRENT to the newest version that logs in, if the current version does
// not, because the database was restored from a backup or the secret was edited. If a deletion was
// cut off and left the current account locked, it unlocks that account and the other one that the
// deletion locked. It changes nothing else on the server. A rotation in progress notices the move.
// If no version logs in, the error is of type grants.WrongPassword.
//
// If the rotation keeps secrets for a proxy, RecoverSecret then stores the credential in the current
// account's proxy secret. The applications do not need the proxy secret to be recovered, so an error
// of that part is a warning.
func (a *Activities) RecoverSecret(ctx context.Context, in rotation.RecoverSecretInput) (result rotation.RecoverSecretResult, err error) {
	defer a.Secrets.Forget(in.SecretID)

	proxies := in.ProxySecretIDs
	in.EarlierSHA256, in.Force = "", true // this is not a rotation, so it does not wait for others
	in.ProxySecretIDs = nil               // they must not prevent a recovery
	s, err := a.examine(ctx, in.CloneUserInput, showsPromotion(in.CloneUserInput))
	if err != nil {
		return rotation.RecoverSecretResult{}, err
	}
	admin, err := a.admin(ctx, s.master)
	if err != nil {
		return rotation.RecoverSecretResult{}, err
	}
	defer closeInto(&err, admin)
	result, err = a.recoverCurrent(ctx, admin, s, in)
	if err != nil || len(proxies) == 0 {
		return result, err
	}
	r, err := redactorOf(ctx)
	if err != nil {
		return result, err
	}
	result.ProxySecret, err = a.recoverProxy(ctx, admin, proxies, s, result.VersionID)
	if err != nil {
		_, text := r.explain(err)
		result.ProxySecret, result.Warnings = "", []string{fmt.Sprintf("the proxy may not know the password of %s: %s", result.Username, text)}
	}
	return result, nil
}

// recoverCurrent is RecoverSecret without the proxy secrets.
func (a *Activities) recoverCurrent(
	ctx context.Context, admin *account.Admin, s *subject, in rotation.RecoverSecretInput,
) (result rotation.RecoverSecretResult, err error) {
	set, err := a.isSet(ctx, admin, s.current)
	if err != nil {
		return rotation.RecoverSecretResult{}, err
	}
	if set {
		result.ValidateSecretResult, err = a.validate(ctx, atMaster(s.current, s.master))
		if lockedOut(err) && (in.Held || in.Locked != nil) {
			if result.Unlocked, err = a.unlockLeft(ctx, admin, s, in); err == nil {
				result.ValidateSecretResult, err = a.validate(ctx, atMaster(s.current, s.master))
			}
		}
		return result, err
	}
	restored, err := a.restore(ctx, admin, s)
	if err != nil {
		return rotation.RecoverSecretResult{}, err
	}
	if restored == "" {
		return rotation.RecoverSecretResult{}, refuse(grants.WrongPassword, "version %s of secret %s does not log in as %s, and none of its"+
			" newest %d versions that differ only in the credential logs in as %[3]s or %[5]s: store the right password in the secret,"+
			" or set the one in the secret with ALTER USER", s.current.ID, s.SecretID, s.current.Username, history, s.accounts.Standby)
	}
	activity.GetLogger(ctx).Warn("recovered", "secret", s.SecretID, "version", restored, "refused", s.current.ID)
	v, err := a.version(ctx, in.SecretID, restored)
	if err == nil {
		result.ValidateSecretResult, err = a.validate(ctx, atMaster(v, s.master))
	}
	if err != nil {
		return rotation.RecoverSecretResult{}, fmt.Errorf("AWSCURRENT is now version %s of secret %s, whose password the server stores: %w",
			restored, s.SecretID, err)
	}
	if restored != s.current.ID { // otherwise its password was set by hand a moment ago
		result.RefusedVersionID = s.current.ID
	}
	return result, nil
}

// unlockLeft unlocks the accounts that a deletion left locked: first those that the deletion is
// known to have locked, then the current account. An account that was locked before the deletion,
// or whose password is not the secret's, stays locked.
func (a *Activities) unlockLeft(
	ctx context.Context, admin *account.Admin, s *subject, in rotation.RecoverSecretInput,
) (unlocked []string, err error) {
	leftLocked := func(n grants.Stored, current bool) bool {
		return n.Locked && !slices.Contains(in.LockedBefore, n.Account) && (current || slices.Contains(in.Locked, n.Account))
	}
	err = admin.Locked(ctx, s.current.Username, s.accounts.Standby, func(ctx context.Context) error {
		stored, err := admin.Stored(ctx, s.accounts.Standby, s.current.Username)
		if err != nil {
			return err
		}
		for _, v := range []struct{ user, versionID string }{
			{s.accounts.Standby, s.previousVersionID},
			{s.current.Username, s.current.ID}, // last, because a repeated step checks the current account first
		} {
			for _, n := range stored {
				if n.Account.User != v.user || !leftLocked(n, v.versionID == s.current.ID) {
					continue
				}
				ours, err := a.holds(ctx, s.SecretID, v.versionID, n)
				if err != nil {
					return err
				}
				if !ours {
					continue
				}
				if err := admin.Unlock(ctx, n.Account, s.unmoved); err != nil {
					return err
				}
				activity.GetLogger(ctx).Warn("account unlocked that a deletion had left locked", "secret", s.SecretID, "account", n.Account.String())
				unlocked = append(unlocked, n.Account.String())
			}
		}
		return nil
	})
	return unlocked, err
}
