package workflows_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

	"github.com/rotate-user/rotate-user/rotation"
)

// A plan or a validation that finds a deleted secret tells the rotation, which would otherwise not
// notice until it next rotates.
func TestAPlanAndAValidationTellTheRotationOfADeletedSecret(t *testing.T) {
	t.Parallel()
	known := &rotation.State{Usernames: []string{"u", "u_clone"}, DatabaseHost: "db:3306"}
	restored := &rotation.State{Usernames: known.Usernames, Deleted: &rotation.DeletedSecret{}}
	for _, c := range []struct {
		name  string
		known *rotation.State
		err   error
		want  []rotation.SecretFate
	}{
		{"scheduled", known, temporal.NewNonRetryableApplicationError("x", rotation.ErrorDeleted, nil),
			[]rotation.SecretFate{rotation.SecretScheduled}},
		{"gone", known, temporal.NewNonRetryableApplicationError("x", rotation.ErrorSecretGone, nil), []rotation.SecretFate{rotation.SecretGone}},
		{"another error", known, temporal.NewNonRetryableApplicationError("x", rotation.ErrorTLS, nil), nil},
		{"no rotation", nil, temporal.NewNonRetryableApplicationError("x", rotation.ErrorDeleted, nil), nil},
		{"well", known, nil, nil},
		{"restored", restored, nil, []rotation.SecretFate{rotation.SecretRestored}},
		{"known to be scheduled", restored, temporal.NewNonRetryableApplicationError("x", rotation.ErrorDeleted, nil), nil},
	} {
		for _, name := range []string{rotation.ValidateSecret, rotation.PlanRotation} {
			t.Run(name+" "+c.name, func(t *testing.T) {
				t.Parallel()
				env := environment()
				env.RegisterActivityWithOptions(func(_ context.Context, in rotation.KnownSecret) (r rotation.ValidateSecretResult, err error) {
					if c.known == known && (len(in.Known.Usernames) != 2 || in.Known.Server != "db:3306") {
						t.Errorf("the step's input was %+v", in)
					}
					return r, c.err
				}, activity.RegisterOptions{Name: rotation.ValidateSecret})
				env.RegisterActivityWithOptions(func(context.Context, rotation.PlanRotationInput) (r rotation.PlanRotationResult, err error) {
					return r, c.err
				}, activity.RegisterOptions{Name: rotation.PlanRotation})
				var told []rotation.SecretFate
				env.OnSignalExternalWorkflow(mock.Anything, "rotate-user/s", mock.Anything, rotation.SecretSeenSignal, mock.Anything).Return(
					func(_, _, _, _ string, arg any) error {
						told = append(told, arg.(rotation.SecretSeen).Fate)
						return nil
					}).Maybe()
				args := []any{raw(`{"SecretId":"s"}`)}
				if c.known != nil {
					args = append(args, c.known)
				}
				env.ExecuteWorkflow(map[string]string{rotation.ValidateSecret: rotation.ValidateSecretWorkflow,
					rotation.PlanRotation: rotation.PlanRotationWorkflow}[name], args...)
				if !slices.Equal(told, c.want) || (env.GetWorkflowError() == nil) != (c.err == nil) {
					t.Errorf("the rotation received %q, %v: want %q", told, env.GetWorkflowError(), c.want)
				}
			})
		}
	}
}

func TestALookTellsTheRotationWhatIsNews(t *testing.T) {
	t.Parallel()
	at := func(gone bool) *rotation.DeletedSecret { return &rotation.DeletedSecret{Gone: gone} }
	for _, c := range []struct {
		fate    rotation.SecretFate
		deleted *rotation.DeletedSecret
		told    bool
	}{
		{rotation.SecretRestored, nil, false},
		{rotation.SecretRestored, at(false), true},
		{rotation.SecretScheduled, nil, true},
		{rotation.SecretScheduled, at(false), false},
		{rotation.SecretGone, at(false), true},
		{rotation.SecretGone, at(true), false},
	} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			t.Parallel()
			d := newDeleting()
			d.fate = func() rotation.SecretFate { return c.fate }
			d.env.ExecuteWorkflow(rotation.LookAtSecretWorkflow, raw(`{"SecretId":"s"}`),
				&rotation.State{Usernames: []string{"u", "u_clone"}, Deleted: c.deleted})
			var fate rotation.SecretFate
			if err := d.env.GetWorkflowError(); err != nil || d.env.GetWorkflowResult(&fate) != nil || fate != c.fate ||
				(len(d.calls) == 1) != c.told {
				t.Errorf("fate %q, %v, calls %v", fate, err, d.calls)
			}
		})
	}
}

// The accounts of a secret that is gone stay, locked, for as long as a secret could have been
// restored.
func TestADeletionTakesOverASecretThatIsDeleted(t *testing.T) {
	t.Parallel()
	for _, gone := range []bool{true, false} {
		t.Run(fmt.Sprint("gone ", gone), func(t *testing.T) {
			t.Parallel()
			d := newDeleting()
			due := start.AddDate(0, 0, 7)
			d.found.Gone, d.found.ScheduledFor = gone, due
			d.fate = func() rotation.SecretFate {
				if !gone && d.env.Now().Before(due) {
					return rotation.SecretScheduled
				}
				return rotation.SecretGone
			}
			var ended []time.Time
			args := []any{raw(`{"SecretId":"s","RecoveryWindowInDays":7}`), nil, rotation.DeletionKnown{
				SecretARN: "arn", Pair: &rotation.KnownPair{Usernames: []string{"u", "u_clone"}, Server: "db:3306", MasterSecretID: "m",
					Stored: map[string]string{"u": "x"}},
				Left: []rotation.KnownPair{{Usernames: []string{"v"}}},
			}}
			var calls []string
			for len(ended) < 20 {
				d.env.ExecuteWorkflow(rotation.DeleteUserWorkflow, args...)
				calls, ended = append(calls, d.calls...), append(ended, d.env.Now())
				state := continued(t, d.env.GetWorkflowError())
				if state == nil {
					break
				}
				finds := d.finds
				next := newDeleting()
				next.env.SetStartTime(d.env.Now())
				next.fate, next.finds = d.fate, finds
				d = next
				args = []any{args[0], state}
			}
			want := []string{rotation.FindAccounts, "pause", rotation.LockAccounts, rotation.DropAccounts, "stop"}
			if err := d.env.GetWorkflowError(); err != nil || !slices.Equal(calls, want) {
				t.Errorf("calls %v, %v: want %v", calls, err, want)
			}
			if last := ended[len(ended)-1]; last.Before(due) || last.After(due.Add(10*time.Minute)) {
				t.Errorf("dropped at %s: want soon after %s", last, due)
			}
			in := d.finds[0]
			if !slices.Equal(in.Pair, []string{"u", "u_clone"}) || in.Server != "db:3306" || in.MasterKnown != "m" || in.SecretARN != "arn" ||
				len(in.Left) != 1 || in.Stored["u"] != "x" || in.RecoveryWindowInDays != 7 {
				t.Errorf("FindAccounts was called with %+v", in)
			}
		})
	}
}
