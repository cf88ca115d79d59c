package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"

	"github.com/rotate-user/rotate-user/internal/panics"
)

// versionWatch reports whether Temporal gives this version of the worker any work. With Worker Versioning, a worker that polls and is
// ready still gets none until its version is the current one.
type versionWatch struct {
	version    worker.WorkerDeploymentVersion
	namespace  string
	deployment describer
	current    client.MetricsGauge // 1 if the version is current, 0 otherwise
	logger     *slog.Logger

	said string
}

func newVersionWatch(version worker.WorkerDeploymentVersion, namespace string, temporal client.Client, m *metrics,
	logger *slog.Logger) *versionWatch {
	return &versionWatch{
		version: version, namespace: namespace, logger: logger,
		deployment: temporal.WorkerDeploymentClient().GetHandle(version.DeploymentName),
		current:    m.handler.Gauge("rotate_user_worker_version_current"),
	}
}

type describer interface {
	Describe(context.Context, client.WorkerDeploymentDescribeOptions) (client.WorkerDeploymentDescribeResponse, error)
}

const (
	versionInterval = time.Minute
	// registerInterval and registerTries are for a deployment that Temporal does not know yet: the first polls make it known.
	registerInterval = time.Second
	registerTries    = 30
)

// watch checks the version until ctx ends, and logs what has changed.
func (v *versionWatch) watch(ctx context.Context) {
	var failed error
	defer func() {
		if failed != nil {
			v.logger.Error("the worker's version is not checked until the worker restarts", "error", failed)
		}
	}()
	defer panics.Into(&failed)
	for tries := 0; ; tries++ {
		pause := versionInterval
		if known := v.check(ctx, tries < registerTries); !known && tries < registerTries {
			pause = registerInterval
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// check reports whether Temporal knows the deployment. With patient, it does not log that Temporal does not.
func (v *versionWatch) check(ctx context.Context, patient bool) (known bool) {
	ask, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	answer, err := v.deployment.Describe(ask, client.WorkerDeploymentDescribeOptions{})
	var missing *serviceerror.NotFound
	if ctx.Err() != nil || errors.As(err, &missing) && patient {
		return false
	}
	if err != nil {
		v.say(slog.LevelWarn, "Temporal does not say whether the worker's version is current", "error", err)
		return !errors.As(err, &missing)
	}
	routing := answer.Info.RoutingConfig
	share := 0
	if r := routing.RampingVersion; r != nil && *r == v.version {
		share = int(routing.RampingVersionPercentage)
	}
	switch c := routing.CurrentVersion; {
	case c != nil && *c == v.version:
		v.current.Update(1)
		v.say(slog.LevelInfo, "the worker's version is current")
	case share > 0:
		v.current.Update(0)
		v.say(slog.LevelInfo, "the worker's version is ramping", "percent", share)
	case c == nil:
		v.current.Update(0)
		v.say(slog.LevelWarn, "no version of the deployment is current, so no rotation starts: make this one current", "with", v.command())
	default:
		v.current.Update(0)
		v.say(slog.LevelWarn, "another version of the deployment is current, so this worker gets no work: "+
			"stop it if it is the older one, or make it current", "current", c.BuildID, "with", v.command())
	}
	return true
}

// say logs a state unless it was the last one logged.
func (v *versionWatch) say(level slog.Level, text string, args ...any) {
	args = append([]any{"deployment", v.version.DeploymentName, "version", v.version.BuildID}, args...)
	if all := fmt.Sprint(append(args, text)...); all != v.said {
		v.said = all
		v.logger.Log(context.Background(), level, "Worker Versioning", append([]any{"state", text}, args...)...)
	}
}

// command returns the command that makes the version current.
func (v *versionWatch) command() string {
	return fmt.Sprintf("temporal worker deployment set-current-version --namespace %s --deployment-name %s --build-id %s", v.namespace,
		v.version.DeploymentName, v.version.BuildID)
}
