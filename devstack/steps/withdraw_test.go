package steps

import (
	"testing"
	"time"

	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/rotate-user/rotate-user/internal/mysqld"
	"github.com/rotate-user/rotate-user/internal/mysqld/mysqldtest"
	"github.com/rotate-user/rotate-user/internal/secret"
	"github.com/rotate-user/rotate-user/rotation"
)

// asWorkflow runs a step as a workflow of the given type would.
func (l *lab) asWorkflow(kind, name string, in any) error {
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestWorkflowEnvironment()
	env.SetTestTimeout(time.Minute)
	env.SetWorkerOptions(redacted)
	env.RegisterActivity(l.activities)
	env.RegisterWorkflowWithOptions(func(ctx workflow.Context) error {
		ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: time.Minute})
		return workflow.ExecuteActivity(ctx, name, in).Get(ctx, nil)
	}, workflow.RegisterOptions{Name: kind})
	env.ExecuteWorkflow(kind)
	return env.GetWorkflowError()
}

// A rotation that finds that something else moved AWSCURRENT leaves no label behind.
func TestAnOvertakenRotationTakesItsLabelOff(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		for taken, name := range steps[:4] {
			if name == rotation.StagePassword || name == rotation.TestPassword {
				continue // neither looks at AWSCURRENT
			}
			t.Run(name, func(t *testing.T) {
				l := newLab(t, s)
				r := l.leave(taken)
				l.put(map[string]any{"username": l.user, "password": "First.Passw0rd", "masterarn": "master", "edited": true})
				wantEdited(t, name, l.step(name, &r))
				if on := l.labels()[secret.Pending]; on != "" {
					t.Errorf("AWSPENDING is left on version %s", on)
				}
				l.mustLogIn(secret.Current, l.user)
			})
		}
	})
}

// A reset takes the workflow back to a rotation in progress. The promotion that it repeats was
// already made, and the version that the later rotation staged is still under AWSPENDING. Without a
// reset, a late attempt of that promotion does not touch the newer rotation.
func TestWhatAResetLeftIsTakenOff(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		l.input.Pair = []string{l.user, l.user + "_clone"}
		first := l.rotate()
		l.settle()
		r, err := l.clone()
		if err != nil {
			t.Fatal(err)
		}
		if err := l.asWorkflow(rotation.RotateUserWorkflow, rotation.StagePassword, r.Rotation); err != nil {
			t.Fatal(err)
		}
		l.settle()
		if err := l.asWorkflow(rotation.RotateUserWorkflow, rotation.PromotePassword, first); err != nil {
			t.Errorf("repeating a completed promotion: %v", err)
		}
		if on := l.labels()[secret.Pending]; on != r.Rotation.VersionID {
			t.Errorf("a late attempt of an older promotion leaves AWSPENDING on %q, want the newer rotation's version", on)
		}
		first.Reset = true
		if err := l.asWorkflow(rotation.RotateUserWorkflow, rotation.PromotePassword, first); err != nil {
			t.Errorf("repeating a completed promotion after a reset: %v", err)
		}
		if on := l.labels()[secret.Pending]; on != "" {
			t.Errorf("AWSPENDING is left on version %s", on)
		}

		// A version that another actor staged is left alone.
		l.put(map[string]any{"username": l.user, "password": "Somebody.Else1", "masterarn": "master"}, secret.Pending)
		l.settle()
		if err := l.asWorkflow(rotation.RotateUserWorkflow, rotation.PromotePassword, first); err != nil {
			t.Errorf("repeating a completed promotion: %v", err)
		}
		if l.labels()[secret.Pending] == "" {
			t.Error("AWSPENDING was removed from another actor's version")
		}
		l.mustLogIn(secret.Current, l.user+"_clone")
	})
}
