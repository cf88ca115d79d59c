package workflows_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.temporal.io/api/sdk/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"github.com/rotate-user/rotate-user/rotation"
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
