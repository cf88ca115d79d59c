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

func TestSignalsDoWhatUpdatesDo(t *testing.T) {
	t.Parallel()
	w := newWorld()
	r := execute(t, w, start, input(nil), asleep(start), func(env *testsuite.TestWorkflowEnvironment) {
		env.RegisterDelayedCallback(func() { env.SignalWorkflow(rotation.RotateUpdate, rotation.RotateRequest{}) }, time.Hour)
	})
	if len(w.promoted) != 1 || r.err != nil {
		t.Fatalf("%d rotations, %v", len(w.promoted), r.err)
	}
	r = execute(t, w, start, input(nil), asleep(start), func(env *testsuite.TestWorkflowEnvironment) {
		env.RegisterDelayedCallback(func() { env.SignalWorkflow(rotation.PauseUpdate, nil) }, time.Hour)
	})
	if !r.state.Paused {
		t.Fatal("a pause signal did not pause")
	}
	r = execute(t, w, start, input(nil), asleep(start), func(env *testsuite.TestWorkflowEnvironment) {
		env.RegisterDelayedCallback(func() { env.SignalWorkflow(rotation.StopUpdate, nil) }, time.Hour)
	})
	if r.status.RotationStatus != rotation.Stopped {
		t.Fatal("a stop signal did not stop")
	}
}

func TestASignalThatCannotBeReadAsksForNothing(t *testing.T) {
	t.Parallel()
	w := newWorld()
	execute(t, w, start, input(nil), asleep(start), func(env *testsuite.TestWorkflowEnvironment) {
		env.RegisterDelayedCallback(func() { env.SignalWorkflow(rotation.RotateUpdate, []byte("no JSON")) }, time.Hour)
		env.RegisterDelayedCallback(func() { env.SignalWorkflow(rotation.StopUpdate, nil) }, 2*time.Hour)
	})
	if len(w.calls) != 0 {
		t.Errorf("steps %v: want none", w.calls)
	}
}

func TestARotationThatASignalRequestedIsRetriedForADay(t *testing.T) {
	t.Parallel()
	denied := temporal.NewNonRetryableApplicationError("not now", "AccessDenied", nil)
	for _, c := range []struct {
		name     string
		failures int
		paused   bool
		update   bool // instead of a signal
		promoted int
		took     time.Duration // until it succeeded or was given up
		attempts int
	}{
		{"after two failures", 2, false, false, 1, 3 * time.Minute, 3},
		{"paused", 2, true, false, 1, 3 * time.Minute, 3},
		{"as long as it fails", 1000, false, false, 0, 24 * time.Hour, 30},
		{"an update has returned the error", 1, false, true, 0, 0, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w, attempts := newWorld(), 0
			w.fail = func(name string, _ int) error {
				if name != rotation.CloneUser {
					return nil
				}
				if attempts++; attempts <= c.failures {
					return denied
				}
				return nil
			}
			state := asleep(start)
			state.Paused = c.paused
			asked := start.Add(10 * time.Minute)
			r := execute(t, w, start, input(nil), state, func(env *testsuite.TestWorkflowEnvironment) {
				env.RegisterDelayedCallback(func() {
					if c.update {
						env.UpdateWorkflow("rotate", "id", &testsuite.TestUpdateCallback{
							OnAccept: func() {}, OnReject: func(err error) { t.Error(err) }, OnComplete: func(any, error) {},
						}, rotation.RotateRequest{})
						return
					}
					env.SignalWorkflow("rotate", raw(`{}`))
				}, asked.Sub(start))
			})
			at := r.env.Now()
			for r.state != nil && r.state.Requested != nil {
				if r.state.Requests[0].Outcome != rotation.OutcomeDeferred {
					t.Fatalf("%+v: want it deferred", r.state.Requests)
				}
				r = execute(t, w, at, r.input, r.state, nil)
				at = r.env.Now()
			}
			took := at.Sub(asked)
			if r.err != nil || len(w.promoted) != c.promoted || took < c.took-time.Hour || took > c.took+time.Minute || attempts < c.attempts-3 ||
				attempts > c.attempts {
				t.Errorf("%d attempts, %d promotions after %s, %v: want %d, %d, %s", attempts, len(w.promoted), took, r.err, c.attempts, c.promoted,
					c.took)
			}
			if given := c.promoted == 0 && !c.update; given &&
				(r.state.Requests[0].Outcome != rotation.OutcomeFailed || !strings.Contains(r.state.Requests[0].Reason, "not now")) {
				t.Errorf("%+v: want it to have failed", r.state.Requests)
			}
			if !r.state.RequestDue.IsZero() || !r.state.RequestCloses.IsZero() || r.state.RequestAttempts != 0 || r.state.Paused != c.paused {
				t.Errorf("left behind: %+v", r.state)
			}
			if next := r.state.NextRotationDate; c.promoted == 0 && !next.Equal(state.NextRotationDate) {
				t.Errorf("next at %s: want the schedule left alone", next)
			}
		})
	}
}

