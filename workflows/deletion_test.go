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

	"github.com/rotate-user/rotate-user/internal/grants"
	"github.com/rotate-user/rotate-user/rotation"
)

// deleting fakes the activities of one deletion, and records their calls.
type deleting struct {
	env   *testsuite.TestWorkflowEnvironment
	found rotation.Deletion
	fate  func() rotation.SecretFate
	fail  map[string]error // by step
	finds []rotation.FindAccountsInput
	looks []rotation.Deletion

	mu    sync.Mutex // a cancelled step may still run
	calls []string
}

func newDeleting() *deleting {
	d := &deleting{env: environment(), fail: map[string]error{}, fate: func() rotation.SecretFate { return rotation.SecretScheduled }}
	d.found = rotation.Deletion{SecretID: "s", SecretARN: "arn", Server: "db:3306",
		Accounts: []grants.Name{{User: "u", Host: "%"}, {User: "u_clone", Host: "%"}}}
	d.env.RegisterActivityWithOptions(func(_ context.Context, in rotation.FindAccountsInput) (rotation.Deletion, error) {
		d.finds = append(d.finds, in)
		return d.found, d.did(rotation.FindAccounts)
	}, activity.RegisterOptions{Name: rotation.FindAccounts})
	d.env.RegisterActivityWithOptions(func(_ context.Context, in rotation.Deletion) (time.Time, error) {
		return start.AddDate(0, 0, in.RecoveryWindowInDays), d.did(rotation.DeleteSecret)
	}, activity.RegisterOptions{Name: rotation.DeleteSecret})
	d.env.RegisterActivityWithOptions(func(_ context.Context, in rotation.Deletion) (rotation.SecretFate, error) {
		d.looks = append(d.looks, in)
		return d.fate(), d.fail[rotation.LookAtSecret]
	}, activity.RegisterOptions{Name: rotation.LookAtSecret})
	for _, name := range []string{rotation.LockAccounts, rotation.UnlockAccounts, rotation.DropAccounts} {
		d.env.RegisterActivityWithOptions(func(context.Context, rotation.Deletion) error { return d.did(name) },
			activity.RegisterOptions{Name: name})
	}
	d.env.OnSignalExternalWorkflow(mock.Anything, "rotate-user/s", mock.Anything, mock.Anything, mock.Anything).Return(
		func(_, _, _, signal string, _ any) error { return d.did(signal) }).Maybe()
	return d
}

func (d *deleting) did(step string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls = append(d.calls, step)
	return d.fail[step]
}

// A cancelled deletion leaves no account of a restored secret locked. For the accounts of other
// secrets, it says how to unlock them.
func TestACancelledDeletionLooksAtItsSecret(t *testing.T) {
	t.Parallel()
	denied := temporal.NewNonRetryableApplicationError("access denied", rotation.ErrorAccessDenied, nil)
	begun := []string{rotation.FindAccounts, "pause", rotation.DeleteSecret, rotation.LockAccounts}
	for _, c := range []struct {
		name string
		fate rotation.SecretFate
		fail map[string]error
		want []string // besides the steps that began it
		says []string // nil if the deletion ends as if it had not been cancelled
	}{
		{"restored", rotation.SecretRestored, nil, []string{rotation.UnlockAccounts, "resume"}, nil},
		{"scheduled", rotation.SecretScheduled, nil, nil,
			[]string{"stay locked", "'u'@'%'", "db:3306", "restore-secret --secret-id s", "starter recover --secret-id s",
				"starter delete --secret-id s"}},
		{"gone", rotation.SecretGone, nil, nil, []string{"gone", "stay locked", "starter delete --secret-id s"}},
		{"unknown", "", map[string]error{rotation.LookAtSecret: denied}, nil,
			[]string{"access denied", "stay locked", "starter recover --secret-id s"}},
		{"restored, not unlocked", rotation.SecretRestored, map[string]error{rotation.UnlockAccounts: denied}, []string{rotation.UnlockAccounts},
			[]string{"access denied", "stay locked", "starter recover --secret-id s"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := newDeleting()
			if c.fail != nil {
				d.fail = c.fail
			}
			d.fate = func() rotation.SecretFate { return c.fate }
			d.env.RegisterDelayedCallback(d.env.CancelWorkflow, time.Minute)
			d.env.ExecuteWorkflow(rotation.DeleteUserWorkflow, raw(`{"SecretId":"s"}`))
			if want := slices.Concat(begun, c.want); !slices.Equal(d.calls, want) {
				t.Errorf("calls %v: want %v", d.calls, want)
			}
			var result rotation.DeleteUserResult
			err := d.env.GetWorkflowError()
			if c.says == nil {
				if err != nil || d.env.GetWorkflowResult(&result) != nil || result.Fate != c.fate || len(result.Accounts) != 2 {
					t.Errorf("ended with %+v, %v", result, err)
				}
				return
			}
			var cancelled *temporal.CanceledError
			if !errors.As(err, &cancelled) || cancelled.Details(&result) != nil {
				t.Fatalf("ended with %v: want a cancellation, with a result", err)
			}
			var state rotation.DeletionState
			if v, err := d.env.QueryWorkflow(rotation.StatusQuery); err != nil || v.Get(&state) != nil || state.Cancelled != result.Advice {
				t.Errorf("its status is %+v, %v", state, err)
			}
			for _, want := range c.says {
				if !strings.Contains(result.Advice, want) {
					t.Errorf("%q does not say %q", result.Advice, want)
				}
			}
		})
	}
}

