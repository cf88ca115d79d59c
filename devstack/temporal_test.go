package main

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"

	"github.com/rotate-user/rotate-user/devstack/stack"
	"github.com/rotate-user/rotate-user/devstack/temporal"
	"github.com/rotate-user/rotate-user/internal/mysqld/mysqldtest"
	"github.com/rotate-user/rotate-user/rotation"
)

func TestTemporalKeepsWorkflowsInItsFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state", "temporal.db")
	for _, start := range []bool{true, false} {
		s, err := temporal.Start(t.Context(), temporal.Options{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		c := dial(t, s.Address())
		if start {
			_, err = c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: "kept", TaskQueue: "nobody"}, "NoWorkflow")
		} else {
			_, err = c.DescribeWorkflowExecution(t.Context(), "kept", "")
		}
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestTheWorkerRegistersItsSearchAttributes starts a worker in a namespace that lacks the search
// attributes, and checks that no workflow fails on a server of the cluster that does not know them
// yet.
func TestTheWorkerRegistersItsSearchAttributes(t *testing.T) {
	t.Parallel()
	server, err := temporal.Start(t.Context(), temporal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Stop()
	s, err := stack.Start(t.Context(), stack.Options{Dir: t.TempDir(), TemporalAddress: server.Address(),
		Mysqld: mysqldtest.Programs(t)[0].Engine})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop()
	bin, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.StartWorker(t.Context(), filepath.Join(bin, "worker"), "worker"); err != nil {
		t.Fatal(err)
	}
	c := dial(t, server.Address())
	const id = "rotate-user/missing"
	run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: id, TaskQueue: rotation.TaskQueue}, rotation.RotateUserWorkflow,
		rotation.RotateUserInput{SecretID: "missing"})
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool {
		count, err := c.CountWorkflow(t.Context(), &workflowservice.CountWorkflowExecutionsRequest{
			Namespace: temporal.Namespace, Query: "RotationStatus = 'Failed' AND ExecutionStatus = 'Running'",
		})
		return err == nil && count.GetCount() == 1 // an error until the attribute exists
	})
	for _, event := range history(t, c, id, run.GetRunID()) {
		if failed := event.GetWorkflowTaskFailedEventAttributes(); failed != nil {
			t.Errorf("a workflow task failed: %s", failed.GetFailure().GetMessage())
		}
	}
}

// TestAVersionThatIsNotCurrent checks that a worker with a version reports that it gets no work,
// and that the command in the message gives it work.
func TestAVersionThatIsNotCurrent(t *testing.T) {
	t.Parallel()
	server, err := temporal.Start(t.Context(), temporal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Stop() })
	s, err := stack.Start(t.Context(), stack.Options{Dir: t.TempDir(), TemporalAddress: server.Address(),
		Mysqld: mysqldtest.Programs(t)[0].Engine})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Stop() })
	bin, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	env := append(s.Environment(), "TEMPORAL_DEPLOYMENT_NAME=rotate-user", "TEMPORAL_WORKER_BUILD_ID=v7")
	start := func(name string) *stack.Worker {
		log, err := os.Create(filepath.Join(s.Dir, name+".log"))
		if err != nil {
			t.Fatal(err)
		}
		defer log.Close() // the worker has its own descriptor
		w, err := stack.RunWorker(t.Context(), filepath.Join(bin, "worker"), env, nil, log)
		if err != nil {
			t.Fatal(err)
		}
		w.LogFile = log.Name()
		t.Cleanup(func() {
			if err := w.Stop(); err != nil {
				t.Error(err)
			}
		})
		return w
	}
	says := func(w *stack.Worker, log, metric string) {
		t.Helper()
		waitFor(t, func() bool {
			text, err := os.ReadFile(w.LogFile)
			return err == nil && strings.Contains(string(text), log) && strings.Contains(get(t, w.MetricsURL), metric)
		})
	}
	says(start("before"), "temporal worker deployment set-current-version --namespace default --deployment-name rotate-user --build-id v7",
		"\nrotate_user_worker_version_current 0\n")

	c := dial(t, server.Address())
	if _, err := c.WorkerDeploymentClient().GetHandle("rotate-user").SetCurrentVersion(t.Context(),
		client.WorkerDeploymentSetCurrentVersionOptions{BuildID: "v7"}); err != nil {
		t.Fatal(err)
	}
	says(start("after"), "the worker's version is current", "\nrotate_user_worker_version_current 1\n")
	run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: "validate", TaskQueue: rotation.TaskQueue},
		rotation.ValidateSecretWorkflow,
		map[string]string{"SecretId": "missing"})
	if err != nil {
		t.Fatal(err)
	}
	if err := run.Get(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "ResourceNotFoundException") {
		t.Errorf("the current version's worker has not run the workflow: %v", err)
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestTemporalUI(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	s, err := temporal.Start(t.Context(), temporal.Options{UIPort: port})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop()
	for path, want := range map[string]string{
		"/":                          "/_app/immutable/",
		"/api/v1/namespaces/default": `"name": "default"`,
	} {
		res, err := http.Get(s.UIURL() + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != http.StatusOK || !strings.Contains(string(body), want) {
			t.Errorf("%s: %s, %v; no %s in\n%.2000s", path, res.Status, err, want, body)
		}
	}
	if _, err := temporal.Start(t.Context(), temporal.Options{UIPort: port}); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("second UI on one port: %v", err)
	}
}

func dial(t *testing.T, address string) client.Client {
	t.Helper()
	c, err := client.Dial(client.Options{HostPort: address, Logger: log.NewStructuredLogger(slog.New(slog.DiscardHandler))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}
