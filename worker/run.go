package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
	"google.golang.org/grpc"

	"github.com/rotate-user/rotate-user/activities"
	"github.com/rotate-user/rotate-user/internal/panics"
	"github.com/rotate-user/rotate-user/internal/program"
	"github.com/rotate-user/rotate-user/internal/rds"
	"github.com/rotate-user/rotate-user/internal/secret"
	"github.com/rotate-user/rotate-user/rotation"
	"github.com/rotate-user/rotate-user/workflows"
)

// cachedWorkflows is how many workflows stay in memory between their tasks. Those that rotate benefit. One that sleeps would occupy
// its place for weeks, and reading its five events again takes no time.
const cachedWorkflows = 500

// run runs the worker until the process is told to stop.
func run(ctx context.Context, c config, logs io.Writer) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	logger, err := c.logger(logs)
	if err != nil {
		return err
	}
	slog.SetDefault(logger)

	accounts, err := c.dialer(logger)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, accounts.Close()) }()
	secrets, databases, err := awsClients(ctx, logger)
	if err != nil {
		return err
	}
	defer tidy(ctx, secrets)
	m, err := newMetrics(logger)
	if err != nil {
		return err
	}
	traced, sendTraces, err := startTraces(ctx, os.LookupEnv, logger)
	if err != nil {
		return err
	}
	defer sendTraces()

	polls := &pollers{}
	m.registry.MustRegister(pollingMetrics{polls, c.pollers()})
	temporal, options, err := connect(ctx, logger, m, polls)
	if err != nil {
		return err
	}
	defer temporal.Close()

	if c.metricsAddress != "" {
		stop, err := m.serve(ctx, c.metricsAddress, func(ctx context.Context) error { return ready(ctx, temporal, polls, c.pollers()) })
		if err != nil {
			return fmt.Errorf("--metrics-address: %w: choose another address, or an empty one for none", err)
		}
		defer func() { err = errors.Join(err, stop()) }()
	}

	attributes := c.watchNamespace(ctx, temporal, options.Namespace, m, logger)
	steps := &activities.Activities{Secrets: secrets, Accounts: accounts, Databases: databases, Masters: c.masters(), Temporal: temporal,
		Memos: options.DataConverter}
	outer := []interceptor.WorkerInterceptor{m.failures}
	if traced != nil {
		outer = append(outer, traced)
	}
	workers := c.workers(temporal, workflows.Workflows{SearchAttributes: attributes.usable}, steps, outer...)
	logger.Info("worker starts", "version", program.Version(), "address", options.HostPort,
		"namespace", options.Namespace, "taskQueue", c.taskQueue, "metrics", c.metricsAddress)
	if err := serve(workers...); err != nil {
		return fmt.Errorf("task queue %s: %w", c.taskQueue, err)
	}
	logger.Info("worker has stopped")
	return nil
}

// tidyTimeout bounds how long a stopping worker removes staging labels that mean nothing.
const tidyTimeout = 5 * time.Second

// tidy removes the staging labels that have waited until the worker has nothing else to do.
func tidy(ctx context.Context, secrets *secret.Store) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidyTimeout)
	defer cancel()
	secrets.TidyNow(ctx)
}

// watchNamespace observes the namespace until ctx ends: its search attributes, which it registers, its rotations, and which version of the
// worker is current.
func (c config) watchNamespace(ctx context.Context, temporal client.Client, namespace string, m *metrics,
	logger *slog.Logger) *searchAttributes {
	attributes := &searchAttributes{namespace: namespace, operator: temporal.OperatorService(), visibility: temporal, logger: logger}
	attributes.watch(ctx)
	if c.metricsAddress != "" {
		m.watchFleet(ctx, &fleetMetrics{
			visibility: temporal, namespace: namespace, taskQueue: c.taskQueue, usable: attributes.usable, logger: logger,
		})
	}
	if c.deployment.BuildID != "" {
		go newVersionWatch(c.deployment, namespace, temporal, m, logger).watch(ctx)
	}
	return attributes
}

