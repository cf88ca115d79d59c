package workflows_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"github.com/rotate-user/rotate-user/rotation"
)

func TestRotateNowAnswersTheRotation(t *testing.T) {
	t.Parallel()
	w := newWorld()
	var a *answer
	r := execute(t, w, start, input(nil), asleep(start), func(env *testsuite.TestWorkflowEnvironment) {
		a = update(env, time.Hour, rotation.RotateUpdate, rotation.RotateRequest{})
	})
	if a.err != nil || a.result.Username != "app_clone" || len(a.result.Steps) != 5 {
		t.Fatalf("result %+v", a)
	}
	if r.state.Rotations[0].VersionID != a.result.VersionID {
		t.Errorf("the rotation is not carried over")
	}
}

func TestRotateNowSaysWhyItFailed(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.fail = func(string, int) error {
		return temporal.NewNonRetryableApplicationError("drop that account", "NotOurs", nil)
	}
	var a *answer
	before := asleep(start)
	r := execute(t, w, start, input(nil), before, func(env *testsuite.TestWorkflowEnvironment) {
		a = update(env, time.Hour, rotation.RotateUpdate, rotation.RotateRequest{})
	})
	if a.err == nil || !strings.Contains(a.err.Error(), "drop that account") {
		t.Fatalf("result %+v", a)
	}
	if !r.state.NextRotationDate.Equal(before.NextRotationDate) {
		t.Errorf("a failed request changed the schedule from %s to %s", before.NextRotationDate, r.state.NextRotationDate)
	}
}

func TestRotateNowWithinTheOverlapIsRefusedUnlessForced(t *testing.T) {
	t.Parallel()
	for _, force := range []bool{false, true} {
		w := newWorld()
		state := asleep(start)
		state.LastRotatedDate = start.Add(-10 * time.Minute)
		var a *answer
		execute(t, w, start, input(nil), state, func(env *testsuite.TestWorkflowEnvironment) {
			a = update(env, time.Minute, rotation.RotateUpdate, rotation.RotateRequest{Force: force})
		})
		if refused := a.err != nil; refused == force {
			t.Errorf("Force %t: result %+v", force, a)
		}
		if a.err != nil && !strings.Contains(a.err.Error(), "2026-01-31 10:20 UTC") {
			t.Errorf("refused with %q: want the time from which it is safe", a.err)
		}
	}
}

func TestRequestsTogetherAreOneRotation(t *testing.T) {
	t.Parallel()
	w := newWorld()
	var all [6]answer
	execute(t, w, start, input(nil), asleep(start), func(env *testsuite.TestWorkflowEnvironment) {
		env.RegisterDelayedCallback(func() { // one callback, as a busy machine could delay others until the rotation has ended
			for i := range all {
				all[i].send(env, fmt.Sprint("rotate-", i), rotation.RotateUpdate, rotation.RotateRequest{})
			}
		}, time.Hour)
	})
	if len(w.promoted) != 1 {
		t.Errorf("%d rotations: want 1", len(w.promoted))
	}
	for i, a := range all {
		if !a.done {
			t.Errorf("request %d got no result", i)
		}
	}
}

func TestPauseResumeRescheduleStop(t *testing.T) {
	t.Parallel()
	w := newWorld()
	var a *answer
	r := execute(t, w, start, input(nil), asleep(start), func(env *testsuite.TestWorkflowEnvironment) {
		a = update(env, time.Hour, rotation.PauseUpdate)
	})
	if a.err != nil || a.status.RotationStatus != rotation.Paused || !r.state.Paused {
		t.Fatalf("pause: %+v", a)
	}
	r = execute(t, w, r.env.Now(), r.input, r.state, func(env *testsuite.TestWorkflowEnvironment) {
		a = update(env, 90*24*time.Hour, rotation.ResumeUpdate)
	})
	if len(w.calls) != 0 {
		t.Fatalf("steps %v ran while paused", w.calls)
	}
	if a.err != nil || r.state.Paused {
		t.Fatalf("resume: %+v", a)
	}
	at := r.env.Now()
	rules := rotation.RotationRules{ScheduleExpression: "rate(10 days)"}
	r = execute(t, w, at, r.input, asleep(at), func(env *testsuite.TestWorkflowEnvironment) {
		a = update(env, time.Hour, rotation.RescheduleUpdate, rotation.RescheduleRequest{RotationRules: rules})
	})
	if a.err != nil || r.input.RotationRules != rules || r.state.NextRotationDate.After(at.AddDate(0, 0, 11)) {
		t.Fatalf("reschedule: %+v, rules %v, next %s", a, r.input.RotationRules, r.state.NextRotationDate)
	}
	r = execute(t, w, at, r.input, asleep(at), func(env *testsuite.TestWorkflowEnvironment) {
		a = update(env, time.Hour, rotation.RescheduleUpdate, raw(`{"RotationRules":{"AutomaticallyAfterDays":0}}`))
		update(env, 2*time.Hour, rotation.StopUpdate)
	})
	if a.err == nil || !strings.Contains(a.err.Error(), "AutomaticallyAfterDays") {
		t.Errorf("reschedule with wrong rules: %+v", a)
	}
	if r.err != nil || r.status.RotationStatus != rotation.Stopped {
		t.Errorf("stop: %+v, %v", r.status, r.err)
	}
	if len(w.calls) != 0 {
		t.Errorf("steps %v ran, although no message asks for a rotation", w.calls)
	}
}

