package workflows_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/rotate-user/rotate-user/internal/grants"
	"github.com/rotate-user/rotate-user/internal/schedule"
	"github.com/rotate-user/rotate-user/rotation"
	"github.com/rotate-user/rotate-user/workflows"
)

var start = time.Date(2026, 1, 31, 9, 30, 0, 0, time.UTC)

// world fakes the activities. It knows which user is current, and which step of which rotation
// fails.
type world struct {
	inUse          string
	standby        string
	calls          []string
	inputs         []rotation.CloneUserInput
	staged         []string // the ids of the versions to stage
	promoted       []time.Time
	now            func() time.Time
	fail           func(step string, attempt int) error
	sessions       func() []string
	changes        func() []string // changes that CloneUser reports, all of them as drift
	digest, rights string          // results of CloneUser
	unseen         bool            // the administrator cannot list sessions
	ends           bool            // the standby's sessions end along with its password
	host           string          // the server's address; db:3306 if empty
	expires        time.Time       // when the new password expires
	unasked        []string        // warnings of TestPassword
	gone           []string        // users of earlier pairs that have no account

	promotedAlready bool // AWSCURRENT is the version of an attempt that was recorded as failed
	rotation        int
}

func newWorld() *world { return &world{inUse: "app", standby: "app_clone"} }

// stuck makes the first promotion take effect and lose its response.
func (w *world) stuck(step string, _ int) error {
	if step == rotation.PromotePassword && !w.promotedAlready {
		w.promotedAlready = true
		return temporal.NewNonRetryableApplicationError("no answer", "AccessDenied", nil)
	}
	return nil
}

func (w *world) step(name string) error {
	w.calls = append(w.calls, name)
	if w.fail != nil {
		return w.fail(name, w.rotation)
	}
	return nil
}

func (w *world) register(env *testsuite.TestWorkflowEnvironment) {
	w.now = env.Now
	env.RegisterActivityWithOptions(func(_ context.Context, in rotation.CloneUserInput) (rotation.CloneUserResult, error) {
		w.inputs = append(w.inputs, in)
		if err := w.step(rotation.CloneUser); err != nil {
			return rotation.CloneUserResult{}, err
		}
		if w.promotedAlready {
			return rotation.CloneUserResult{Promoted: true, Rotation: rotation.StepInput{
				SecretID: in.SecretID, VersionID: in.EarlierVersionID, CurrentVersionID: in.EarlierVersionID, Server: "db:3306",
				Standby: grants.Name{User: w.standby},
			}}, nil
		}
		r := rotation.CloneUserResult{LeftGone: w.gone, SecretARN: "arn", Rotation: rotation.StepInput{
			SecretID: in.SecretID, MasterSecretID: "master", VersionID: fmt.Sprintf("version-%d", len(w.inputs)), CurrentVersionID: "v1",
			Server: cmp.Or(w.host, "db:3306"),
			Source: grants.Name{User: w.inUse, Host: "%"}, Standby: grants.Name{User: w.standby, Host: "%"},
		}}
		if w.sessions != nil {
			r.InUse = w.sessions()
		}
		if w.changes != nil {
			r.Changes = w.changes()
			r.Changed, r.Drift = len(r.Changes), r.Changes
		}
		r.InUseUnknown, r.PasswordExpires = w.unseen, w.expires
		r.Digest, r.Rights = w.digest, w.rights
		r.Rotation.EndSessions = w.ends || in.RevokePrevious
		return r, nil
	}, activity.RegisterOptions{Name: rotation.CloneUser})
	env.RegisterActivityWithOptions(func(_ context.Context, r rotation.StepInput) (rotation.StagePasswordResult, error) {
		w.staged = append(w.staged, r.VersionID)
		return rotation.StagePasswordResult{VersionID: r.VersionID, ValueSHA256: "digest of " + r.VersionID}, w.step(rotation.StagePassword)
	}, activity.RegisterOptions{Name: rotation.StagePassword})
	env.RegisterActivityWithOptions(func(_ context.Context, r rotation.StepInput) (rotation.SetPasswordResult, error) {
		set := rotation.SetPasswordResult{PasswordStored: "stored with " + r.VersionID}
		if r.EndSessions {
			set.SessionsEnded = 1
		}
		return set, w.step(rotation.SetPassword)
	}, activity.RegisterOptions{Name: rotation.SetPassword})
	env.RegisterActivityWithOptions(func(_ context.Context, r rotation.StepInput) (rotation.RevokePreviousResult, error) {
		return rotation.RevokePreviousResult{Account: r.Source.String(), SessionsEnded: 2}, w.step(rotation.RevokePrevious)
	}, activity.RegisterOptions{Name: rotation.RevokePrevious})
	for _, name := range []string{rotation.TestPassword, rotation.PromotePassword} {
		env.RegisterActivityWithOptions(func(_ context.Context, r rotation.StepInput) (tested rotation.TestPasswordResult, err error) {
			if err := w.step(name); err != nil {
				return tested, err
			}
			if !w.promotedAlready && (r.ValueSHA256 != "digest of "+r.VersionID || r.PasswordStored != "stored with "+r.VersionID) {
				return tested, fmt.Errorf("version %s has the value %q, and its password is %q", r.VersionID, r.ValueSHA256, r.PasswordStored)
			}
			if name == rotation.PromotePassword {
				w.inUse, w.standby = w.standby, w.inUse
				w.promoted = append(w.promoted, w.now())
				w.rotation++
			} else {
				tested.Warnings = w.unasked
			}
			return tested, nil
		}, activity.RegisterOptions{Name: name})
	}
	env.RegisterActivityWithOptions(func(context.Context, rotation.CloneUserInput) (rotation.PlanRotationResult, error) {
		return rotation.PlanRotationResult{Warnings: []string{"a revocation would be refused"}}, w.step(rotation.PlanRotation)
	}, activity.RegisterOptions{Name: rotation.PlanRotation})
}

