package main

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/worker"

	"github.com/rotate-user/rotate-user/devstack/secretsmanager"
	"github.com/rotate-user/rotate-user/devstack/temporal"
	"github.com/rotate-user/rotate-user/rotation"
	"github.com/rotate-user/rotate-user/workflows"
)

// status queries the workflow of a secret.
func (e *e2e) status(t *testing.T, id string) (status rotation.Status) {
	t.Helper()
	s := &sleeper{T: t, temporal: e.temporal, id: rotation.RotateUserWorkflowID(id)}
	return s.status()
}

// begun is a starter process that is still running.
type begun struct {
	out   strings.Builder
	ended chan error
}

func (e *e2e) begin(t *testing.T, args ...string) *begun {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	b := &begun{ended: make(chan error, 1)}
	cmd := e.starterCommand(ctx, args...)
	cmd.Stdout, cmd.Stderr = &b.out, &b.out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { b.ended <- cmd.Wait() }()
	return b
}

// heldUp makes the next rotation of a secret wait at its first write to Secrets Manager, until
// letGo is called.
func (e *e2e) heldUp(t *testing.T, id string) (reached chan struct{}, letGo func()) {
	reached, released := make(chan struct{}), make(chan struct{})
	arrive, letGo := sync.OnceFunc(func() { close(reached) }), sync.OnceFunc(func() { close(released) })
	e.Secrets.Intercept(func(c secretsmanager.Call) secretsmanager.Fault {
		if c.SecretID == id && c.Operation == "PutSecretValue" && !c.Done {
			arrive()
			<-released
		}
		return secretsmanager.Fault{}
	})
	t.Cleanup(func() { letGo(); e.Secrets.Intercept(nil) })
	return reached, letGo
}

// reset resets a run to its nth workflow task, and returns the id of the new run.
func (e *e2e) reset(t *testing.T, id, runID string, n int) string {
	t.Helper()
	var task int64
	for _, event := range e.history(t, id, runID) {
		if event.GetEventType() == enumspb.EVENT_TYPE_WORKFLOW_TASK_COMPLETED {
			if n--; n == 0 {
				task = event.GetEventId()
			}
		}
	}
	answer, err := e.temporal.ResetWorkflowExecution(t.Context(), &workflowservice.ResetWorkflowExecutionRequest{
		Namespace:                 temporal.Namespace,
		WorkflowExecution:         &common.WorkflowExecution{WorkflowId: rotation.RotateUserWorkflowID(id), RunId: runID},
		Reason:                    "test",
		RequestId:                 "reset-" + runID,
		WorkflowTaskFinishEventId: task,
	})
	if err != nil {
		t.Fatal(err)
	}
	return answer.GetRunId()
}

