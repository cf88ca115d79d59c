package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"go.temporal.io/api/common/v1"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/history/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/taskqueue/v1"
	"go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/rotate-user/rotate-user/rotation"
)

// fake is a Temporal server that gives the answers a test sets, and records the requests.
type fake struct {
	statuses map[string]rotation.Status // by secret; other secrets have no workflow
	results  map[string]any             // by workflow type: a value, an error, or one of either for each run
	rotated  []any                      // answers to the update rotate, in order: values or errors; nil if no workflow runs
	updated  any                        // the answer to all other updates
	running  bool                       // the workflow to be started is already running
	deletion rotation.DeletionState
	cut      enums.WorkflowExecutionStatus // how the last deletion ended; 0 if it is running
	busy     int                           // how many descriptions of a workflow show a pending activity
	pages    []*workflowservice.ListWorkflowExecutionsResponse
	listErr  error // for queries that name a search attribute

	described *workflowservice.DescribeWorkflowExecutionResponse // nil: running, with nothing pending
	closed    *history.HistoryEvent                              // the last event
	noQueries error                                              // the error of all queries
	noPoller  bool
	memos     converter.DataConverter // nil: as without a codec server

	mu    sync.Mutex
	asked []string
}

func (f *fake) note(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, fmt.Sprintf(format, args...))
}

func text(value any) string {
	b, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// answer is the outcome of a workflow, an update or a query.
type answer struct {
	client.WorkflowRun
	client.WorkflowUpdateHandle
	value any
}

func (a answer) HasValue() bool { return a.value != nil }

func (a answer) decode(into any) error {
	if err, ok := a.value.(error); ok || into == nil {
		return err
	}
	return json.Unmarshal([]byte(text(a.value)), into)
}

type run struct{ answer }

func (r run) Get(_ context.Context, into any) error { return r.decode(into) }

type handle struct{ answer }

func (h handle) Get(ctx context.Context, into any) error {
	if _, ok := h.value.(endlessUpdate); ok {
		<-ctx.Done()
		return ctx.Err()
	}
	return h.decode(into)
}

// endlessUpdate is an update that does not end.
type endlessUpdate struct{}

type encoded struct{ answer }

func (e encoded) Get(into any) error { return e.decode(into) }

type startOperation struct {
	client.WithStartWorkflowOperation
	options client.StartWorkflowOptions
	input   any
}

func (f *fake) Close() {}

func (f *fake) ExecuteWorkflow(ctx context.Context, o client.StartWorkflowOptions, name any, args ...any) (client.WorkflowRun, error) {
	id := o.ID
	if prefix, _, ok := strings.Cut(id, "/"); ok && (prefix == "plan-rotation" || prefix == "look-at-secret" ||
		prefix == "validate-secret" || prefix == "recover-secret" || prefix == "plan-fleet") {
		id = id[:strings.LastIndex(id, "/")] + "/UUID"
	}
	if o.StaticSummary == "" {
		return nil, errors.New("the workflow has no summary")
	}
	f.note("execute %s %s on %s %s", name, id, o.TaskQueue, text(args))
	if f.running {
		return nil, serviceerror.NewWorkflowExecutionAlreadyStarted("", "", "")
	}
	if result, ok := f.results[name.(string)]; ok {
		if runs, ok := result.([]any); ok {
			result, f.results[name.(string)] = runs[0], runs[1:]
		}
		return run{answer{value: result}}, nil
	}
	return endless{}, nil
}

// endless is a workflow that does not end.
type endless struct{ client.WorkflowRun }

func (endless) Get(ctx context.Context, _ any) error { <-ctx.Done(); return ctx.Err() }

func (f *fake) NewWithStartWorkflowOperation(o client.StartWorkflowOptions, _ any, args ...any) client.WithStartWorkflowOperation {
	return startOperation{options: o, input: args}
}

func (f *fake) UpdateWithStartWorkflow(_ context.Context, o client.UpdateWithStartWorkflowOptions) (client.WorkflowUpdateHandle, error) {
	start := o.StartWorkflowOperation.(startOperation)
	if start.options.StaticSummary == "" {
		return nil, errors.New("the workflow has no summary")
	}
	f.note("start %s on %s %s, conflict %s, update %s %s", start.options.ID, start.options.TaskQueue, text(start.input),
		start.options.WorkflowIDConflictPolicy, o.UpdateOptions.UpdateName, text(o.UpdateOptions.Args))
	if f.running {
		return nil, fmt.Errorf("failed workflow start: %w", serviceerror.NewWorkflowExecutionAlreadyStarted("", "", ""))
	}
	next := f.rotated[0]
	f.rotated = f.rotated[1:]
	return handle{answer{value: next}}, nil
}

func (f *fake) UpdateWorkflow(_ context.Context, o client.UpdateWorkflowOptions) (client.WorkflowUpdateHandle, error) {
	f.note("update %s %s %s", o.WorkflowID, o.UpdateName, text(o.Args))
	if o.UpdateName == rotation.RotateUpdate && len(f.rotated) > 0 {
		next := f.rotated[0]
		f.rotated = f.rotated[1:]
		return handle{answer{value: next}}, nil
	}
	if f.updated == nil {
		return nil, serviceerror.NewNotFound("no such workflow")
	}
	return handle{answer{value: f.updated}}, nil
}

func (f *fake) SignalWorkflow(_ context.Context, id, _, name string, _ any) error {
	f.note("signal %s %s", id, name)
	f.cut = enums.WORKFLOW_EXECUTION_STATUS_COMPLETED
	return nil
}

func (f *fake) QueryWorkflow(_ context.Context, id, _, _ string, _ ...any) (converter.EncodedValue, error) {
	if strings.HasPrefix(id, "delete-user/") {
		state := f.deletion
		state.Locked = f.busy <= 0 && state.Error == ""
		f.busy--
		return encoded{answer{value: state}}, nil
	}
	if f.noQueries != nil {
		return nil, f.noQueries
	}
	status, ok := f.statuses[strings.TrimPrefix(id, "rotate-user/")]
	if !ok {
		return nil, serviceerror.NewNotFound("no such workflow")
	}
	return encoded{answer{value: status}}, nil
}

func (f *fake) DescribeWorkflowExecution(_ context.Context, id, _ string) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	if strings.HasPrefix(id, "delete-user/") && f.cut == 0 && !f.running && f.described == nil {
		return nil, serviceerror.NewNotFound("no such workflow")
	}
	if strings.HasPrefix(id, "delete-user/") && f.cut != 0 {
		return &workflowservice.DescribeWorkflowExecutionResponse{WorkflowExecutionInfo: &workflow.WorkflowExecutionInfo{
			Status: f.cut, CloseTime: timestamppb.New(now.Add(-time.Hour)), Execution: &common.WorkflowExecution{},
		}}, nil
	}
	if f.described != nil {
		return f.described, nil
	}
	if secret, ok := strings.CutPrefix(id, "rotate-user/"); ok {
		if _, ok := f.statuses[secret]; !ok {
			return nil, serviceerror.NewNotFound("no such workflow")
		}
	}
	response := &workflowservice.DescribeWorkflowExecutionResponse{
		WorkflowExecutionInfo: &workflow.WorkflowExecutionInfo{Status: enums.WORKFLOW_EXECUTION_STATUS_RUNNING},
	}
	if f.busy > 0 {
		f.busy--
		response.PendingActivities = append(response.PendingActivities, &workflow.PendingActivityInfo{})
	}
	return response, nil
}