func TestStopAndRotateTogetherEnd(t *testing.T) {
	t.Parallel()
	w := newWorld()
	var rotate, stop *answer
	r := execute(t, w, start, input(nil), asleep(start), func(env *testsuite.TestWorkflowEnvironment) {
		env.RegisterDelayedCallback(func() {
			send := func(name string, args ...any) *answer {
				a := &answer{}
				env.UpdateWorkflow(name, name, &testsuite.TestUpdateCallback{
					OnAccept:   func() {},
					OnReject:   func(err error) { a.err, a.done = err, true },
					OnComplete: func(_ any, err error) { a.err, a.done = err, true },
				}, args...)
				return a
			}
			rotate, stop = send(rotation.RotateUpdate, rotation.RotateRequest{}), send(rotation.StopUpdate)
		}, time.Hour)
	})
	if r.err != nil || r.status.RotationStatus != rotation.Stopped || !rotate.done || !stop.done {
		t.Errorf("ended as %s, %v; rotate %+v, stop %+v: want both to return", r.status.RotationStatus, r.err, rotate, stop)
	}
	if (rotate.err == nil) != (len(w.promoted) == 1) {
		t.Errorf("rotate returned %v after %d rotations", rotate.err, len(w.promoted))
	}
}

func TestADeletionHoldsARotationApartFromAPerson(t *testing.T) {
	t.Parallel()
	deletion, person := raw(`{"Deletion":true}`), any(nil)
	for _, c := range []struct {
		name         string
		paused, held bool
		signal       string
		arg          any
		wantPaused   bool
		wantHeld     bool
	}{
		{"held", false, false, "pause", deletion, false, true},
		{"released", false, true, "resume", deletion, false, false},
		{"held while paused", true, false, "pause", deletion, true, true},
		{"released while paused", true, true, "resume", deletion, true, false},
		{"released without a hold", true, false, "resume", deletion, true, false},
		{"paused", false, false, "pause", person, true, false},
		{"paused while held", false, true, "pause", person, true, true},
		{"resumed", true, true, "resume", person, false, false},
		{"no deletion", false, false, "pause", raw(`{}`), true, false},
		{"null", false, false, "pause", raw(`null`), true, false},
		{"misspelt", false, false, "pause", raw(`{"Deletoin":true}`), false, false},
		{"another type", true, true, "resume", raw(`{"Deletion":"yes"}`), true, true},
		{"no object", true, true, "resume", raw(`7`), true, true},
		{"stopped while it runs", false, false, "stop", deletion, false, false},
		{"stopped by a misspelt signal", false, true, "stop", raw(`{"deletion":true}`), false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			state := asleep(start)
			state.Paused, state.Held = c.paused, c.held
			r := execute(t, w, start, input(nil), state, func(env *testsuite.TestWorkflowEnvironment) {
				env.RegisterDelayedCallback(func() {
					env.SignalWorkflow(c.signal, c.arg)
					env.SignalWorkflow("reschedule", raw(`{"RotationRules":{"AutomaticallyAfterDays":30}}`)) // ends the run in any case
				}, time.Hour)
			})
			if r.err != nil || r.state == nil {
				t.Fatalf("ended as %+v, %v: want another run", r.status, r.err)
			}
			if r.state.Paused != c.wantPaused || r.state.Held != c.wantHeld {
				t.Errorf("paused %t, held %t: want %t, %t", r.state.Paused, r.state.Held, c.wantPaused, c.wantHeld)
			}
		})
	}
}

func TestAHeldRotationSleepsUntilItIsLetGoOrStopped(t *testing.T) {
	t.Parallel()
	for signal, want := range map[string]rotation.RotationStatus{"resume": "", "stop": rotation.Stopped} {
		w := newWorld()
		state := asleep(start)
		state.Held, state.SearchAttributes = true, true
		var during rotation.Status
		r := execute(t, w, start, input(nil), state, func(env *testsuite.TestWorkflowEnvironment) {
			env.RegisterDelayedCallback(func() {
				if v, err := env.QueryWorkflow(rotation.StatusQuery); err != nil || v.Get(&during) != nil {
					t.Errorf("status: %v", err)
				}
				env.SignalWorkflow(signal, raw(`{"Deletion":true}`))
			}, 90*24*time.Hour)
		})
		if len(w.calls) != 0 || during.RotationStatus != rotation.Paused || !during.NextRotationDate.IsZero() {
			t.Errorf("while held, the status is %+v, the steps %v: want it paused, and no steps", during, w.calls)
		}
		if r.err != nil || r.status.RotationStatus != want {
			t.Errorf("%s: ended as %+v, %v", signal, r.status, r.err)
		}
	}
}

func TestAResumeWithdrawsAStop(t *testing.T) {
	t.Parallel()
	for last, ends := range map[string]bool{"resume": false, "stop": true, "pause": false} {
		w := newWorld()
		var during rotation.Status
		var shown string
		w.fail = func(step string, _ int) error {
			if step == rotation.TestPassword && !during.Stopping {
				return temporal.NewApplicationError("not yet", "Unreachable")
			}
			return nil
		}
		r := execute(t, w, start, input(nil), nil, func(env *testsuite.TestWorkflowEnvironment) {
			update(env, time.Second, rotation.StopUpdate)
			env.RegisterDelayedCallback(func() { during, shown = status(t, env), details(t, env) }, 2*time.Second)
			update(env, 2*time.Second+1, last)
		})
		if !during.Stopping || during.Current == nil || !strings.Contains(shown, "stops after this rotation") {
			t.Errorf("status %+v, details %q: want it stopping", during, shown)
		}
		if ended := r.state == nil && r.status.RotationStatus == rotation.Stopped; r.err != nil || ended != ends || len(w.promoted) != 1 {
			t.Errorf("%s: ended %t, %v, %d rotations: want %t", last, ended, r.err, len(w.promoted), ends)
		}
		if r.state != nil && r.state.Paused != (last == "pause") {
			t.Errorf("%s: paused %t", last, r.state.Paused)
		}
	}
}