func TestAScheduledRotationCarriesOutADeferredRequest(t *testing.T) {
	t.Parallel()
	w := newWorld()
	state := asleep(start)
	state.NextRotationDate = start.Add(time.Hour)
	state.Requested, state.RequestDue = &rotation.RotateRequest{RevokePrevious: true}, start.Add(2*time.Hour)
	r := execute(t, w, start, input(nil), state, nil)
	if !r.state.Rotations[0].Revoked || r.state.Requested != nil || !r.env.Now().Before(start.Add(2*time.Hour)) {
		t.Errorf("at %s: %+v, still requested %+v", r.env.Now(), r.state.Rotations[0], r.state.Requested)
	}
}

// revoked chains runs until the previous account is revoked, for a week at most.
func revoked(t *testing.T, w *world, in rotation.RotateUserInput, state *rotation.State, at time.Time) time.Time {
	t.Helper()
	for end := at.AddDate(0, 0, 7); at.Before(end); {
		r := execute(t, w, at, in, state, nil)
		if r.err != nil || r.state == nil {
			t.Fatalf("ended as %+v, %v", r.status, r.err)
		}
		if len(r.state.Rotations) > 0 && r.state.Rotations[0].Revoked {
			if r.state.Requested != nil {
				t.Errorf("still requested: %+v", r.state.Requested)
			}
			return r.env.Now()
		}
		in, state, at = r.input, r.state, r.env.Now()
	}
	t.Fatal("never revoked")
	return at
}

func TestARequestToRevokeIsNeverLost(t *testing.T) {
	t.Parallel()
	signal := func(env *testsuite.TestWorkflowEnvironment) {
		env.SignalWorkflow("rotate", raw(`{"RevokePrevious":true}`))
	}
	failing := func(step string, times int) func(string, int) error {
		return func(name string, _ int) error {
			if name == step && times > 0 {
				times--
				return temporal.NewNonRetryableApplicationError("not now", "AccessDenied", nil)
			}
			return nil
		}
	}
	for _, c := range []struct {
		name   string
		change func(*rotation.State)
		fail   func(string, int) error
		within time.Duration
	}{
		{"within the overlap", func(s *rotation.State) { s.LastRotatedDate = start.Add(time.Minute) }, nil, 61 * time.Minute},
		{"within the overlap, paused", func(s *rotation.State) { s.LastRotatedDate, s.Paused = start.Add(time.Minute), true }, nil,
			61 * time.Minute},
		{"before the promotion", nil, failing(rotation.SetPassword, 3), time.Hour},
		{"before the promotion, paused", func(s *rotation.State) { s.Paused = true }, failing(rotation.CloneUser, 3), time.Hour},
		{"after the promotion", nil, failing(rotation.RevokePrevious, 3), time.Hour},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			w.fail = c.fail
			state := asleep(start)
			if c.change != nil {
				c.change(state)
			}
			asked := start.Add(10 * time.Minute)
			r := execute(t, w, start, input(nil), state, func(env *testsuite.TestWorkflowEnvironment) {
				env.RegisterDelayedCallback(func() { signal(env) }, asked.Sub(start))
			})
			if r.err != nil || r.state == nil {
				t.Fatalf("ended as %+v, %v", r.status, r.err)
			}
			at := r.env.Now()
			if !r.state.Paused != !state.Paused {
				t.Errorf("paused %t: want %t", r.state.Paused, state.Paused)
			}
			if len(r.state.Rotations) == 0 || !r.state.Rotations[0].Revoked {
				if len(r.state.Requests) == 0 || r.state.Requests[0].Outcome != rotation.OutcomeDeferred {
					t.Errorf("requests %+v: want it deferred", r.state.Requests)
				}
				at = revoked(t, w, r.input, r.state, at)
			}
			if took := at.Sub(asked); took > c.within {
				t.Errorf("revoked %s after the request: want %s at most", took, c.within)
			}
			if len(w.promoted) != 1 {
				t.Errorf("%d rotations: want one", len(w.promoted))
			}
		})
	}
}

