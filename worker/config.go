package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/rotate-user/rotate-user/activities"
	"github.com/rotate-user/rotate-user/internal/account"
	"github.com/rotate-user/rotate-user/internal/program"
	"github.com/rotate-user/rotate-user/rotation"
	"github.com/rotate-user/rotate-user/workflows"
)

// stopTimeout is how long a stopping worker waits for the steps that it has started. No step may last longer.
const stopTimeout = workflows.StepTimeout + 15*time.Second

// config holds the worker's own settings. Temporal and AWS are configured as for their command-line
// tools.
type config struct {
	taskQueue string

	// The SDK's default, 1,000 concurrent activities, would overload the databases.
	maxConcurrentActivities int
	// Secrets Manager allows 50 writes per second in an account and region. A rotation makes two before it is done, and other
	// clients need some.
	maxRotationsPerSecond float64

	allowedMasterSecrets []string

	tlsCAFile, tlsCertFile, tlsKeyFile string
	tlsServerNames                     []string // HOST=NAME

	metricsAddress      string
	logLevel, logFormat string

	deployment worker.WorkerDeploymentVersion
}

func (c *config) addFlags(flags *pflag.FlagSet) {
	flags.StringVar(&c.taskQueue, "task-queue", rotation.TaskQueue, "Temporal task queue to poll")
	flags.IntVar(&c.maxConcurrentActivities, "max-concurrent-activities", 16,
		"number of steps that this process runs at the same time, 1 to 1000")
	flags.Float64Var(&c.maxRotationsPerSecond, "max-rotations-per-second", 10,
		"rotations that all workers of the task queue together start per second; 0 for no limit")
	flags.StringSliceVar(&c.allowedMasterSecrets, "allowed-master-secrets", nil,
		"names or ARNs of the master secrets to allow, separated by commas; a * at the end matches any ending; "+
			"empty allows all that the worker can read")
	flags.StringVar(&c.tlsCAFile, "tls-ca-file", "", "PEM file with certificate authorities to trust for MySQL, in addition to the system's")
	flags.StringVar(&c.tlsCertFile, "tls-cert-file", "",
		"PEM file with the client certificate for the database, for accounts with REQUIRE X509 and the like")
	flags.StringVar(&c.tlsKeyFile, "tls-key-file", "", "PEM file with the key of that certificate")
	flags.StringSliceVar(&c.tlsServerNames, "tls-server-name", nil,
		"HOST=NAME: the database's certificate at this host must be for NAME instead, as common name or as host name; "+
			"repeat the flag, or separate by commas, for more hosts")
	c.addMetricsAddress(flags)
	flags.StringVar(&c.logLevel, "log-level", "info", "debug, info, warn or error")
	flags.StringVar(&c.logFormat, "log-format", "text", "text or json")
	nameVariables(flags)
}

func (c *config) addMetricsAddress(flags *pflag.FlagSet) {
	flags.StringVar(&c.metricsAddress, "metrics-address", "127.0.0.1:9464",
		"address of /metrics (Prometheus), /healthz and /readyz; empty for none")
}

// nameVariables adds the environment variable of each flag to its usage.
func nameVariables(flags *pflag.FlagSet) {
	flags.VisitAll(func(f *pflag.Flag) {
		if !program.IsBuiltIn(f) {
			f.Usage += " [" + variable(f.Name) + "]"
		}
	})
}

// variable returns the environment variable of a flag.
func variable(flag string) string {
	return "ROTATE_USER_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// setFromEnvironment sets the flags that the command line left out from their environment variables.
func setFromEnvironment(flags *pflag.FlagSet, lookup func(string) (string, bool)) error {
	var errs []error
	flags.VisitAll(func(f *pflag.Flag) {
		name := variable(f.Name)
		if value, ok := lookup(name); ok && !f.Changed && !program.IsBuiltIn(f) {
			if err := flags.Set(f.Name, value); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", name, err))
			}
		}
	})
	return errors.Join(errs...)
}

// fromEnvironment reads the variables that Temporal's Worker Versioning defines.
func (c *config) fromEnvironment(lookup func(string) (string, bool)) {
	c.deployment.DeploymentName, _ = lookup("TEMPORAL_DEPLOYMENT_NAME")
	c.deployment.BuildID, _ = lookup("TEMPORAL_WORKER_BUILD_ID")
}

func (c *config) validate() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.taskQueue == "" {
		wrong("--task-queue is empty")
	}
	if c.maxConcurrentActivities < 1 || c.maxConcurrentActivities > 1000 {
		wrong("--max-concurrent-activities is %d: must be 1 to 1000", c.maxConcurrentActivities)
	}
	if !(c.maxRotationsPerSecond >= 0) { // NaN, too
		wrong("--max-rotations-per-second is %v: must be 0 or more", c.maxRotationsPerSecond)
	}
	for _, p := range c.masters() {
		if err := p.Validate(); err != nil {
			wrong("--allowed-master-secrets: %w", err)
		}
	}
	if (c.tlsCertFile == "") != (c.tlsKeyFile == "") {
		wrong("--tls-cert-file and --tls-key-file belong together: set both or neither")
	}
	if _, err := c.serverNames(); err != nil {
		wrong("--tls-server-name: %w", err)
	}
	if c.metricsAddress != "" {
		if _, _, err := net.SplitHostPort(c.metricsAddress); err != nil {
			wrong("--metrics-address: %w", err)
		}
	}
	if _, err := c.logger(io.Discard); err != nil {
		errs = append(errs, err)
	}
	if (c.deployment.DeploymentName == "") != (c.deployment.BuildID == "") {
		wrong("TEMPORAL_DEPLOYMENT_NAME and TEMPORAL_WORKER_BUILD_ID belong together: set both or neither")
	}
	return errors.Join(errs...)
}

