package workflows_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/rotate-user/rotate-user/internal/grants"
	"github.com/rotate-user/rotate-user/rotation"
	"github.com/rotate-user/rotate-user/workflows"
)

var start = time.Date(2026, 1, 31, 9, 30, 0, 0, time.UTC)

// world fakes the activities. It knows which user is current, and which step of which rotation
// fails.
type world struct {
	inUse          string
	standby        string
	calls          []string
	inputs         []rotation.CloneUserInput
	staged         []string // the ids of the versions to stage
	promoted       []time.Time
	now            func() time.Time
	fail           func(step string, attempt int) error
	sessions       func() []string
	changes        func() []string // changes that CloneUser reports, all of them as drift
	digest, rights string          // results of CloneUser
	unseen         bool            // the administrator cannot list sessions
	ends           bool            // the standby's sessions end along with its password
	host           string          // the server's address; db:3306 if empty
	expires        time.Time       // when the new password expires
	unasked        []string        // warnings of TestPassword
	gone           []string        // users of earlier pairs that have no account

	promotedAlready bool // AWSCURRENT is the version of an attempt that was recorded as failed
	rotation        int
}

func newWorld() *world { return &world{inUse: "app", standby: "app_clone"} }

// stuck makes the first promotion take effect and lose its response.
func (w *world) stuck(step string, _ int) error {
	if step == rotation.PromotePassword && !w.promotedAlready {
		w.promotedAlready = true
		return temporal.NewNonRetryableApplicationError("no answer", "AccessDenied", nil)
	}
	return nil
}

func (w *world) step(name string) error {
	w.calls = append(w.calls, name)
	if w.fail != nil {
		return w.fail(name, w.rotation)
	}
	return nil
}

func (w *world) register(env *testsuite.TestWorkflowEnvironment) {
	w.now = env.Now
	env.RegisterActivityWithOptions(func(_ context.Context, in rotation.CloneUserInput) (rotation.CloneUserResult, error) {
		w.inputs = append(w.inputs, in)
		if err := w.step(rotation.CloneUser); err != nil {
			return rotation.CloneUserResult{}, err
		}
		if w.promotedAlready {
			return rotation.CloneUserResult{Promoted: true, Rotation: rotation.StepInput{
				SecretID: in.SecretID, VersionID: in.EarlierVersionID, CurrentVersionID: in.EarlierVersionID, Server: "db:3306",
				Standby: grants.Name{User: w.standby},
			}}, nil
		}
		r := rotation.CloneUserResult{LeftGone: w.gone, SecretARN: "arn", Rotation: rotation.StepInput{
			SecretID: in.SecretID, MasterSecretID: "master", VersionID: fmt.Sprintf("version-%d", len(w.inputs)), CurrentVersionID: "v1",
			Server: cmp.Or(w.host, "db:3306"),
			Source: grants.Name{User: w.inUse, Host: "%"}, Standby: grants.Name{User: w.standby, Host: "%"},
		}}
		if w.sessions != nil {
			r.InUse = w.sessions()
		}
		if w.changes != nil {
			r.Changes = w.changes()
			r.Changed, r.Drift = len(r.Changes), r.Changes
		}
		r.InUseUnknown, r.PasswordExpires = w.unseen, w.expires
		r.Digest, r.Rights = w.digest, w.rights
		r.Rotation.EndSessions = w.ends || in.RevokePrevious
		return r, nil
	}, activity.RegisterOptions{Name: rotation.CloneUser})
	env.RegisterActivityWithOptions(func(_ context.Context, r rotation.StepInput) (rotation.StagePasswordResult, error) {
		w.staged = append(w.staged, r.VersionID)
		return rotation.StagePasswordResult{VersionID: r.VersionID, ValueSHA256: "digest of " + r.VersionID}, w.step(rotation.StagePassword)
	}, activity.RegisterOptions{Name: rotation.StagePassword})
	env.RegisterActivityWithOptions(func(_ context.Context, r rotation.StepInput) (rotation.SetPasswordResult, error) {
		set := rotation.SetPasswordResult{PasswordStored: "stored with " + r.VersionID}
		if r.EndSessions {
			set.SessionsEnded = 1
		}
		return set, w.step(rotation.SetPassword)
	}, activity.RegisterOptions{Name: rotation.SetPassword})
	env.RegisterActivityWithOptions(func(_ context.Context, r rotation.StepInput) (rotation.RevokePreviousResult, error) {
		return rotation.RevokePreviousResult{Account: r.Source.String(), SessionsEnded: 2}, w.step(rotation.RevokePrevious)
	}, activity.RegisterOptions{Name: rotation.RevokePrevious})
	for _, name := range []string{rotation.TestPassword, rotation.PromotePassword} {
		env.RegisterActivityWithOptions(func(_ context.Context, r rotation.StepInput) (tested rotation.TestPasswordResult, err error) {
			if err := w.step(name); err != nil {
				return tested, err
			}
			if !w.promotedAlready && (r.ValueSHA256 != "digest of "+r.VersionID || r.PasswordStored != "stored with "+r.VersionID) {
				return tested, fmt.Errorf("version %s has the value %q, and its password is %q", r.VersionID, r.ValueSHA256, r.PasswordStored)
			}
			if name == rotation.PromotePassword {
				w.inUse, w.standby = w.standby, w.inUse
				w.promoted = append(w.promoted, w.now())
				w.rotation++
			} else {
				tested.Warnings = w.unasked
			}
			return tested, nil
		}, activity.RegisterOptions{Name: name})
	}
	env.RegisterActivityWithOptions(func(context.Context, rotation.CloneUserInput) (rotation.PlanRotationResult, error) {
		return rotation.PlanRotationResult{Warnings: []string{"a revocation would be refused"}}, w.step(rotation.PlanRotation)
	}, activity.RegisterOptions{Name: rotation.PlanRotation})
}

