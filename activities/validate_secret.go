package activities

import (
	"cmp"
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/rotate-user/rotate-user/internal/secret"
	"github.com/rotate-user/rotate-user/rotation"
)

// ValidateSecret logs in with AWSCURRENT as the application would.
func (a *Activities) ValidateSecret(ctx context.Context, in rotation.KnownSecret) (result rotation.ValidateSecretResult, err error) {
	defer a.Secrets.Forget(in.SecretID)

	current, err := a.labelled(ctx, in.SecretID, secret.Current)
	var invalid *types.InvalidRequestException
	if errors.As(err, &invalid) { // Secrets Manager's answer for a secret that is scheduled for deletion
		if d, describeErr := a.Secrets.Describe(ctx, in.SecretID); describeErr == nil {
			err = cmp.Or(notDeletedKnown(in.Known, d), err)
		}
	}
	if err != nil {
		return rotation.ValidateSecretResult{}, goneError(in.Known, in.SecretID, err)
	}
	result, err = a.validate(ctx, current)
	if proxies := a.validateProxies(ctx, in.ProxySecretIDs, current, in.Known.Usernames); proxies != nil {
		return rotation.ValidateSecretResult{}, errors.Join(err, proxies)
	}
	return result, err
}

func (a *Activities) validate(ctx context.Context, v secret.Version) (rotation.ValidateSecretResult, error) {
	login, err := a.loginBy(ctx, v, a.Accounts.LoginReady)
	if err != nil {
		return rotation.ValidateSecretResult{}, err
	}
	return rotation.ValidateSecretResult{
		VersionID: v.ID, Username: v.Username, Account: login.Account.String(),
		Server: v.Address(), ServerVersion: login.Version, TLS: login.TLS,
	}, nil
}
