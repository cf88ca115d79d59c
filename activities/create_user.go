package activities

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"go.temporal.io/sdk/activity"

	"github.com/rotate-user/rotate-user/internal/account"
	"github.com/rotate-user/rotate-user/internal/grants"
	"github.com/rotate-user/rotate-user/internal/secret"
	"github.com/rotate-user/rotate-user/rotation"
)

// CreateAccount creates the account with its grants, locked. It refuses to do so if the account or
// the secret already exists, except for an account that an earlier call for the same secret left
// without a password.
func (a *Activities) CreateAccount(ctx context.Context, in rotation.CreateAccountInput) (err error) {
	_, made, exists := a.made(ctx, in)
	if r, ok := errors.AsType[*grants.Refusal](exists); made || exists != nil && (!ok || r.Reason != rotation.ErrorSecretExists) {
		return exists
	}
	admin, _, err := a.adminOf(ctx, in.MasterSecretID, a.given(in.MasterServer, ""))
	if err != nil {
		return cmp.Or(exists, err)
	}
	defer closeInto(&err, admin)
	if exists != nil {
		return cutOff(ctx, admin, in, exists)
	}
	if err := admin.Create(ctx, in.Account, in.Account.User+cloneSuffix, in.Grants, creationMark(in)); err != nil {
		return err
	}
	activity.GetLogger(ctx).Info("account created", "secret", in.SecretID, "account", in.Account.String())
	return nil
}

// cutOff explains why a secret exists whose account has no password: an earlier creation was cut
// off. The secret may have been edited since, so cutOff does not complete the creation.
func cutOff(ctx context.Context, admin *account.Admin, in rotation.CreateAccountInput, exists error) error {
	stored, err := admin.Stored(ctx, in.Account.User)
	if err != nil {
		return exists
	}
	for _, s := range stored {
		if s.Account == in.Account && unused(in, s) == nil {
			return refuse(rotation.ErrorSecretExists, "secret %s already exists, but its creation was cut off before %s got the password:"+
				" run `aws secretsmanager delete-secret --secret-id %[1]s --force-delete-without-recovery` and create them again", in.SecretID,
				in.Account)
		}
	}
	return exists
}

// StoreSecret creates the secret for the account that CreateAccount created, sets the account's
// password, and unlocks the account. If an earlier attempt has already created the secret, it uses
// the password in it.
//
// The secret comes first. Until it exists, the account is locked and has the mark of its secret, by
// which a repeated attempt recognizes it.
func (a *Activities) StoreSecret(ctx context.Context, in rotation.CreateAccountInput) (err error) {
	_, made, err := a.made(ctx, in)
	if err != nil {
		return err
	}
	admin, master, err := a.adminOf(ctx, in.MasterSecretID, a.given(in.MasterServer, ""))
	if err != nil {
		return err
	}
	defer closeInto(&err, admin)
	if !made {
		if err := a.createSecret(ctx, admin, master, in); err != nil {
			return err
		}
	}
	stored, err := a.version(ctx, in.SecretID, in.VersionID)
	if err != nil {
		return err
	}
	if _, err := admin.SetPassword(ctx, in.Account, in.Account, stored.Password, func(_ context.Context, now grants.Stored) error {
		if set, err := now.Matches(stored.Password); err == nil && set && !now.Locked {
			return nil
		}
		return unused(in, now)
	}); err != nil {
		return err
	}
	if _, err := admin.AwaitNodes(ctx, in.Account, in.Account, stored.Password, nil); err != nil {
		return err
	}
	activity.GetLogger(ctx).Info("secret created", "secret", in.SecretID, "account", in.Account.String())
	return nil
}

// unused refuses an account that is no longer as CreateAccount left it.
func unused(in rotation.CreateAccountInput, now grants.Stored) error {
	if now.Locked && now.Bears(creationMark(in)) {
		return nil
	}
	return refuse(grants.NotOurs, "%s has changed since it was created for secret %s, as if something else used it: "+
		"choose another name, or drop it", in.Account, in.SecretID)
}

func creationMark(in rotation.CreateAccountInput) string { return "create " + in.SecretID }

func (a *Activities) createSecret(ctx context.Context, admin *account.Admin, master secret.Version, in rotation.CreateAccountInput) error {
	unused := func(ctx context.Context) error {
		stored, err := admin.Stored(ctx, in.Account.User)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(stored, func(s grants.Stored) bool { return s.Account == in.Account })
		if i < 0 {
			return refuse(grants.NoSuchAccount, "account %s, which was created for secret %s, no longer exists: create both again", in.Account,
				in.SecretID)
		}
		return unused(in, stored[i])
	}
	if err := unused(ctx); err != nil {
		// An earlier attempt may have created the secret and set the password, and the answer that there is no secret was older.
		if _, missing := a.version(ctx, in.SecretID, in.VersionID); missing == nil {
			return nil
		}
		return err
	}
	policy, err := admin.PasswordPolicy(ctx, in.Account)
	if err != nil {
		return err
	}
	generated, err := generate(ctx, in.Account, policy)
	if err != nil {
		return err
	}
	value, err := secret.New(master.Credential, master.ARN, in.Account.User, generated, in.DBName)
	if err != nil {
		return err
	}
	err = a.Secrets.Create(ctx, in.SecretID, in.VersionID, "Credential of the MySQL user "+in.Account.User+", rotated by rotate-user", value)
	if err != nil && !judge(err).retry { // the account is useless without a password
		if dropErr := admin.Drop(ctx, in.Account, unused); dropErr != nil {
			activity.GetLogger(ctx).Warn("an account without a password was left behind: drop it", "account", in.Account.String(), "error", dropErr)
		}
	}
	return err
}

// made returns the secret that an earlier attempt created, if any. It refuses a secret of another
// origin.
func (a *Activities) made(ctx context.Context, in rotation.CreateAccountInput) (secret.Version, bool, error) {
	d, err := a.Secrets.Describe(ctx, in.SecretID)
	switch {
	case isMissing(err):
		return secret.Version{}, false, nil
	case err != nil:
		return secret.Version{}, false, err
	case !d.DeletedDate.IsZero():
		return secret.Version{}, false, refuse(rotation.ErrorDeleted,
			"secret %s is scheduled for deletion: restore it, or wait until it is deleted", in.SecretID)
	case d.Stages[secret.Current] != in.VersionID:
		return secret.Version{}, false, refuse(rotation.ErrorSecretExists,
			"secret %s already exists: start its rotation, or choose another name", in.SecretID)
	}
	v, err := a.version(ctx, in.SecretID, in.VersionID)
	return v, err == nil, err
}