// newEnvironment returns an environment that does not mistake a busy machine for a deadlock.
func newEnvironment() *testsuite.TestWorkflowEnvironment {
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestWorkflowEnvironment()
	env.SetTestTimeout(time.Minute)
	env.SetWorkerOptions(worker.Options{DeadlockDetectionTimeout: time.Minute})
	return env
}

// run is one run of the workflow.
type run struct {
	env    *testsuite.TestWorkflowEnvironment
	input  rotation.RotateUserInput
	state  *rotation.State
	status rotation.Status
	err    error
}

// execute runs the workflow once, starting at the given time, and returns what it hands to the next
// run.
func execute(t *testing.T, w *world, at time.Time, input any, state *rotation.State, during func(*testsuite.TestWorkflowEnvironment)) run {
	t.Helper()
	env := newEnvironment()
	env.SetStartTime(at)
	workflows.Register(env, workflows.Workflows{SearchAttributes: func() bool { return true }})
	w.register(env)
	if during != nil {
		during(env)
	}
	if state == nil {
		env.ExecuteWorkflow(rotation.RotateUserWorkflow, input)
	} else {
		env.ExecuteWorkflow(rotation.RotateUserWorkflow, input, state)
	}
	r := run{env: env, err: env.GetWorkflowError()}
	if r.err == nil {
		if err := env.GetWorkflowResult(&r.status); err != nil {
			t.Fatal(err)
		}
		return r
	}
	var next *workflow.ContinueAsNewError
	if errors.As(r.err, &next) {
		if next.WorkflowTaskTimeout != workflows.TaskTimeout {
			t.Errorf("the next run has %v for a workflow task: want %v", next.WorkflowTaskTimeout, workflows.TaskTimeout)
		}
		r.state = new(rotation.State)
		if err := converter.GetDefaultDataConverter().FromPayloads(next.Input, &r.input, r.state); err != nil {
			t.Fatal(err)
		}
		r.err = nil
	}
	return r
}

func input(change func(*rotation.RotateUserInput)) rotation.RotateUserInput {
	in := rotation.RotateUserInput{SecretID: "MySecret"}
	if change != nil {
		change(&in)
	}
	return in
}

type answer struct {
	result rotation.Rotation
	status rotation.Status
	err    error
	done   bool
}

// update sends an update after a delay and keeps its result.
func update(env *testsuite.TestWorkflowEnvironment, after time.Duration, name string, args ...any) *answer {
	a := &answer{}
	env.RegisterDelayedCallback(func() { a.send(env, fmt.Sprintf("%s-%s", name, after), name, args...) }, after)
	return a
}

// send sends an update now and keeps its result.
func (a *answer) send(env *testsuite.TestWorkflowEnvironment, id, name string, args ...any) {
	env.UpdateWorkflow(name, id, &testsuite.TestUpdateCallback{
		OnAccept: func() {},
		OnReject: func(err error) { a.err, a.done = err, true },
		OnComplete: func(v any, err error) {
			a.err, a.done = err, true
			switch v := v.(type) {
			case rotation.Rotation:
				a.result = v
			case rotation.Status:
				a.status = v
			}
		},
	}, args...)
}

func asleep(at time.Time) *rotation.State {
	return &rotation.State{NextRotationDate: at.Add(30 * 24 * time.Hour), WindowCloses: at.Add(31 * 24 * time.Hour),
		LastRotatedDate: at.Add(-2 * time.Hour), Usernames: []string{"app", "app_clone"}}
}

// raw is JSON as an operator would type it.
type raw string

func (r raw) MarshalJSON() ([]byte, error) { return []byte(r), nil }
