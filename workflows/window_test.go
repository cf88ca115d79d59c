package workflows_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"github.com/rotate-user/rotate-user/rotation"
)

func TestAFailedRotationIsTriedAgainWithGrowingPauses(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.fail = func(step string, _ int) error {
		if step == rotation.TestPassword {
			return temporal.NewNonRetryableApplicationError("refused", "AccessDenied", nil)
		}
		return nil
	}
	var state *rotation.State
	in, at := input(nil), start
	var pauses []time.Duration
	for range 12 {
		r := execute(t, w, at, in, state, nil)
		if r.err != nil {
			t.Fatalf("the loop ended with a failed rotation: %v", r.err)
		}
		pauses = append(pauses, r.state.NextRotationDate.Sub(r.env.Now()))
		in, state, at = r.input, r.state, r.env.Now()
	}
	if !slices.IsSorted(pauses) || pauses[0] > 5*time.Minute || pauses[11] != time.Hour {
		t.Errorf("delays %v: want them to grow from minutes to an hour", pauses)
	}
	if got := state.Rotations[0]; got.Error != "refused" || got.ErrorType != "AccessDenied" {
		t.Errorf("recorded %+v: want the reason", got)
	}
	if !state.LastRotatedDate.IsZero() {
		t.Error("a failed rotation counts as rotated")
	}
}

func TestAfterTheWindowAFailedRotationWaitsForTheNext(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.fail = func(string, int) error { return temporal.NewNonRetryableApplicationError("refused", "NotOurs", nil) }
	state := &rotation.State{NextRotationDate: start, WindowCloses: start.Add(30 * time.Second)}
	r := execute(t, w, start, input(nil), state, nil)
	if wait := r.state.NextRotationDate.Sub(start); wait < 29*24*time.Hour {
		t.Errorf("retried after %s: want the next window", wait)
	}
}

func TestAPassingErrorIsRetriedWithinTheStep(t *testing.T) {
	t.Parallel()
	w := newWorld()
	left := 3
	w.fail = func(step string, _ int) error {
		if step == rotation.SetPassword && left > 0 {
			left--
			return temporal.NewApplicationError("cut", "Unreachable")
		}
		return nil
	}
	r := execute(t, w, start, input(nil), nil, nil)
	if len(w.promoted) != 1 || r.state.Rotations[0].Error != "" {
		t.Errorf("%d rotations, recorded %+v", len(w.promoted), r.state.Rotations[0])
	}
}

func TestTooSoonForTheOverlapIsPutOffToWhenItIsSafe(t *testing.T) {
	t.Parallel()
	w := newWorld()
	safe := start.Add(40 * time.Minute)
	w.fail = func(string, int) error {
		return temporal.NewApplicationErrorWithOptions("too soon", rotation.ErrorMinimumOverlap,
			temporal.ApplicationErrorOptions{NonRetryable: true, Details: []any{safe}})
	}
	r := execute(t, w, start, input(nil), nil, nil)
	if !r.state.NextRotationDate.Equal(safe) {
		t.Errorf("retried at %s: want %s", r.state.NextRotationDate, safe)
	}
}

// In the next window the retry delays start short again, however long they had become in the last
// one.
func TestEachWindowBeginsWithShortPauses(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.fail = func(string, int) error { return temporal.NewNonRetryableApplicationError("down", "AccessDenied", nil) }
	state := asleep(start)
	state.NextRotationDate, state.WindowCloses, state.Attempts = start.Add(time.Hour), start.Add(90*time.Minute), 6
	r := execute(t, w, start, input(nil), state, nil)
	if r.state.Attempts != 0 || !r.state.NextRotationDate.After(start.Add(24*time.Hour)) {
		t.Errorf("attempts %d, next %s: want no attempts counted in the next window", r.state.Attempts, r.state.NextRotationDate)
	}
}

func TestTheOverlapIsNoFailureOfALook(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.fail = func(string, int) error {
		return temporal.NewNonRetryableApplicationError("safe from 12:00", rotation.ErrorMinimumOverlap, nil)
	}
	execute(t, w, start, raw(`{"SecretId":"s","RotateImmediately":false}`), nil, func(env *testsuite.TestWorkflowEnvironment) {
		env.RegisterDelayedCallback(func() {
			var s rotation.Status
			v, err := env.QueryWorkflow(rotation.StatusQuery)
			if err == nil {
				err = v.Get(&s)
			}
			if err != nil || s.RotationStatus != rotation.Scheduled {
				t.Errorf("status %+v, %v: want the rotation to be scheduled", s, err)
			}
			env.SignalWorkflow(rotation.StopUpdate, nil)
		}, time.Hour)
	})
}

