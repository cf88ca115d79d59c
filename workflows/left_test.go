package workflows_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/mock"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/rotate-user/rotate-user/rotation"
)

// life is one rotation workflow over many runs.
type life struct {
	*testing.T

	w     *world
	in    any
	state *rotation.State
	at    time.Time
	last  run
}

func (l *life) run(during func(*testsuite.TestWorkflowEnvironment)) {
	l.Helper()
	if l.in == nil {
		l.in, l.at = input(nil), start
	}
	l.last = execute(l.T, l.w, l.at, l.in, l.state, during)
	if l.last.err != nil || l.last.state == nil {
		l.Fatalf("ended as %+v, %v", l.last.status, l.last.err)
	}
	l.in, l.state, l.at = l.last.input, l.last.state, l.last.env.Now()
}

func (l *life) status() (s rotation.Status) {
	l.Helper()
	v, err := l.last.env.QueryWorkflow(rotation.StatusQuery)
	if err != nil || v.Get(&s) != nil {
		l.Fatal(err)
	}
	return s
}

// memo records what the memo says about accounts that still log in.
func memo(t *testing.T, during func(*testsuite.TestWorkflowEnvironment), told *[]string) func(*testsuite.TestWorkflowEnvironment) {
	t.Helper()
	return func(env *testsuite.TestWorkflowEnvironment) {
		env.OnUpsertMemo(mock.Anything).Run(func(args mock.Arguments) {
			*told = append(*told, args.Get(0).(map[string]any)[rotation.OpenAccountsMemo].(string))
		}).Return(nil).Maybe()
		if during != nil {
			during(env)
		}
	}
}

func sends(signal string, arg any) func(*testsuite.TestWorkflowEnvironment) {
	return func(env *testsuite.TestWorkflowEnvironment) {
		env.RegisterDelayedCallback(func() { env.SignalWorkflow(signal, arg) }, 10*time.Second)
	}
}

// When something else deletes a secret, two accounts remain that log in. The rotation says so as
// soon as it notices.
func TestARotationSaysThatTheAccountsOfADeletedSecretAreOpen(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{rotation.ErrorDeleted, rotation.ErrorSecretGone} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			l := &life{T: t, w: newWorld()}
			l.run(nil)
			var told []string
			l.w.fail = func(string, int) error { return temporal.NewNonRetryableApplicationError("deleted", kind, nil) }
			l.run(memo(t, nil, &told))
			s := l.status()
			state := map[string]string{rotation.ErrorDeleted: "is scheduled for deletion", rotation.ErrorSecretGone: "is gone"}[kind]
			if len(s.Warnings) != 1 || s.Deleted == nil || !slices.Equal(told, s.Warnings) {
				t.Fatalf("warnings %q, deleted %+v, told %q: want one warning", s.Warnings, s.Deleted, told)
			}
			for _, want := range []string{"MySecret " + state, "app_clone and app on db:3306 still log in", "starter delete --secret-id MySecret"} {
				if !strings.Contains(s.Warnings[0], want) || !strings.Contains(details(t, l.last.env), want) {
					t.Errorf("%q, or the details, do not say %q", s.Warnings[0], want)
				}
			}
			l.run(memo(t, nil, &told))
			if len(told) != 1 {
				t.Errorf("the memo was written again: %q", told)
			}
			l.run(memo(t, sends("pause", raw(`{"Deletion":true}`)), &told))
			if s := l.status(); len(s.Warnings) != 0 || len(told) != 2 || told[1] != "" {
				t.Errorf("while a deletion holds the rotation, the warnings are %q, the memo %q", s.Warnings, told)
			}
			l.run(memo(t, sends("resume", raw(`{"Deletion":true}`)), &told))
			if s := l.status(); len(s.Warnings) != 0 || len(told) != 2 {
				t.Errorf("after the deletion of a restored secret, the warnings are %q, the memo %q", s.Warnings, told)
			}
			l.run(sends(rotation.SecretSeenSignal, raw(`{"Fate":"Gone"}`)))
			l.w.fail = nil
			l.run(memo(t, nil, &told))
			if s := l.status(); len(s.Warnings) != 0 || s.Deleted != nil || told[len(told)-1] != "" {
				t.Errorf("after a restore, the warnings are %q, the memo %q", s.Warnings, told)
			}
		})
	}
}

func TestARotationIsToldOfItsSecret(t *testing.T) {
	t.Parallel()
	l := &life{T: t, w: newWorld()}
	l.run(nil)
	for _, c := range []struct {
		arg  string
		want *bool // whether the secret is gone; nil if it is not deleted
	}{
		{`{"Fate":"Scheduled"}`, new(bool)},
		{`{"Fate":"Gone"}`, func() *bool { yes := true; return &yes }()},
		{`{"Fate":"Restored"}`, nil},
	} {
		l.run(sends(rotation.SecretSeenSignal, raw(c.arg)))
		if got := l.status().Deleted; (got == nil) != (c.want == nil) || got != nil && got.Gone != *c.want {
			t.Errorf("%s: deleted %+v", c.arg, got)
		}
	}
	if n := len(l.w.promoted); n != 1 {
		t.Errorf("%d rotations: want no rotation because of a message", n)
	}
}

