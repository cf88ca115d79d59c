package workflows_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/rotate-user/rotate-user/internal/grants"
	"github.com/rotate-user/rotate-user/rotation"
	"github.com/rotate-user/rotate-user/workflows"
)

func environment() *testsuite.TestWorkflowEnvironment {
	env := newEnvironment()
	env.SetStartTime(start)
	workflows.Register(env, workflows.Workflows{})
	return env
}

func TestCreateUserMakesTheAccountBeforeTheSecretAndValidates(t *testing.T) {
	t.Parallel()
	env := environment()
	var calls []string
	for _, name := range []string{rotation.CreateAccount, rotation.StoreSecret} {
		env.RegisterActivityWithOptions(func(_ context.Context, in rotation.CreateAccountInput) error {
			if in.Account != (grants.Name{User: "mytestuser", Host: "%"}) {
				t.Errorf("account %s", in.Account)
			}
			calls = append(calls, name)
			return nil
		}, activity.RegisterOptions{Name: name})
	}
	env.RegisterActivityWithOptions(func(context.Context, rotation.KnownSecret) (rotation.ValidateSecretResult, error) {
		calls = append(calls, rotation.ValidateSecret)
		return rotation.ValidateSecretResult{Username: "mytestuser"}, nil
	}, activity.RegisterOptions{Name: rotation.ValidateSecret})
	env.ExecuteWorkflow(rotation.CreateUserWorkflow, raw(`{"SecretId":"s","MasterSecretId":"m","Username":"mytestuser","Grants":["SELECT ON *.*"]}`))
	if err := env.GetWorkflowError(); err != nil {
		t.Fatal(err)
	}
	if want := []string{rotation.CreateAccount, rotation.StoreSecret, rotation.ValidateSecret}; !slices.Equal(calls, want) {
		t.Errorf("steps %v: want %v", calls, want)
	}
}

// TestCreateUserSaysWhatItLeavesBehind checks that a creation whose last step fails names what it
// has created.
func TestCreateUserSaysWhatItLeavesBehind(t *testing.T) {
	t.Parallel()
	env := environment()
	for _, name := range []string{rotation.CreateAccount, rotation.StoreSecret} {
		env.RegisterActivityWithOptions(func(context.Context, rotation.CreateAccountInput) error { return nil },
			activity.RegisterOptions{Name: name})
	}
	env.RegisterActivityWithOptions(func(context.Context, rotation.KnownSecret) (rotation.ValidateSecretResult, error) {
		return rotation.ValidateSecretResult{}, temporal.NewNonRetryableApplicationError("access denied for 'u'@'10.0.0.%'",
			rotation.ErrorAccessDenied, nil)
	}, activity.RegisterOptions{Name: rotation.ValidateSecret})
	env.ExecuteWorkflow(rotation.CreateUserWorkflow, raw(`{"SecretId":"s","MasterSecretId":"m","Username":"u","Host":"10.9.%"}`))
	var app *temporal.ApplicationError
	err := env.GetWorkflowError()
	if !errors.As(err, &app) || app.Type() != rotation.ErrorNotProved {
		t.Fatalf("ended with %v", err)
	}
	for _, want := range []string{"'u'@'10.9.%' and secret s were created", "starter validate --secret-id s", "DROP USER 'u'@'10.9.%'",
		"delete-secret --secret-id s", "access denied"} {
		if !strings.Contains(app.Message(), want) {
			t.Errorf("%q does not say %q", app.Message(), want)
		}
	}
}

func TestAPlanKnowsWhatTheRotationKnows(t *testing.T) {
	t.Parallel()
	env := environment()
	var got rotation.CloneUserInput
	env.RegisterActivityWithOptions(func(_ context.Context, in rotation.CloneUserInput) (rotation.PlanRotationResult, error) {
		got = in
		return rotation.PlanRotationResult{}, nil
	}, activity.RegisterOptions{Name: rotation.PlanRotation})
	env.ExecuteWorkflow(rotation.PlanRotationWorkflow, raw(`{"SecretId":"s","CloneUsername":"b"}`),
		&rotation.State{Usernames: []string{"a", "b"}})
	if err := env.GetWorkflowError(); err != nil {
		t.Fatal(err)
	}
	if got.SecretID != "s" || got.CloneUsername != "b" || !slices.Equal(got.Pair, []string{"a", "b"}) || !got.Force {
		t.Errorf("the plan's input was %+v", got)
	}
}

