package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/rotate-user/rotate-user/internal/program"
	"github.com/rotate-user/rotate-user/rotation"
)

// run executes a command line and returns the exit code.
func (a *app) run(ctx context.Context, args []string) int {
	root := a.rootCommand()
	root.SetArgs(args)
	root.SetOut(a.out)
	root.SetErr(a.errors)
	cmd, err := root.ExecuteContextC(ctx)
	switch {
	case err == nil:
		return program.Done
	case errors.Is(err, errWouldChange):
		return exitWouldChange
	case !a.parsed:
		fmt.Fprintf(a.errors, "starter: %s\nSee %s --help\n", printable(err.Error()), cmd.CommandPath())
		return program.WrongUsage
	default:
		fmt.Fprintf(a.errors, "starter: %s\n", a.explain(ctx, err))
		return program.Failed
	}
}

func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "starter",
		Short: "Rotate the credentials of MySQL users",
		Long: `Start, control and watch the rotation of MySQL users' credentials.

The starter only connects to Temporal, with the same configuration as the temporal CLI: TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE,
TEMPORAL_API_KEY, TEMPORAL_TLS_..., TEMPORAL_CODEC_ENDPOINT, or a profile (TEMPORAL_PROFILE) of the file that TEMPORAL_CONFIG_FILE names.
It needs a running worker, which reads the secrets and changes the accounts.

` + program.ExitCodes + `
starter plan, starter fleet plan and starter fleet apply --dry-run also return 3: something would change.`,
		Example: `  starter create --secret-id MyTestDatabaseUserSecret --master-secret-id MyMasterSecret --username mytestuser --grant 'SELECT ON *.*'
  starter start --secret-id MyTestDatabaseUserSecret
  starter status --secret-id MyTestDatabaseUserSecret
  starter rotate --secret-id MyTestDatabaseUserSecret`,
		Version:       program.Version(),
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.CompletionOptions.SetDefaultShellCompDirective(cobra.ShellCompDirectiveNoFileComp) // no argument is a file
	a.output = table
	queue, ok := a.lookup("ROTATE_USER_TASK_QUEUE")
	if !ok {
		queue = rotation.TaskQueue
	}
	root.PersistentFlags().StringVar(&a.taskQueue, "task-queue", queue, "Temporal task queue of the worker [ROTATE_USER_TASK_QUEUE]")
	root.PersistentFlags().VarP(formatFlag{&a.output, []format{table, jsonFormat}}, "output", "o", "how to print results")
	program.Complete(root, "output", string(table), string(jsonFormat))
	cobra.EnableCommandSorting = false
	root.AddCommand(
		a.createCommand(), a.validateCommand(), a.recoverCommand(), a.planCommand(), a.startCommand(), a.rotateCommand(), a.statusCommand(),
		a.listCommand(),
		a.pauseCommand(), a.resumeCommand(), a.rescheduleCommand(), a.stopCommand(), a.dismissCommand(), a.deleteCommand(), a.fleetCommand(),
	)
	return root
}
