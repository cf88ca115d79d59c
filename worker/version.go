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

// versionWatch tells whether Temporal gives this worker any work. With Worker Versioning a version gets none until it is made
// the current one, while the worker polls and is healthy.
type versionWatch struct {
	version    worker.WorkerDeploymentVersion
	namespace  string
	deployment describer
	current    client.MetricsGauge // 1 for the current version, 0 for another
	logger     *slog.Logger

	said string
}

type describer interface {
	Describe(context.Context, client.WorkerDeploymentDescribeOptions) (client.WorkerDeploymentDescribeResponse, error)
}

const (
	versionPause = time.Minute
	// registerPause and registerTries are for a deployment that Temporal does not know yet: it learns of it by the first polls.
	registerPause = time.Second
	registerTries = 30
)

// watch looks at the version until ctx ends, and logs when something about it has changed.
func (v *versionWatch) watch(ctx context.Context) {
	var failed error
	defer func() {
		if failed != nil {
			v.logger.Error("the worker's version is no longer looked at", "error", failed)
		}
	}()
	defer panics.Into(&failed)
	for tries := 0; ; tries++ {
		pause := versionPause
		if known := v.look(ctx, tries < registerTries); !known && tries < registerTries {
			pause = registerPause
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// look reports whether Temporal knows the deployment. If it does not, patient keeps that from being logged.
func (v *versionWatch) look(ctx context.Context, patient bool) (known bool) {
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
		v.say(slog.LevelWarn, "no version of the deployment is current, and no rotation starts until one is: make this one current", "with", v.command())
	default:
		v.current.Update(0)
		v.say(slog.LevelWarn, "another version of the deployment is current, and this worker gets no work: stop it if it is the older one, or make it current", "current", c.BuildID, "with", v.command())
	}
	return true
}

// say logs what has not been logged last.
func (v *versionWatch) say(level slog.Level, text string, args ...any) {
	args = append([]any{"deployment", v.version.DeploymentName, "version", v.version.BuildID}, args...)
	if all := fmt.Sprint(append(args, text)...); all != v.said {
		v.said = all
		v.logger.Log(context.Background(), level, "Worker Versioning", append([]any{"state", text}, args...)...)
	}
}

// command makes the version current.
func (v *versionWatch) command() string {
	return fmt.Sprintf("temporal worker deployment set-current-version --namespace %s --deployment-name %s --build-id %s", v.namespace, v.version.DeploymentName, v.version.BuildID)
}
