package workflows

import (
	"cmp"
	"fmt"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/rotate-user/rotate-user/internal/plaintext"
	"github.com/rotate-user/rotate-user/rotation"
)

// CreateUserWorkflow creates a limited user and its secret, and proves that the secret logs in. It refuses a user or a secret that
// exists.
func (Workflows) CreateUserWorkflow(ctx workflow.Context, input rotation.CreateUserInput) (result rotation.ValidateSecretResult,
	err error) {
	if err := input.Validate(); err != nil {
		return result, invalidInput(err)
	}
	ctx = workflow.WithActivityOptions(ctx, stepOptions(input.ActivityTaskQueue, input.SecretID))
	user := rotation.CreateAccountInput{
		SecretID: input.SecretID, MasterSecretID: input.MasterSecretID, MasterServer: input.MasterServer, Grants: input.Grants,
		DBName:    input.DBName,
		Account:   rotation.Account{User: input.Username, Host: cmp.Or(input.Host, "%")},
		VersionID: workflow.GetInfo(ctx).OriginalRunID,
	}
	if err := workflow.ExecuteActivity(ctx, rotation.Activities.CreateAccount, user).Get(ctx, nil); err != nil {
		return result, err
	}
	if err := workflow.ExecuteActivity(ctx, rotation.Activities.StoreSecret, user).Get(ctx, nil); err != nil {
		return result, err
	}
	err = workflow.ExecuteActivity(ctx, rotation.Activities.ValidateSecret, rotation.KnownSecret{SecretID: input.SecretID}).Get(ctx, &result)
	if err != nil && ctx.Err() == nil {
		err = notProved(user, err)
	}
	return result, err
}

// notProved describes what remains of a creation whose proof failed. The password was set and stored a moment ago, so it is right
// even if the login fails.
func notProved(user rotation.CreateAccountInput, err error) error {
	cause, _ := explain(err)
	return temporal.NewNonRetryableApplicationError(fmt.Sprintf(
		"account %s and secret %s were created, but the worker's host could not prove that the secret logs in: "+
			"if the account's host, %q, should admit the worker, correct that and run: starter validate --secret-id %[2]s; "+
			"if only other hosts may log in, run a worker on one of them; "+
			"to remove both: DROP USER %[1]s, and aws secretsmanager delete-secret --secret-id %[2]s; the login failed with: %[4]s",
		plaintext.Line(user.Account.String()), user.SecretID, user.Account.Host, cause), rotation.ErrorNotProved, nil)
}
