package workflows_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/rotate-user/rotate-user/rotation"
	"github.com/rotate-user/rotate-user/workflows"
)

// tags fakes Secrets Manager and the running rotations.
type tags struct {
	secrets []rotation.TaggedSecret
	running []string
	owners  map[string]string // by secret; without one, this workflow
	fail    error

	started  map[string]rotation.RotateUserInput
	startsAt []time.Time
	mu       sync.Mutex // the environment sends signals concurrently
	signals  []string   // "secret: name"
}

// pass runs SyncFleetWorkflow once, and returns what it hands to the next run.
func (s *tags) pass(t *testing.T, at time.Time, input any, carried *rotation.FleetState,
	during func(*testsuite.TestWorkflowEnvironment)) (*rotation.FleetState, error) {
	t.Helper()
	env := newEnvironment()
	env.SetStartTime(at)
	workflows.Register(env, workflows.Workflows{})
	s.started = map[string]rotation.RotateUserInput{}
	env.RegisterActivityWithOptions(func(_ context.Context, in rotation.ListSecretsInput) (rotation.ListSecretsResult, error) {
		if s.fail != nil {
			return rotation.ListSecretsResult{}, s.fail
		}
		const page = 700
		var from int
		if in.NextToken != "" {
			if _, err := fmt.Sscan(in.NextToken, &from); err != nil {
				return rotation.ListSecretsResult{}, err
			}
		}
		to := min(from+page, len(s.secrets))
		result := rotation.ListSecretsResult{Secrets: s.secrets[from:to]}
		if to < len(s.secrets) {
			result.NextToken = fmt.Sprint(to)
		}
		return result, nil
	}, activity.RegisterOptions{Name: rotation.ListSecrets})
	env.RegisterActivityWithOptions(func(_ context.Context, in rotation.ListRotationsInput) (rotation.ListRotationsResult, error) {
		result := rotation.ListRotationsResult{SecretIDs: s.running}
		switch {
		case in.NextPageToken == nil && len(s.running) > 1:
			result.SecretIDs, result.NextPageToken = s.running[:1], []byte{0xff}
		case len(s.running) > 1:
			result.SecretIDs = s.running[1:]
		}
		for _, id := range result.SecretIDs {
			owner, ok := s.owners[id]
			if !ok {
				owner = "default-test-workflow-id" // this workflow
			}
			result.DeclaredBy = append(result.DeclaredBy, owner)
		}
		return result, nil
	}, activity.RegisterOptions{Name: rotation.ListRotations})
	env.OnWorkflow(rotation.RotateUserWorkflow, mock.Anything, mock.Anything, mock.Anything).Return(
		func(ctx workflow.Context, in rotation.RotateUserInput, _ *rotation.State) (rotation.Status, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.started[in.SecretID] = in
			s.startsAt = append(s.startsAt, env.Now())
			return rotation.Status{}, nil
		})
	env.OnSignalExternalWorkflow(mock.Anything, mock.Anything, mock.Anything, mock.Anything, mock.Anything).Return(
		func(_, workflowID, _, name string, message any) error {
			id, _ := strings.CutPrefix(workflowID, "rotate-user/")
			s.mu.Lock()
			defer s.mu.Unlock()
			if q, ok := message.(rotation.RescheduleRequest); ok && q.DeclaredBy != "" {
				name += " for " + q.DeclaredBy
			}
			s.signals = append(s.signals, id+": "+name)
			if id == "stubborn" {
				return errors.New("no such workflow")
			}
			return nil
		})
	if during != nil {
		during(env)
	}
	if carried == nil {
		env.ExecuteWorkflow(rotation.SyncFleetWorkflow, input)
	} else {
		env.ExecuteWorkflow(rotation.SyncFleetWorkflow, input, carried)
	}
	err := env.GetWorkflowError()
	var next *workflow.ContinueAsNewError
	if !errors.As(err, &next) {
		return nil, err
	}
	var in rotation.SyncFleetInput
	state := new(rotation.FleetState)
	if err := converter.GetDefaultDataConverter().FromPayloads(next.Input, &in, state); err != nil {
		t.Fatal(err)
	}
	return state, nil
}

func tagged(pairs ...string) (all []rotation.TaggedSecret) {
	for i := 0; i < len(pairs); i += 2 {
		all = append(all, rotation.TaggedSecret{Name: pairs[i], ARN: "arn:" + pairs[i], Value: pairs[i+1]})
	}
	return all
}

