package activities

import (
	"cmp"
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/rotate-user/rotate-user/internal/secret"
	"github.com/rotate-user/rotate-user/rotation"
)

// ValidateSecret logs in with AWSCURRENT as an application would.
func (a *Activities) ValidateSecret(ctx context.Context, in rotation.KnownSecret) (result rotation.ValidateSecretResult, err error) {
	t := a.begin(ctx)
	defer t.edge(ctx, &err)
	defer t.Secrets.Forget(in.SecretID)

	current, err := t.labelled(ctx, in.SecretID, secret.Current)
	var invalid *types.InvalidRequestException
	if errors.As(err, &invalid) { // as of a secret that is scheduled for deletion
		if d, describeErr := t.Secrets.Describe(ctx, in.SecretID); describeErr == nil {
			err = cmp.Or(notDeletedKnown(in.Known, d), err)
		}
	}
	if err != nil {
		return rotation.ValidateSecretResult{}, goneError(in.Known, in.SecretID, err)
	}
	result, err = t.validate(ctx, current)
	if proxies := t.validateProxies(ctx, in.ProxySecretIDs, current, in.Known.Usernames); proxies != nil {
		return rotation.ValidateSecretResult{}, errors.Join(err, proxies)
	}
	return result, err
}

func (t *attempt) validate(ctx context.Context, v secret.Version) (rotation.ValidateSecretResult, error) {
	login, err := t.loginBy(ctx, v, t.Accounts.LoginReady)
	if err != nil {
		return rotation.ValidateSecretResult{}, err
	}
	return rotation.ValidateSecretResult{
		VersionID: v.ID, Username: v.Username, Account: login.Account.String(),
		Server: v.Address(), ServerVersion: login.Version, TLS: login.TLS,
	}, nil
}
