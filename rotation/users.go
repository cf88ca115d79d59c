package rotation

import (
	"errors"
	"fmt"

	"github.com/rotate-user/rotate-user/internal/grants"
)

// CreateUserInput says which account and which secret to make.
type CreateAccountInput struct {
	SecretID       string `json:"SecretId"`
	MasterSecretID string `json:"MasterSecretId"`
	MasterServer
	Account Account `json:"Account"`
	// Grants are what follows GRANT, without TO: "SELECT ON *.*".
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

// Validate names the first field that is wrong.
func (in ValidateSecretInput) Validate() error {
	if in.typed.err != nil {
		return in.typed.err
	}
	if err := validSecretID("SecretId", in.SecretID, true); err != nil {
		return err
	}
	return validProxySecrets(in.ProxySecretIDs, in.SecretID)
}

// UnmarshalJSON keeps what is wrong with the text for Validate.
func (in *ValidateSecretInput) UnmarshalJSON(data []byte) error {
	type plain ValidateSecretInput
	return in.typed.decode(data, (*plain)(in))
}

// CreateUserInput says which limited user to make, and where its secret goes.
type CreateUserInput struct {
	// SecretID is the name of the secret to make.
	SecretID string `json:"SecretId"`
	// MasterSecretID is the name or the ARN of the administrator's secret. It
	// says on which server the user is made.
	MasterSecretID string `json:"MasterSecretId"`
	MasterServer
	Username string `json:"Username"`
	// Host is from where the user may log in, "%" by default.
	Host string `json:"Host,omitempty"`
	// Grants are the user's rights: "SELECT ON *.*", "SELECT, INSERT ON shop.*".
	Grants []string `json:"Grants,omitempty"`
	// DBName is the default database of those who log in.
	DBName            string `json:"DBName,omitempty"`
	ActivityTaskQueue string `json:"ActivityTaskQueue,omitempty"`

	typed typed
}

// Validate names the first field that is wrong.
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
		return errors.New("Username is required: the name of the user to make")
	}
	for i, grant := range in.Grants {
		if err := grants.CheckGrant(grant); err != nil {
			return fmt.Errorf("Grants: grant %d: %w", i+1, err)
		}
	}
	return nil
}

// UnmarshalJSON keeps what is wrong with the text for Validate.
func (in *CreateUserInput) UnmarshalJSON(data []byte) error {
	type plain CreateUserInput
	return in.typed.decode(data, (*plain)(in))
}

// RecoverSecretResult says as whom AWSCURRENT logs in.
type RecoverSecretResult struct {
	ValidateSecretResult
	// RefusedVersionID is the version that was AWSCURRENT and did not log in. It is
	// empty where there was nothing to recover.
	RefusedVersionID string `json:"RefusedVersionId,omitempty"`
	// Unlocked are accounts that a deletion had left locked.
	Unlocked []string `json:"Unlocked,omitempty"`
}

// RecoverSecretInput says which secret to recover, and what is known of a deletion of it that was cut.
type RecoverSecretInput struct {
	CloneUserInput

	// Locked are the accounts that a deletion locked and did not unlock, because it was cancelled or terminated.
	// LockedBefore are those that were locked before it, and stay so: their passwords may have leaked.
	Locked       []Account `json:"Locked,omitempty"`
	LockedBefore []Account `json:"LockedBefore,omitempty"`
	// Held says that a deletion holds the rotation. Nothing else may be known of that deletion.
	Held bool `json:"Held,omitempty"`
}

// ValidateSecretInput names the secret whose credential should log in.
type KnownSecret struct {
	SecretID string `json:"SecretId"`
	// Known are the accounts that a rotation of the secret knows; without any there is none.
	Known KnownPair `json:"Known,omitzero"`
	// ProxySecretIDs are those of the rotation's input.
	ProxySecretIDs []string `json:"ProxySecretIds,omitempty"`
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