// A rotation that has never seen a pair knows no accounts.
func TestARotationWithoutAPairHasNothingOpen(t *testing.T) {
	t.Parallel()
	l := &life{T: t, w: newWorld()}
	l.w.fail = func(string, int) error {
		return temporal.NewNonRetryableApplicationError("deleted", rotation.ErrorDeleted, nil)
	}
	l.run(nil)
	if s := l.status(); len(s.Warnings) != 0 || s.Deleted != nil {
		t.Errorf("warnings %q, deleted %+v", s.Warnings, s.Deleted)
	}
}

// A secret that was edited to hold another user leaves a pair behind that nothing else knows about.
func TestARotationKeepsThePairThatItsSecretWasForBefore(t *testing.T) {
	t.Parallel()
	l := &life{T: t, w: newWorld()}
	l.run(nil)
	l.run(nil)
	stored := l.state.Stored
	if len(stored) != 2 {
		t.Fatalf("stored is %v", stored)
	}
	var told []string
	l.w.inUse, l.w.standby = "new", "new_clone"
	l.run(memo(t, nil, &told))
	s := l.status()
	want := []rotation.KnownPair{{Usernames: []string{"app", "app_clone"}, Server: "db:3306", MasterSecretID: "master", Stored: stored,
		LeftAt: l.at}}
	if diff := cmp.Diff(want, s.Left); diff != "" {
		t.Error(diff)
	}
	if s.Pair == nil || !slices.Equal(s.Pair.Usernames, []string{"new_clone", "new"}) || s.SecretARN != "arn" {
		t.Errorf("the pair is %+v, the ARN %q", s.Pair, s.SecretARN)
	}
	if len(s.Warnings) != 1 || !slices.Equal(told, s.Warnings) || !slices.Contains(s.Rotations[0].Warnings, s.Warnings[0]) {
		t.Fatalf("warnings %q, memo %q, result %q", s.Warnings, told, s.Rotations[0].Warnings)
	}
	for _, want := range []string{"app and app_clone on db:3306", "still log in", "starter delete", "starter dismiss --secret-id MySecret"} {
		if !strings.Contains(s.Warnings[0], want) || !strings.Contains(details(t, l.last.env), want) {
			t.Errorf("%q, or the details, do not say %q", s.Warnings[0], want)
		}
	}

	l.w.gone = []string{"app"}
	l.run(nil)
	if got := l.w.inputs[len(l.w.inputs)-1].Left; len(got) != 1 || len(got[0].Usernames) != 2 {
		t.Errorf("the step's input was %+v", got)
	}
	if s := l.status(); len(s.Left) != 1 || !slices.Equal(s.Left[0].Usernames, []string{"app_clone"}) || len(s.Rotations[0].Warnings) != 0 {
		t.Errorf("Left is %+v, and the result's warnings are %q", s.Left, s.Rotations[0].Warnings)
	}
	l.run(memo(t, sends(rotation.DismissUpdate, nil), &told))
	if s := l.status(); len(s.Left) != 0 || len(s.Warnings) != 0 || told[len(told)-1] != "" {
		t.Errorf("after the dismissal, the warnings are %q, the memo %q", s.Warnings, told)
	}
}

func TestAPairIsNotLeftThatIsInUseAgain(t *testing.T) {
	t.Parallel()
	l := &life{T: t, w: newWorld()}
	l.run(nil)
	l.run(nil)
	stored := l.state.Stored
	l.w.inUse, l.w.standby = "new", "new_clone"
	l.run(nil)
	l.w.inUse, l.w.standby = "app", "app_clone"
	l.run(nil)
	s := l.status()
	if len(s.Left) != 1 || !slices.Equal(s.Left[0].Usernames, []string{"new_clone", "new"}) {
		t.Errorf("Left is %+v: want the other pair", s.Left)
	}
	if got := l.state.Stored["app"]; got != stored["app"] {
		t.Errorf("Stored for app is %q: want it unchanged, %q", got, stored["app"])
	}
	// The same names on another server are other accounts.
	l.w.host = "elsewhere:3306"
	l.run(nil)
	if s := l.status(); len(s.Left) != 2 || s.Left[1].Server != "db:3306" {
		t.Errorf("Left is %+v: want the pair on the other server, too", s.Left)
	}
	for i := range 20 {
		l.w.inUse, l.w.standby = fmt.Sprint("u", i), fmt.Sprint("u", i, "_clone")
		l.run(nil)
	}
	if n := len(l.status().Left); n != 10 {
		t.Errorf("%d pairs are kept: want a limit", n)
	}
}

// continued returns what a deletion hands to its next run, or nil if it has ended.
func continued(t *testing.T, err error) *rotation.DeletionState {
	t.Helper()
	var next *workflow.ContinueAsNewError
	if !errors.As(err, &next) {
		return nil
	}
	var in rotation.DeleteUserInput
	state := new(rotation.DeletionState)
	if err := converter.GetDefaultDataConverter().FromPayloads(next.Input, &in, state); err != nil {
		t.Fatal(err)
	}
	return state
}
