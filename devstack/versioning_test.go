package main

import (
	"path/filepath"
	"testing"

	"go.temporal.io/sdk/client"

	"github.com/rotate-user/rotate-user/devstack/stack"
	"github.com/rotate-user/rotate-user/internal/mysqld/mysqldtest"
	"github.com/rotate-user/rotate-user/rotation"
)

// TestARotationMovesToTheCurrentVersion replaces workers as docs/deploy.md does, under a run that sleeps: first a worker without a
// version, then one version, then the next.
func TestARotationMovesToTheCurrentVersion(t *testing.T) {
	t.Parallel()
	bin, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	s, err := stack.Start(t.Context(), stack.Options{Dir: t.TempDir(), Mysqld: mysqldtest.Programs(t)[0].Engine})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	e := &e2e{running: running{Stack: s, bin: bin}, temporal: dial(t, s.Temporal.Address())}
	start := func(version string) *stack.Worker {
		t.Helper()
		env := s.Environment()
		if version != "" {
			env = append(env, "TEMPORAL_DEPLOYMENT_NAME=rotate-user", "TEMPORAL_WORKER_BUILD_ID="+version)
		}
		w, err := stack.RunWorker(t.Context(), filepath.Join(bin, "worker"), env, nil, t.Output())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = w.Kill() }) // most have stopped by then
		return w
	}
	stop := func(w *stack.Worker) {
		t.Helper()
		if err := w.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	makeCurrent := func(version string) {
		t.Helper()
		waitFor(t, func() bool { // until the first polls have made the version known
			_, err := e.temporal.WorkerDeploymentClient().GetHandle("rotate-user").SetCurrentVersion(t.Context(),
				client.WorkerDeploymentSetCurrentVersionOptions{BuildID: version})
			return err == nil
		})
	}
	const secretID = "versioning/secret"
	// rotate rotates on the run that sleeps, and checks which version did it.
	rotate := func(version string) {
		t.Helper()
		run := e.currentRun(t, secretID)
		e.starter(t, "rotate", "--secret-id", secretID, "--force")
		described, err := e.temporal.DescribeWorkflowExecution(t.Context(), rotation.RotateUserWorkflowID(secretID), run)
		if err != nil {
			t.Fatal(err)
		}
		if got := described.GetWorkflowExecutionInfo().GetVersioningInfo().GetDeploymentVersion().GetBuildId(); got != version {
			t.Errorf("the run was ended by version %q, want %q", got, version)
		}
	}

	none := start("")
	e.create(t, secretID, "versioned", "SELECT ON *.*")
	e.starter(t, "start", "--secret-id", secretID, "--rotate-immediately=false")
	rotate("")
	v1 := start("v1")
	rotate("") // v1 gets no work yet
	makeCurrent("v1")
	stop(none)
	rotate("v1")
	v2 := start("v2")
	rotate("v1")
	makeCurrent("v2")
	stop(v1)
	rotate("v2")
	stop(v2)
}
