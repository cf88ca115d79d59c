package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"github.com/rotate-user/rotate-user/devstack/stack"
	"github.com/rotate-user/rotate-user/internal/schedule"
	"github.com/rotate-user/rotate-user/rotation"
	"github.com/rotate-user/rotate-user/workflows"
)

// queue is a task queue with its own worker.
type queue struct {
	*stack.Worker
	name        string
	taskTimeout time.Duration // of workflow tasks, as its worker's continue-as-new sets it; 0 is Temporal's default
}

// start starts the named worker program on its own task queue. It registers the search attributes
// if it can.
func (b *bench) start(ctx context.Context, name string, args ...string) (*queue, error) {
	q, err := b.startProgram(ctx, "worker", name, args...)
	if err == nil && !b.attributes {
		_, missing := b.temporal.CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{Query: rotation.RotationStatusKey.GetName() + " IS NOT NULL"})
		b.attributes = missing == nil
	}
	return q, err
}

func (b *bench) startProgram(ctx context.Context, program, name string, args ...string) (*queue, error) {
	q := &queue{name: "bench-" + b.run + "-" + name, taskTimeout: workflows.TaskTimeout}
	var err error
	q.Worker, err = b.StartWorker(ctx, filepath.Join(b.bin, program), "worker-"+name, append([]string{"--task-queue", q.name}, args...)...)
	return q, err
}

// fall starts the workflow of a subject asleep, as continue-as-new would after a rotation.
func (b *bench) fall(ctx context.Context, q *queue, s *subject, wakes time.Time) error {
	_, err := b.temporal.ExecuteWorkflow(ctx,
		client.StartWorkflowOptions{ID: rotation.RotateUserWorkflowID(s.secretID), TaskQueue: q.name, WorkflowTaskTimeout: q.taskTimeout},
		rotation.RotateUserWorkflow,
		rotation.RotateUserInput{SecretID: s.secretID, MinimumOverlap: new(schedule.Duration)},
		&rotation.State{
			LastRotatedDate: time.Now().Add(-30 * 24 * time.Hour), NextRotationDate: wakes, WindowCloses: wakes.Add(12 * time.Hour),
			Usernames: s.pair, Digest: s.digest, DatabaseHost: fmt.Sprintf("%s:%d", b.Host, b.Port), SearchAttributes: b.attributes,
			ShowWhenLong: true,
		})
	return err
}

func nextMonth() time.Time { return time.Now().Add(30 * 24 * time.Hour) }

// rotate asks a sleeping workflow to rotate, and waits for the end of the rotation.
func (b *bench) rotate(ctx context.Context, s *subject) error {
	update, err := b.temporal.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{
		WorkflowID: rotation.RotateUserWorkflowID(s.secretID), UpdateName: rotation.RotateUpdate,
		Args: []any{rotation.RotateRequest{Force: true}}, WaitForStage: client.WorkflowUpdateStageCompleted,
	})
	if err != nil {
		return err
	}
	return update.Get(ctx, nil)
}

// runNoop runs a workflow of five activities in a row that do nothing.
func (b *bench) runNoop(ctx context.Context) error {
	run, err := b.temporal.ExecuteWorkflow(ctx, client.StartWorkflowOptions{TaskQueue: b.noop.name}, "NoopWorkflow")
	if err != nil {
		return err
	}
	return run.Get(ctx, nil)
}

// countHistory lets the timer of one workflow fire, and measures the run that rotated and the one
// that sleeps after it.
func (b *bench) countHistory(ctx context.Context, s *subject) error {
	q, err := b.start(ctx, "history")
	if err != nil {
		return err
	}
	if err := b.fall(ctx, q, s, time.Now().Add(time.Second)); err != nil {
		return err
	}
	id := rotation.RotateUserWorkflowID(s.secretID)
	first, err := b.temporal.DescribeWorkflowExecution(ctx, id, "")
	if err != nil {
		return err
	}
	rotated := first.GetWorkflowExecutionInfo().GetExecution().GetRunId()
	if err := b.await(ctx, func() (bool, error) {
		now, err := b.temporal.DescribeWorkflowExecution(ctx, id, "")
		if err != nil {
			return false, err
		}
		info := now.GetWorkflowExecutionInfo()
		b.report.HistoryEventsAsleep, b.report.HistoryBytesAsleep = int(info.GetHistoryLength()), int(info.GetHistorySizeBytes())
		return info.GetExecution().GetRunId() != rotated && asleep(now), nil
	}); err != nil {
		return err
	}
	run, err := b.temporal.DescribeWorkflowExecution(ctx, id, rotated)
	if err != nil {
		return err
	}
	info := run.GetWorkflowExecutionInfo()
	b.report.HistoryEvents, b.report.HistoryBytes = int(info.GetHistoryLength()), int(info.GetHistorySizeBytes())
	if err := b.temporal.TerminateWorkflow(ctx, id, "", "measured"); err != nil {
		return err
	}
	return q.Stop()
}

// asleep reports whether a run waits for its timer. Its history then holds the start, one task of
// three events (or more tasks, if a busy machine let one time out), and the timer.
func asleep(run *workflowservice.DescribeWorkflowExecutionResponse) bool {
	return run.GetPendingWorkflowTask() == nil && run.GetWorkflowExecutionInfo().GetHistoryLength() >= 5
}

// await repeats done for ten minutes at most.
func (b *bench) await(ctx context.Context, done func() (bool, error)) error {
	return b.awaitFor(ctx, 10*time.Minute, done)
}

// awaitFor repeats done for a limited time.
func (*bench) awaitFor(ctx context.Context, limit time.Duration, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, err := done()
		if ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