// newEnvironment returns an environment that does not mistake a busy machine for a deadlock.
func newEnvironment() *testsuite.TestWorkflowEnvironment {
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestWorkflowEnvironment()
	env.SetTestTimeout(time.Minute)
	env.SetWorkerOptions(worker.Options{DeadlockDetectionTimeout: time.Minute})
	return env
}

// run is one run of the workflow.
type run struct {
	env    *testsuite.TestWorkflowEnvironment
	input  rotation.RotateUserInput
	state  *rotation.State
	status rotation.Status
	err    error
}

// execute runs the workflow once, starting at the given time, and returns what it hands to the next
// run.
func execute(t *testing.T, w *world, at time.Time, input any, state *rotation.State, during func(*testsuite.TestWorkflowEnvironment)) run {
	t.Helper()
	env := newEnvironment()
	env.SetStartTime(at)
	workflows.Register(env, workflows.Workflows{SearchAttributes: func() bool { return true }})
	w.register(env)
	if during != nil {
		during(env)
	}
	if state == nil {
		env.ExecuteWorkflow(rotation.RotateUserWorkflow, input)
	} else {
		env.ExecuteWorkflow(rotation.RotateUserWorkflow, input, state)
	}
	r := run{env: env, err: env.GetWorkflowError()}
	if r.err == nil {
		if err := env.GetWorkflowResult(&r.status); err != nil {
			t.Fatal(err)
		}
		return r
	}
	var next *workflow.ContinueAsNewError
	if errors.As(r.err, &next) {
		if next.WorkflowTaskTimeout != workflows.TaskTimeout {
			t.Errorf("the next run has %v for a workflow task: want %v", next.WorkflowTaskTimeout, workflows.TaskTimeout)
		}
		r.state = new(rotation.State)
		if err := converter.GetDefaultDataConverter().FromPayloads(next.Input, &r.input, r.state); err != nil {
			t.Fatal(err)
		}
		r.err = nil
	}
	return r
}

func input(change func(*rotation.RotateUserInput)) rotation.RotateUserInput {
	in := rotation.RotateUserInput{SecretID: "MySecret"}
	if change != nil {
		change(&in)
	}
	return in
}

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