func TestTheOtherWorkflowsRefuseWrongInput(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, input, field string }{
		{rotation.CreateUserWorkflow, `{"SecretId":"s","MasterSecretId":"m"}`, "Username"},
		{rotation.CreateUserWorkflow, `{"SecretId":"s","Username":"u"}`, "MasterSecretId"},
		{rotation.CreateUserWorkflow, `{"SecretId":"s","MasterSecretId":"m","Username":"u","Grant":"x"}`, "Grant"},
		{rotation.CreateUserWorkflow, `{"SecretId":"s","MasterSecretId":"m","Username":"u","Grants":["SELECT ON a.*","SELECT ON *.* IDENTIFIED BY 'x'"]}`, "grant 2: IDENTIFIED"},
		{rotation.ValidateSecretWorkflow, `{}`, "SecretId"},
		{rotation.ValidateSecretWorkflow, `{"SecretId":"s","x":1}`, "x"},
		{rotation.PlanRotationWorkflow, `{"SecretId":"s","Drain":5}`, "Drain"},
		{rotation.RecoverSecretWorkflow, `{"MasterSecretId":"m"}`, "SecretId"},
		{rotation.DeleteUserWorkflow, `{"SecretId":"s","MasterSecretId":"s"}`, "MasterSecretId"},
		{rotation.DeleteUserWorkflow, `{"SecretId":"s","RecoveryWindowInDays":6}`, "RecoveryWindowInDays"},
		{rotation.DeleteUserWorkflow, `{"SecretId":"s","RecoveryWindowInDays":0}`, "RecoveryWindowInDays"},
		{rotation.DeleteUserWorkflow, `{"SecretId":"s","RecoveryWindowInDays":31}`, "RecoveryWindowInDays"},
	} {
		env := environment()
		env.ExecuteWorkflow(c.name, raw(c.input))
		var app *temporal.ApplicationError
		if err := env.GetWorkflowError(); !errors.As(err, &app) || app.Type() != rotation.ErrorInvalidInput ||
			!strings.Contains(app.Message(), c.field) {
			t.Errorf("%s %s: %v: want a refusal that names %s", c.name, c.input, err, c.field)
		}
	}
}

