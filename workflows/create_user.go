package workflows

import (
	"cmp"
	"errors"
	"fmt"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/rotate-user/rotate-user/activities"
	"github.com/rotate-user/rotate-user/internal/account"
	"github.com/rotate-user/rotate-user/internal/plaintext"
)

// CreateUserInput says which limited user to make, and where its secret goes.
type CreateUserInput struct {
	// SecretID is the name of the secret to make.
	SecretID string `json:"SecretId"`
	// MasterSecretID is the name or the ARN of the administrator's secret. It
	// says on which server the user is made.
	MasterSecretID string `json:"MasterSecretId"`
	Username       string `json:"Username"`
	// Host is from where the user may log in, "%" by default.
	Host string `json:"Host,omitempty"`
	// Grants are the user's rights: "SELECT ON *.*", "SELECT, INSERT ON shop.*".
	Grants []string `json:"Grants,omitempty"`
	// DBName is the default database of those who log in.
	DBName            string `json:"DBName,omitempty"`
	ActivityTaskQueue string `json:"ActivityTaskQueue,omitempty"`

	typed typed
}

// CreateUserWorkflow makes a limited user and its secret, and proves that the
// secret logs in. It refuses a user or a secret that exists.
func (Workflows) CreateUserWorkflow(ctx workflow.Context, input CreateUserInput) (result activities.ValidateSecretResult, err error) {
	if err := input.Validate(); err != nil {
		return result, invalidInput(err)
	}
	ctx = workflow.WithActivityOptions(ctx, stepOptions(input.ActivityTaskQueue, input.SecretID))
	user := activities.CreateUserInput{
		SecretID: input.SecretID, MasterSecretID: input.MasterSecretID, Grants: input.Grants, DBName: input.DBName,
		Account:   account.Name{User: input.Username, Host: cmp.Or(input.Host, "%")},
		VersionID: workflow.GetInfo(ctx).OriginalRunID,
	}
	if err := workflow.ExecuteActivity(ctx, "CreateAccount", user).Get(ctx, nil); err != nil {
		return result, err
	}
	if err := workflow.ExecuteActivity(ctx, "StoreSecret", user).Get(ctx, nil); err != nil {
		return result, err
	}
	err = workflow.ExecuteActivity(ctx, "ValidateSecret", activities.ValidateSecretInput{SecretID: input.SecretID}).Get(ctx, &result)
	if err != nil && ctx.Err() == nil {
		err = notProved(user, err)
	}
	return result, err
}

// notProved says what a creation whose proof failed has left behind. The password was
// set and stored a moment ago, so it is right whatever the error says about it.
func notProved(user activities.CreateUserInput, err error) error {
	cause, _ := explain(err)
	return temporal.NewNonRetryableApplicationError(fmt.Sprintf(
		"account %s and secret %s were created, but the worker's host could not prove that the secret logs in: "+
			"if the account's host, %q, should admit the worker, correct that and run: starter validate --secret-id %[2]s; "+
			"if only other hosts may log in, run a worker on one of them; "+
			"to remove both again: DROP USER %[1]s, and aws secretsmanager delete-secret --secret-id %[2]s; the login failed with: %[4]s",
		plaintext.Line(user.Account.String()), user.SecretID, user.Account.Host, cause), ErrorNotProved, nil)
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
	if in.Username == "" {
		return errors.New("Username is required: the name of the user to make")
	}
	for i, grant := range in.Grants {
		if err := account.CheckGrant(grant); err != nil {
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
