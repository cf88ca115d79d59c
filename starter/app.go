package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	"github.com/rotate-user/rotate-user/internal/program"
	"github.com/rotate-user/rotate-user/rotation"
)

// exitWouldChange is the exit code of plan if the next rotation would create the standby account, or change its rights or
// properties.
const exitWouldChange = 3

// temporal is as much of a Temporal client as the commands use.
type temporal interface {
	ExecuteWorkflow(context.Context, client.StartWorkflowOptions, any, ...any) (client.WorkflowRun, error)
	NewWithStartWorkflowOperation(client.StartWorkflowOptions, any, ...any) client.WithStartWorkflowOperation
	UpdateWithStartWorkflow(context.Context, client.UpdateWithStartWorkflowOptions) (client.WorkflowUpdateHandle, error)
	UpdateWorkflow(context.Context, client.UpdateWorkflowOptions) (client.WorkflowUpdateHandle, error)
	SignalWorkflow(ctx context.Context, workflowID, runID, signalName string, arg any) error
	QueryWorkflow(ctx context.Context, workflowID, runID, queryType string, args ...any) (converter.EncodedValue, error)
	DescribeWorkflowExecution(ctx context.Context, workflowID, runID string) (*workflowservice.DescribeWorkflowExecutionResponse, error)
	GetWorkflowHistory(ctx context.Context, workflowID, runID string, longPoll bool, filter enums.HistoryEventFilterType) client.HistoryEventIterator
	DescribeTaskQueue(ctx context.Context, taskQueue string, kind enums.TaskQueueType) (*workflowservice.DescribeTaskQueueResponse, error)
	ListWorkflow(context.Context, *workflowservice.ListWorkflowExecutionsRequest) (*workflowservice.ListWorkflowExecutionsResponse, error)
	Close()
}

// app is what all commands share.
type app struct {
	dial   func(context.Context) (temporal, error)
	lookup func(string) (string, bool)
	now    func() time.Time
	out    io.Writer
	errors io.Writer
	live   bool // out is a terminal: a line may be drawn again

	glance   time.Duration // between two looks at what a workflow waits for
	patience time.Duration // without an answer, before the reason is looked for

	taskQueue string
	output    format

	temporal temporal
	begun    bool // the command line was understood; what goes wrong from here on is no wrong usage
}

// format is how results are printed.
type format string

const (
	table      format = "table"
	jsonFormat format = "json"
	wide       format = "wide" // list only
	csvFormat  format = "csv"  // list only
)

// formatFlag is the flag --output of a command that has some of the formats.
type formatFlag struct {
	value   *format
	formats []format
}

func (f formatFlag) String() string {
	if f.value == nil {
		return ""
	}
	return string(*f.value)
}

func (f formatFlag) Type() string { return f.names("|") }

func (f formatFlag) Set(s string) error {
	if !slices.Contains(f.formats, format(s)) {
		return errors.New("it is one of " + f.names(", "))
	}
	*f.value = format(s)
	return nil
}

func (f formatFlag) names(between string) string {
	var all []string
	for _, format := range f.formats {
		all = append(all, string(format))
	}
	return strings.Join(all, between)
}

// errWouldChange ends plan with its own exit code.
var errWouldChange = errors.New("the next rotation would change something")

// run is the whole program; it answers the exit code.
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
	case !a.begun:
		fmt.Fprintf(a.errors, "starter: %s\nSee %s --help\n", clean(err.Error()), cmd.CommandPath())
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
		Long: `Start, steer and watch the rotation of MySQL users' credentials.

The starter talks to Temporal only, and finds it as the temporal CLI does: TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE,
TEMPORAL_API_KEY, TEMPORAL_TLS_..., TEMPORAL_CODEC_ENDPOINT, or a profile (TEMPORAL_PROFILE) of the file that TEMPORAL_CONFIG_FILE names.
A worker must be running; it reads the secrets and changes the accounts.

` + program.ExitCodes + `
starter plan also returns 3: the next rotation would change rights or properties.`,
		Example: `  starter create --secret-id MyTestDatabaseUserSecret --master-secret-id MyMasterSecret --username mytestuser --grant 'SELECT ON *.*'
  starter start --secret-id MyTestDatabaseUserSecret
  starter status --secret-id MyTestDatabaseUserSecret
  starter rotate --secret-id MyTestDatabaseUserSecret`,
		Version:       program.Version(),
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.CompletionOptions.SetDefaultShellCompDirective(cobra.ShellCompDirectiveNoFileComp) // no command reads a file
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
		a.createCommand(), a.validateCommand(), a.recoverCommand(), a.planCommand(), a.startCommand(), a.rotateCommand(), a.statusCommand(), a.listCommand(),
		a.pauseCommand(), a.resumeCommand(), a.rescheduleCommand(), a.stopCommand(), a.dismissCommand(), a.deleteCommand(), a.fleetCommand(),
	)
	return root
}

// does makes cmd do work with a Temporal client. check, which may be nil, looks at the command line before.
func (a *app) does(cmd *cobra.Command, check func() error, work func(context.Context) error) *cobra.Command {
	if cmd.Args == nil {
		cmd.Args = cobra.NoArgs
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if check != nil {
			if err := check(); err != nil {
				return err
			}
		}
		a.begun = true
		t, err := a.dial(cmd.Context())
		if err != nil {
			return err
		}
		defer t.Close()
		a.temporal = t
		return work(cmd.Context())
	}
	return cmd
}

// secretFlag adds the flag that every command on one secret has. The secret may be given as an argument instead.
func secretFlag(cmd *cobra.Command, secretID *string) {
	cmd.Flags().StringVar(secretID, "secret-id", "", "name or ARN of the user's secret; may be given as an argument instead")
	cmd.Use += " [SECRET]"
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) > 1:
			return fmt.Errorf("%d arguments, but one secret at a time: %q", len(args), args)
		case len(args) == 0 && *secretID == "":
			return fmt.Errorf("name the secret, as in: %s --secret-id MySecret", cmd.CommandPath())
		case len(args) == 0:
			return nil
		case cmd.Flags().Changed("secret-id") && *secretID != args[0]:
			return fmt.Errorf("two secrets are named, %q and %q: name one", *secretID, args[0])
		}
		*secretID = args[0]
		return nil
	}
}

// days is the value of a flag that counts whole days.
type days int

func (d *days) String() string { return strconv.Itoa(int(*d)) }
func (d *days) Type() string   { return "days" }
func (d *days) Set(s string) error {
	n, err := strconv.Atoi(s)
	if err != nil {
		return errors.New("it is a whole number of days, without a unit, such as 30")
	}
	*d = days(n)
	return nil
}

func required(cmd *cobra.Command, flag string) {
	if err := cmd.MarkFlagRequired(flag); err != nil {
		panic(err) // the flag was never added
	}
}

func activityQueueFlag(cmd *cobra.Command, queue *string) {
	cmd.Flags().StringVar(queue, "activity-task-queue", "", "task queue of the steps, for a worker inside another network")
}