func TestNodesThatCouldNotBeAskedAreInTheResult(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.unasked = []string{"node db3 was not asked"}
	r := execute(t, w, start, raw(`{"SecretId":"s","RequireAllNodes":true,"TestEndpoints":["reader:3306"],"ProxySecretIds":["a","b"]}`), nil,
		nil)
	if in := w.inputs[0]; !in.RequireAllNodes || !slices.Equal(in.TestEndpoints, []string{"reader:3306"}) ||
		!slices.Equal(in.ProxySecretIDs, []string{"a", "b"}) {
		t.Errorf("the steps' input is %+v: want RequireAllNodes, TestEndpoints and ProxySecretIds", in)
	}
	if got := r.state.Rotations; len(got) == 0 || !slices.Equal(got[0].Warnings, w.unasked) {
		t.Errorf("rotations are %+v: want the warnings %q", got, w.unasked)
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

func TestAPromotionWhoseAnswerWasLostIsNotRepeated(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.fail = w.stuck
	r := execute(t, w, start, input(nil), nil, nil)
	if r.state.Rotations[0].Error == "" || !r.state.LastRotatedDate.IsZero() {
		t.Fatalf("recorded %+v: want a failure", r.state.Rotations[0])
	}
	w.calls = nil
	r = execute(t, w, r.env.Now(), r.input, r.state, nil)
	if want := []string{rotation.CloneUser, rotation.PromotePassword}; !slices.Equal(w.calls, want) {
		t.Errorf("steps %v: want only what is left, %v", w.calls, want)
	}
	if got := r.state; !slices.Equal(got.Usernames, []string{"app_clone", "app"}) || got.LastRotatedDate.IsZero() ||
		got.Rotations[0].Error != "" {
		t.Errorf("state %+v: want app_clone as the current user, and the rotation recorded", got)
	}
}

func TestASecondRotatorGivesWay(t *testing.T) {
	t.Parallel()
	no := false
	elsewhere := func(string, int) error {
		return temporal.NewNonRetryableApplicationError("use the other one", rotation.ErrorRotatedElsewhere, nil)
	}
	for _, in := range []rotation.RotateUserInput{input(nil), input(func(in *rotation.RotateUserInput) { in.RotateImmediately = &no })} {
		w := newWorld()
		w.fail = elsewhere
		r := execute(t, w, start, in, nil, nil)
		var app *temporal.ApplicationError
		if !errors.As(r.err, &app) || app.Type() != rotation.ErrorRotatedElsewhere || app.Message() != "use the other one" ||
			r.env.Now().Sub(start) > time.Hour {
			t.Errorf("%+v: the workflow continued, or ended late, with %v", in, r.err)
		}
	}
	w := newWorld()
	w.fail = elsewhere
	state := asleep(start)
	state.NextRotationDate = start
	if r := execute(t, w, start, input(nil), state, nil); r.err != nil || r.state == nil ||
		r.state.Rotations[0].ErrorType != rotation.ErrorRotatedElsewhere {
		t.Errorf("a workflow that has rotated before ended: %v", r.err)
	}
}

func TestAnIDThatIsTakenIsGivenUp(t *testing.T) {
	t.Parallel()
	for taken, want := range map[int]string{0: "", 1: "", 2: "", 3: rotation.ErrorTaken} {
		w := newWorld()
		w.fail = func(step string, _ int) error {
			if step == rotation.StagePassword && len(w.staged) <= taken {
				return temporal.NewNonRetryableApplicationError("it exists", rotation.ErrorTaken, nil)
			}
			return nil
		}
		r := execute(t, w, start, input(nil), nil, nil)
		rotated := r.state.Rotations[0]
		if rotated.ErrorType != want || len(w.staged) != min(taken+1, 3) {
			t.Errorf("with %d ids taken, the rotation ended as %q with %v staged: want %q", taken, rotated.ErrorType, w.staged, want)
		}
		last := w.staged[len(w.staged)-1]
		if slices.Index(w.staged, last) != len(w.staged)-1 || rotated.VersionID != last {
			t.Errorf("ids %v, recorded %s: want a new id each time, and the last one recorded", w.staged, rotated.VersionID)
		}
	}
}

func TestTheNextRotationIsToldWhatIsStored(t *testing.T) {
	t.Parallel()
	w := newWorld()
	r := execute(t, w, start, input(nil), nil, nil)
	first := r.state.Rotations[0]
	r = execute(t, w, r.env.Now(), r.input, r.state, nil)
	got := w.inputs[1]
	if got.PromotedVersionID != first.VersionID || !got.PromotedAt.Equal(r.state.Rotations[1].EndedAt) || got.Server != "db:3306" ||
		got.Stored[first.Username] != "stored with "+first.VersionID {
		t.Errorf("the second rotation got %+v: want version %s of %s", got, first.VersionID, first.Username)
	}
	if len(r.state.Stored) != 2 {
		t.Errorf("Stored is %v: want both accounts", r.state.Stored)
	}
}

func TestTheNextAttemptIsToldWhatIsStaged(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.fail = func(step string, _ int) error {
		if step == rotation.SetPassword && len(w.inputs) == 1 {
			return temporal.NewNonRetryableApplicationError("not now", rotation.ErrorDatabase, nil)
		}
		return nil
	}
	r := execute(t, w, start, input(nil), nil, nil)
	r = execute(t, w, r.env.Now(), r.input, r.state, nil)
	if got := w.inputs[1]; got.EarlierVersionID != w.staged[0] || got.EarlierSHA256 != "digest of "+w.staged[0] {
		t.Errorf("the second attempt got version %q, digest %q: want those of %s", got.EarlierVersionID, got.EarlierSHA256, w.staged[0])
	}
	if r.state.EarlierVersionID+r.state.EarlierSHA256 != "" {
		t.Errorf("after a promotion the state still has %s, %s", r.state.EarlierVersionID, r.state.EarlierSHA256)
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

type answer struct {
	result rotation.Rotation
	status rotation.Status
	err    error
	done   bool
}

// update sends an update after a delay and keeps its result.
func update(env *testsuite.TestWorkflowEnvironment, after time.Duration, name string, args ...any) *answer {
	a := &answer{}
	env.RegisterDelayedCallback(func() { a.send(env, fmt.Sprintf("%s-%s", name, after), name, args...) }, after)
	return a
}

// send sends an update now and keeps its result.
func (a *answer) send(env *testsuite.TestWorkflowEnvironment, id, name string, args ...any) {
	env.UpdateWorkflow(name, id, &testsuite.TestUpdateCallback{
		OnAccept: func() {},
		OnReject: func(err error) { a.err, a.done = err, true },
		OnComplete: func(v any, err error) {
			a.err, a.done = err, true
			switch v := v.(type) {
			case rotation.Rotation:
				a.result = v
			case rotation.Status:
				a.status = v
			}
		},
	}, args...)
}

func asleep(at time.Time) *rotation.State {
	return &rotation.State{NextRotationDate: at.Add(30 * 24 * time.Hour), WindowCloses: at.Add(31 * 24 * time.Hour),
		LastRotatedDate: at.Add(-2 * time.Hour), Usernames: []string{"app", "app_clone"}}
}

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

func TestRevokePreviousFollowsThePromotion(t *testing.T) {
	t.Parallel()
	w := newWorld()
	var a *answer
	r := execute(t, w, start, input(nil), asleep(start), func(env *testsuite.TestWorkflowEnvironment) {
		a = update(env, time.Hour, rotation.RotateUpdate, raw(`{"RevokePrevious":true,"Grace":"10m"}`))
	})
	if a.err != nil || !a.result.Revoked || w.calls[len(w.calls)-1] != rotation.RevokePrevious {
		t.Fatalf("result %+v, steps %v", a, w.calls)
	}
	if a.result.SessionsEnded != 3 {
		t.Errorf("%d sessions were ended: want the 1 of the standby and the 2 of the previous account", a.result.SessionsEnded)
	}
	if got, want := a.result.Steps[len(a.result.Steps)-1].Text, "'app'@'%' is locked, its password is gone, "+
		"2 of its sessions were ended and none is left"; got != want {
		t.Errorf("the revocation says %q, want %q", got, want)
	}
	if wait := r.env.Now().Sub(w.promoted[0]); wait < 10*time.Minute {
		t.Errorf("revoked %s after the promotion: want the grace of 10m", wait)
	}
}

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

// The next rotation gets the rights of the pair after the last rotation, and never those of an
// earlier one. A worker of an earlier release returns only a digest.
func TestTheNextRotationIsToldOfTheRightsAfterTheLast(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.digest, w.rights = "d1", "r1"
	first := execute(t, w, start, input(nil), nil, nil)
	w.digest, w.rights = "d2", ""
	second := execute(t, w, first.state.NextRotationDate, first.input, first.state, nil)
	third := execute(t, w, second.state.NextRotationDate, second.input, second.state, nil)
	if third.err != nil || len(w.inputs) != 3 {
		t.Fatalf("%d rotations, %v", len(w.inputs), third.err)
	}
	for i, want := range [][2]string{{"", ""}, {"d1", "r1"}, {"d2", ""}} {
		if got := [2]string{w.inputs[i].Digest, w.inputs[i].Rights}; got != want {
			t.Errorf("rotation %d got %q: want %q", i+1, got, want)
		}
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

// The rights are in the result of the query, but not in the results of updates, which are kept in
// the history.
func TestTheRightsAreAnsweredToTheQueryOnly(t *testing.T) {
	t.Parallel()
	state := asleep(start)
	state.Rights = "r1"
	var paused *answer
	execute(t, newWorld(), start, input(nil), state, func(env *testsuite.TestWorkflowEnvironment) {
		env.RegisterDelayedCallback(func() {
			var s rotation.Status
			value, err := env.QueryWorkflow(rotation.StatusQuery)
			if err != nil || value.Get(&s) != nil || s.Rights != "r1" {
				t.Errorf("the query returned %+v, %v", s, err)
			}
		}, time.Minute)
		paused = update(env, 2*time.Minute, rotation.PauseUpdate, nil)
	})
	if paused.err != nil || paused.status.Rights != "" || paused.status.SecretID == "" {
		t.Errorf("the update returned %+v, %v", paused.status, paused.err)
	}
}

// UndoDrift applies to the rotation that was requested with it, and to no other.
func TestUndoDriftIsOfOneRotation(t *testing.T) {
	t.Parallel()
	w := newWorld()
	sessions := 1 // while they drain, a second request joins the first
	w.sessions = func() []string { return []string{"1 from 10.0.0.7"}[:sessions] }
	var a, b *answer
	first := execute(t, w, start, raw(`{"SecretId":"s","Drain":"30m"}`), asleep(start), func(env *testsuite.TestWorkflowEnvironment) {
		a = update(env, time.Hour, rotation.RotateUpdate, raw(`{"UndoDrift":true}`))
		b = update(env, time.Hour+30*time.Second, rotation.RotateUpdate, raw(`{"Force":true}`))
		env.RegisterDelayedCallback(func() { sessions = 0 }, time.Hour+40*time.Second)
	})
	if a.err != nil || b.err != nil || len(w.inputs) != 2 {
		t.Fatalf("results %v, %v; steps %+v", a.err, b.err, w.inputs)
	}
	for i, in := range w.inputs {
		if !in.UndoDrift || in.Force != (i == 1) {
			t.Errorf("step %d got %+v", i+1, in)
		}
	}
	execute(t, w, first.state.NextRotationDate, first.input, first.state, nil)
	if len(w.inputs) != 3 || w.inputs[2].UndoDrift {
		t.Errorf("steps %+v", w.inputs)
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

func TestAGraceEndsWithTheNextRequestToRevoke(t *testing.T) {
	t.Parallel()
	w := newWorld()
	var first, plain, now *answer
	var during rotation.Status
	var shown string
	r := execute(t, w, start, input(nil), asleep(start), func(env *testsuite.TestWorkflowEnvironment) {
		first = update(env, time.Hour, rotation.RotateUpdate, raw(`{"RevokePrevious":true,"Grace":"20h"}`))
		env.RegisterDelayedCallback(func() { during, shown = status(t, env), details(t, env) }, 2*time.Hour-time.Minute)
		plain = update(env, 2*time.Hour, rotation.RotateUpdate, raw(`{"Force":true}`))
		now = update(env, 3*time.Hour, rotation.RotateUpdate, raw(`{"Force":true,"RevokePrevious":true}`))
	})
	promoted := start.Add(time.Hour)
	if during.Username != "app_clone" || during.StandbyUsername != "app" || !during.LastRotatedDate.Equal(promoted) ||
		!during.PreviousUntil.Equal(promoted.Add(20*time.Hour)) {
		t.Errorf("during the grace period the status is %+v", during)
	}
	for _, line := range []string{"- current user: `app_clone`, standby: `app`",
		"- **AWSPREVIOUS**, user `app`, logs in until it is revoked at 2026-02-01 06:30 UTC", "- PromotePassword: "} {
		if !strings.Contains(shown, line) {
			t.Errorf("during the grace period the UI does not show %q:\n%s", line, shown)
		}
	}
	if !r.status.PreviousUntil.IsZero() {
		t.Errorf("after the revocation the status is %+v", r.status)
	}
	var app *temporal.ApplicationError
	if !errors.As(plain.err, &app) || app.Type() != rotation.ErrorJustRotated {
		t.Errorf("another rotation during the grace period returned %v: want a refusal", plain.err)
	}
	if first.err != nil || now.err != nil || !first.result.Revoked || !now.result.Revoked {
		t.Errorf("results %+v, %+v: want a revocation for both", first, now)
	}
	if wait := r.env.Now().Sub(w.promoted[0]); len(w.promoted) != 1 || wait < time.Hour || wait > 3*time.Hour {
		t.Errorf("revoked %s after the promotion: want it with the second request", wait)
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

func TestTheStatusQueryShowsEachStep(t *testing.T) {
	t.Parallel()
	w := newWorld()
	var seen []string
	var env *testsuite.TestWorkflowEnvironment
	left := 1
	w.fail = func(step string, _ int) error {
		if step == rotation.TestPassword && left > 0 {
			left--
			env.RegisterDelayedCallback(func() {
				v, err := env.QueryWorkflow(rotation.StatusQuery)
				var s rotation.Status
				if err == nil {
					err = v.Get(&s)
				}
				if err != nil || s.RotationStatus != rotation.Rotating || s.Current == nil {
					t.Errorf("status %+v, %v", s, err)
					return
				}
				for _, step := range s.Current.Steps {
					seen = append(seen, step.Name)
				}
			}, 0)
			return temporal.NewApplicationError("once more", "Unreachable")
		}
		return nil
	}
	execute(t, w, start, input(nil), nil, func(e *testsuite.TestWorkflowEnvironment) { env = e })
	if want := []string{rotation.CloneUser, rotation.StagePassword, rotation.SetPassword, rotation.TestPassword}; !slices.Equal(seen, want) {
		t.Errorf("steps seen %v: want %v", seen, want)
	}
}

func TestVisibilityIsToldOfARotationThatTakesLong(t *testing.T) {
	t.Parallel()
	asleep := rotation.State{NextRotationDate: start, WindowCloses: start.Add(12 * time.Hour), SearchAttributes: true}
	later := asleep
	later.ShowWhenLong = true
	for _, test := range []struct {
		name    string
		state   *rotation.State
		retries int // of one step, after 1, 2, 4, ... seconds
		want    []string
	}{
		{"the first", nil, 0, []string{"Rotating", "Scheduled"}},
		{"continued by an earlier release", &asleep, 0, []string{"Rotating", "Scheduled"}},
		{"short", &later, 0, []string{"Scheduled"}},
		{"retried", &later, 3, []string{"Scheduled"}},
		{"failing for long", &later, 6, []string{"Retrying", "Scheduled"}},
	} {
		w := newWorld()
		left := test.retries
		w.fail = func(step string, _ int) error {
			if step == rotation.SetPassword && left > 0 {
				left--
				return temporal.NewApplicationError("not yet", "Unreachable")
			}
			return nil
		}
		var told []string
		r := execute(t, w, start, input(nil), test.state, func(env *testsuite.TestWorkflowEnvironment) {
			env.OnUpsertTypedSearchAttributes(mock.Anything).Return(nil).Run(func(args mock.Arguments) {
				status, _ := args.Get(0).(temporal.SearchAttributes).GetKeyword(rotation.RotationStatusKey)
				told = append(told, status)
			})
		})
		if !slices.Equal(told, test.want) || len(w.promoted) != 1 {
			t.Errorf("%s: values %v, %d rotations, %v: want %v", test.name, told, len(w.promoted), r.err, test.want)
		}
	}
}

// raw is JSON as an operator would type it.
type raw string

func (r raw) MarshalJSON() ([]byte, error) { return []byte(r), nil }