func TestAFleetFollowsItsTags(t *testing.T) {
	t.Parallel()
	s := &tags{secrets: tagged("a", "30d", "b", "12h", "broken", "weekly", "quiet", "off")}
	state, err := s.pass(t, start, raw(`{"Defaults":{"MasterSecretId":"m","RotationRules":{"Duration":"2h"}}}`), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if p := state.LastPass; p.Started != 2 || p.Failed != 1 || p.Tagged != 4 || p.Off != 1 || len(p.Problems) != 1 ||
		!strings.Contains(p.Problems[0], `broken: the tag's value is "weekly"`) {
		t.Fatalf("first pass: %+v", p)
	}
	a := s.started["a"]
	if a.ScheduleText() != "every 30 days, window 2h" || a.MasterSecretID != "m" || a.FirstRotationWithin.String() != "7d" || a.Immediately() {
		t.Errorf("a was started with %+v", a)
	}
	if !state.NextPass.Equal(start.Add(time.Hour)) {
		t.Errorf("next pass at %s", state.NextPass)
	}

	// Nothing has changed.
	in := raw(`{"Defaults":{"MasterSecretId":"m","RotationRules":{"Duration":"2h"}}}`)
	s.running = []string{"a", "b"}
	state, err = s.pass(t, start, in, state, nil)
	if err != nil || state.LastPass.Unchanged != 2 || len(s.started)+len(s.signals) != 0 {
		t.Fatalf("second pass: %+v, %v, started %v, signals %v", state, err, s.started, s.signals)
	}
	if at := state.LastPass.StartedAt; !at.Equal(start.Add(time.Hour)) {
		t.Errorf("the second pass began at %s", at)
	}

	// One secret has another schedule, one is off, and a new one, "c", is already rotated under its
	// ARN.
	s.secrets = tagged("a", "7d", "b", "off", "c", "30d")
	s.running = []string{"a", "b", "arn:c"}
	state, err = s.pass(t, start, in, state, nil)
	if want := []string{"a: reschedule", "arn:c: reschedule", "b: stop"}; err != nil ||
		!slices.Equal(slices.Sorted(slices.Values(s.signals)), want) || len(s.started) != 0 {
		t.Fatalf("third pass: signals %v, want %v; started %v; %v", s.signals, want, s.started, err)
	}
	if p := state.LastPass; p.Rescheduled != 2 || p.Stopped != 1 || len(state.Managed) != 2 {
		t.Errorf("third pass: %+v", state)
	}

	// One secret has lost its tag. Its rotation is stopped when the next check, soon after, does
	// not find it either.
	s.secrets, s.signals, s.running = tagged("c", "30d"), nil, []string{"a", "arn:c"}
	state, err = s.pass(t, start, in, state, nil)
	if err != nil || len(s.signals) != 0 || state.LastPass.Deferred != 1 ||
		state.NextPass.After(state.LastPass.StartedAt.Add(10*time.Minute)) {
		t.Fatalf("fourth pass: %+v, signals %v, %v", state, s.signals, err)
	}
	state, err = s.pass(t, start, in, state, nil)
	if err != nil || !slices.Equal(s.signals, []string{"a: stop"}) || len(state.Managed) != 1 {
		t.Fatalf("fifth pass: %+v, signals %v, %v", state, s.signals, err)
	}

	// One secret is being deleted. Its rotation is left to the deletion.
	s.secrets[0].Deleted, s.signals, s.running = true, nil, []string{"arn:c"}
	for range 3 {
		if state, err = s.pass(t, start, in, state, nil); err != nil || len(s.signals) != 0 || len(state.Managed) != 1 {
			t.Fatalf("a pass beside a deletion: %+v, signals %v, %v", state, s.signals, err)
		}
	}
}

// TestAListThatFailsChangesNothing checks that no rotation is stopped because its tag could not be read.
func TestAListThatFailsChangesNothing(t *testing.T) {
	t.Parallel()
	s := &tags{fail: temporal.NewNonRetryableApplicationError("allow secretsmanager:ListSecrets", rotation.ErrorAccessDenied, nil),
		running: []string{"a"}}
	state := &rotation.FleetState{Managed: map[string]rotation.Managed{"a": {Missing: true}}}
	state, err := s.pass(t, start, rotation.SyncFleetInput{}, state, nil)
	if err != nil || len(s.signals) != 0 || state.LastPass.ErrorType != rotation.ErrorAccessDenied || len(state.Managed) != 1 {
		t.Fatalf("%+v, signals %v, %v", state, s.signals, err)
	}
	if !state.NextPass.Equal(start.Add(10 * time.Minute)) {
		t.Errorf("next pass at %s", state.NextPass)
	}
}

func TestAFleetLooksWhenItIsAsked(t *testing.T) {
	t.Parallel()
	s := &tags{secrets: tagged("a", "30d", "stubborn", "30d"), running: []string{"stubborn"}}
	var status rotation.FleetStatus
	var failed error
	state := &rotation.FleetState{NextPass: start.Add(time.Hour)}
	state, err := s.pass(t, start, rotation.SyncFleetInput{Tag: "t"}, state, func(env *testsuite.TestWorkflowEnvironment) {
		env.RegisterDelayedCallback(func() {
			env.UpdateWorkflow(rotation.SyncUpdate, "one", &testsuite.TestUpdateCallback{
				OnAccept: func() {}, OnReject: func(err error) { failed = err },
				OnComplete: func(got any, err error) { status, _ = got.(rotation.FleetStatus); failed = err },
			}, raw(`{"Input":{"Tag":"other","Defaults":{"TimeZone":"Asia/Tokyo"}}}`))
		}, time.Minute)
	})
	if err != nil || failed != nil || status.Tag != "t" || status.LastPass == nil || status.LastPass.Started != 1 {
		t.Fatalf("%+v, %v, %v", status, failed, err)
	}
	if got := s.started["a"].TimeZone; got != "Asia/Tokyo" {
		t.Errorf("started with time zone %q", got)
	}
	if p := state.LastPass; p.Failed != 1 || !strings.Contains(p.Problems[0], "stubborn: not rescheduled: ") ||
		!p.StartedAt.Equal(start.Add(time.Minute)) {
		t.Errorf("%+v", p)
	}
}

func TestAFleetStopsAndLeavesItsRotations(t *testing.T) {
	t.Parallel()
	s := &tags{secrets: tagged("a", "30d")}
	for _, stop := range []func(*testsuite.TestWorkflowEnvironment){
		func(env *testsuite.TestWorkflowEnvironment) { env.CancelWorkflow() },
		func(env *testsuite.TestWorkflowEnvironment) {
			env.UpdateWorkflow(rotation.StopUpdate, "stop", &testsuite.TestUpdateCallback{OnAccept: func() {}, OnReject: func(error) {},
				OnComplete: func(any, error) {}}, rotation.Sender{})
		},
	} {
		state, err := s.pass(t, start, rotation.SyncFleetInput{}, &rotation.FleetState{NextPass: start.Add(time.Hour)},
			func(env *testsuite.TestWorkflowEnvironment) {
				env.RegisterDelayedCallback(func() { stop(env) }, time.Minute)
			})
		if state != nil || err != nil && !temporal.IsCanceledError(err) || len(s.started)+len(s.signals) != 0 {
			t.Errorf("%+v, %v, started %v, signals %v", state, err, s.started, s.signals)
		}
	}
	if _, err := s.pass(t, start, raw(`{"Every":"1s"}`), nil, nil); err == nil || !strings.Contains(err.Error(), "Every") {
		t.Errorf("wrong input: %v", err)
	}
}

// TestTheFirstRotationHasItsOwnTime starts many secrets with FirstRotationWithin, and checks when
// each rotates.
func TestTheFirstRotationHasItsOwnTime(t *testing.T) {
	t.Parallel()
	days := map[int]int{}
	for i := range 70 {
		w := newWorld()
		r := execute(t, w, start, rotation.RotateUserInput{SecretID: fmt.Sprintf("shop/%d", i),
			FirstRotationWithin: rotation.Duration(7 * 24 * time.Hour)}, nil, nil)
		if r.err != nil || len(w.promoted) != 1 || w.calls[0] != rotation.PlanRotation {
			t.Fatalf("%v, calls %v", r.err, w.calls)
		}
		days[int(w.promoted[0].Sub(start).Hours()/24)]++
	}
	for day := range 7 {
		if days[day] < 3 {
			t.Errorf("%d of 70 rotated on day %d: want them spread evenly: %v", days[day], day, days)
		}
	}
	if len(days) != 7 {
		t.Errorf("rotated on the days %v", days)
	}
}

// TestATagDoesNotChangeWhatAFileDeclares lets tags meet rotations that a file declares, that were started by hand, and that
// an earlier release of the workflow started.
func TestATagDoesNotChangeWhatAFileDeclares(t *testing.T) {
	t.Parallel()
	s := &tags{secrets: tagged("file", "7d", "hand", "7d", "off", "off", "handoff", "off", "old", "7d", "own", "7d"),
		running: []string{"file", "hand", "off", "handoff", "old", "own", "gone"},
		owners:  map[string]string{"file": "file shop", "hand": "", "handoff": "", "off": "file", "old": ""}}
	state := &rotation.FleetState{Managed: map[string]rotation.Managed{"old": {Schedule: "x"}, "file": {Schedule: "x"}}}
	state, err := s.pass(t, start, rotation.SyncFleetInput{}, state, nil)
	if want := []string{"hand: reschedule for default-test-workflow-id", "handoff: stop", "old: reschedule for default-test-workflow-id",
		"own: reschedule"}; err != nil || !slices.Equal(slices.Sorted(slices.Values(s.signals)), want) {
		t.Fatalf("signals %v, want %v; %v", s.signals, want, err)
	}
	p := state.LastPass
	if p.Elsewhere != 2 || p.Deferred != 1 || !slices.Equal(p.Skips, []string{
		"file: its rotation is declared by file shop. To let the tag declare it, run: starter stop --secret-id file",
		"off: its rotation is declared by file. To let the tag declare it, run: starter stop --secret-id off",
	}) {
		t.Errorf("%+v", p)
	}
	// "gone" and "hand" have lost their tags. This workflow declared "gone" before it was stopped and started
	// again, and waits for a second look at "hand".
	s.secrets, s.signals, s.running = tagged("old", "7d", "own", "7d"), nil, []string{"file", "hand", "off", "old", "own", "gone"}
	state, err = s.pass(t, start, rotation.SyncFleetInput{}, state, nil)
	if err != nil || !slices.Equal(s.signals, []string{"gone: stop"}) || state.LastPass.Elsewhere != 0 || len(state.Managed) != 3 {
		t.Errorf("signals %v; %+v; %v", s.signals, state, err)
	}
}
