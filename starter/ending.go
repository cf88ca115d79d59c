package main

import (
	"cmp"
	"context"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"

	"github.com/rotate-user/rotate-user/internal/plaintext"
	"github.com/rotate-user/rotate-user/rotation"
)

// ending says how a workflow ended.
type ending struct {
	status       enums.WorkflowExecutionStatus
	at           time.Time
	verb, reason string
}

// text continues a sentence that begins with "the rotation".
func (e *ending) text(now time.Time) string {
	text := e.verb + " at " + date(e.at, now)
	if e.reason != "" {
		text += ": " + e.reason
	}
	return text
}

var endingVerbs = map[enums.WorkflowExecutionStatus]string{
	enums.WORKFLOW_EXECUTION_STATUS_COMPLETED:  "was stopped",
	enums.WORKFLOW_EXECUTION_STATUS_CANCELED:   "was cancelled",
	enums.WORKFLOW_EXECUTION_STATUS_TERMINATED: "was terminated",
	enums.WORKFLOW_EXECUTION_STATUS_TIMED_OUT:  "timed out",
	enums.WORKFLOW_EXECUTION_STATUS_FAILED:     "failed",
}

// ending returns nil for a workflow that is running.
func (a *app) ending(ctx context.Context, d *workflowservice.DescribeWorkflowExecutionResponse) *ending {
	info := d.GetWorkflowExecutionInfo()
	if info.GetStatus() == enums.WORKFLOW_EXECUTION_STATUS_RUNNING {
		return nil
	}
	e := &ending{
		status: info.GetStatus(), at: info.GetCloseTime().AsTime(), verb: cmp.Or(endingVerbs[info.GetStatus()], "ended"),
		reason: plaintext.Line(a.closingReason(ctx, info.GetExecution().GetWorkflowId(), info.GetExecution().GetRunId())),
	}
	if e.status == enums.WORKFLOW_EXECUTION_STATUS_TIMED_OUT {
		e.reason = "start it without an execution or run timeout"
	}
	return e
}

// hasEnded reports whether the last rotation of a secret is known to have ended, and how.
func (a *app) hasEnded(ctx context.Context, secretID string) (*ending, bool) {
	d, err := a.describe(ctx, rotation.RotateUserWorkflowID(secretID))
	if err != nil {
		return nil, false
	}
	e := a.ending(ctx, d)
	return e, e != nil
}

// closingReason returns what the last event of a history says about why the workflow ended.
func (a *app) closingReason(ctx context.Context, workflowID, runID string) string {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	events := a.temporal.GetWorkflowHistory(ctx, workflowID, runID, false, enums.HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT)
	for events.HasNext() {
		event, err := events.Next()
		if err != nil {
			return ""
		}
		if terminated := event.GetWorkflowExecutionTerminatedEventAttributes(); terminated != nil {
			return terminated.GetReason()
		}
		if failed := event.GetWorkflowExecutionFailedEventAttributes(); failed != nil {
			return failureText(failed.GetFailure())
		}
	}
	return ""
}