func (c *config) masters() []activities.MasterPattern {
	var all []activities.MasterPattern
	for _, p := range c.allowedMasterSecrets {
		all = append(all, activities.MasterPattern(strings.TrimSpace(p)))
	}
	return all
}

func (c *config) logger(w io.Writer) (*slog.Logger, error) {
	var options slog.HandlerOptions
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.logLevel)); err != nil {
		return nil, fmt.Errorf("--log-level is %q: must be debug, info, warn or error", c.logLevel)
	}
	options.Level = level
	switch c.logFormat {
	case "text":
		return slog.New(slog.NewTextHandler(w, &options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, &options)), nil
	default:
		return nil, fmt.Errorf("--log-format is %q: must be text or json", c.logFormat)
	}
}

// serverNames returns the names in the certificates of hosts, by host in lower case.
func (c *config) serverNames() (map[string]string, error) {
	names := map[string]string{}
	for _, entry := range c.tlsServerNames {
		host, name, ok := strings.Cut(entry, "=")
		host, name = strings.ToLower(strings.TrimSpace(host)), strings.TrimSpace(name)
		switch {
		case !ok || host == "" || name == "":
			return nil, fmt.Errorf("%q is not HOST=NAME, such as 10.0.0.5=my-project:my-instance", entry)
		case strings.ContainsAny(host, "[]/ ") || strings.Contains(host, ":") && net.ParseIP(host) == nil:
			return nil, fmt.Errorf("%q: use the secret's host, without a port", host)
		case names[host] != "" && names[host] != name:
			return nil, fmt.Errorf("host %s has two names, %q and %q", host, names[host], name)
		}
		names[host] = name
	}
	return names, nil
}

// dialer returns what opens connections to MySQL. It reads the files again when they change.
func (c *config) dialer(logger *slog.Logger) (*account.Dialer, error) {
	names, err := c.serverNames()
	if err != nil {
		return nil, err
	}
	if c.tlsCAFile == "" && c.tlsCertFile == "" {
		return &account.Dialer{ServerNames: names}, nil
	}
	trust := &files[*account.Trust]{load: c.trust, logger: logger}
	if err := trust.read(); err != nil {
		return nil, err
	}
	return &account.Dialer{ServerNames: names, Trust: trust.now}, nil
}

func (c *config) trust() (*account.Trust, []string, error) {
	var trust account.Trust
	var paths []string
	if c.tlsCAFile != "" {
		pem, err := os.ReadFile(c.tlsCAFile)
		if err != nil {
			return nil, nil, fmt.Errorf("--tls-ca-file: %w", err)
		}
		roots, err := x509.SystemCertPool()
		if err != nil {
			return nil, nil, fmt.Errorf("the system's certificate authorities: %w", err)
		}
		if !roots.AppendCertsFromPEM(pem) {
			return nil, nil, fmt.Errorf("--tls-ca-file: %s contains no PEM certificate", c.tlsCAFile)
		}
		trust.RootCAs = roots
		paths = append(paths, c.tlsCAFile)
	}
	if c.tlsCertFile != "" {
		certificate, err := tls.LoadX509KeyPair(c.tlsCertFile, c.tlsKeyFile)
		if err != nil {
			return nil, nil, fmt.Errorf("--tls-cert-file, --tls-key-file: %w", err)
		}
		trust.Certificates = []tls.Certificate{certificate}
		paths = append(paths, c.tlsCertFile, c.tlsKeyFile)
	}
	return &trust, paths, nil
}

// workerOptions returns options that protect the databases and Secrets Manager, and let steps finish that have started. The outer
// interceptors see only what activities.Interceptor lets through.
func (c *config) workerOptions(outer ...interceptor.WorkerInterceptor) worker.Options {
	options := worker.Options{
		MaxConcurrentActivityExecutionSize: c.maxConcurrentActivities,
		WorkerStopTimeout:                  stopTimeout,
		StickyScheduleToStartTimeout:       workflows.StickyTimeout,
		// By default, the SDK keeps a heartbeat back until 80 % of its timeout has passed. On a busy machine that is too late.
		MaxHeartbeatThrottleInterval: activities.HeartbeatInterval(workflows.HeartbeatTimeout),
		Interceptors:                 append(outer, activities.Interceptor()),
	}
	if c.deployment.BuildID != "" {
		options.DeploymentOptions = worker.DeploymentOptions{
			UseVersioning: true,
			Version:       c.deployment,
			// A rotation sleeps for weeks, and its run begins with the timer: a newer version can take it over at any time,
			// and no old one has to keep running for it.
			DefaultVersioningBehavior: workflow.VersioningBehaviorAutoUpgrade,
		}
	}
	return options
}

// pacedOptions returns the options for the first step of each rotation. The server limits the rate of all workers together. The
// price is a few milliseconds: it dispatches these tasks on their own, rather than together with the workflow's.
func (c *config) pacedOptions(outer ...interceptor.WorkerInterceptor) worker.Options {
	options := c.workerOptions(outer...)
	options.DisableWorkflowWorker = true
	options.TaskQueueActivitiesPerSecond = c.maxRotationsPerSecond
	return options
}

// pollers returns the pollers of a worker with this configuration.
func (c *config) pollers() []poller {
	return []poller{{workflowTasks, c.taskQueue}, {activityTasks, c.taskQueue}, {activityTasks, rotation.PacedTaskQueue(c.taskQueue)}}
}
