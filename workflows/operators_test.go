package workflows_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/mock"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/sdk/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/rotate-user/rotate-user/rotation"
	"github.com/rotate-user/rotate-user/workflows"
)

// status queries the status of the workflow.
func status(t *testing.T, env *testsuite.TestWorkflowEnvironment) rotation.Status {
	t.Helper()
	var s rotation.Status
	v, err := env.QueryWorkflow(rotation.StatusQuery)
	if err == nil {
		err = v.Get(&s)
	}
	if err != nil {
		t.Errorf("status: %v", err)
	}
	return s
}

// details returns what the Temporal UI shows.
func details(t *testing.T, env *testsuite.TestWorkflowEnvironment) string {
	t.Helper()
	var metadata sdk.WorkflowMetadata
	v, err := env.QueryWorkflow("__temporal_workflow_metadata")
	if err == nil {
		err = v.Get(&metadata)
	}
	if err != nil {
		t.Errorf("metadata: %v", err)
	}
	return metadata.CurrentDetails
}

// noMessages are messages that change nothing.
var noMessages = map[string]func(*testsuite.TestWorkflowEnvironment){
	"resume":            func(env *testsuite.TestWorkflowEnvironment) { env.SignalWorkflow("resume", nil) },
	"a refused rotate":  func(env *testsuite.TestWorkflowEnvironment) { env.SignalWorkflow("rotate", raw(`{"Grace":"1h"}`)) },
	"not decodable":     func(env *testsuite.TestWorkflowEnvironment) { env.SignalWorkflow("rotate", []byte("no JSON")) },
	"an unknown signal": func(env *testsuite.TestWorkflowEnvironment) { env.SignalWorkflow("unknown", nil) },
}

func TestAFloodOfMessagesThatChangeNothingContinuesTheRun(t *testing.T) {
	t.Parallel()
	for name, send := range noMessages {
		for _, suggested := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, suggested %t", name, suggested), func(t *testing.T) {
				t.Parallel()
				w := newWorld()
				before := asleep(start)
				r := execute(t, w, start, input(nil), before, func(env *testsuite.TestWorkflowEnvironment) {
					env.RegisterDelayedCallback(func() { send(env) }, time.Hour)
					env.RegisterDelayedCallback(func() { env.SetContinueAsNewSuggested(suggested); send(env) }, 2*time.Hour)
				})
				if r.err != nil {
					t.Fatal(r.err)
				}
				if gaveWay := r.env.Now().Before(start.Add(3 * time.Hour)); gaveWay != suggested {
					t.Fatalf("the run ended at %s: continued as new: %t", r.env.Now(), gaveWay)
				}
				if suggested && (len(w.calls) != 0 || !r.state.NextRotationDate.Equal(before.NextRotationDate) ||
					!r.state.WindowCloses.Equal(before.WindowCloses)) {
					t.Errorf("steps %v, next %s until %s: want none, and the dates kept", w.calls, r.state.NextRotationDate, r.state.WindowCloses)
				}
			})
		}
	}
}

func TestUpdatesThatChangeNothingContinueTheRunBeforeTheServersLimit(t *testing.T) {
	t.Parallel()
	w := newWorld()
	before := asleep(start)
	answered := 0
	r := execute(t, w, start, input(nil), before, func(env *testsuite.TestWorkflowEnvironment) {
		var send func()
		send = func() {
			env.UpdateWorkflow(rotation.ResumeUpdate, fmt.Sprint(answered), &testsuite.TestUpdateCallback{
				OnAccept: func() {}, OnReject: func(err error) { t.Error(err) }, OnComplete: func(any, error) {
					if answered++; answered < 1200 {
						env.RegisterDelayedCallback(send, time.Minute)
					}
				},
			})
		}
		env.RegisterDelayedCallback(send, time.Minute)
	})
	if r.err != nil || answered != 1000 || !r.state.NextRotationDate.Equal(before.NextRotationDate) {
		t.Errorf("%v; %d updates in one run, next %s: want 1000, and the date kept", r.err, answered, r.state.NextRotationDate)
	}
}

