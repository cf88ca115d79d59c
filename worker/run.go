package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"go.temporal.io/sdk/client"
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

// stopTimeout is how long a stopping worker waits for the steps that it has begun: longer than any may last.
const stopTimeout = workflows.StepTimeout + 15*time.Second

// cachedWorkflows is how many workflows stay in memory between their tasks. Those that rotate need it; one that sleeps would
// hold its place for weeks, and is read again from its five events in no time.
const cachedWorkflows = 500

// run works until the process is told to end.
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
	m, err := newMetrics(logger)
	if err != nil {
		return err
	}

	options, err := clientOptions(logger)
	if err != nil {
		return err
	}
	options.Logger = log.NewStructuredLogger(logger)
	options.MetricsHandler = m.handler
	// Messages here are a few hundred bytes: to compress them costs both sides more than to send them.
	options.ConnectionOptions.GrpcCompression = &client.GrpcCompressionNone{}
	polls := &pollers{}
	options.ConnectionOptions.DialOptions = append(options.ConnectionOptions.DialOptions, grpc.WithChainUnaryInterceptor(polls.watch))
	temporal, err := client.DialContext(ctx, options)
	if err != nil {
		return fmt.Errorf("connect to Temporal at %s, namespace %s: %w", cmp.Or(options.HostPort, client.DefaultHostPort),
			cmp.Or(options.Namespace, client.DefaultNamespace), err)
	}
	defer temporal.Close()

	if c.metricsAddress != "" {
		stop, err := m.serve(ctx, c.metricsAddress, func(ctx context.Context) error {
			if _, err := temporal.CheckHealth(ctx, &client.CheckHealthRequest{}); err != nil {
				return fmt.Errorf("Temporal does not answer: %w", err)
			}
			return polls.check(c.pollers()...)
		})
		if err != nil {
			return fmt.Errorf("--metrics-address: %w", err)
		}
		defer func() { err = errors.Join(err, stop()) }()
	}

	attributes := &searchAttributes{
		namespace: cmp.Or(options.Namespace, client.DefaultNamespace), operator: temporal.OperatorService(), visibility: temporal, logger: logger,
	}
	attributes.watch(ctx)

	worker.SetStickyWorkflowCacheSize(cachedWorkflows)
	w := worker.New(temporal, c.taskQueue, c.workerOptions())
	workflows.Register(w, workflows.Workflows{SearchAttributes: attributes.usable})
	paced := worker.New(temporal, rotation.PacedTaskQueue(c.taskQueue), c.pacedOptions())
	steps := &activities.Activities{Secrets: secrets, Accounts: accounts, Databases: databases, Masters: c.masters(), Temporal: temporal}
	w.RegisterActivity(steps)
	paced.RegisterActivity(steps)

	if c.deployment.BuildID != "" {
		version := &versionWatch{
			version: c.deployment, namespace: cmp.Or(options.Namespace, client.DefaultNamespace), logger: logger,
			deployment: temporal.WorkerDeploymentClient().GetHandle(c.deployment.DeploymentName),
			current:    m.handler.Gauge("rotate_user_worker_version_current"),
		}
		go version.watch(ctx)
	}
	logger.Info("worker starts", "version", program.Version(), "address", cmp.Or(options.HostPort, client.DefaultHostPort),
		"namespace", cmp.Or(options.Namespace, client.DefaultNamespace), "taskQueue", c.taskQueue, "metrics", c.metricsAddress)
	if err := serve(w, paced); err != nil {
		return fmt.Errorf("task queue %s: %w", c.taskQueue, err)
	}
	logger.Info("worker has stopped")
	return nil
}

// serve runs the workers until the process is told to end or one of them cannot go on, and stops them all at once.
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
	return secret.NewStore(secretsmanager.NewFromConfig(c)), rds.New(c), nil
}

// warnWithoutCredentials tells the operator at the start what each step would say. It calls nothing where the credentials are
// at hand. A worker for workflows alone needs none, so that its health does not depend on them.
func warnWithoutCredentials(ctx context.Context, p aws.CredentialsProvider, logger *slog.Logger) {
	var failed error
	defer func() {
		if failed != nil && ctx.Err() == nil {
			logger.Warn("there are no valid AWS credentials, and no step that reads a secret can succeed: give the worker a role, or credentials as for the AWS CLI;"+
				" for an SSO profile run `aws sso login` where the worker runs", "error", failed)
		}
	}()
	defer panics.Into(&failed)
	_, failed = p.Retrieve(ctx)
}
