package main

import (
	"context"
	"fmt"
	"io"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/rotate-user/rotate-user/rotation"
)

func (a *app) createCommand() *cobra.Command {
	var input rotation.CreateUserInput
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Create a limited user with its grants, and store its secret",
		Long: `Create a limited user with its grants, store its secret, and prove that the secret logs in. The worker generates the password and
never shows it. If the user or the secret already exists, the command is refused.`,
		Example: `  starter create --secret-id MyTestDatabaseUserSecret --master-secret-id MyMasterSecret --username mytestuser --grant 'SELECT ON *.*'
  starter create --secret-id shop/app --master-secret-id shop/admin --username app --dbname shop \
    --grant 'SELECT, INSERT, UPDATE ON shop.*' --grant 'DELETE ON shop.*'`,
	}
	secretFlag(cmd, &input.SecretID)
	flags := cmd.Flags()
	flags.StringVar(&input.MasterSecretID, "master-secret-id", "", "name or ARN of the master secret (required)")
	masterServerFlags(flags, &input.MasterServer)
	flags.StringVar(&input.Username, "username", "", "name of the user (required)")
	flags.StringVar(&input.Host, "host", "", "host from which the user may log in (default \"%\")")
	flags.StringArrayVar(&input.Grants, "grant", nil, "privileges of the user, as in 'SELECT, INSERT ON shop.*'; can be repeated")
	flags.StringVar(&input.DBName, "dbname", "", "default database")
	activityQueueFlag(cmd, &input.ActivityTaskQueue)
	required(cmd, "master-secret-id")
	required(cmd, "username")
	return a.action(cmd, func() error { return input.Validate() }, func(ctx context.Context) error {
		var result rotation.ValidateSecretResult
		if err := a.execute(ctx, rotation.CreateUserWorkflowID(input.SecretID), "create user "+input.Username+" and its secret "+input.SecretID,
			rotation.CreateUserWorkflow, &result, input); err != nil {
			return err
		}
		return a.print(credentialView{"Created: the secret logs in", input.SecretID, result})
	})
}

func (a *app) validateCommand() *cobra.Command {
	var input rotation.ValidateSecretInput
	cmd := &cobra.Command{
		Use:     "validate",
		Short:   "Check that the stored credential logs in",
		Example: `  starter validate --secret-id MyTestDatabaseUserSecret`,
	}
	secretFlag(cmd, &input.SecretID)
	activityQueueFlag(cmd, &input.ActivityTaskQueue)
	return a.action(cmd, func() error { return input.Validate() }, func(ctx context.Context) error {
		// A rotation that does not answer is not a reason to stop: the check works without it.
		rotated, known, err := a.withKnownState(ctx, rotation.RotateUserInput{SecretID: input.SecretID})
		if err == nil {
			input.ProxySecretIDs = rotated.ProxySecretIDs
		}
		args := []any{input}
		if err == nil && known != nil {
			args = append(args, known)
		}
		var result rotation.ValidateSecretResult
		id := "validate-secret/" + input.SecretID + "/" + uuid.NewString()
		if err := a.execute(ctx, id, "check that secret "+input.SecretID+" logs in", rotation.ValidateSecretWorkflow, &result,
			args...); err != nil {
			return err
		}
		return a.print(credentialView{"Valid: the secret logs in", input.SecretID, result})
	})
}

// credentialView shows a credential that logs in.
type credentialView struct {
	title    string
	secretID string
	result   rotation.ValidateSecretResult
}

func (v credentialView) value() any { return v.result }

func (v credentialView) text(w io.Writer) {
	connection := "not encrypted"
	if v.result.TLS {
		connection = "TLS, server verified"
	}
	fmt.Fprintf(w, "%s.\n\n", v.title)
	pairs(w,
		"Secret", v.secretID,
		"Version", v.result.VersionID,
		"Account", v.result.Account,
		"Server", joined(v.result.Server, v.result.ServerVersion),
		"Connection", connection,
	)
}