// Messages that arrive before the first task of a run are delivered grouped by name, not in order.
func TestTheNewestOfContradictingMessagesWins(t *testing.T) {
	t.Parallel()
	at := func(second int) rotation.Sender {
		return rotation.Sender{SentAt: start.Add(time.Duration(second) * time.Second)}
	}
	type message struct {
		name   string
		second int
	}
	for _, c := range []struct {
		name     string
		messages []message // in the order of delivery
		want     rotation.RotationStatus
		ignored  int
	}{
		{"pause, resume, pause", []message{{"pause", 1}, {"pause", 3}, {"resume", 2}}, rotation.Paused, 1},
		{"pause, resume", []message{{"pause", 1}, {"resume", 2}}, rotation.Scheduled, 0},
		{"resume, pause", []message{{"pause", 2}, {"resume", 1}}, rotation.Paused, 1},
		{"stop, pause", []message{{"pause", 2}, {"stop", 1}}, rotation.Paused, 1},
		{"pause, stop", []message{{"pause", 1}, {"stop", 2}}, rotation.Stopped, 0},
		{"stop, resume", []message{{"resume", 2}, {"stop", 1}}, rotation.Scheduled, 1},
	} {
		for _, kind := range []string{"signals", "updates"} {
			w := newWorld()
			r := execute(t, w, start, input(nil), asleep(start), func(env *testsuite.TestWorkflowEnvironment) {
				env.RegisterDelayedCallback(func() {
					for i, m := range c.messages {
						if kind == "signals" {
							env.SignalWorkflow(m.name, at(m.second))
							continue
						}
						env.UpdateWorkflow(m.name, fmt.Sprint(i), &testsuite.TestUpdateCallback{
							OnAccept: func() {}, OnReject: func(err error) { t.Error(err) }, OnComplete: func(any, error) {},
						}, at(m.second))
					}
				}, 0)
				env.RegisterDelayedCallback(func() { env.SignalWorkflow("reschedule", raw(`{"RotationRules":{"AutomaticallyAfterDays":30}}`)) },
					time.Hour)
			})
			if r.err != nil || len(w.calls) != 0 {
				t.Errorf("%s, %s: %v, steps %v", c.name, kind, r.err, w.calls)
			}
			got, requests := rotation.Scheduled, r.status.Requests
			switch {
			case r.state == nil:
				got = r.status.RotationStatus
			case r.state.Paused:
				got, requests = rotation.Paused, r.state.Requests
			default:
				requests = r.state.Requests
			}
			if got != c.want || len(requests) != c.ignored {
				t.Errorf("%s, %s: %s, not carried out %+v: want %s, %d", c.name, kind, got, requests, c.want, c.ignored)
			}
		}
	}
}
