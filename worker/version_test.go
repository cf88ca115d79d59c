package main

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
)

// deployment answers as Temporal does for one deployment, whose state a test changes.
type deployment struct {
	err              error
	current, ramping string
	percent          float32
}

func (d *deployment) Describe(context.Context, client.WorkerDeploymentDescribeOptions) (a client.WorkerDeploymentDescribeResponse,
	err error) {
	version := func(id string) *worker.WorkerDeploymentVersion {
		if id == "" {
			return nil
		}
		return &worker.WorkerDeploymentVersion{DeploymentName: "rotate-user", BuildID: id}
	}
	a.Info.RoutingConfig = client.WorkerDeploymentRoutingConfig{CurrentVersion: version(d.current), RampingVersion: version(d.ramping),
		RampingVersionPercentage: d.percent}
	return a, d.err
}

type gauge float64

func (g *gauge) Update(value float64) { *g = gauge(value) }

// TestVersionWatch checks what is logged, once for each change, and the metric.
func TestVersionWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &deployment{err: serviceerror.NewNotFound("no such deployment")}
		var logs strings.Builder
		current := gauge(-1)
		v := &versionWatch{
			version:   worker.WorkerDeploymentVersion{DeploymentName: "rotate-user", BuildID: "v7"},
			namespace: "prod", deployment: d, current: &current, logger: slog.New(slog.NewTextHandler(&logs, nil)),
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); v.watch(ctx) }()
		expect := func(after time.Duration, gauge gauge, says ...string) {
			t.Helper()
			<-time.After(after)
			synctest.Wait()
			if current != gauge {
				t.Errorf("the metric is %v: want %v", current, gauge)
			}
			if len(says) == 0 && logs.Len() > 0 || strings.Count(logs.String(), "\n") > 1 {
				t.Errorf("logs too much: %s", &logs)
			}
			for _, text := range says {
				if !strings.Contains(logs.String(), text) {
					t.Errorf("%q does not say %q", &logs, text)
				}
			}
			logs.Reset()
		}
		command := "temporal worker deployment set-current-version --namespace prod --deployment-name rotate-user --build-id v7"
		expect(5*time.Second, -1) // it is registered by the first polls
		d.err = nil
		expect(registerInterval, 0, "level=WARN", "no version of the deployment is current", command)
		expect(10*versionInterval, 0)
		d.current = "v6"
		expect(versionInterval, 0, "level=WARN", "another version", "current=v6", command)
		d.ramping, d.percent = "v7", 20
		expect(versionInterval, 0, "level=INFO", "ramping", "percent=20")
		d.current, d.ramping = "v7", ""
		expect(versionInterval, 1, "level=INFO", "the worker's version is current")
		d.err = errors.New("permission denied")
		expect(versionInterval, 1, "level=WARN", "does not say", "permission denied")
		d.err = nil
		expect(versionInterval, 1, "level=INFO", "the worker's version is current")
		d.current = "v8"
		expect(versionInterval, 0, "level=WARN", "current=v8")
		d.err = serviceerror.NewCanceled("the worker stops")
		cancel()
		<-ended
		if v.check(ctx, false); logs.Len() > 0 {
			t.Errorf("logs at its end: %s", &logs)
		}
	})
}

// A deployment that Temporal never learns of is worth a warning.
func TestVersionWatchOfAnUnknownDeployment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var logs strings.Builder
		current := gauge(-1)
		v := &versionWatch{deployment: &deployment{err: serviceerror.NewNotFound("no such deployment")}, current: &current,
			logger: slog.New(slog.NewTextHandler(&logs, nil))}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		v.watch(ctx)
		if n := strings.Count(logs.String(), "no such deployment"); n != 1 {
			t.Errorf("%d warnings: %s", n, &logs)
		}
	})
}
