package rotation

import (
	"errors"
	"fmt"

	"github.com/rotate-user/rotate-user/internal/grants"
)

// CreateAccountInput describes the account and the secret to create.
type CreateAccountInput struct {
	SecretID       string `json:"SecretId"`
	MasterSecretID string `json:"MasterSecretId"`
	MasterServer
	Account Account `json:"Account"`
	// Grants are the texts between GRANT and TO: "SELECT ON *.*".
	Grants []string `json:"Grants,omitempty"`
	DBName string   `json:"DBName,omitempty"`
	// VersionID is the id of the secret's first version.
	VersionID string `json:"VersionId"`
}

// ValidateSecretInput names the secret to validate.
type ValidateSecretInput struct {
	SecretID string `json:"SecretId"`
	// ProxySecretIDs are those of the rotation, which are to be in step with the secret.
	ProxySecretIDs    []string `json:"ProxySecretIds,omitempty"`
	ActivityTaskQueue string   `json:"ActivityTaskQueue,omitempty"`

	typed typed
}

// Validate returns an error that names the first wrong field, if any.
func (in ValidateSecretInput) Validate() error {
	if in.typed.err != nil {
		return in.typed.err
	}
	if err := validSecretID("SecretId", in.SecretID, true); err != nil {
		return err
	}
	return validProxySecrets(in.ProxySecretIDs, in.SecretID)
}

// UnmarshalJSON leaves it to Validate to report what is wrong with the text.
func (in *ValidateSecretInput) UnmarshalJSON(data []byte) error {
	type plain ValidateSecretInput
	return in.typed.decode(data, (*plain)(in))
}

// CreateUserInput describes the user to create, and its secret.
type CreateUserInput struct {
	// SecretID is the name of the secret to create.
	SecretID string `json:"SecretId"`
	// MasterSecretID is the name or the ARN of the master secret. The user is created on its server.
	MasterSecretID string `json:"MasterSecretId"`
	MasterServer
	Username string `json:"Username"`
	// Host is where the user may log in from, "%" by default.
	Host string `json:"Host,omitempty"`
	// Grants are the user's rights: "SELECT ON *.*", "SELECT, INSERT ON shop.*".
	Grants []string `json:"Grants,omitempty"`
	// DBName is the default database of the user's clients.
	DBName            string `json:"DBName,omitempty"`
	ActivityTaskQueue string `json:"ActivityTaskQueue,omitempty"`

	typed typed
}

// Validate returns an error that names the first wrong field, if any.
func (in CreateUserInput) Validate() error {
	if in.typed.err != nil {
		return in.typed.err
	}
	if err := validSecretID("SecretId", in.SecretID, true); err != nil {
		return err
	}
	if err := validSecretID("MasterSecretId", in.MasterSecretID, true); err != nil {
		return err
	}
	if err := in.MasterServer.validate(); err != nil {
		return err
	}
	if in.Username == "" {
		return errors.New("Username is required: the name of the user to create")
	}
	for i, grant := range in.Grants {
		if err := grants.CheckGrant(grant); err != nil {
			return fmt.Errorf("Grants: grant %d: %w", i+1, err)
		}
	}
	return nil
}

// UnmarshalJSON leaves it to Validate to report what is wrong with the text.
func (in *CreateUserInput) UnmarshalJSON(data []byte) error {
	type plain CreateUserInput
	return in.typed.decode(data, (*plain)(in))
}

// RecoverSecretResult describes the login with AWSCURRENT after the recovery.
type RecoverSecretResult struct {
	ValidateSecretResult
	// RefusedVersionID is the version that was AWSCURRENT and did not log in. It is empty if there was nothing
	// to recover.
	RefusedVersionID string `json:"RefusedVersionId,omitempty"`
	// Unlocked are the accounts that a deletion had left locked.
	Unlocked []string `json:"Unlocked,omitempty"`
	// ProxySecret is the proxy secret that was given the password of AWSCURRENT. It is empty if there is none, or
	// if it had that password already.
	ProxySecret string `json:"ProxySecret,omitempty"`
	// Warnings say what could not be recovered.
	Warnings []string `json:"Warnings,omitempty"`
}

// RecoverSecretInput names the secret to recover, with what is known about a deletion of it that was cut off.
type RecoverSecretInput struct {
	CloneUserInput

	// Locked are the accounts that a deletion locked and did not unlock, because it was cancelled or terminated.
	// LockedBefore are those that were locked before the deletion. They stay locked, because their passwords may
	// have leaked.
	Locked       []Account `json:"Locked,omitempty"`
	LockedBefore []Account `json:"LockedBefore,omitempty"`
	// Held reports that a deletion holds the rotation, even if nothing else is known about that deletion.
	Held bool `json:"Held,omitempty"`
}

// KnownSecret names a secret, with what a rotation knows about it.
type KnownSecret struct {
	SecretID string `json:"SecretId"`
	// Known are the accounts that a rotation of the secret knows. It is empty if there is no rotation.
	Known KnownPair `json:"Known,omitzero"`
	// ProxySecretIDs are those of the rotation's input.
	ProxySecretIDs []string `json:"ProxySecretIds,omitempty"`
}

// ValidateSecretResult describes the login with AWSCURRENT.
type ValidateSecretResult struct {
	VersionID     string `json:"VersionId"`
	Username      string `json:"Username"`
	Account       string `json:"Account"`
	Server        string `json:"Server"`
	ServerVersion string `json:"ServerVersion"`
	TLS           bool   `json:"TLS"`
}
