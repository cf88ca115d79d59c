package workflows

import (
	"errors"
	"maps"
	"slices"
	"testing"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/rotate-user/rotate-user/rotation"
)

// TestWhichMessagesEachPhaseTakes covers every message in every phase, with and without an earlier
// request to stop.
func TestWhichMessagesEachPhaseTakes(t *testing.T) {
	t.Parallel()
	const ok, just, gone = "", rotation.ErrorJustRotated, string(rotation.Stopped)
	phases := []phase{asleep, rotating, inGrace, leaving, stopped}
	want := map[string]struct{ normally, afterStop []string }{
		rotation.RotateUpdate:     {[]string{ok, ok, just, just, gone}, []string{gone, gone, gone, gone, gone}},
		revoke:                    {[]string{ok, ok, ok, just, gone}, []string{gone, gone, gone, gone, gone}},
		rotation.PauseUpdate:      {[]string{ok, ok, ok, ok, gone}, []string{ok, ok, ok, ok, gone}},
		rotation.ResumeUpdate:     {[]string{ok, ok, ok, ok, gone}, []string{ok, ok, ok, ok, gone}},
		rotation.RescheduleUpdate: {[]string{ok, ok, ok, ok, gone}, []string{ok, ok, ok, ok, gone}},
		rotation.StopUpdate:       {[]string{ok, ok, ok, ok, gone}, []string{ok, ok, ok, ok, gone}},
		rotation.DismissUpdate:    {[]string{ok, ok, ok, ok, gone}, []string{ok, ok, ok, ok, gone}},
		rotation.SecretSeenSignal: {[]string{ok, ok, ok, ok, gone}, []string{ok, ok, ok, ok, gone}},
	}
	messages := append([]string{revoke}, signals...)
	for _, all := range [][]string{slices.Collect(maps.Keys(takes)), slices.Collect(maps.Keys(want))} {
		if slices.Sort(all); !slices.Equal(all, slices.Sorted(slices.Values(messages))) {
			t.Fatalf("the table has the messages %q: want %q", all, messages)
		}
	}
	for _, name := range messages {
		for _, stop := range []bool{false, true} {
			for i, p := range phases {
				types := want[name].normally
				if stop {
					types = want[name].afterStop
				}
				if got := refusalOf(t, name, p, stop); got != types[i] {
					t.Errorf("%s in phase %d, stop requested %t: refusal %q, want %q", name, p, stop, got, types[i])
				}
			}
		}
	}
}

// refusalOf returns the type of the error with which a run refuses a message, or "" if it accepts
// it.
func refusalOf(t *testing.T, name string, p phase, stop bool) string {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestWorkflowEnvironment()
	env.ExecuteWorkflow(func(ctx workflow.Context) error {
		r := &rotator{input: rotation.RotateUserInput{SecretID: "MySecret"}, phase: p, asked: requests{stop: stop}}
		if p == rotating || p == inGrace {
			r.current = &rotation.Rotation{}
		}
		switch name {
		case rotation.RotateUpdate, revoke:
			return r.mayRotate(ctx, rotation.RotateRequest{RevokePrevious: name == revoke})
		default:
			return r.mayTake(name, rotation.Sender{})
		}
	})
	var app *temporal.ApplicationError
	if errors.As(env.GetWorkflowError(), &app) {
		return app.Type()
	}
	return ""
}
