package activities

import (
	"context"
	"fmt"

	"go.temporal.io/sdk/activity"

	"github.com/rotate-user/rotate-user/internal/account"
)

// RecoverSecretResult says as whom AWSCURRENT logs in.
type RecoverSecretResult struct {
	ValidateSecretResult
	// RefusedVersionID is the version that was AWSCURRENT and did not log in. It is
	// empty where there was nothing to recover.
	RefusedVersionID string `json:"RefusedVersionId,omitempty"`
}

// RecoverSecret moves AWSCURRENT to the newest version that logs in, where the one
// that is there does not: the database was restored from a backup, or the secret
// edited. It writes to no account. A rotation that is under way notices the move.
// Where no version logs in, its error is of type account.WrongPassword.
func (a *Activities) RecoverSecret(ctx context.Context, in CloneUserInput) (result RecoverSecretResult, err error) {
	t := a.begin(ctx)
	defer t.edge(ctx, &err)
	defer t.Secrets.Forget(in.SecretID)

	in.EarlierSHA256, in.Force = "", true // no rotation that others would have to be spared
	s, err := t.examine(ctx, in, in.showsPromotion)
	if err != nil {
		return RecoverSecretResult{}, err
	}
	admin, err := t.admin(ctx, s.master)
	if err != nil {
		return RecoverSecretResult{}, err
	}
	defer closeInto(&err, admin)
	set, err := t.isSet(ctx, admin, s.current)
	if err != nil {
		return RecoverSecretResult{}, err
	}
	if set {
		result.ValidateSecretResult, err = t.validate(ctx, s.current)
		return result, err
	}
	restored, err := t.restore(ctx, admin, s)
	if err != nil {
		return RecoverSecretResult{}, err
	}
	if restored == "" {
		return RecoverSecretResult{}, refuse(account.WrongPassword, "version %s of secret %s does not log in as %s, and of the newest %d versions that differ from it in the credential only, none logs in as %s or %s:"+
			" store the right password in the secret, or ALTER USER to the one that is there", s.current.ID, s.SecretID, s.current.Username, history, s.current.Username, s.accounts.Standby)
	}
	activity.GetLogger(ctx).Warn("recovered", "secret", s.SecretID, "version", restored, "refused", s.current.ID)
	v, err := t.version(ctx, in.SecretID, restored)
	if err == nil {
		result.ValidateSecretResult, err = t.validate(ctx, v)
	}
	if err != nil {
		return RecoverSecretResult{}, fmt.Errorf("AWSCURRENT of secret %s is version %s now, whose password the server stores: %w", s.SecretID, restored, err)
	}
	if restored != s.current.ID { // or its password was set by hand a moment ago
		result.RefusedVersionID = s.current.ID
	}
	return result, nil
}
