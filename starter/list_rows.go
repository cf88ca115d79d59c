package main

import (
	"context"
	"strings"
	"time"

	"go.temporal.io/api/common/v1"
	"go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/converter"
	"golang.org/x/sync/errgroup"

	"github.com/rotate-user/rotate-user/rotation"
)

// maxParallelQueries bounds how many workflows are asked at a time.
const maxParallelQueries = 8

// overdueAfter is how long after its date a rotation is overdue. A rotation that is just starting is not.
const overdueAfter = time.Minute

// listRows is one secret in the list.
type listed struct {
	SecretID       string                  `json:"SecretId"`
	RotationStatus rotation.RotationStatus `json:"RotationStatus,omitempty"` // empty where the workflow does not answer
	// RotationError is the type of the error of the last rotation; empty if that succeeded.
	RotationError    string    `json:"RotationError,omitempty"`
	LastRotatedDate  time.Time `json:"LastRotatedDate,omitzero"`
	NextRotationDate time.Time `json:"NextRotationDate,omitzero"`
	// Overdue means that NextRotationDate has passed.
	Overdue      bool    `json:"Overdue,omitempty"`
	DatabaseHost string  `json:"DatabaseHost,omitempty"`
	Retrying     []retry `json:"Retrying,omitempty"`
	// Username is in use, and PreviousUsername until PreviousUntil, in the grace of a revocation; empty otherwise.
	Username         string    `json:"Username,omitempty"`
	PreviousUsername string    `json:"PreviousUsername,omitempty"`
	PreviousUntil    time.Time `json:"PreviousUntil,omitzero"`
	// OpenAccounts says which accounts are still open though no secret is for them; empty for none.
	OpenAccounts string `json:"OpenAccounts,omitempty"`

	memoEncoded bool // what visibility knows of open accounts is encoded
}

// state is the status that people see: Temporal knows of a step that is retried before the search attributes do.
func (r listed) state() string {
	if len(r.Retrying) > 0 {
		return string(rotation.Retrying)
	}
	return string(r.RotationStatus)
}

func (r listed) overdue(now time.Time) bool {
	return !r.NextRotationDate.IsZero() && now.Sub(r.NextRotationDate) > overdueAfter
}

// errorTypes are those of the last rotation and of the steps that are being retried.
func (r listed) errorTypes() []string {
	all := []string{r.RotationError}
	for _, step := range r.Retrying {
		all = append(all, step.ErrorType)
	}
	return all
}

func (a *app) listRows(ctx context.Context, query string) ([]listed, error) {
	rows := []listed{}
	request := &workflowservice.ListWorkflowExecutionsRequest{Query: query}
	for {
		page, err := a.temporal.ListWorkflow(ctx, request)
		if err != nil {
			return nil, err
		}
		for _, execution := range page.GetExecutions() {
			if row, ok := fromVisibility(execution); ok {
				rows = append(rows, row)
			}
		}
		if request.NextPageToken = page.GetNextPageToken(); len(request.NextPageToken) == 0 {
			return rows, nil
		}
	}
}

// fromVisibility is what visibility knows of a workflow; not ok where its id is not one of ours.
func fromVisibility(execution *workflow.WorkflowExecutionInfo) (row listed, ok bool) {
	id, ok := strings.CutPrefix(execution.GetExecution().GetWorkflowId(), rotation.RotateUserWorkflowID(""))
	if !ok {
		return listed{}, false
	}
	row.SecretID = id
	attributes := execution.GetSearchAttributes().GetIndexedFields()
	decode(attributes, rotation.RotationStatusKey.GetName(), &row.RotationStatus)
	decode(attributes, rotation.LastRotatedDateKey.GetName(), &row.LastRotatedDate)
	decode(attributes, rotation.NextRotationDateKey.GetName(), &row.NextRotationDate)
	decode(attributes, rotation.DatabaseHostKey.GetName(), &row.DatabaseHost)
	decode(attributes, rotation.RotationErrorKey.GetName(), &row.RotationError)
	if payload := execution.GetMemo().GetFields()[rotation.OpenAccountsMemo]; payload != nil {
		row.memoEncoded = converter.GetDefaultDataConverter().FromPayload(payload, &row.OpenAccounts) != nil
	}
	return row, true
}

// decode leaves value alone where the attribute is not set, or is somebody else's of the same name.
func decode[T any](attributes map[string]*common.Payload, name string, value *T) {
	var decoded T
	if payload, ok := attributes[name]; ok && converter.GetDefaultDataConverter().FromPayload(payload, &decoded) == nil {
		*value = decoded
	}
}

// describedAlways is how many workflows are asked whether a step is being retried, whatever visibility says of them: it learns
// late of a rotation by request. In a longer list only those are asked that are, or should be, rotating.
const describedAlways = 100

// completeRows completes the rows of which visibility did not know the status, and adds why a step is being retried, which visibility
// does not know.
func (a *app) completeRows(ctx context.Context, rows []listed) error {
	var g errgroup.Group
	g.SetLimit(maxParallelQueries)
	for i := range rows {
		row := &rows[i]
		unknown := row.RotationStatus == ""
		asleep := row.NextRotationDate.After(a.now()) && (row.RotationStatus == rotation.Scheduled || row.RotationStatus == rotation.Failed)
		if len(rows) > describedAlways && !row.memoEncoded && (asleep || row.RotationStatus == rotation.Paused) {
			continue
		}
		g.Go(func() error {
			noType := row.RotationStatus == rotation.Failed && row.RotationError == "" // an older worker, or no such attribute
			if unknown || noType || row.memoEncoded || row.RotationStatus == rotation.Rotating {
				s, err := a.query(ctx, row.SecretID)
				if err == nil { // else the row says that the status is unknown
					*row = listed{
						SecretID: row.SecretID, RotationStatus: s.RotationStatus, LastRotatedDate: s.LastRotatedDate,
						NextRotationDate: s.NextRotationDate, DatabaseHost: s.DatabaseHost, OpenAccounts: row.OpenAccounts,
					}
					if len(s.Rotations) > 0 {
						row.RotationError = s.Rotations[0].ErrorType
					}
					if s.Deleted != nil || len(s.Left) > 0 {
						row.OpenAccounts = strings.Join(s.Warnings, "\n")
					}
					if !s.PreviousUntil.IsZero() {
						row.Username, row.PreviousUsername, row.PreviousUntil = s.Username, s.StandbyUsername, s.PreviousUntil
					}
				}
			}
			if d, err := a.describe(ctx, rotation.RotateUserWorkflowID(row.SecretID)); err == nil {
				row.Retrying = retries(d)
			}
			return ctx.Err()
		})
	}
	return g.Wait()
}
