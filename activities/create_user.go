package activities

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"go.temporal.io/sdk/activity"

	"github.com/rotate-user/rotate-user/internal/account"
	"github.com/rotate-user/rotate-user/internal/grants"
	"github.com/rotate-user/rotate-user/internal/password"
	"github.com/rotate-user/rotate-user/internal/secret"
	"github.com/rotate-user/rotate-user/rotation"
)

// CreateAccount makes the account, locked, with its grants. It refuses an
// account or a secret that is there already. One that an earlier call for the
// same secret has made and left behind without a password is completed.
func (a *Activities) CreateAccount(ctx context.Context, in rotation.CreateAccountInput) (err error) {
	t := a.begin(ctx)
	defer t.edge(ctx, &err)

	_, made, exists := t.made(ctx, in)
	if r, ok := errors.AsType[*refusal](exists); made || exists != nil && (!ok || r.reason != rotation.ErrorSecretExists) {
		return exists
	}
	admin, _, err := t.adminOf(ctx, in.MasterSecretID, t.given(in.MasterServer, ""))
	if err != nil {
		return cmp.Or(exists, err)
	}
	defer closeInto(&err, admin)
	if exists != nil {
		return cutOff(in, ctx, admin, exists)
	}
	if err := admin.Create(ctx, in.Account, in.Account.User+cloneSuffix, in.Grants, creationMark(in)); err != nil {
		return err
	}
	activity.GetLogger(ctx).Info("account made", "secret", in.SecretID, "account", in.Account.String())
	return nil
}

// cutOff says more of a secret that exists where an earlier creation ended before its account got the password. Its value may
// have been edited since, so it is not completed here.
func cutOff(in rotation.CreateAccountInput, ctx context.Context, admin *account.Admin, exists error) error {
	stored, err := admin.Stored(ctx, in.Account.User)
	if err != nil {
		return exists
	}
	for _, s := range stored {
		if s.Account == in.Account && unused(in, s) == nil {
			return refuse(rotation.ErrorSecretExists, "secret %s exists already, and %s was made for it and has not got its password: the creation was cut off;"+
				" run `aws secretsmanager delete-secret --secret-id %[1]s --force-delete-without-recovery`, and create both again", in.SecretID, in.Account)
		}
	}
	return exists
}

// StoreSecret makes the secret of the account that CreateAccount made, gives the
// account the password that is in it, and unlocks it. A secret that an earlier
// try has made decides the password.
//
// The secret comes first. Until it is there the account is locked and bears its
// mark, by which a repeated try knows it from one that is another secret's by now.
func (a *Activities) StoreSecret(ctx context.Context, in rotation.CreateAccountInput) (err error) {
	t := a.begin(ctx)
	defer t.edge(ctx, &err)

	_, made, err := t.made(ctx, in)
	if err != nil {
		return err
	}
	admin, master, err := t.adminOf(ctx, in.MasterSecretID, t.given(in.MasterServer, ""))
	if err != nil {
		return err
	}
	defer closeInto(&err, admin)
	if !made {
		if err := t.createSecret(ctx, admin, master, in); err != nil {
			return err
		}
	}
	stored, err := t.version(ctx, in.SecretID, in.VersionID)
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
	activity.GetLogger(ctx).Info("secret made", "secret", in.SecretID, "account", in.Account.String())
	return nil
}

// unused refuses an account that is not as CreateAccount leaves it.
func unused(in rotation.CreateAccountInput, now grants.Stored) error {
	if now.Locked && now.Bears(creationMark(in)) {
		return nil
	}
	return refuse(grants.NotOurs, "%s is not as it was made for secret %s: something else uses it by now; choose another name, or drop it", in.Account, in.SecretID)
}

func creationMark(in rotation.CreateAccountInput) string { return "create " + in.SecretID }

func (t *attempt) createSecret(ctx context.Context, admin *account.Admin, master secret.Version, in rotation.CreateAccountInput) error {
	unused := func(ctx context.Context) error {
		stored, err := admin.Stored(ctx, in.Account.User)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(stored, func(s grants.Stored) bool { return s.Account == in.Account })
		if i < 0 {
			return refuse(grants.NoSuchAccount, "account %s, which was made for secret %s, is gone: create it again", in.Account, in.SecretID)
		}
		return unused(in, stored[i])
	}
	if err := unused(ctx); err != nil {
		return err
	}
	policy, err := admin.PasswordPolicy(ctx, in.Account)
	if err != nil {
		return err
	}
	generated, err := password.Generate(policy)
	if err != nil {
		return fmt.Errorf("generate a password for %s: %w", in.Account, err)
	}
	t.learn(generated)
	value, err := secret.New(master.Credential, master.ARN, in.Account.User, generated, in.DBName)
	if err != nil {
		return err
	}
	err = t.Secrets.Create(ctx, in.SecretID, in.VersionID, "Credential of the MySQL user "+in.Account.User+", rotated by rotate-user", value)
	if err != nil && !judge(err).retry { // the account has no password and is of no use
		if dropErr := admin.Drop(ctx, in.Account, unused); dropErr != nil {
			activity.GetLogger(ctx).Warn("the account stays behind: drop it", "account", in.Account.String(), "error", t.scrub(dropErr))
		}
	}
	return err
}

// made finds the secret that an earlier try has made, and refuses one that
// somebody else has.
func (t *attempt) made(ctx context.Context, in rotation.CreateAccountInput) (secret.Version, bool, error) {
	d, err := t.Secrets.Describe(ctx, in.SecretID)
	var missing *types.ResourceNotFoundException
	switch {
	case errors.As(err, &missing):
		return secret.Version{}, false, nil
	case err != nil:
		return secret.Version{}, false, err
	case !d.DeletedDate.IsZero():
		return secret.Version{}, false, refuse(rotation.ErrorDeleted, "a secret named %s is scheduled for deletion: restore it, or wait until it is gone", in.SecretID)
	case d.Stages[secret.Current] != in.VersionID:
		return secret.Version{}, false, refuse(rotation.ErrorSecretExists, "secret %s exists already: start its rotation, or choose another name", in.SecretID)
	}
	v, err := t.version(ctx, in.SecretID, in.VersionID)
	return v, err == nil, err
}
