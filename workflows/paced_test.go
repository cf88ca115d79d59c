package workflows_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/testsuite"

	"github.com/rotate-user/rotate-user/activities"
	"github.com/rotate-user/rotate-user/internal/account"
	"github.com/rotate-user/rotate-user/workflows"
)

// TestOnlyTheFirstStepIsPaced: a rotation that has begun is not held up by those that wait.
func TestOnlyTheFirstStepIsPaced(t *testing.T) {
	t.Parallel()
	for own, want := range map[string]string{"": "default-test-taskqueue", "inside": "inside"} {
		env := newEnvironment()
		workflows.Register(env, workflows.Workflows{})
		queues := map[string]string{}
		env.RegisterActivityWithOptions(func(ctx context.Context, in activities.CloneUserInput) (activities.CloneUserResult, error) {
			queues["CloneUser"] = activity.GetInfo(ctx).TaskQueue
			return activities.CloneUserResult{Rotation: activities.Rotation{
				SecretID: in.SecretID, VersionID: "new", Source: account.Name{User: "app", Host: "%"}, Standby: account.Name{User: "app_clone", Host: "%"},
			}}, nil
		}, activity.RegisterOptions{Name: "CloneUser"})
		for _, name := range []string{"StagePassword", "SetPassword", "TestPassword", "PromotePassword"} {
			env.RegisterActivityWithOptions(func(ctx context.Context, _ activities.Rotation) error {
				queues[name] = activity.GetInfo(ctx).TaskQueue
				return nil
			}, activity.RegisterOptions{Name: name})
		}
		env.ExecuteWorkflow("RotateUserWorkflow", workflows.RotateUserInput{SecretID: "s", ActivityTaskQueue: own})
		if diff := cmp.Diff(map[string]string{
			"CloneUser": workflows.PacedTaskQueue(want), "StagePassword": want, "SetPassword": want, "TestPassword": want, "PromotePassword": want,
		}, queues); diff != "" {
			t.Errorf("ActivityTaskQueue %q (-want +got):\n%s", own, diff)
		}
	}
}

// TestARequestWaitsForItsTurn: it has no window that could close on it.
func TestARequestWaitsForItsTurn(t *testing.T) {
	t.Parallel()
	var patience time.Duration
	w := newWorld()
	state := asleep(start)
	state.NextRotationDate, state.WindowCloses = start.Add(20*time.Hour), start.Add(21*time.Hour)
	execute(t, w, start, input(nil), state, func(env *testsuite.TestWorkflowEnvironment) {
		env.SetOnActivityStartedListener(func(info *activity.Info, _ context.Context, _ converter.EncodedValues) {
			if info.ActivityType.Name == workflows.CloneUser {
				patience = info.ScheduleToCloseTimeout
			}
		})
		update(env, time.Hour, workflows.RotateUpdate, raw(`{"Force":true}`))
	})
	if patience < 48*time.Hour {
		t.Errorf("a request waits %s for its turn: want 48h", patience)
	}
}
