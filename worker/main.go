// The worker runs the workflows and activities of rotate-user: it polls Temporal, reads and writes secrets in AWS Secrets Manager,
// and changes MySQL accounts.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"
	_ "time/tzdata" // for machines without a time zone database

	"github.com/spf13/cobra"

	"github.com/rotate-user/rotate-user/internal/program"
)

func main() { os.Exit(execute(context.Background(), os.Args[1:], os.LookupEnv, os.Stdout, os.Stderr)) }

// execute runs the program and returns its exit code.
func execute(ctx context.Context, args []string, lookup func(string) (string, bool), out, errs io.Writer) int {
	begun := false
	root := newCommand(lookup, &begun)
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errs)
	cmd, err := root.ExecuteContextC(ctx)
	switch {
	case err == nil:
		return program.Done
	case begun:
		fmt.Fprintf(errs, "worker: %v\n", err)
		return program.Failed
	default:
		fmt.Fprintf(errs, "worker: %v\nSee %s --help\n", err, cmd.CommandPath())
		return program.WrongUsage
	}
}

// killAfter is how long to wait for a worker to stop before killing it: stopTimeout, plus the time
// to close connections.
const killAfter = stopTimeout + 15*time.Second

// newCommand returns the command line. It sets begun once the command line and the environment have been understood.
func newCommand(lookup func(string) (string, bool), begun *bool) *cobra.Command {
	var c config
	cmd := &cobra.Command{
		Use:     "worker",
		Version: program.Version(),
		Short:   "Rotate the credentials of MySQL users",
		Long: `Rotate the credentials of MySQL users: run the workflows and activities of rotate-user.

The worker connects to Temporal with the same configuration as the temporal CLI: TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE,
TEMPORAL_API_KEY, TEMPORAL_TLS_..., TEMPORAL_CODEC_ENDPOINT, or a profile (TEMPORAL_PROFILE) of the file that TEMPORAL_CONFIG_FILE names.
It connects to AWS with the same configuration as the AWS CLI: AWS_REGION, AWS_PROFILE, a role, AWS_ENDPOINT_URL_SECRETS_MANAGER and
so on. With TEMPORAL_DEPLOYMENT_NAME and TEMPORAL_WORKER_BUILD_ID it is a version of that deployment, for Temporal's Worker Versioning.

On SIGTERM the worker stops accepting work, finishes the steps that it has started, and exits with 0. Give it ` + seconds(killAfter) + `
before you kill it.

` + program.ExitCodes,
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
		RunE: func(cmd *cobra.Command, _ []string) error {
			*begun = true
			return run(cmd.Context(), c, cmd.ErrOrStderr())
		},
	}
	c.addFlags(cmd.Flags())
	program.Complete(cmd, "log-level", "debug", "info", "warn", "error")
	program.Complete(cmd, "log-format", "text", "json")
	cmd.AddCommand(newHealthCommand(lookup, begun))
	return cmd
}

// seconds writes a duration as the documentation does.
func seconds(d time.Duration) string { return fmt.Sprintf("%.0f seconds", d.Seconds()) }

// newHealthCommand returns the command for the health check of a container, whose image has no other program for it.
func newHealthCommand(lookup func(string) (string, bool), begun *bool) *cobra.Command {
	var c config
	cmd := &cobra.Command{
		Use:     "health",
		Short:   "Report whether the worker of this container is ready",
		Long:    "Ask the worker at --metrics-address for /readyz. The exit code is 0 if it is ready: Temporal answers and gives it work.",
		Args:    cobra.NoArgs,
		PreRunE: func(cmd *cobra.Command, _ []string) error { return setFromEnvironment(cmd.Flags(), lookup) },
		RunE: func(cmd *cobra.Command, _ []string) error {
			*begun = true
			return askReadiness(cmd.Context(), c.metricsAddress)
		},
	}
	c.addMetricsAddress(cmd.Flags())
	nameVariables(cmd.Flags())
	return cmd
}
