package workflows_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/testsuite"

	"github.com/rotate-user/rotate-user/internal/schedule"
	"github.com/rotate-user/rotate-user/rotation"
)

func TestDrainWaitsForSessionsToEnd(t *testing.T) {
	t.Parallel()
	w := newWorld()
	left := 5
	w.sessions = func() []string {
		if left--; left < 0 {
			return nil
		}
		return []string{"2 from 10.0.0.7"}
	}
	in := raw(`{"SecretId":"s","Drain":"30m","RequireDrained":true}`)
	execute(t, w, start, in, nil, nil)
	if len(w.promoted) != 1 || w.promoted[0].Sub(start) < 5*time.Minute {
		t.Errorf("rotations at %v, from %s: want one after the sessions have ended", w.promoted, start)
	}
	w = newWorld()
	w.sessions = func() []string { return []string{"2 from 10.0.0.7"} }
	r := execute(t, w, start, in, nil, nil)
	if len(w.promoted) != 0 || r.state.Rotations[0].ErrorType != rotation.ErrorStillInUse {
		t.Errorf("recorded %+v: want a refusal after the drain", r.state.Rotations[0])
	}
}

// A session with a leaked credential must not delay the revocation. The rotation ends it.
func TestARevocationWaitsForNoSession(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.sessions = func() []string { return []string{"2 from 10.0.0.7"} }
	in := input(func(in *rotation.RotateUserInput) {
		in.Drain, in.RequireDrained = schedule.Duration(30*time.Minute), true
	})
	var a *answer
	execute(t, w, start, in, asleep(start), func(env *testsuite.TestWorkflowEnvironment) {
		a = update(env, time.Hour, rotation.RotateUpdate, raw(`{"RevokePrevious":true}`))
	})
	if a.err != nil || !a.result.Revoked || len(w.promoted) != 1 || w.promoted[0].Sub(start) > time.Hour+time.Minute {
		t.Errorf("result %+v, rotations at %v", a, w.promoted)
	}
	if got := w.calls; len(got) != 6 {
		t.Errorf("steps %v: want each step once", got)
	}
}

// Changes that the first CloneUser makes are no longer differences for the next one.
func TestChangesBeforeADrainAreReported(t *testing.T) {
	t.Parallel()
	w := newWorld()
	looks := 0
	w.sessions = func() []string { return []string{"2 from 10.0.0.7"}[:max(0, 1-looks/3)] }
	w.changes = func() []string {
		if looks++; looks == 1 {
			return []string{"take DELETE on *.* away"}
		}
		return nil
	}
	r := execute(t, w, start, raw(`{"SecretId":"s","Drain":"30m"}`), nil, nil)
	if got := r.state.Rotations[0]; looks < 2 || !slices.Equal(got.Changes, []string{"take DELETE on *.* away"}) ||
		!slices.Equal(got.Drift, got.Changes) {
		t.Errorf("after %d calls of CloneUser: %+v", looks, got)
	}
}

// Each CloneUser of a drain gets the rights after the one before. A right that was since taken from
// the current account was on both accounts, so it was not granted to the standby alone.
func TestLooksOfADrainAreToldOfTheRightsAfterTheOneBefore(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.digest, w.rights = "d1", "r1"
	first := execute(t, w, start, input(nil), nil, nil)
	looks := 0
	w.sessions = func() []string { return []string{"2 from 10.0.0.7"}[:max(0, 1-looks/3)] }
	w.changes = func() []string {
		looks++
		w.digest, w.rights = fmt.Sprintf("d%d", looks+1), fmt.Sprintf("r%d", looks+1)
		return nil
	}
	w.inputs = nil
	execute(t, w, first.state.NextRotationDate, raw(`{"SecretId":"s","Drain":"30m"}`), first.state, nil)
	if len(w.inputs) < 2 {
		t.Fatalf("%d calls of CloneUser", len(w.inputs))
	}
	for i, in := range w.inputs {
		if want := fmt.Sprint("r", i+1); in.Rights != want || in.Digest != "d"+want[1:] {
			t.Errorf("call %d got %q, %q: want %q", i+1, in.Digest, in.Rights, want)
		}
	}
}

func TestRequireDrainedWantsToSeeTheSessions(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.unseen = true
	r := execute(t, w, start, raw(`{"SecretId":"s","Drain":"10m","RequireDrained":true}`), nil, nil)
	if got := r.state.Rotations[0]; len(w.promoted) != 0 || got.ErrorType != rotation.ErrorStillInUse ||
		!strings.Contains(got.Error, "GRANT PROCESS") {
		t.Errorf("recorded %+v: want a refusal that names the right to grant", got)
	}
}
