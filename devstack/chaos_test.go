package main

import (
	"fmt"
	"hash/fnv"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"go.temporal.io/sdk/client"

	"github.com/rotate-user/rotate-user/devstack/chaos"
	"github.com/rotate-user/rotate-user/internal/mysqld/mysqldtest"
	"github.com/rotate-user/rotate-user/rotation"
)

// TestChaos runs the chaos test for a minute; `make chaos` runs longer.
func TestChaos(t *testing.T) {
	t.Parallel()
	bin, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	lasts := time.Minute
	if testing.Short() {
		lasts = 15 * time.Second
	}
	for _, p := range mysqldtest.Programs(t) {
		t.Run(p.Engine, func(t *testing.T) {
			t.Parallel()
			seed := uint64(time.Now().UnixNano())
			t.Logf("seed %d", seed)
			report, err := chaos.Run(t.Context(), chaos.Options{
				Dir: t.TempDir(), Worker: filepath.Join(bin, "worker"), Engine: p.Engine, For: lasts, Seed: seed, Lanes: 6, Out: t.Output(),
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("\n%s", report)
			if err := report.Err(); err != nil {
				t.Error(err)
			}
			if report.Tried == 0 || len(report.Faults) == 0 || report.Passwords == 0 {
				t.Error("the chaos test did nothing")
			}
		})
	}
}

// testSixtyDays brings a worker back after sixty days. All secrets were due a month ago: each must
// rotate once, and they must not all rotate in the same second.
func (e *e2e) testSixtyDays(t *testing.T) {
	// Overdue rotations are spread over 15 minutes by a hash of the secret's name. These names come
	// up within seconds.
	var secrets []string
	for i := 0; len(secrets) < 5; i++ {
		name := fmt.Sprintf("sixty/days-%d", i)
		h := fnv.New64a()
		h.Write([]byte(name))
		if turn := time.Duration(h.Sum64() % uint64(15*time.Minute)); turn < 15*time.Second {
			secrets = append(secrets, name)
		}
	}
	versions := map[string]string{}
	for i, name := range secrets {
		e.create(t, name, fmt.Sprintf("sixty%d", i), "SELECT ON *.*")
		version, _, err := e.Read(t.Context(), name, "AWSCURRENT")
		if err != nil {
			t.Fatal(err)
		}
		versions[name] = version
	}
	if err := e.worker.Kill(); err != nil {
		t.Fatal(err)
	}
	day := 24 * time.Hour
	due := time.Now().Add(-30 * day)
	for _, name := range secrets {
		_, err := e.temporal.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: rotation.RotateUserWorkflowID(name),
			TaskQueue: rotation.TaskQueue},
			rotation.RotateUserWorkflow, rotation.RotateUserInput{SecretID: name},
			rotation.State{LastRotatedDate: due.Add(-30 * day), NextRotationDate: due, WindowCloses: due.Add(day)})
		if err != nil {
			t.Fatal(err)
		}
	}
	back := time.Now()
	var err error
	if e.worker, err = e.StartWorker(t.Context(), filepath.Join(e.bin, "worker"), "worker-back"); err != nil {
		t.Fatal(err)
	}
	seconds := map[int64]bool{}
	for _, name := range secrets {
		var status rotation.Status
		waitFor(t, func() bool {
			v, err := e.temporal.QueryWorkflow(t.Context(), rotation.RotateUserWorkflowID(name), "", rotation.StatusQuery)
			status = rotation.Status{} // the decoder keeps old values of omitted fields
			return err == nil && v.Get(&status) == nil && status.LastRotatedDate.After(back) && status.Current == nil
		})
		if len(status.Rotations) != 1 || status.Rotations[0].Error != "" {
			t.Errorf("%s: want one successful rotation: %+v", name, status.Rotations)
			continue
		}
		seconds[status.Rotations[0].StartedAt.Unix()] = true
		if status.NextRotationDate.Before(back.Add(28 * day)) {
			t.Errorf("%s: the next rotation is at %s", name, status.NextRotationDate)
		}
		out, err := e.Client.ListSecretVersionIds(t.Context(),
			&secretsmanager.ListSecretVersionIdsInput{SecretId: ptr(name), IncludeDeprecated: ptr(true)})
		if err != nil {
			t.Fatal(err)
		}
		if version, _, err := e.Read(t.Context(), name, "AWSCURRENT"); err != nil || version == versions[name] || len(out.Versions) != 2 {
			t.Errorf("%s: %d versions, AWSCURRENT is %s, was %s (%v)", name, len(out.Versions), version, versions[name], err)
		}
	}
	if len(seconds) < 2 {
		t.Error("all secrets were rotated in the same second")
	}
}

// patience is how long a test waits for what should happen soon. Only a failure takes so long: a busy machine may be many
// times slower than an idle one.
const patience = 10 * time.Minute

// waitFor waits until what is true.
func waitFor(t *testing.T, what func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !what(); {
		if time.Now().After(deadline) {
			t.Fatal("the condition did not become true within ", patience)
		}
		select {
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func ptr[T any](v T) *T { return &v }
