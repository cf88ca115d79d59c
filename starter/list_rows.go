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

	"github.com/rotate-user/rotate-user/internal/memo"
	"github.com/rotate-user/rotate-user/rotation"
)

// maxParallelQueries is how many workflows are queried at the same time.
const maxParallelQueries = 8

// listed is one secret in the list.
type listed struct {
	SecretID       string                  `json:"SecretId"`
	RotationStatus rotation.RotationStatus `json:"RotationStatus,omitempty"` // empty if the workflow does not answer
	// RotationError is the type of the last rotation's error, empty if that succeeded.
	RotationError    string    `json:"RotationError,omitempty"`
	LastRotatedDate  time.Time `json:"LastRotatedDate,omitzero"`
	NextRotationDate time.Time `json:"NextRotationDate,omitzero"`
	// Overdue means that NextRotationDate passed more than rotation.OverdueAfter ago.
	Overdue      bool    `json:"Overdue,omitempty"`
	DatabaseHost string  `json:"DatabaseHost,omitempty"`
	Retrying     []retry `json:"Retrying,omitempty"`
	// Username is the current user, and PreviousUsername logs in until PreviousUntil. They are set in the grace period of a revocation.
	Username         string    `json:"Username,omitempty"`
	PreviousUsername string    `json:"PreviousUsername,omitempty"`
	PreviousUntil    time.Time `json:"PreviousUntil,omitzero"`
	// OpenAccounts describes accounts that still log in although no secret names them.
	OpenAccounts string `json:"OpenAccounts,omitempty"`
	// DeclaredBy says which tag or file declares the rotation; see rotation.DeclaredByMemo.
	DeclaredBy string `json:"DeclaredBy,omitempty"`

	memoEncoded bool // OpenAccounts is encoded, so the workflow must be queried
}

// state is the status to show. Temporal's pending activities show a retry earlier than the search
// attributes do.
func (r listed) state() string {
	if len(r.Retrying) > 0 {
		return string(rotation.Retrying)
	}
	return string(r.RotationStatus)
}

func (r listed) overdue(now time.Time) bool {
	return !r.NextRotationDate.IsZero() && now.Sub(r.NextRotationDate) > rotation.OverdueAfter
}

// errorTypes returns the error types of the last rotation and of the steps that are being retried.
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
		executions := page.GetExecutions()
		open, owners := memo.Texts(a.memos, executions, rotation.OpenAccountsMemo), memo.Texts(a.memos, executions, rotation.DeclaredByMemo)
		for i, execution := range executions {
			if row, ok := fromVisibility(execution); ok {
				row.DeclaredBy = owners[i]
				if row.memoEncoded = open[i] == memo.Unreadable; !row.memoEncoded {
					row.OpenAccounts = open[i]
				}
				rows = append(rows, row)
			}
		}
		if request.NextPageToken = page.GetNextPageToken(); len(request.NextPageToken) == 0 {
			return rows, nil
		}
	}
}

// fromVisibility returns what visibility knows about a workflow, apart from its memo. ok is false if the id is not that
// of a rotation.
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
	return row, true
}

// decode sets value, unless the attribute is missing or has another type.
func decode[T any](attributes map[string]*common.Payload, name string, value *T) {
	var decoded T
	if payload, ok := attributes[name]; ok && converter.GetDefaultDataConverter().FromPayload(payload, &decoded) == nil {
		*value = decoded
	}
}

// describedAlways is the longest list in which every workflow is described, to find steps that are
// being retried: visibility learns late about a requested rotation. In a longer list, only
// workflows that are rotating or due are described.
const describedAlways = 100

// completeRows adds what visibility does not know: the status on a cluster without search
// attributes, and why a step is being retried.
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
				if err == nil { // otherwise the status stays unknown
					*row = listed{
						SecretID: row.SecretID, RotationStatus: s.RotationStatus, LastRotatedDate: s.LastRotatedDate,
						NextRotationDate: s.NextRotationDate, DatabaseHost: s.DatabaseHost, OpenAccounts: row.OpenAccounts, DeclaredBy: row.DeclaredBy,
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