func TestAStepThatFailsSaysWhy(t *testing.T) {
	t.Parallel()
	w := newWorld()
	tries := 0
	w.fail = func(step string, _ int) error {
		if step == rotation.SetPassword && tries < 6 {
			tries++
			return temporal.NewApplicationError("db does not answer", "Unreachable")
		}
		return nil
	}
	var seen []rotation.Status
	var shown string
	r := execute(t, w, start, input(nil), asleep(start), func(env *testsuite.TestWorkflowEnvironment) {
		update(env, time.Hour, rotation.RotateUpdate, raw(`{}`))
		for _, after := range []time.Duration{time.Second, 10 * time.Second} {
			env.RegisterDelayedCallback(func() { seen, shown = append(seen, status(t, env)), details(t, env) }, time.Hour+after)
		}
	})
	if seen[0].RotationStatus != rotation.Rotating || seen[1].RotationStatus != rotation.Retrying {
		t.Fatalf("status %s, then %s: want Rotating, then Retrying", seen[0].RotationStatus, seen[1].RotationStatus)
	}
	step := seen[1].Current.Steps[2]
	if step.Error != "db does not answer" || step.Attempts != 4 || !step.NextAttempt.Equal(start.Add(time.Hour+12*time.Second)) {
		t.Errorf("step %+v: want the error of four attempts, and the next one 5 s later", step)
	}
	for _, want := range []string{"**Retrying**", "**SetPassword** failed 4 times", "10:30:12 UTC", "`db does not answer`"} {
		if !strings.Contains(shown, want) {
			t.Errorf("details %q do not say %s", shown, want)
		}
	}
	if got := r.state.Rotations[0]; got.Error != "" || got.Steps[2].Error != "" || len(w.promoted) != 1 {
		t.Errorf("recorded %+v: want a successful rotation", got)
	}
}

func TestAStepIsRepeatedForTenMinutes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		err     error
		repeats bool
	}{
		{"passing", temporal.NewApplicationError("down", "Unreachable"), true},
		{"lasting", temporal.NewNonRetryableApplicationError("denied", "AccessDenied", nil), false},
		{"out of time", temporal.NewTimeoutError(enums.TIMEOUT_TYPE_SCHEDULE_TO_CLOSE, errors.New("down")), false},
	} {
		w := newWorld()
		w.fail = func(step string, _ int) error {
			if step == rotation.SetPassword {
				return c.err
			}
			return nil
		}
		r := execute(t, w, start, input(nil), nil, nil)
		took := r.env.Now().Sub(start)
		if took > 11*time.Minute || took > 9*time.Minute != c.repeats || r.state.Rotations[0].Error == "" {
			t.Errorf("%s: ended after %s, %d calls: %+v", c.name, took, len(w.calls), r.state.Rotations[0])
		}
	}
}

func TestARevocationOfWhatIsInUseAgainIsNotRepeated(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.fail = func(step string, _ int) error {
		if step == rotation.RevokePrevious {
			return temporal.NewNonRetryableApplicationError("AWSCURRENT is another version", rotation.ErrorEdited, nil)
		}
		return nil
	}
	var a *answer
	r := execute(t, w, start, input(nil), asleep(start), func(env *testsuite.TestWorkflowEnvironment) {
		a = update(env, time.Hour, rotation.RotateUpdate, raw(`{"RevokePrevious":true}`))
	})
	if a.err == nil || r.env.Now().After(start.Add(2*time.Hour)) || r.state.Requested != nil ||
		len(r.state.Requests) != 1 || r.state.Requests[0].Outcome != rotation.OutcomeFailed {
		t.Errorf("at %s: %v, requests %+v, still requested %+v", r.env.Now(), a.err, r.state.Requests, r.state.Requested)
	}
}

// The worker of the activities' task queue was away for longer than the window.
func TestARotationThatNoWorkerTookStaysDue(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		err  error
		lost bool
	}{
		{"no worker took the step", temporal.NewTimeoutError(enums.TIMEOUT_TYPE_SCHEDULE_TO_START, nil), false},
		{"no worker took it before the timeout", temporal.NewTimeoutError(enums.TIMEOUT_TYPE_SCHEDULE_TO_CLOSE, nil), false},
		{"it was attempted", temporal.NewTimeoutError(enums.TIMEOUT_TYPE_SCHEDULE_TO_CLOSE, errors.New("down")), true},
		{"the database is away", temporal.NewNonRetryableApplicationError("down", "Unreachable", nil), true},
	} {
		w := newWorld()
		away := true
		w.fail = func(string, int) error {
			if away {
				return c.err
			}
			return nil
		}
		state := asleep(start)
		state.NextRotationDate, state.WindowCloses, state.ShowWhenLong = start, start.Add(30*time.Second), true
		r := execute(t, w, start, input(nil), state, nil)
		if lost := r.state.NextRotationDate.After(start.AddDate(0, 0, 20)); lost != c.lost {
			t.Errorf("%s: the next attempt is at %s: window lost: %t, want %t", c.name, r.state.NextRotationDate, lost, c.lost)
		}
		if c.lost {
			continue
		}
		if !strings.Contains(r.state.Rotations[0].Error, "no worker") {
			t.Errorf("%s: recorded %+v", c.name, r.state.Rotations[0])
		}
		for range 3 { // for days
			r = execute(t, w, r.env.Now().Add(24*time.Hour), r.input, r.state, nil)
		}
		away = false
		back := r.env.Now()
		execute(t, w, back, r.input, r.state, nil)
		if len(w.promoted) != 1 || w.promoted[0].Sub(back) > 15*time.Minute {
			t.Errorf("%s: rotations at %v: want one soon after %s", c.name, w.promoted, back)
		}
	}
}
