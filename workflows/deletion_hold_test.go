package workflows_test

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"go.temporal.io/api/sdk/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

	"github.com/rotate-user/rotate-user/rotation"
)

func TestADeletionHoldsTheRotationAsADeletion(t *testing.T) {
	t.Parallel()
	denied := temporal.NewNonRetryableApplicationError("denied", "AccessDenied", nil)
	for _, c := range []struct {
		name     string
		found    rotation.Deletion
		deletion error
		fate     rotation.SecretFate
		want     []string
	}{
		{"restored", rotation.Deletion{SecretARN: "arn"}, nil, rotation.SecretRestored, []string{"pause of a deletion", "resume of a deletion"}},
		{"gone", rotation.Deletion{SecretARN: "arn"}, nil, rotation.SecretGone, []string{"pause of a deletion", "stop of a deletion"}},
		{"failed", rotation.Deletion{SecretARN: "arn"}, denied, "", []string{"pause of a deletion", "resume of a deletion"}},
		// An earlier release paused the rotation as an operator would, so the resume must look like
		// an operator's, too.
		{"begun by an earlier release", rotation.Deletion{}, nil, rotation.SecretRestored, []string{"pause", "resume"}},
		{"spelled differently", rotation.Deletion{SecretARN: "arn", RotatedAs: "name"}, nil, rotation.SecretGone,
			[]string{"pause of a deletion", "stop of a deletion"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			env := environment()
			env.RegisterActivityWithOptions(func(context.Context, rotation.CloneUserInput) (rotation.Deletion, error) {
				c.found.SecretID = "s"
				return c.found, nil
			}, activity.RegisterOptions{Name: rotation.FindAccounts})
			env.RegisterActivityWithOptions(func(context.Context, rotation.Deletion) (time.Time, error) {
				return start.AddDate(0, 0, 7), c.deletion
			}, activity.RegisterOptions{Name: rotation.DeleteSecret})
			env.RegisterActivityWithOptions(func(context.Context, rotation.Deletion) (rotation.SecretFate, error) {
				return c.fate, nil
			}, activity.RegisterOptions{Name: rotation.LookAtSecret})
			for _, name := range []string{rotation.LockAccounts, rotation.UnlockAccounts, rotation.DropAccounts} {
				env.RegisterActivityWithOptions(func(context.Context, rotation.Deletion) error { return nil }, activity.RegisterOptions{Name: name})
			}
			var sent []string
			env.OnSignalExternalWorkflow(mock.Anything, "rotate-user/"+cmp.Or(c.found.RotatedAs, "s"), mock.Anything, mock.Anything,
				mock.Anything).Return(
				func(_, _, _, signal string, arg any) error {
					if sender, ok := arg.(rotation.Sender); ok && sender.Deletion {
						signal += " of a deletion"
					}
					sent = append(sent, signal)
					return nil
				})
			env.ExecuteWorkflow(rotation.DeleteUserWorkflow, raw(`{"SecretId":"s"}`))
			if err := env.GetWorkflowError(); (err == nil) != (c.deletion == nil) {
				t.Fatal(err)
			}
			if !slices.Equal(sent, c.want) {
				t.Errorf("the rotation received %q: want %q", sent, c.want)
			}
		})
	}
}