// testDisturbed disturbs rotations as operators do: a waiting client must report what happened to
// its rotation.
func (e *e2e) testDisturbed(t *testing.T) {
	for _, c := range []struct {
		name    string
		disturb func(t *testing.T, id string)
		fails   bool
		says    []string
	}{
		{"reset", func(t *testing.T, id string) { e.reset(t, id, e.currentRun(t, id), 1) }, false,
			[]string{"Waiting for the next run", "Rotated in "}},
		{"cancel", func(t *testing.T, id string) {
			if err := e.temporal.CancelWorkflow(t.Context(), rotation.RotateUserWorkflowID(id), ""); err != nil {
				t.Fatal(err)
			}
		}, false, []string{"Rotated in "}},
		{"terminate", func(t *testing.T, id string) {
			if err := e.temporal.TerminateWorkflow(t.Context(), rotation.RotateUserWorkflowID(id), "", "by mistake"); err != nil {
				t.Fatal(err)
			}
		}, true, []string{"was terminated at ", "by mistake. CloneUser was under way", "starter start --secret-id"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			id := "disturbed/" + c.name
			e.create(t, id, "disturbed_"+c.name, "SELECT ON *.*")
			e.starter(t, "start", id, "--rotate-immediately=false", "--minimum-overlap", "0s")
			reached, letGo := e.heldUp(t, id)
			waiting := e.begin(t, "rotate", id)
			<-reached
			c.disturb(t, id)
			if !c.fails {
				letGo()
			}
			if err := <-waiting.ended; (err != nil) != c.fails {
				t.Errorf("the starter ended with %v", err)
			}
			for _, text := range c.says {
				if out := waiting.out.String(); !strings.Contains(out, text) {
					t.Errorf("the starter does not say %q:\n%s", text, out)
				}
			}
			letGo()
		})
	}
	for name, task := range map[string]int{"old": 1, "late": 2} { // before its rotation, and within
		t.Run("reset of a closed run, "+name, func(t *testing.T) {
			id := "disturbed/" + name
			e.create(t, id, "disturbed_"+name, "SELECT ON *.*")
			e.starter(t, "start", id, "--no-wait")
			waitFor(t, func() bool { return !e.status(t, id).LastRotatedDate.IsZero() && e.status(t, id).Current == nil })
			d, err := e.temporal.DescribeWorkflowExecution(t.Context(), rotation.RotateUserWorkflowID(id), "")
			if err != nil {
				t.Fatal(err)
			}
			before := e.status(t, id)
			run := e.reset(t, id, d.GetWorkflowExecutionInfo().GetFirstRunId(), task)
			var after rotation.Status
			waitFor(t, func() bool {
				after = e.status(t, id)
				return after.Current == nil && !after.LastRotatedDate.IsZero()
			})
			if after.Username != before.Username || after.LastRotatedDate.Sub(before.LastRotatedDate).Abs() > time.Minute {
				t.Errorf("current user %s since %s: want %s since %s, as before", after.Username, after.LastRotatedDate, before.Username,
					before.LastRotatedDate)
			}
			replayer := worker.NewWorkflowReplayer()
			workflows.Register(replayer, workflows.Workflows{})
			// The replayer takes the id of the new run for that of the run that was reset.
			if err := replayer.ReplayWorkflowHistory(nil, &historypb.History{Events: e.history(t, id, run)}); err != nil {
				t.Errorf("its history does not replay: %v", err)
			}
			failed := len(after.Rotations) > 0 && strings.HasPrefix(after.Rotations[0].Error,
				"this run was reset, and AWSCURRENT is another version than it knew")
			if within := task > 1; failed != within {
				t.Errorf("the status is %+v: want a failed rotation: %t", after, within)
			}
			if within := task > 1; within {
				return // its staged version remains, and the next attempt is due
			}
			if after.NextRotationDate.Before(time.Now()) {
				t.Errorf("the next rotation is at %s", after.NextRotationDate)
			}
			e.starter(t, "rotate", id, "--force")
		})
	}
	t.Run("terminate during a grace period", func(t *testing.T) {
		const id = "disturbed/grace"
		e.create(t, id, "disturbed_grace", "SELECT ON *.*")
		e.starter(t, "start", id, "--rotate-immediately=false")
		waiting := e.begin(t, "rotate", id, "--force", "--revoke-previous", "--grace", "20h")
		waitFor(t, func() bool { return !e.status(t, id).PreviousUntil.IsZero() })
		if s := e.status(t, id); s.Username != "disturbed_grace_clone" || s.StandbyUsername != "disturbed_grace" {
			t.Errorf("during the grace period the current user is %s and the standby %s", s.Username, s.StandbyUsername)
		}
		waitFor(t, func() bool {
			return strings.Contains(e.starter(t, "list"), id+": user disturbed_grace_clone is current; "+
				"disturbed_grace still logs in, until it is revoked at ")
		})
		if err := e.temporal.TerminateWorkflow(t.Context(), rotation.RotateUserWorkflowID(id), "", "by mistake"); err != nil {
			t.Fatal(err)
		}
		if err := <-waiting.ended; err == nil {
			t.Error("the starter waited for a revocation that never happened, and did not report it")
		}
		lost := "The revocation of disturbed_grace, due at "
		for name, out := range map[string]string{
			"the waiting starter": waiting.out.String(), "status": e.starterExits(t, 1, "status", id), "rotate": e.starterExits(t, 1, "rotate", id),
			"start": e.starter(t, "start", id, "--rotate-immediately=false"),
		} {
			if !strings.Contains(out, lost) {
				t.Errorf("%s does not say that the revocation was lost:\n%s", name, out)
			}
		}
		e.starter(t, "rotate", id, "--force", "--revoke-previous")
	})
}
