// The worker runs the workflows and activities of rotate-user: it polls Temporal, reads and writes secrets in AWS Secrets
// Manager, and changes MySQL accounts.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

func main() {
	if err := newCommand(os.LookupEnv).ExecuteContext(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "worker:", err)
		os.Exit(1)
	}
}

func newCommand(lookup func(string) (string, bool)) *cobra.Command {
	var c config
	cmd := &cobra.Command{
		Use:   "worker",
		Short: "Rotate the credentials of MySQL users",
		Long: `Rotate the credentials of MySQL users: run the workflows and activities of rotate-user.

Temporal is found as the temporal CLI finds it: TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, TEMPORAL_API_KEY, TEMPORAL_TLS_...,
TEMPORAL_CODEC_ENDPOINT, or a profile (TEMPORAL_PROFILE) of the file that TEMPORAL_CONFIG_FILE names.
AWS is found as the AWS CLI finds it: AWS_REGION, AWS_PROFILE, a role, AWS_ENDPOINT_URL_SECRETS_MANAGER and so on.
With TEMPORAL_DEPLOYMENT_NAME and TEMPORAL_WORKER_BUILD_ID the worker is a version of that deployment, and takes part in
Temporal's Worker Versioning.

On SIGTERM the worker takes no more work, lets the steps that it has begun end, and exits with 0. Give it ` + stopTimeout.String() + `
before it is killed.`,
		Example: `  worker --task-queue rotate-user --log-format json
  ROTATE_USER_TLS_CA_FILE=/etc/rds/global-bundle.pem worker`,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		PreRunE: func(cmd *cobra.Command, _ []string) error {
			if err := setFromEnvironment(cmd.Flags(), lookup); err != nil {
				return err
			}
			c.fromEnvironment(lookup)
			return c.validate()
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return run(cmd.Context(), c, cmd.ErrOrStderr()) },
	}
	c.addFlags(cmd.Flags())
	return cmd
}