func TestAPausedRunIsContinuedToo(t *testing.T) {
	t.Parallel()
	state := asleep(start)
	state.Paused = true
	r := execute(t, newWorld(), start, input(nil), state, func(env *testsuite.TestWorkflowEnvironment) {
		env.RegisterDelayedCallback(func() { env.SetContinueAsNewSuggested(true); env.SignalWorkflow("pause", nil) }, time.Hour)
	})
	if r.err != nil || r.state == nil || !r.state.Paused {
		t.Errorf("ended as %+v, %v: want another run, also paused", r.state, r.err)
	}
}

func TestAMessageThatIsNotCarriedOutIsShown(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		signal  string
		arg     any
		outcome rotation.Outcome
		reason  string
	}{
		{"within the overlap", "rotate", raw(`{}`), rotation.OutcomeRefused, "safe from"},
		{"a wrong argument", "rotate", raw(`{"Grace":"1h"}`), rotation.OutcomeRefused, rotation.RevokePrevious},
		{"a wrong field", "pause", raw(`{"Deletoin":true}`), rotation.OutcomeRefused, "Deletoin"},
		{"wrong rules", "reschedule", raw(`{"RotationRules":{"AutomaticallyAfterDays":0}}`), rotation.OutcomeRefused, "AutomaticallyAfterDays"},
		{"not decodable", "rotate", []byte("no JSON"), rotation.OutcomeUnreadable, "JSON"},
		{"not decodable", "stop", []byte("no JSON"), rotation.OutcomeUnreadable, "JSON"},
	} {
		t.Run(c.name+" "+c.signal, func(t *testing.T) {
			t.Parallel()
			state := asleep(start)
			state.LastRotatedDate = start
			var seen rotation.Status
			var shown string
			r := execute(t, newWorld(), start, input(nil), state, func(env *testsuite.TestWorkflowEnvironment) {
				for i := range 3 {
					env.RegisterDelayedCallback(func() { env.SignalWorkflow(c.signal, c.arg) }, time.Duration(i+1)*time.Minute)
				}
				env.RegisterDelayedCallback(func() {
					seen, shown = status(t, env), details(t, env)
					env.SignalWorkflow("pause", nil)
				}, time.Hour)
			})
			if len(seen.Requests) != 1 || seen.Requests[0].Count != 3 || seen.Requests[0].Message != c.signal ||
				seen.Requests[0].Outcome != c.outcome || !strings.Contains(seen.Requests[0].Reason, c.reason) {
				t.Fatalf("requests %+v: want one, %s, with %q", seen.Requests, c.outcome, c.reason)
			}
			if !strings.Contains(shown, string(c.outcome)) || !strings.Contains(shown, c.reason) {
				t.Errorf("details %q do not say %s, %s", shown, c.outcome, c.reason)
			}
			if len(r.state.Requests) != 1 {
				t.Errorf("the next run has %+v", r.state.Requests)
			}
		})
	}
}