func (f *fake) DescribeTaskQueue(context.Context, string, enums.TaskQueueType) (*workflowservice.DescribeTaskQueueResponse, error) {
	response := &workflowservice.DescribeTaskQueueResponse{}
	if !f.noPoller {
		response.Pollers = append(response.Pollers, &taskqueue.PollerInfo{LastAccessTime: timestamppb.New(now)})
	}
	return response, nil
}

func (f *fake) GetWorkflowHistory(context.Context, string, string, bool, enums.HistoryEventFilterType) client.HistoryEventIterator {
	return &lastEvent{f.closed}
}

// lastEvent is the end of a history.
type lastEvent struct{ event *history.HistoryEvent }

func (l *lastEvent) HasNext() bool { return l.event != nil }

func (l *lastEvent) Next() (event *history.HistoryEvent, err error) {
	event, l.event = l.event, nil
	return event, nil
}

func (f *fake) ListWorkflow(_ context.Context, r *workflowservice.ListWorkflowExecutionsRequest) (*workflowservice.ListWorkflowExecutionsResponse, error) {
	f.note("list %s", r.Query)
	if f.listErr != nil && strings.Contains(r.Query, "RotationStatus") {
		return nil, f.listErr
	}
	if len(f.pages) == 0 {
		return &workflowservice.ListWorkflowExecutionsResponse{}, nil
	}
	page := f.pages[0]
	f.pages = f.pages[1:]
	return page, nil
}
