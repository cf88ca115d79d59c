package workflows_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"github.com/rotate-user/rotate-user/rotation"
)

func TestRotatesForADecade(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.fail = func(step string, attempt int) error {
		if step == rotation.CloneUser && attempt%17 == 5 && len(w.inputs)%3 != 0 {
			return temporal.NewNonRetryableApplicationError("not today", "NotOurs", nil)
		}
		return nil
	}
	var state *rotation.State
	in, at := input(nil), start
	for at.Before(start.AddDate(10, 0, 0)) {
		r := execute(t, w, at, in, state, nil)
		if r.err != nil {
			t.Fatalf("at %s: %v", at, r.err)
		}
		if r.state.NextRotationDate.Before(r.env.Now()) {
			t.Fatalf("at %s: the next rotation is in the past, at %s", r.env.Now(), r.state.NextRotationDate)
		}
		in, state, at = r.input, r.state, r.env.Now()
		if len(state.Rotations) > 10 {
			t.Fatalf("%d rotations are carried over: want at most 10", len(state.Rotations))
		}
		for i, rotated := range state.Rotations {
			if (len(rotated.Steps) > 0) != (i == 0) {
				t.Fatalf("of %d rotations, number %d has %d steps: want steps only for the newest", len(state.Rotations), i, len(rotated.Steps))
			}
		}
	}
	if n := len(w.promoted); n < 115 || n > 125 {
		t.Errorf("%d rotations in ten years: want one in thirty days", n)
	}
	for i := 1; i < len(w.promoted); i++ {
		if gap := w.promoted[i].Sub(w.promoted[i-1]); gap < 29*24*time.Hour || gap > 31*24*time.Hour+12*time.Hour {
			t.Errorf("rotations %d and %d are %s apart", i-1, i, gap)
		}
	}
}

func TestOneRotationCallsTheFiveStepsInOrder(t *testing.T) {
	t.Parallel()
	w := newWorld()
	r := execute(t, w, start, input(nil), nil, nil)
	want := []string{rotation.CloneUser, rotation.StagePassword, rotation.SetPassword, rotation.TestPassword, rotation.PromotePassword}
	if !slices.Equal(w.calls, want) {
		t.Errorf("steps %v: want %v", w.calls, want)
	}
	if !r.state.LastRotatedDate.Equal(start) {
		t.Errorf("last rotated at %s: want at the start, %s", r.state.LastRotatedDate, start)
	}
	if got := r.state.Usernames; !slices.Equal(got, []string{"app_clone", "app"}) {
		t.Errorf("users %v: want the promoted user first", got)
	}
}

func TestMinimalRawInputAsATypedCommand(t *testing.T) {
	t.Parallel()
	r := execute(t, newWorld(), start, raw(`{"SecretId":"MyTestDatabaseUserSecret"}`), nil, nil)
	if r.err != nil || r.input.SecretID != "MyTestDatabaseUserSecret" {
		t.Fatalf("input %+v, error %v", r.input, r.err)
	}
}

func TestWrongInputIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{"SecretId":"s","RotationRules":{"AutomaticallyAfterDays":"30d"}}`:                                 "AutomaticallyAfterDays",
		`{"SecretId":"s","RotationRules":{"AutomaticallyAfterDays":0}}`:                                     "AutomaticallyAfterDays",
		`{"SecretId":"s","RotationRules":{"AutomaticallyAfterDays":1001}}`:                                  "AutomaticallyAfterDays",
		`{"SecretId":"s","RotationRules":{"AutomaticallyAfterDays":30,"ScheduleExpression":"rate(1 day)"}}`: "ScheduleExpression",
		`{"SecretId":"s","RotationRules":{"ScheduleExpression":"rate(3 hours)"}}`:                           "ScheduleExpression",
		`{"SecretId":"s","RotationRules":{"ScheduleExpression":"sometimes"}}`:                               "ScheduleExpression",
		`{"SecretId":"s","RotationRules":{"Duratoin":"3h"}}`:                                                "Duratoin",
		`{"SecretId":""}`:                                   "SecretId",
		`{}`:                                                "SecretId",
		`{"secretid":"s"}`:                                  "secretid",
		`{"SecretID":"s"}`:                                  "SecretID",
		`{"SecretId":7}`:                                    "SecretId",
		`{"SecretId":null}`:                                 "SecretId",
		`{"SecretId":"s","SecretId":"t"}`:                   "SecretId",
		`{"SecretId":"a secret"}`:                           "SecretId",
		`{"SecretId":"s","Days":30}`:                        "Days",
		`{"SecretId":"s","RotateImmediately":"no"}`:         "RotateImmediately",
		`{"SecretId":"s","MinimumOverlap":3600}`:            "MinimumOverlap",
		`{"SecretId":"s","MinimumOverlap":"soon"}`:          "MinimumOverlap",
		`{"SecretId":"s","RequireDrained":true}`:            "Drain",
		`{"SecretId":"s","TestEndpoints":["reader"]}`:       `"reader" must be host:port`,
		`{"SecretId":"s","TestEndpoints":["a@b:3306"]}`:     "host:port",
		`{"SecretId":"s","TestEndpoints":["::1:3306"]}`:     "host:port",
		`{"SecretId":"s","TestEndpoints":["reader:65536"]}`: "host:port",
		`{"SecretId":"s","TestEndpoints":"reader:3306"}`:    "a list",
		`{"SecretId":"s","MasterSecretId":"s"}`:             "MasterSecretId",
		`{"SecretId":"s","ProxySecretIds":["a"]}`:           "ProxySecretIds names 1 secret: give two",
		`{"SecretId":"s","ProxySecretIds":["a","a"]}`:       "ProxySecretIds names 1 secret: give two",
		`{"SecretId":"s","ProxySecretIds":["a","b","c"]}`:   "ProxySecretIds names 3 secrets: give two",
		`{"SecretId":"s","ProxySecretIds":["a","s"]}`:       "ProxySecretIds names s, which is the user's own",
		`{"SecretId":"s","ProxySecretIds":["a","b c"]}`:     "ProxySecretIds holds the character",
		`{"SecretId":"s","RotationRules":[]}`:               "RotationRules",
		`[{"SecretId":"s"}]`:                                "JSON object",
		`"s"`:                                               "JSON object",
		`null`:                                              "JSON object",
		`30`:                                                "JSON object",
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			r := execute(t, w, start, raw(text), nil, nil)
			var app *temporal.ApplicationError
			if !errors.As(r.err, &app) || app.Type() != rotation.ErrorInvalidInput || !app.NonRetryable() {
				t.Fatalf("error %v: want a refusal of type InvalidInput", r.err)
			}
			if !strings.Contains(app.Message(), want) {
				t.Errorf("%q does not name %s", app.Message(), want)
			}
			if len(w.calls) != 0 {
				t.Errorf("steps %v were taken on a wrong input", w.calls)
			}
		})
	}
}

func TestAContinuedRunForgivesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	w := newWorld()
	r := execute(t, w, start, raw(`{"SecretId":"s","InventedLater":true}`), &rotation.State{NextRotationDate: start}, nil)
	if r.err != nil || len(w.promoted) != 1 {
		t.Fatalf("error %v, %d rotations: an older worker must accept the state of a newer one", r.err, len(w.promoted))
	}
}

func TestRotateImmediatelyFalseLooksAndWaits(t *testing.T) {
	t.Parallel()
	no := false
	w := newWorld()
	var warnings []string
	r := execute(t, w, start, input(func(in *rotation.RotateUserInput) { in.RotateImmediately = &no }), nil,
		func(env *testsuite.TestWorkflowEnvironment) {
			env.RegisterDelayedCallback(func() { warnings = status(t, env).Warnings }, time.Hour)
		})
	if r.err != nil {
		t.Fatal(r.err)
	}
	if !slices.Equal(warnings, []string{"a revocation would be refused"}) {
		t.Errorf("the status warns %q: want what the plan found", warnings)
	}
	if w.calls[0] != rotation.PlanRotation || w.calls[1] != rotation.CloneUser {
		t.Errorf("steps %v: want a plan first", w.calls)
	}
	if wait := w.promoted[0].Sub(start); wait < 29*24*time.Hour {
		t.Errorf("rotated after %s: want the schedule's 30 days", wait)
	}
}

func TestAWorkerThatWasAwayRotatesOnceAndNotAllAtTheSameTime(t *testing.T) {
	t.Parallel()
	var at []time.Time
	for _, name := range []string{"a", "b", "c", "d"} {
		w := newWorld()
		late := &rotation.State{NextRotationDate: start.AddDate(0, 0, -60), WindowCloses: start.AddDate(0, 0, -59),
			LastRotatedDate: start.AddDate(0, 0, -90)}
		r := execute(t, w, start, input(func(in *rotation.RotateUserInput) { in.SecretID = name }), late, nil)
		if len(w.promoted) != 1 || r.state.NextRotationDate.Before(start.AddDate(0, 0, 29)) {
			t.Errorf("%s: %d rotations, next at %s: want 1, and the next one a month later", name, len(w.promoted), r.state.NextRotationDate)
			continue
		}
		at = append(at, w.promoted[0])
	}
	slices.SortFunc(at, time.Time.Compare)
	for i := 1; i < len(at); i++ {
		if at[i].Sub(at[i-1]) < time.Second {
			t.Errorf("rotations at %v: want them spread out", at)
		}
	}
}

func TestACancellationNeverCutsARotation(t *testing.T) {
	t.Parallel()
	w := newWorld()
	var cancel func()
	w.fail = func(step string, _ int) error {
		if step == rotation.SetPassword {
			cancel()
		}
		return nil
	}
	var waiting *answer
	r := execute(t, w, start, input(nil), asleep(start), func(env *testsuite.TestWorkflowEnvironment) {
		cancel = env.CancelWorkflow
		waiting = update(env, time.Hour, rotation.RotateUpdate, raw(`{}`))
	})
	if len(w.promoted) != 1 {
		t.Errorf("steps %v: the rotation was cut off", w.calls)
	}
	if waiting.err != nil || waiting.result.Username != "app_clone" {
		t.Errorf("the waiting request got %+v, %v", waiting.result, waiting.err)
	}
	if !temporal.IsCanceledError(r.err) {
		t.Errorf("the workflow ended with %v: want canceled", r.err)
	}
}

func TestACancellationEndsTheSleep(t *testing.T) {
	t.Parallel()
	w := newWorld()
	r := execute(t, w, start, input(nil), asleep(start), func(env *testsuite.TestWorkflowEnvironment) {
		env.RegisterDelayedCallback(env.CancelWorkflow, time.Hour)
	})
	if !temporal.IsCanceledError(r.err) || len(w.calls) != 0 {
		t.Errorf("ended with %v after the steps %v: want canceled, after none", r.err, w.calls)
	}
}