func TestADeletionShowsWhatHoldsItUp(t *testing.T) {
	t.Parallel()
	env := environment()
	failing := map[string]string{rotation.LockAccounts: "db does not answer"}
	fate := rotation.SecretScheduled
	step := func(name string) error {
		if text := failing[name]; text != "" {
			return temporal.NewApplicationErrorWithOptions(text, "", temporal.ApplicationErrorOptions{NonRetryable: name != rotation.LockAccounts})
		}
		return nil
	}
	for _, name := range []string{rotation.LockAccounts, rotation.DropAccounts} {
		env.RegisterActivityWithOptions(func(context.Context, rotation.Deletion) error { return step(name) },
			activity.RegisterOptions{Name: name})
	}
	env.RegisterActivityWithOptions(func(context.Context, rotation.Deletion) (rotation.SecretFate, error) {
		return fate, step(rotation.LookAtSecret)
	}, activity.RegisterOptions{Name: rotation.LookAtSecret})
	env.OnSignalExternalWorkflow(mock.Anything, mock.Anything, mock.Anything, mock.Anything, mock.Anything).Return(nil)

	// Each stage is checked after its steps have been retried. The lock, which is retried for
	// minutes, is then running or has just completed.
	at := time.Duration(0)
	stage := func(name string, after time.Duration, change func(), wantError string, wantLocked bool, wantDetails ...string) {
		env.RegisterDelayedCallback(change, at+time.Minute)
		at += after
		env.RegisterDelayedCallback(func() {
			var state rotation.DeletionState
			v, err := env.QueryWorkflow(rotation.StatusQuery)
			if err != nil || v.Get(&state) != nil || state.Error != wantError || state.Locked != wantLocked {
				t.Errorf("%s: state %+v, %v: want the error %q, locked %t", name, state, err, wantError, wantLocked)
			}
			v, err = env.QueryWorkflow("__temporal_workflow_metadata")
			var metadata sdk.WorkflowMetadata
			if err != nil || v.Get(&metadata) != nil {
				t.Fatalf("%s: metadata: %v", name, err)
			}
			for _, want := range wantDetails {
				if !strings.Contains(metadata.CurrentDetails, want) {
					t.Errorf("%s: details %q do not say %q", name, metadata.CurrentDetails, want)
				}
			}
			if wantError == "" && strings.Contains(metadata.CurrentDetails, "failed") {
				t.Errorf("%s: details %q still show a failure that is over", name, metadata.CurrentDetails)
			}
		}, at)
	}
	stage("not locked", 20*time.Minute, func() {}, "db does not answer", false, "not locked yet", "db does not answer", "every five minutes")
	stage("locked", 4*time.Minute, func() { delete(failing, rotation.LockAccounts) }, "", true, "accounts are locked")
	stage("not looked at", 20*time.Minute, func() { failing[rotation.LookAtSecret] = "denied" }, "denied", true, "accounts are locked",
		"denied")
	stage("looked at", 20*time.Minute, func() { delete(failing, rotation.LookAtSecret) }, "", true)
	stage("not dropped", 20*time.Minute, func() { fate, failing[rotation.DropAccounts] = rotation.SecretGone, "a definer" }, "a definer",
		true, "is gone", "being dropped", "a definer")
	env.RegisterDelayedCallback(func() { delete(failing, rotation.DropAccounts) }, at+time.Minute)

	env.ExecuteWorkflow(rotation.DeleteUserWorkflow, raw(`{"SecretId":"s"}`),
		&rotation.DeletionState{Deletion: rotation.Deletion{SecretID: "s"}, DeletionDate: start.AddDate(0, 0, 7)})
	if err := env.GetWorkflowError(); err != nil {
		t.Error(err)
	}
}

func TestARefusedDeletionLeavesTheRotationAlone(t *testing.T) {
	t.Parallel()
	env := environment()
	env.RegisterActivityWithOptions(func(context.Context, rotation.CloneUserInput) (rotation.Deletion, error) {
		return rotation.Deletion{}, temporal.NewNonRetryableApplicationError("another workflow's", "NotOurs", nil)
	}, activity.RegisterOptions{Name: rotation.FindAccounts})
	env.OnSignalExternalWorkflow(mock.Anything, mock.Anything, mock.Anything, mock.Anything, mock.Anything).Return(
		func(_, workflowID, _, signal string, _ any) error {
			t.Errorf("%s received %s", workflowID, signal)
			return nil
		}).Maybe()
	env.ExecuteWorkflow(rotation.DeleteUserWorkflow, raw(`{"SecretId":"s"}`))
	if err := env.GetWorkflowError(); err == nil || !strings.Contains(err.Error(), "another workflow's") {
		t.Errorf("ended with %v", err)
	}
}
