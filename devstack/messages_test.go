package main

import (
	"context"
	"testing"
	"time"

	"go.temporal.io/api/common/v1"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"

	"github.com/rotate-user/rotate-user/devstack/temporal"
	"github.com/rotate-user/rotate-user/rotation"
	"github.com/rotate-user/rotate-user/workflows"
)

// sleeper is a rotation workflow on a Temporal server. It sleeps until its first rotation, and
// receives messages.
type sleeper struct {
	*testing.T
	temporal client.Client
	id       string
}

func startSleeper(t *testing.T, o temporal.Options, carried ...any) *sleeper {
	server, err := temporal.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Stop() })
	s := &sleeper{T: t, temporal: dial(t, server.Address()), id: rotation.RotateUserWorkflowID("s")}
	later := false
	_, err = s.temporal.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: s.id, TaskQueue: rotation.TaskQueue},
		rotation.RotateUserWorkflow,
		append([]any{rotation.RotateUserInput{SecretID: "s", RotateImmediately: &later}}, carried...)...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *sleeper) work() {
	w := worker.New(s.temporal, rotation.TaskQueue, worker.Options{})
	workflows.Register(w, workflows.Workflows{})
	w.RegisterActivityWithOptions(func(context.Context, rotation.PlanRotationInput) (rotation.PlanRotationResult, error) {
		return rotation.PlanRotationResult{}, nil
	}, activity.RegisterOptions{Name: rotation.PlanRotation})
	if err := w.Start(); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(w.Stop)
}

func (s *sleeper) signal(name string, arg any) {
	s.Helper()
	if err := s.temporal.SignalWorkflow(s.Context(), s.id, "", name, arg); err != nil {
		s.Fatal(err)
	}
}

func (s *sleeper) update(name string, args ...any) (status rotation.Status) {
	s.Helper()
	handle, err := s.temporal.UpdateWorkflow(s.Context(), client.UpdateWorkflowOptions{
		WorkflowID: s.id, UpdateName: name, Args: args, WaitForStage: client.WorkflowUpdateStageCompleted,
	})
	if err == nil {
		err = handle.Get(s.Context(), &status)
	}
	if err != nil {
		s.Fatal(err)
	}
	return status
}

func (s *sleeper) status() (status rotation.Status) {
	v, err := s.temporal.QueryWorkflow(s.Context(), s.id, "", rotation.StatusQuery)
	if err == nil {
		err = v.Get(&status)
	}
	if err != nil {
		s.Logf("status: %v", err)
	}
	return status
}

func (s *sleeper) run() string {
	d, err := s.temporal.DescribeWorkflowExecution(s.Context(), s.id, "")
	if err != nil {
		s.Fatal(err)
	}
	return d.GetWorkflowExecutionInfo().GetExecution().GetRunId()
}

// TestTheLastWordCounts: messages that arrive before the first task of a run are delivered grouped
// by name, not in order.
func TestTheLastWordCounts(t *testing.T) {
	t.Parallel()
	at := func(second int) rotation.Sender { return rotation.Sender{SentAt: time.Unix(int64(second), 0).UTC()} }
	for _, c := range []struct {
		messages []string
		want     rotation.RotationStatus
	}{
		{[]string{"pause", "resume", "pause"}, rotation.Paused},
		{[]string{"resume", "pause", "resume"}, rotation.Scheduled},
	} {
		s := startSleeper(t, temporal.Options{})
		for i, name := range c.messages {
			s.signal(name, at(i))
		}
		s.work()
		waitFor(t, func() bool { return s.status().RotationStatus == c.want })

		for i, name := range c.messages {
			s.update(name, at(10+i))
		}
		described, err := s.temporal.DescribeWorkflowExecution(t.Context(), s.id, "")
		if err != nil {
			t.Fatal(err)
		}
		run := s.reset(described.GetWorkflowExecutionInfo().GetFirstRunId())
		waitFor(t, func() bool {
			d, err := s.temporal.DescribeWorkflowExecution(t.Context(), s.id, run)
			return err == nil && (d.GetWorkflowExecutionInfo().GetStatus() != enums.WORKFLOW_EXECUTION_STATUS_RUNNING ||
				len(d.GetPendingActivities()) == 0)
		})
		waitFor(t, func() bool { return s.status().RotationStatus == c.want })
	}
}

// reset resets a run and returns the id of the new run.
func (s *sleeper) reset(runID string) string {
	s.Helper()
	reset, err := s.temporal.ResetWorkflowExecution(s.Context(), &workflowservice.ResetWorkflowExecutionRequest{
		Namespace:                 temporal.Namespace,
		WorkflowExecution:         &common.WorkflowExecution{WorkflowId: s.id, RunId: runID},
		Reason:                    "test",
		RequestId:                 "reset-" + runID,
		WorkflowTaskFinishEventId: firstTask(s.T, s, runID),
	})
	if err != nil {
		s.Fatal(err)
	}
	return reset.GetRunId()
}

// TestARunThatWasResetForgetsTheRights: rotations that the reset run does not know of may have
// changed the rights since.
func TestARunThatWasResetForgetsTheRights(t *testing.T) {
	t.Parallel()
	next := time.Now().AddDate(0, 0, 30)
	s := startSleeper(t, temporal.Options{}, rotation.State{NextRotationDate: next, WindowCloses: next.AddDate(0, 0, 1), Digest: "d",
		Rights: "1:r"})
	s.work()
	waitFor(t, func() bool { return s.status().Rights == "1:r" && s.status().Digest == "d" })
	run := s.reset(s.run())
	waitFor(t, func() bool {
		return s.run() == run && s.status().Reset
	})
	if status := s.status(); status.Rights != "" || status.Digest != "" {
		t.Errorf("after the reset the status still has %q, %q", status.Digest, status.Rights)
	}
}

// firstTask returns the id of the event that completed the first workflow task of a run.
func firstTask(t *testing.T, s *sleeper, runID string) int64 {
	for _, event := range history(t, s.temporal, s.id, runID) {
		if event.GetEventType() == enums.EVENT_TYPE_WORKFLOW_TASK_COMPLETED {
			return event.GetEventId()
		}
	}
	t.Fatal("no workflow task has completed")
	return 0
}

// TestAFloodOfMessages sends more than one run could hold: Temporal terminates a workflow at 51,200
// events.
func TestAFloodOfMessages(t *testing.T) {
	t.Parallel()
	s := startSleeper(t, temporal.Options{SuggestContinueAsNew: 100})
	s.work()
	waitFor(t, func() bool { return s.status().RotationStatus == rotation.Scheduled })
	before, first := s.status(), s.run()
	for range 150 {
		s.signal("resume", nil)
		s.update("resume") // as the temporal CLI does, without an argument
	}
	after := s.update("resume")
	if s.run() == first || !after.NextRotationDate.Equal(before.NextRotationDate) || after.RotationStatus != rotation.Scheduled {
		t.Errorf("first run %s (%s): %+v, want another run with the date %s", first, s.run(), after, before.NextRotationDate)
	}
	if n := len(history(t, s.temporal, s.id, "")); n > 150 {
		t.Errorf("%d events in one run", n)
	}
}
