// Noop is a worker of a workflow of five activities that do nothing: Temporal's own share of a rotation, with a process of
// its own on the other side, and connected as the worker of rotate-user is.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"os"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/envconfig"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/rotate-user/rotate-user/workflows"
)

func main() {
	taskQueue := flag.String("task-queue", "noop", "task queue")
	address := flag.String("metrics-address", "127.0.0.1:0", "answers /readyz at this host:port")
	flag.Parse()
	if err := run(*taskQueue, *address); err != nil {
		fmt.Fprintln(os.Stderr, "noop:", err)
		os.Exit(1)
	}
}

func run(taskQueue, address string) error {
	options, err := envconfig.LoadDefaultClientOptions()
	if err != nil {
		return err
	}
	options.Logger = log.NewStructuredLogger(slog.New(slog.DiscardHandler))
	options.ConnectionOptions.GrpcCompression = &client.GrpcCompressionNone{}
	c, err := client.Dial(options)
	if err != nil {
		return err
	}
	defer c.Close()
	w := worker.New(c, taskQueue, worker.Options{})
	w.RegisterWorkflow(NoopWorkflow)
	w.RegisterActivity(NoopActivity)
	if err := w.Start(); err != nil {
		return err
	}
	defer w.Stop()
	failed := make(chan error, 1)
	healthy := func(http.ResponseWriter, *http.Request) {}
	go func() { failed <- http.ListenAndServe(address, http.HandlerFunc(healthy)) }()
	select {
	case err := <-failed:
		return err
	case <-worker.InterruptCh():
		return nil
	}
}

// NoopWorkflow runs five activities in a row.
func NoopWorkflow(ctx workflow.Context) error {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: workflows.StepTimeout})
	for range 5 {
		if err := workflow.ExecuteActivity(ctx, NoopActivity).Get(ctx, nil); err != nil {
			return err
		}
	}
	return nil
}

// NoopActivity does nothing.
func NoopActivity(context.Context) error { return nil }
