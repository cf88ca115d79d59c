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

// RecoverSecret moves AWSCURRENT to the newest version that logs in, where the one
// that is there does not: the database was restored from a backup, or the secret
// edited. If the account in use is locked, and was left so by a deletion that was cut, it unlocks that
// and the other one that the deletion locked. It writes to no account otherwise. A rotation that is under way notices the move.
// Where no version logs in, its error is of type grants.WrongPassword.
func (a *Activities) RecoverSecret(ctx context.Context, in rotation.RecoverSecretInput) (result rotation.RecoverSecretResult, err error) {
	t := a.begin(ctx)
	defer t.edge(ctx, &err)
	defer t.Secrets.Forget(in.SecretID)

	in.EarlierSHA256, in.Force = "", true // no rotation that others would have to be spared
	in.ProxySecretIDs = nil               // the next rotation brings them in step; they must not hold a recovery up
	s, err := t.examine(ctx, in.CloneUserInput, showsPromotion(in.CloneUserInput))
	if err != nil {
		return rotation.RecoverSecretResult{}, err
	}
	admin, err := t.admin(ctx, s.master)
	if err != nil {
		return rotation.RecoverSecretResult{}, err
	}
	defer closeInto(&err, admin)
	set, err := t.isSet(ctx, admin, s.current)
	if err != nil {
		return rotation.RecoverSecretResult{}, err
	}
	if set {
		result.ValidateSecretResult, err = t.validate(ctx, atMaster(s.current, s.master))
		if lockedOut(err) && (in.Held || in.Locked != nil) {
			if result.Unlocked, err = t.unlockLeft(ctx, admin, s, in); err == nil {
				result.ValidateSecretResult, err = t.validate(ctx, atMaster(s.current, s.master))
			}
		}
		return result, err
	}
	restored, err := t.restore(ctx, admin, s)
	if err != nil {
		return rotation.RecoverSecretResult{}, err
	}
	if restored == "" {
		return rotation.RecoverSecretResult{}, refuse(grants.WrongPassword, "version %s of secret %s does not log in as %s, and of the newest %d versions that differ from it in the credential only, none logs in as %s or %s:"+
			" store the right password in the secret, or ALTER USER to the one that is there", s.current.ID, s.SecretID, s.current.Username, history, s.current.Username, s.accounts.Standby)
	}
	activity.GetLogger(ctx).Warn("recovered", "secret", s.SecretID, "version", restored, "refused", s.current.ID)
	v, err := t.version(ctx, in.SecretID, restored)
	if err == nil {
		result.ValidateSecretResult, err = t.validate(ctx, atMaster(v, s.master))
	}
	if err != nil {
		return rotation.RecoverSecretResult{}, fmt.Errorf("AWSCURRENT of secret %s is version %s now, whose password the server stores: %w", s.SecretID, restored, err)
	}
	if restored != s.current.ID { // or its password was set by hand a moment ago
		result.RefusedVersionID = s.current.ID
	}
	return result, nil
}

// unlockLeft unlocks the accounts that a deletion left locked: the one in use, and before it the other ones that
// the deletion is known to have locked. What was locked before it, or has another password than the secret's by now, stays locked.
func (t *attempt) unlockLeft(ctx context.Context, admin *account.Admin, s *subject, in rotation.RecoverSecretInput) (unlocked []string, err error) {
	err = admin.Locked(ctx, s.current.Username, s.accounts.Standby, func(ctx context.Context) error {
		stored, err := admin.Stored(ctx, s.accounts.Standby, s.current.Username)
		if err != nil {
			return err
		}
		// The one in use comes last: a step that is repeated looks at that one first.
		for _, v := range []struct{ user, versionID string }{{s.accounts.Standby, s.previousVersionID}, {s.current.Username, s.current.ID}} {
			for _, a := range stored {
				if a.Account.User != v.user || !a.Locked || slices.Contains(in.LockedBefore, a.Account) || v.versionID != s.current.ID && !slices.Contains(in.Locked, a.Account) {
					continue
				}
				ours, err := t.holds(ctx, s.SecretID, v.versionID, a)
				if err != nil {
					return err
				}
				if !ours {
					continue
				}
				if err := admin.Unlock(ctx, a.Account, s.unmoved); err != nil {
					return err
				}
				activity.GetLogger(ctx).Warn("account unlocked, which a deletion had left locked", "secret", s.SecretID, "account", a.Account.String())
				unlocked = append(unlocked, a.Account.String())
			}
		}
		return nil
	})
	return unlocked, err
}
