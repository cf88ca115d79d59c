package activities

import (
	"cmp"
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/rotate-user/rotate-user/internal/secret"
)

// ValidateSecretInput names the secret whose credential should log in.
type ValidateSecretInput struct {
	SecretID string `json:"SecretId"`
	// Known are the accounts that a rotation of the secret knows; without any there is none.
	Known KnownPair `json:"Known,omitzero"`
}

// ValidateSecretResult says as whom AWSCURRENT logs in.
type ValidateSecretResult struct {
	VersionID     string `json:"VersionId"`
	Username      string `json:"Username"`
	Account       string `json:"Account"`
	Server        string `json:"Server"`
	ServerVersion string `json:"ServerVersion"`
	TLS           bool   `json:"TLS"`
}

// ValidateSecret logs in with AWSCURRENT as an application would.
func (a *Activities) ValidateSecret(ctx context.Context, in ValidateSecretInput) (result ValidateSecretResult, err error) {
	t := a.begin(ctx)
	defer t.edge(ctx, &err)
	defer t.Secrets.Forget(in.SecretID)

	current, err := t.labelled(ctx, in.SecretID, secret.Current)
	var invalid *types.InvalidRequestException
	if errors.As(err, &invalid) { // as of a secret that is scheduled for deletion
		if d, describeErr := t.Secrets.Describe(ctx, in.SecretID); describeErr == nil {
			err = cmp.Or(in.Known.notDeleted(d), err)
		}
	}
	if err != nil {
		return ValidateSecretResult{}, in.Known.gone(in.SecretID, err)
	}
	return t.validate(ctx, current)
}

func (t *attempt) validate(ctx context.Context, v secret.Version) (ValidateSecretResult, error) {
	login, err := t.loginBy(ctx, v, t.Accounts.LoginReady)
	if err != nil {
		return ValidateSecretResult{}, err
	}
	return ValidateSecretResult{
		VersionID: v.ID, Username: v.Username, Account: login.Account.String(),
		Server: v.Address(), ServerVersion: login.Version, TLS: login.TLS,
	}, nil
}
