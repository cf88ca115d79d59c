// The worker runs the workflows and activities of rotate-user: it polls Temporal, reads and writes secrets in AWS Secrets
// Manager, and changes MySQL accounts.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"

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

		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
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
	cmd.AddCommand(newHealthCommand(lookup))
	return cmd
}

// newHealthCommand is for the health check of a container, whose image has no other program to ask with.
func newHealthCommand(lookup func(string) (string, bool)) *cobra.Command {
	var c config
	cmd := &cobra.Command{
		Use:     "health",
		Short:   "Report whether the worker of this container is healthy",
		Long:    "Ask the worker at --metrics-address for /healthz, and exit with 0 if it is healthy.",
		Args:    cobra.NoArgs,
		PreRunE: func(cmd *cobra.Command, _ []string) error { return setFromEnvironment(cmd.Flags(), lookup) },
		RunE:    func(cmd *cobra.Command, _ []string) error { return health(cmd.Context(), c.metricsAddress) },
	}
	c.addMetricsAddress(cmd.Flags())
	nameVariables(cmd.Flags())
	return cmd
}

func health(ctx context.Context, address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("--metrics-address: %w", err)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	ctx, cancel := context.WithTimeout(ctx, 2*healthTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+"/healthz", nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<10))
	if err == nil && response.StatusCode != http.StatusOK {
		err = errors.New(strings.TrimSpace(string(text)))
	}
	return err
}