// A cancellation during a step does not leave the effects of that step behind.
func TestACancellationDoesNotCutTheBeginningOfADeletion(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		during string
		fate   rotation.SecretFate
		want   []string
	}{
		{rotation.DeleteSecret, rotation.SecretScheduled, []string{rotation.FindAccounts, "pause", rotation.DeleteSecret}},
		{rotation.LockAccounts, rotation.SecretRestored, []string{rotation.FindAccounts, "pause", rotation.DeleteSecret,
			rotation.UnlockAccounts, "resume"}},
	} {
		t.Run(c.during, func(t *testing.T) {
			t.Parallel()
			d := newDeleting()
			d.fate = func() rotation.SecretFate { return c.fate }
			d.env.SetOnActivityStartedListener(func(info *activity.Info, _ context.Context, _ converter.EncodedValues) {
				if info.ActivityType.Name == c.during {
					d.env.CancelWorkflow()
				}
			})
			d.env.ExecuteWorkflow(rotation.DeleteUserWorkflow, raw(`{"SecretId":"s"}`))
			d.mu.Lock()
			defer d.mu.Unlock()
			// It is not known whether a cancelled step has started.
			if did := slices.DeleteFunc(d.calls, func(step string) bool { return step == rotation.LockAccounts }); !slices.Equal(did, c.want) {
				t.Errorf("calls %v: want %v", did, c.want)
			}
		})
	}
}

// A deletion that was cancelled or terminated resumes where it stopped. If the secret was restored,
// the deletion starts from the beginning.
func TestADeletionIsTakenUpAgain(t *testing.T) {
	t.Parallel()
	before := []grants.Name{{User: "u_clone", Host: "%"}}
	for _, c := range []struct {
		name   string
		fate   rotation.SecretFate // when the deletion resumes
		locked bool
		want   []string
	}{
		{"scheduled", rotation.SecretScheduled, true, []string{"pause", rotation.UnlockAccounts, "resume"}},
		{"scheduled, not locked", rotation.SecretScheduled, false, []string{"pause", rotation.LockAccounts, rotation.UnlockAccounts, "resume"}},
		{"gone", rotation.SecretGone, true, []string{"pause", rotation.DropAccounts, "stop"}},
		{"restored", rotation.SecretRestored, true, []string{rotation.FindAccounts, "pause", rotation.DeleteSecret, rotation.LockAccounts,
			rotation.UnlockAccounts, "resume"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := newDeleting()
			looks := 0
			d.fate = func() rotation.SecretFate {
				if looks++; looks == 1 || c.fate == rotation.SecretGone {
					return c.fate
				}
				return rotation.SecretRestored
			}
			d.found.LockedBefore = before
			d.env.ExecuteWorkflow(rotation.DeleteUserWorkflow, raw(`{"SecretId":"s"}`), nil, rotation.DeletionKnown{Earlier: &rotation.DeletionState{
				Deletion: d.found, DeletionDate: start.AddDate(0, 0, 7), Locked: c.locked, Cancelled: "it was",
			}})
			if err := d.env.GetWorkflowError(); err != nil || !slices.Equal(d.calls, c.want) {
				t.Errorf("calls %v, %v: want %v", d.calls, err, c.want)
			}
			if len(d.finds) == 1 && (!d.finds[0].Held || !slices.Equal(d.finds[0].LockedBefore, before)) {
				t.Errorf("FindAccounts was called with %+v", d.finds[0])
			}
		})
	}
}