func TestOnlyTheLastMessagesAreKept(t *testing.T) {
	t.Parallel()
	r := execute(t, newWorld(), start, input(nil), asleep(start), func(env *testsuite.TestWorkflowEnvironment) {
		for i := range 8 {
			env.RegisterDelayedCallback(func() {
				env.SignalWorkflow("pause", raw(fmt.Sprintf(`{"Field%d%s":1}`, i, strings.Repeat("x", 5000))))
			}, time.Duration(i+1)*time.Minute)
		}
		env.RegisterDelayedCallback(func() { env.SignalWorkflow("pause", nil) }, time.Hour)
	})
	if len(r.state.Requests) != 5 || !strings.Contains(r.state.Requests[0].Reason, "Field7") || len(r.state.Requests[0].Reason) > 600 {
		t.Errorf("%+v: want the last five, cut", r.state.Requests)
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

func TestWhatTheLoopCannotLiveWithIsRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(*testsuite.TestWorkflowEnvironment)
		want   string
	}{
		{"execution timeout", func(env *testsuite.TestWorkflowEnvironment) {
			env.SetStartWorkflowOptions(client.StartWorkflowOptions{WorkflowExecutionTimeout: 90 * 24 * time.Hour})
		}, "execution timeout 2160h"},
		{"run timeout", func(env *testsuite.TestWorkflowEnvironment) {
			env.SetStartWorkflowOptions(client.StartWorkflowOptions{WorkflowRunTimeout: time.Hour})
		}, "run timeout 1h"},
		{"schedule", func(env *testsuite.TestWorkflowEnvironment) {
			_ = env.SetTypedSearchAttributesOnStart(temporal.NewSearchAttributes(temporal.NewSearchAttributeKeyKeyword("TemporalScheduledById").ValueSet("nightly")))
		}, `Temporal Schedule "nightly"`},
	} {
		w := newWorld()
		r := execute(t, w, start, input(nil), nil, c.change)
		var app *temporal.ApplicationError
		if !errors.As(r.err, &app) || app.Type() != rotation.ErrorInvalidInput || !strings.Contains(app.Message(), c.want) || len(w.calls) != 0 {
			t.Errorf("%s: %v, steps %v: want a refusal that names %s", c.name, r.err, w.calls, c.want)
		}
		if r := execute(t, newWorld(), start, input(nil), &rotation.State{NextRotationDate: start}, c.change); r.err != nil {
			t.Errorf("%s: a continued run is refused: %v", c.name, r.err)
		}
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

// Temporal Cloud enforces the limits that Temporal documents, and every server terminates a
// workflow for a search attribute above 2 KB.
func TestLongNamesAreCut(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.host = strings.Repeat("h", 5000) + "\n:3306"
	w.inUse, w.standby = strings.Repeat("ä", 300), strings.Repeat("ö", 300)
	var hosts []string
	r := execute(t, w, start, input(func(in *rotation.RotateUserInput) { in.SecretID = strings.Repeat("s", 2048) }), nil,
		func(env *testsuite.TestWorkflowEnvironment) {
			env.OnUpsertTypedSearchAttributes(mock.Anything).Return(nil).Run(func(args mock.Arguments) {
				if host, ok := args.Get(0).(temporal.SearchAttributes).GetKeyword(rotation.DatabaseHostKey); ok {
					hosts = append(hosts, host)
				}
			})
		})
	if r.err != nil || len(hosts) != 1 || len(hosts[0]) > 255 {
		t.Errorf("%v: the search attribute is %.300q", r.err, hosts)
	}
	if text := details(t, r.env); len(text) > 20000 || !utf8.ValidString(text) {
		t.Errorf("details of %d bytes", len(text))
	}
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
	if step.Error != "db does not answer" || step.Attempts != 4 || !step.NextAttempt.Equal(start.Add(time.Hour+22*time.Second)) {
		t.Errorf("step %+v: want the error of four attempts, and the next one 15 s later", step)
	}
	for _, want := range []string{"**Retrying**", "**SetPassword** failed 4 times", "10:30:22 UTC", "`db does not answer`"} {
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

// Setting an attribute that the cluster has lost would fail the workflow task again and again.
func TestSearchAttributesThatWereRemovedAreLeftAlone(t *testing.T) {
	t.Parallel()
	there := true
	state := asleep(start)
	state.SearchAttributes, state.ShowWhenLong = true, true
	run := func(state *rotation.State) (*rotation.State, int) {
		env := newEnvironment()
		env.SetStartTime(start)
		workflows.Register(env, workflows.Workflows{SearchAttributes: func() bool { return there }})
		newWorld().register(env)
		set := 0
		env.OnUpsertTypedSearchAttributes(mock.Anything).Return(nil).Run(func(mock.Arguments) { set++ }).Maybe()
		env.ExecuteWorkflow(rotation.RotateUserWorkflow, input(nil), state)
		var next *workflow.ContinueAsNewError
		if !errors.As(env.GetWorkflowError(), &next) {
			t.Fatal(env.GetWorkflowError())
		}
		var in rotation.RotateUserInput
		after := new(rotation.State)
		if err := converter.GetDefaultDataConverter().FromPayloads(next.Input, &in, after); err != nil {
			t.Fatal(err)
		}
		return after, set
	}
	for _, there = range []bool{true, false, false, true} {
		var set int
		state, set = run(state)
		if (set > 0) != there || state.SearchAttributes != there {
			t.Errorf("attribute present %t: set %d times, %t carried over", there, set, state.SearchAttributes)
		}
	}
}