// connect returns a client of Temporal, and the options that it was made with.
func connect(ctx context.Context, logger *slog.Logger, m *metrics, polls *pollers) (client.Client, client.Options, error) {
	options, err := clientOptions(logger)
	if err != nil {
		return nil, options, err
	}
	options.HostPort = cmp.Or(options.HostPort, client.DefaultHostPort)
	options.Namespace = cmp.Or(options.Namespace, client.DefaultNamespace)
	options.Logger = log.NewStructuredLogger(logger)
	options.MetricsHandler = m.handler
	// Messages are a few hundred bytes: compressing them would cost more than sending them.
	options.ConnectionOptions.GrpcCompression = &client.GrpcCompressionNone{}
	options.ConnectionOptions.DialOptions = append(options.ConnectionOptions.DialOptions, grpc.WithChainUnaryInterceptor(polls.watch))
	c, err := client.DialContext(ctx, options)
	if err != nil {
		return nil, options, fmt.Errorf("connect to Temporal at %s, namespace %s: %w\n"+
			"Set TEMPORAL_ADDRESS and TEMPORAL_NAMESPACE, or a profile, as for the temporal CLI", options.HostPort, options.Namespace, err)
	}
	return c, options, nil
}

// ready returns an error unless Temporal answers and gives the worker work.
func ready(ctx context.Context, temporal client.Client, polls *pollers, all []poller) error {
	if _, err := temporal.CheckHealth(ctx, &client.CheckHealthRequest{}); err != nil {
		return fmt.Errorf("Temporal does not answer: %w", err)
	}
	return polls.check(all...)
}

// workers returns the worker of the task queue, and that of its paced task queue, which runs the first steps of rotations.
func (c config) workers(temporal client.Client, flows workflows.Workflows, steps *activities.Activities,
	outer ...interceptor.WorkerInterceptor) []worker.Worker {
	worker.SetStickyWorkflowCacheSize(cachedWorkflows)
	w := worker.New(temporal, c.taskQueue, c.workerOptions(outer...))
	workflows.Register(w, flows)
	paced := worker.New(temporal, rotation.PacedTaskQueue(c.taskQueue), c.pacedOptions(outer...))
	w.RegisterActivity(steps)
	paced.RegisterActivity(steps)
	return []worker.Worker{w, paced}
}

// serve runs the workers until the process is told to stop or one of them fails, and then stops all of them.
func serve(workers ...worker.Worker) error {
	stop := make(chan any)
	end := sync.OnceFunc(func() { close(stop) })
	go func() {
		<-worker.InterruptCh()
		end()
	}()
	errs := make([]error, len(workers))
	var wg sync.WaitGroup
	for i, w := range workers {
		wg.Go(func() {
			defer end()
			defer panics.Into(&errs[i])
			errs[i] = w.Run(stop)
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func awsClients(ctx context.Context, logger *slog.Logger) (*secret.Store, *rds.Client, error) {
	c, err := awsconfig.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("AWS configuration: %w", err)
	}
	if c.Region == "" {
		return nil, nil, errors.New("AWS configuration: no region: set AWS_REGION, or a region in the profile that AWS_PROFILE names")
	}
	go warnWithoutCredentials(ctx, c.Credentials, logger)
	c.Credentials = secret.Credentials(c.Credentials)
	c.Retryer = secret.Retryer
	secrets := secret.NewStore(secretsmanager.NewFromConfig(c))
	secrets.NotTidied = func(err error) { logger.Warn("a staging label was left", "error", err) }
	return secrets, rds.New(c), nil
}

// warnWithoutCredentials warns at the start, before every step fails. It is not an error, because a worker that only runs workflows
// needs no credentials.
func warnWithoutCredentials(ctx context.Context, p aws.CredentialsProvider, logger *slog.Logger) {
	var failed error
	defer func() {
		if failed != nil && ctx.Err() == nil {
			logger.Warn("there are no valid AWS credentials, so every step that reads a secret will fail: "+
				"give the worker a role, or credentials as for the AWS CLI;"+
				" for an SSO profile run `aws sso login` where the worker runs", "error", failed)
		}
	}()
	defer panics.Into(&failed)
	_, failed = p.Retrieve(ctx)
}