// A deletion was cancelled, its secret is gone, and another secret has the name now. Deleting that
// one must not confuse its rotation or its accounts with those of the first.
func TestADeletionOfALaterSecretOfTheNameIsAnother(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		arn  string // from the rotation of the secret
		held bool   // locked accounts may have been locked by the first deletion
	}{
		{"rotated", "arn-later", false},
		{"not rotated", "", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := newDeleting()
			earlier := d.found
			earlier.Accounts = []grants.Name{{User: "before", Host: "%"}, {User: "u", Host: "%"}}
			d.found.SecretARN = "arn-later"
			d.fate = func() rotation.SecretFate {
				if d.looks[len(d.looks)-1].SecretARN == earlier.SecretARN {
					return rotation.SecretGone
				}
				return rotation.SecretRestored
			}
			d.env.ExecuteWorkflow(rotation.DeleteUserWorkflow, raw(`{"SecretId":"s"}`), nil,
				rotation.DeletionKnown{SecretARN: c.arn, Earlier: &rotation.DeletionState{
					Deletion: earlier, DeletionDate: start.AddDate(0, 0, -7), Locked: true, Cancelled: "it was",
				}})
			want := []string{rotation.FindAccounts, "pause", rotation.DeleteSecret, rotation.LockAccounts, rotation.UnlockAccounts, "resume"}
			if err := d.env.GetWorkflowError(); err != nil || !slices.Equal(d.calls, want) {
				t.Fatalf("calls %v, %v: want %v", d.calls, err, want)
			}
			if d.finds[0].Held != c.held {
				t.Errorf("FindAccounts was called with %+v", d.finds[0])
			}
			v, err := d.env.QueryWorkflow(rotation.StatusQuery)
			var state rotation.DeletionState
			if err != nil || v.Get(&state) != nil || !slices.Equal(state.Deletion.Others, earlier.Accounts[:1]) {
				t.Errorf("Others are %v, %v: want the accounts of the first secret", state.Deletion.Others, err)
			}
		})
	}
}

// A recovery passes what it knows of the deletion to the step, and resumes the rotation.
func TestARecoveryLetsARotationGoThatADeletionHeld(t *testing.T) {
	t.Parallel()
	earlier := &rotation.DeletionState{Deletion: rotation.Deletion{Accounts: []grants.Name{{User: "u", Host: "%"}, {User: "v", Host: "%"}},
		LockedBefore: []grants.Name{{User: "v", Host: "%"}}}}
	for _, c := range []struct {
		name     string
		known    *rotation.State
		earlier  *rotation.DeletionState
		unlocked []string
		want     []string
	}{
		{"held", &rotation.State{Held: true}, nil, nil, []string{"held true, locked [], before []", "resume"}},
		{"locked", nil, earlier, []string{"'u'@'%'"}, []string{"held false, locked ['u'@'%'], before ['v'@'%']", "resume"}},
		{"neither", nil, nil, nil, []string{"held false, locked [], before []"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := newDeleting()
			d.env.RegisterActivityWithOptions(func(_ context.Context, in rotation.RecoverSecretInput) (r rotation.RecoverSecretResult, err error) {
				d.calls = append(d.calls, fmt.Sprintf("held %t, locked %v, before %v", in.Held, in.Locked, in.LockedBefore))
				r.Unlocked = c.unlocked
				return r, nil
			}, activity.RegisterOptions{Name: rotation.RecoverSecret})
			args := []any{raw(`{"SecretId":"s"}`), c.known}
			if c.earlier != nil {
				args = append(args, c.earlier)
			}
			d.env.ExecuteWorkflow(rotation.RecoverSecretWorkflow, args...)
			if err := d.env.GetWorkflowError(); err != nil || !slices.Equal(d.calls, c.want) {
				t.Errorf("calls %q, %v: want %q", d.calls, err, c.want)
			}
		})
	}
}
