package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	sdk "go.temporal.io/sdk/temporal"

	"github.com/rotate-user/rotate-user/internal/plaintext"
)

// temporal is the part of a Temporal client that the commands use.
type temporal interface {
	ExecuteWorkflow(context.Context, client.StartWorkflowOptions, any, ...any) (client.WorkflowRun, error)
	NewWithStartWorkflowOperation(client.StartWorkflowOptions, any, ...any) client.WithStartWorkflowOperation
	UpdateWithStartWorkflow(context.Context, client.UpdateWithStartWorkflowOptions) (client.WorkflowUpdateHandle, error)
	UpdateWorkflow(context.Context, client.UpdateWorkflowOptions) (client.WorkflowUpdateHandle, error)
	SignalWorkflow(ctx context.Context, workflowID, runID, signalName string, arg any) error
	QueryWorkflow(ctx context.Context, workflowID, runID, queryType string, args ...any) (converter.EncodedValue, error)
	DescribeWorkflowExecution(ctx context.Context, workflowID, runID string) (*workflowservice.DescribeWorkflowExecutionResponse, error)
	GetWorkflowHistory(ctx context.Context, workflowID, runID string, longPoll bool,
		filter enums.HistoryEventFilterType) client.HistoryEventIterator
	DescribeTaskQueue(ctx context.Context, taskQueue string, kind enums.TaskQueueType) (*workflowservice.DescribeTaskQueueResponse, error)
	ListWorkflow(context.Context, *workflowservice.ListWorkflowExecutionsRequest) (*workflowservice.ListWorkflowExecutionsResponse, error)
	Close()
}

// app holds what all commands share.
type app struct {
	dial   func(context.Context) (temporal, converter.DataConverter, error)
	lookup func(string) (string, bool)
	now    func() time.Time
	out    io.Writer
	errors io.Writer
	live   bool // out is a terminal, so that a line can be redrawn

	watchInterval time.Duration // how often watch checks what the workflow is waiting for
	hintAfter     time.Duration // how long watch waits for an answer before it looks for the cause

	taskQueue string
	output    format

	temporal temporal
	memos    converter.DataConverter
	parsed   bool // the command line was understood: an error from here on is not wrong usage
}

// format is how results are printed.
type format string

const (
	table      format = "table"
	jsonFormat format = "json"
	wide       format = "wide" // list only
	csvFormat  format = "csv"  // list only
)

func (a *app) print(v view) error {
	var b strings.Builder
	if a.output == jsonFormat {
		encoder := json.NewEncoder(&b)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(v.value()); err != nil {
			return err
		}
		_, err := io.WriteString(a.out, escapeJSON(b.String()))
		return err
	}
	if c, ok := v.(interface{ csv(io.Writer) error }); ok && a.output == csvFormat {
		if err := c.csv(&b); err != nil {
			return err
		}
	} else {
		v.text(&b)
	}
	_, err := io.WriteString(a.out, printable(b.String()))
	return err
}

// say prints a line to standard error, apart from the result.
func (a *app) say(text string) { fmt.Fprintln(a.errors, printable(text)) }

// explain returns the text of an error for people: what the innermost layer says, without the layers around it.
func (a *app) explain(ctx context.Context, err error) string {
	var application *sdk.ApplicationError
	var timeout *sdk.TimeoutError
	var canceled *sdk.CanceledError
	var terminated *sdk.TerminatedError
	var namespace *serviceerror.NamespaceNotFound
	var advice advised
	switch {
	case ctx.Err() != nil:
		return "interrupted; what has started continues"
	case errors.As(err, &advice):
		return a.explain(ctx, advice.error) + "\n" + advice.advice
	case errors.As(err, &application):
		return plaintext.Line(application.Message())
	case errors.As(err, &timeout):
		return "a step timed out: check that the worker reaches the database and Secrets Manager"
	case errors.As(err, &canceled):
		return "the workflow was cancelled"
	case errors.As(err, &terminated):
		return "the workflow was terminated"
	case errors.As(err, &namespace):
		return fmt.Sprintf("namespace %s does not exist: set TEMPORAL_NAMESPACE", namespace.Namespace)
	case errors.Is(err, converter.ErrEncodingIsNotSupported):
		return printable(err.Error()) + "\nThe worker encodes what it stores with a codec server: set TEMPORAL_CODEC_ENDPOINT to the same server"
	case isUnanswered(err):
		return "no answer from Temporal, or from a worker on task queue " + a.taskQueue +
			": check that both run, and set TEMPORAL_ADDRESS and --task-queue as for the worker"
	default:
		return printable(err.Error())
	}
}

// startOptions returns the options that all workflows share. summary is what the Temporal UI shows of
// the first run; the later ones describe themselves.
func (a *app) startOptions(workflowID, summary string) client.StartWorkflowOptions {
	return client.StartWorkflowOptions{
		ID: workflowID, TaskQueue: a.taskQueue, StaticSummary: plaintext.Cut(plaintext.Line(summary), summaryBytes),
	}
}

// summaryBytes keeps a summary within Temporal's limit of 400 bytes.
const summaryBytes = 390

// view is a result, as a value for programs and as text for people.
type view interface {
	value() any
	text(io.Writer)
}

// action makes cmd run work with a Temporal client. check, which may be nil, validates the command line first.
func (a *app) action(cmd *cobra.Command, check func() error, work func(context.Context) error) *cobra.Command {
	if cmd.Args == nil {
		cmd.Args = cobra.NoArgs
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if check != nil {
			if err := check(); err != nil {
				return err
			}
		}
		a.parsed = true
		t, memos, err := a.dial(cmd.Context())
		if err != nil {
			return err
		}
		defer t.Close()
		a.temporal, a.memos = t, cmp.Or(memos, converter.GetDefaultDataConverter())
		return work(cmd.Context())
	}
	return cmd
}
