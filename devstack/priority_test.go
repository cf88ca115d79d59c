package main

import (
	"context"
	"fmt"
	"testing"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"

	"github.com/rotate-user/rotate-user/devstack/temporal"
	"github.com/rotate-user/rotate-user/rotation"
	"github.com/rotate-user/rotate-user/workflows"
)

// TestAPersonsStepIsHandedOutFirst: the Temporal server honours the priorities that workflows give
// to their steps. The first steps of many starting rotations wait in the queue before the step of a
// requested rotation, which must overtake them.
func TestAPersonsStepIsHandedOutFirst(t *testing.T) {
	t.Parallel()
	server, err := temporal.Start(t.Context(), temporal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Stop()
	c := dial(t, server.Address())
	defer c.Close()
	flows := worker.New(c, rotation.TaskQueue, worker.Options{LocalActivityWorkerOnly: true})
	workflows.Register(flows, workflows.Workflows{})
	if err := flows.Start(); err != nil {
		t.Fatal(err)
	}
	defer flows.Stop()

	const waiting = 40
	start := func(id, kind string, input any) {
		t.Helper()
		_, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: id, TaskQueue: rotation.TaskQueue}, kind, input)
		if err != nil {
			t.Fatal(err)
		}
		for { // until its step is queued
			d, err := c.DescribeWorkflowExecution(t.Context(), id, "")
			if err != nil {
				t.Fatal(err)
			}
			if len(d.GetPendingActivities()) > 0 {
				return
			}
		}
	}
	no := false
	for i := range waiting {
		start(fmt.Sprint("schedule", i), rotation.RotateUserWorkflow,
			rotation.RotateUserInput{SecretID: fmt.Sprint("schedule", i), RotateImmediately: &no})
	}
	start("person", rotation.PlanRotationWorkflow, rotation.RotateUserInput{SecretID: "person"})

	order := make(chan string, waiting+1)
	steps := worker.New(c, rotation.TaskQueue, worker.Options{
		DisableWorkflowWorker: true, MaxConcurrentActivityExecutionSize: 1, MaxConcurrentActivityTaskPollers: 1,
	})
	steps.RegisterActivityWithOptions(func(_ context.Context, in rotation.CloneUserInput) (rotation.PlanRotationResult, error) {
		order <- in.SecretID
		return rotation.PlanRotationResult{}, nil
	}, activity.RegisterOptions{Name: rotation.PlanRotation})
	if err := steps.Start(); err != nil {
		t.Fatal(err)
	}
	defer steps.Stop()
	for n := 1; ; n++ {
		select {
		case id := <-order:
			if id != "person" {
				continue
			}
			// Each of the four partitions of a task queue has its own order, and each poll asks one
			// partition: in 30 polls, one run in 5,600 never asks the partition of the requested
			// step. Without priorities that step would be the last.
			t.Logf("step %d of %d", n, waiting+1)
			if n > waiting*3/4 {
				t.Errorf("the requested rotation's step was step %d of %d", n, waiting+1)
			}
			return
		case <-time.After(patience):
			t.Fatal("no steps were handed out")
		}
	}
}
