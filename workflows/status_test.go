package workflows_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/mock"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/rotate-user/rotate-user/rotation"
	"github.com/rotate-user/rotate-user/workflows"
)

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
