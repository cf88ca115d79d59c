package steps

import (
	"testing"
	"time"

	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/rotate-user/rotate-user/internal/mysqld"
	"github.com/rotate-user/rotate-user/internal/mysqld/mysqldtest"
	"github.com/rotate-user/rotate-user/internal/secret"
)

// asWorkflow takes a step as a workflow of a type would.
func (l *lab) asWorkflow(kind, name string, in any) error {
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestWorkflowEnvironment()
	env.SetTestTimeout(time.Minute)
	env.RegisterActivity(l.activities)
	env.RegisterWorkflowWithOptions(func(ctx workflow.Context) error {
		ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: time.Minute})
		return workflow.ExecuteActivity(ctx, name, in).Get(ctx, nil)
	}, workflow.RegisterOptions{Name: kind})
	env.ExecuteWorkflow(kind)
	return env.GetWorkflowError()
}

// A rotation that finds AWSCURRENT moved by another hand leaves no label behind.
func TestAnOvertakenRotationTakesItsLabelOff(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		for taken, name := range steps[:4] {
			if name == "StagePassword" || name == "TestPassword" {
				continue // neither looks at AWSCURRENT
			}
			t.Run(name, func(t *testing.T) {
				l := newLab(t, s)
				r, err := l.clone()
				if err != nil {
					t.Fatal(err)
				}
				for _, before := range steps[:taken] {
					if err := l.step(before, &r.Rotation); err != nil {
						t.Fatalf("%s: %v", before, err)
					}
				}
				l.put(map[string]any{"username": l.user, "password": "First.Passw0rd", "masterarn": "master", "edited": true})
				wantEdited(t, name, l.step(name, &r.Rotation))
				if on := l.labels()[secret.Pending]; on != "" {
					t.Errorf("AWSPENDING is left on version %s", on)
				}
				l.mustLogIn(secret.Current, l.user)
			})
		}
	})
}

// A reset takes the workflow back behind a rotation that had begun: the promotion before it is made already, and what the
// later one had staged stays under AWSPENDING for nobody.
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
		if err := l.asWorkflow("RotateUserWorkflow", "StagePassword", r.Rotation); err != nil {
			t.Fatal(err)
		}
		l.settle()
		if err := l.asWorkflow("RotateUserWorkflow", "PromotePassword", first); err != nil {
			t.Errorf("a promotion that was made is repeated with %v", err)
		}
		if on := l.labels()[secret.Pending]; on != "" {
			t.Errorf("AWSPENDING is left on version %s", on)
		}

		// What somebody else has staged is not touched.
		l.put(map[string]any{"username": l.user, "password": "Somebody.Else1", "masterarn": "master"}, secret.Pending)
		l.settle()
		if err := l.asWorkflow("RotateUserWorkflow", "PromotePassword", first); err != nil {
			t.Errorf("a promotion that was made is repeated with %v", err)
		}
		if l.labels()[secret.Pending] == "" {
			t.Error("AWSPENDING is taken off another actor's version")
		}
		l.mustLogIn(secret.Current, l.user+"_clone")
	})
}
