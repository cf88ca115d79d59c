package main

import (
	"context"
	"errors"
	"strings"
	"testing"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/taskqueue/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"google.golang.org/grpc"
)

func TestPollers(t *testing.T) {
	c := config{taskQueue: "q"}
	workflows := &workflowservice.PollWorkflowTaskQueueRequest{TaskQueue: &taskqueue.TaskQueue{Name: "q"}}
	sticky := &workflowservice.PollWorkflowTaskQueueRequest{
		TaskQueue: &taskqueue.TaskQueue{Name: "host:1", NormalName: "q", Kind: enums.TASK_QUEUE_KIND_STICKY}}
	activities := &workflowservice.PollActivityTaskQueueRequest{TaskQueue: &taskqueue.TaskQueue{Name: "q"}}
	paced := &workflowservice.PollActivityTaskQueueRequest{TaskQueue: &taskqueue.TaskQueue{Name: "q/paced"}}

	p := &pollers{}
	// poll ends with err, and reports what check said meanwhile and afterwards.
	poll := func(request any, err error) (during, after string) {
		got := p.watch(t.Context(), "", request, nil, nil, func(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error {
			during = said(p.check(c.pollers()...))
			return err
		})
		if !errors.Is(got, err) {
			t.Errorf("the poll ends with %v, and Temporal answered %v", got, err)
		}
		return during, said(p.check(c.pollers()...))
	}
	const notPolled = "task queue q is not polled for workflow tasks yet\n" +
		"task queue q is not polled for activity tasks yet\ntask queue q/paced is not polled for activity tasks yet"
	if got := said(p.check(c.pollers()...)); got != notPolled {
		t.Errorf("before any poll: %q", got)
	}
	if during, after := poll(&workflowservice.GetSystemInfoRequest{}, nil); during != notPolled || after != notPolled {
		t.Errorf("another call: %q, %q", during, after)
	}
	poll(workflows, nil)
	poll(activities, nil)
	if during, after := poll(paced, errors.New("denied")); during != "" || after != "poll task queue q/paced for activity tasks: denied" {
		t.Errorf("the first poll, which is refused: %q, %q", during, after)
	}
	// Until the next poll has ended, nothing shows that polls are accepted again.
	if during, after := poll(paced, nil); during == "" || after != "" {
		t.Errorf("a poll after one that was refused: %q, %q", during, after)
	}
	// A worker that stops cancels its polls.
	if _, after := poll(sticky, context.Canceled); !strings.Contains(after, "poll task queue q for workflow tasks") {
		t.Errorf("a cancelled poll of the sticky queue: %q", after)
	}
}

func said(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// TestPollsAreWatched checks that the interceptor sees the polls of a real client, each attempt of them.
func TestPollsAreWatched(t *testing.T) {
	address, _, _ := temporalServer(t, nil)
	p := &pollers{}
	c, err := client.NewLazyClient(client.Options{HostPort: address, Logger: log.NewStructuredLogger(discard),
		ConnectionOptions: client.ConnectionOptions{
			DialOptions: []grpc.DialOption{grpc.WithChainUnaryInterceptor(p.watch)},
		}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = c.WorkflowService().PollActivityTaskQueue(t.Context(),
		&workflowservice.PollActivityTaskQueueRequest{TaskQueue: &taskqueue.TaskQueue{Name: "q"}})
	if err := p.check(poller{activityTasks, "q"}); err == nil || !strings.Contains(err.Error(), "no such call") {
		t.Errorf("the server refuses every call, and the worker takes itself for ready: %v", err)
	}
}