// deletion runs DeleteUserWorkflow to its end, over as many runs as it takes.
func deletion(t *testing.T, fate func(time.Time) rotation.SecretFate, failing string) (calls []string, result rotation.DeleteUserResult,
	ended time.Time) {
	t.Helper()
	var state *rotation.DeletionState
	at := start
	for {
		env := environment()
		env.SetStartTime(at)
		env.RegisterActivityWithOptions(func(context.Context, rotation.CloneUserInput) (rotation.Deletion, error) {
			calls = append(calls, rotation.FindAccounts)
			return rotation.Deletion{SecretID: "s", Accounts: []grants.Name{{User: "u", Host: "%"}, {User: "u_clone", Host: "%"}}}, nil
		}, activity.RegisterOptions{Name: rotation.FindAccounts})
		env.RegisterActivityWithOptions(func(_ context.Context, in rotation.Deletion) (time.Time, error) {
			calls = append(calls, rotation.DeleteSecret)
			return start.AddDate(0, 0, in.RecoveryWindowInDays), nil
		}, activity.RegisterOptions{Name: rotation.DeleteSecret})
		env.RegisterActivityWithOptions(func(context.Context, rotation.Deletion) (rotation.SecretFate, error) {
			return fate(env.Now()), nil
		}, activity.RegisterOptions{Name: rotation.LookAtSecret})
		for _, name := range []string{rotation.LockAccounts, rotation.UnlockAccounts, rotation.DropAccounts} {
			env.RegisterActivityWithOptions(func(context.Context, rotation.Deletion) error {
				calls = append(calls, name)
				if name == failing {
					failing = ""
					return temporal.NewNonRetryableApplicationError("not now", "Unreachable", nil)
				}
				return nil
			}, activity.RegisterOptions{Name: name})
		}
		env.OnSignalExternalWorkflow("default-test-namespace", "rotate-user/s", "", "pause", nil).Return(nil).Maybe()
		env.OnSignalExternalWorkflow("default-test-namespace", "rotate-user/s", "", "resume", nil).Return(nil).Maybe()
		env.OnSignalExternalWorkflow("default-test-namespace", "rotate-user/s", "", "stop", nil).Return(nil).Maybe()
		if state == nil {
			env.ExecuteWorkflow(rotation.DeleteUserWorkflow, raw(`{"SecretId":"s","RecoveryWindowInDays":7}`))
		} else {
			env.ExecuteWorkflow(rotation.DeleteUserWorkflow, raw(`{"SecretId":"s","RecoveryWindowInDays":7}`), state)
		}
		err := env.GetWorkflowError()
		var next *workflow.ContinueAsNewError
		if errors.As(err, &next) {
			var input rotation.DeleteUserInput
			state = new(rotation.DeletionState)
			if err := converter.GetDefaultDataConverter().FromPayloads(next.Input, &input, state); err != nil {
				t.Fatal(err)
			}
			at = env.Now()
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := env.GetWorkflowResult(&result); err != nil {
			t.Fatal(err)
		}
		return calls, result, env.Now()
	}
}

func TestDeleteDropsTheAccountsWhenTheWindowHasPassed(t *testing.T) {
	t.Parallel()
	gone := start.AddDate(0, 0, 7)
	calls, result, ended := deletion(t, func(now time.Time) rotation.SecretFate {
		if now.Before(gone) {
			return rotation.SecretScheduled
		}
		return rotation.SecretGone
	}, rotation.DropAccounts)
	if want := []string{rotation.FindAccounts, rotation.DeleteSecret, rotation.LockAccounts, rotation.DropAccounts,
		rotation.DropAccounts}; !slices.Equal(calls, want) {
		t.Errorf("steps %v: want %v", calls, want)
	}
	if ended.Before(gone) || result.Fate != rotation.SecretGone || len(result.Accounts) != 2 {
		t.Errorf("ended at %s with %+v", ended, result)
	}
}

func TestDeleteLocksTheAccountsEvenAfterAFailure(t *testing.T) {
	t.Parallel()
	calls, _, _ := deletion(t, func(now time.Time) rotation.SecretFate {
		if now.Before(start.AddDate(0, 0, 1)) {
			return rotation.SecretScheduled
		}
		return rotation.SecretRestored
	}, rotation.LockAccounts)
	if want := []string{rotation.FindAccounts, rotation.DeleteSecret, rotation.LockAccounts, rotation.LockAccounts,
		rotation.UnlockAccounts}; !slices.Equal(calls, want) {
		t.Errorf("steps %v: want %v", calls, want)
	}
}

func TestDeleteUnlocksTheAccountsOfARestoredSecret(t *testing.T) {
	t.Parallel()
	restored := start.AddDate(0, 0, 2)
	calls, result, ended := deletion(t, func(now time.Time) rotation.SecretFate {
		if now.Before(restored) {
			return rotation.SecretScheduled
		}
		return rotation.SecretRestored
	}, "")
	if want := []string{rotation.FindAccounts, rotation.DeleteSecret, rotation.LockAccounts, rotation.UnlockAccounts}; !slices.Equal(calls,
		want) {
		t.Errorf("steps %v: want %v", calls, want)
	}
	if result.Fate != rotation.SecretRestored || ended.Sub(restored) > 10*time.Minute {
		t.Errorf("unlocked at %s with %+v: want soon after %s", ended, result, restored)
	}
}
