package workflows_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/rotate-user/rotate-user/internal/grants"
	"github.com/rotate-user/rotate-user/rotation"
	"github.com/rotate-user/rotate-user/workflows"
)

// TestOnlyTheFirstStepIsPaced: waiting rotations do not delay one that has started.
func TestOnlyTheFirstStepIsPaced(t *testing.T) {
	t.Parallel()
	for own, want := range map[string]string{"": "default-test-taskqueue", "inside": "inside"} {
		env := newEnvironment()
		workflows.Register(env, workflows.Workflows{})
		queues := map[string]string{}
		env.RegisterActivityWithOptions(func(ctx context.Context, in rotation.CloneUserInput) (rotation.CloneUserResult, error) {
			queues[rotation.CloneUser] = activity.GetInfo(ctx).TaskQueue
			return rotation.CloneUserResult{Rotation: rotation.StepInput{
				SecretID: in.SecretID, VersionID: "new", Source: grants.Name{User: "app", Host: "%"},
				Standby: grants.Name{User: "app_clone", Host: "%"},
			}}, nil
		}, activity.RegisterOptions{Name: rotation.CloneUser})
		for _, name := range []string{rotation.StagePassword, rotation.SetPassword, rotation.TestPassword, rotation.PromotePassword} {
			env.RegisterActivityWithOptions(func(ctx context.Context, _ rotation.StepInput) error {
				queues[name] = activity.GetInfo(ctx).TaskQueue
				return nil
			}, activity.RegisterOptions{Name: name})
		}
		env.ExecuteWorkflow(rotation.RotateUserWorkflow, rotation.RotateUserInput{SecretID: "s", ActivityTaskQueue: own})
		if diff := cmp.Diff(map[string]string{
			rotation.CloneUser: rotation.PacedTaskQueue(want), rotation.StagePassword: want, rotation.SetPassword: want,
			rotation.TestPassword: want, rotation.PromotePassword: want,
		}, queues); diff != "" {
			t.Errorf("ActivityTaskQueue %q (-want +got):\n%s", own, diff)
		}
	}
}

// TestARequestWaitsForItsTurn: a requested rotation has no window that could close.
func TestARequestWaitsForItsTurn(t *testing.T) {
	t.Parallel()
	var patience time.Duration
	w := newWorld()
	state := asleep(start)
	state.NextRotationDate, state.WindowCloses = start.Add(20*time.Hour), start.Add(21*time.Hour)
	execute(t, w, start, input(nil), state, func(env *testsuite.TestWorkflowEnvironment) {
		env.SetOnActivityStartedListener(func(info *activity.Info, _ context.Context, _ converter.EncodedValues) {
			if info.ActivityType.Name == rotation.CloneUser {
				patience = info.ScheduleToCloseTimeout
			}
		})
		update(env, time.Hour, rotation.RotateUpdate, raw(`{"Force":true}`))
	})
	if patience < 48*time.Hour {
		t.Errorf("a request waits up to %s for its turn: want 48h", patience)
	}
}

// TestPeopleGoFirst: steps of a rotation that an operator waits for come before scheduled ones, and
// those come before a batch of signals.
func TestPeopleGoFirst(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		ask      func(*testsuite.TestWorkflowEnvironment)
		priority int
		paced    bool
	}{
		"schedule": {func(*testsuite.TestWorkflowEnvironment) {}, 3, true},
		"person": {func(env *testsuite.TestWorkflowEnvironment) {
			update(env, time.Hour, rotation.RotateUpdate, raw(`{"Force":true}`))
		}, 1, false},
		"batch": {func(env *testsuite.TestWorkflowEnvironment) {
			signal(env, time.Hour, rotation.RotateUpdate, raw(`{"Force":true}`))
		}, 5, true},
		"leaked credential": {func(env *testsuite.TestWorkflowEnvironment) {
			signal(env, time.Hour, rotation.RotateUpdate, raw(`{"Force":true,"RevokePrevious":true}`))
		}, 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			state := asleep(start)
			state.NextRotationDate, state.WindowCloses = start.Add(20*time.Hour), start.Add(21*time.Hour)
			steps := 0
			execute(t, w, start, input(nil), state, func(env *testsuite.TestWorkflowEnvironment) {
				env.SetWorkerOptions(worker.Options{DeadlockDetectionTimeout: time.Minute,
					Interceptors: []interceptor.WorkerInterceptor{&watching{step: func(name string, o workflow.ActivityOptions) {
						steps++
						if o.Priority.PriorityKey != c.priority {
							t.Errorf("%s has priority %d: want %d", name, o.Priority.PriorityKey, c.priority)
						}
						if paced := strings.HasSuffix(o.TaskQueue, "/paced"); paced != (c.paced && name == rotation.CloneUser) {
							t.Errorf("%s runs on %q", name, o.TaskQueue)
						}
					}}}})
				c.ask(env)
			})
			if steps < 5 {
				t.Errorf("%d steps", steps)
			}
		})
	}
}

func signal(env *testsuite.TestWorkflowEnvironment, after time.Duration, name string, argument any) {
	env.RegisterDelayedCallback(func() { env.SignalWorkflow(name, argument) }, after)
}

// watching records the options of each step, because the test environment shows activities no
// priority.
type watching struct {
	interceptor.WorkerInterceptorBase

	step func(string, workflow.ActivityOptions)
}

func (w *watching) InterceptWorkflow(_ workflow.Context,
	next interceptor.WorkflowInboundInterceptor) interceptor.WorkflowInboundInterceptor {
	return &watchingInbound{interceptor.WorkflowInboundInterceptorBase{Next: next}, w}
}

type watchingInbound struct {
	interceptor.WorkflowInboundInterceptorBase

	w *watching
}

func (i *watchingInbound) Init(next interceptor.WorkflowOutboundInterceptor) error {
	return i.Next.Init(&watchingOutbound{interceptor.WorkflowOutboundInterceptorBase{Next: next}, i.w})
}

type watchingOutbound struct {
	interceptor.WorkflowOutboundInterceptorBase

	w *watching
}

func (o *watchingOutbound) ExecuteActivity(ctx workflow.Context, name string, args ...any) workflow.Future {
	o.w.step(name, workflow.GetActivityOptions(ctx))
	return o.Next.ExecuteActivity(ctx, name, args...)
}
