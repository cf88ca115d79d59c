package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.temporal.io/api/common/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/converter"
	"golang.org/x/sync/errgroup"

	"github.com/rotate-user/rotate-user/internal/plaintext"
	"github.com/rotate-user/rotate-user/internal/program"
	"github.com/rotate-user/rotate-user/rotation"
)

// queriesAtOnce bounds how many workflows are asked at a time where the cluster lacks the search attributes.
const queriesAtOnce = 8

var allStatuses = []rotation.RotationStatus{rotation.Scheduled, rotation.Rotating, rotation.Retrying, rotation.Failed, rotation.Paused}

func (a *app) listCommand() *cobra.Command {
	var wanted string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Show every secret that is rotated: status, last and next rotation",
		Long: `Show every secret that is rotated: status, last and next rotation. The search attributes that the workflows set answer this at once;
where the cluster lacks them, each workflow is asked.`,
		Example: `  starter list
  starter list --status Failed -o json`,
	}
	cmd.Flags().StringVar(&wanted, "status", "", "only those that are Scheduled, Rotating, Retrying, Failed or Paused")
	var names []string
	for _, s := range allStatuses {
		names = append(names, string(s))
	}
	program.Complete(cmd, "status", names...)
	check := func() error {
		if wanted != "" && !slices.Contains(allStatuses, rotation.RotationStatus(wanted)) {
			return fmt.Errorf("--status is %q: Scheduled, Rotating, Retrying, Failed or Paused", wanted)
		}
		return nil
	}
	return a.does(cmd, check, func(ctx context.Context) error { return a.list(ctx, rotation.RotationStatus(wanted)) })
}

// listed is one secret in the list.
type listed struct {
	SecretID         string                  `json:"SecretId"`
	RotationStatus   rotation.RotationStatus `json:"RotationStatus,omitempty"` // empty where the workflow does not answer
	LastRotatedDate  time.Time               `json:"LastRotatedDate,omitzero"`
	NextRotationDate time.Time               `json:"NextRotationDate,omitzero"`
	DatabaseHost     string                  `json:"DatabaseHost,omitempty"`
	Retrying         []retry                 `json:"Retrying,omitempty"`
	// Username is in use, and PreviousUsername until PreviousUntil, in the grace of a revocation; empty otherwise.
	Username         string    `json:"Username,omitempty"`
	PreviousUsername string    `json:"PreviousUsername,omitempty"`
	PreviousUntil    time.Time `json:"PreviousUntil,omitzero"`
	// OpenAccounts says which accounts are still open though no secret is for them; empty for none.
	OpenAccounts string `json:"OpenAccounts,omitempty"`

	sealed bool // what visibility knows of open accounts is encoded
}

func (a *app) list(ctx context.Context, wanted rotation.RotationStatus) error {
	query := "WorkflowType = '" + rotateUserWorkflow + "' AND ExecutionStatus = 'Running'"
	filter := ""
	if wanted != "" {
		name := rotation.RotationStatusKey.GetName()
		filter = fmt.Sprintf(" AND (%s = '%s' OR %s IS NULL)", name, wanted, name)
	}
	rows, err := a.listed(ctx, query+filter)
	var unknown *serviceerror.InvalidArgument
	if filter != "" && errors.As(err, &unknown) { // the cluster lacks the attribute
		rows, err = a.listed(ctx, query)
	}
	if err != nil {
		return err
	}
	if err := a.ask(ctx, rows); err != nil {
		return err
	}
	rows = slices.DeleteFunc(rows, func(r listed) bool { return wanted != "" && r.RotationStatus != wanted })
	slices.SortFunc(rows, func(x, y listed) int { return cmp.Compare(x.SecretID, y.SecretID) })
	return a.print(listView{rows, wanted, a.now()})
}

func (a *app) listed(ctx context.Context, query string) ([]listed, error) {
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
	if payload := execution.GetMemo().GetFields()[rotation.OpenAccountsMemo]; payload != nil {
		row.sealed = converter.GetDefaultDataConverter().FromPayload(payload, &row.OpenAccounts) != nil
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

// ask completes the rows of which visibility did not know the status, and adds why a step is being retried, which visibility
// does not know.
func (a *app) ask(ctx context.Context, rows []listed) error {
	var g errgroup.Group
	g.SetLimit(queriesAtOnce)
	for i := range rows {
		row := &rows[i]
		unknown := row.RotationStatus == ""
		asleep := row.NextRotationDate.After(a.now()) && (row.RotationStatus == rotation.Scheduled || row.RotationStatus == rotation.Failed)
		if len(rows) > describedAlways && !row.sealed && (asleep || row.RotationStatus == rotation.Paused) {
			continue
		}
		g.Go(func() error {
			if unknown || row.sealed || row.RotationStatus == rotation.Rotating {
				s, err := a.query(ctx, row.SecretID)
				if err == nil { // else the row says that the status is unknown
					*row = listed{
						SecretID: row.SecretID, RotationStatus: s.RotationStatus, LastRotatedDate: s.LastRotatedDate,
						NextRotationDate: s.NextRotationDate, DatabaseHost: s.DatabaseHost, OpenAccounts: row.OpenAccounts,
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

type listView struct {
	rows   []listed
	wanted rotation.RotationStatus // empty for all
	now    time.Time
}

func (v listView) value() any { return v.rows }
func (v listView) text(w io.Writer) {
	if len(v.rows) == 0 && v.wanted != "" {
		fmt.Fprintf(w, "No secret is %s.\n", v.wanted)
		return
	}
	if len(v.rows) == 0 {
		fmt.Fprintln(w, "No secret is rotated. Begin with: starter start --secret-id ...")
		return
	}
	table := [][]string{{"SECRET", "STATUS", "LAST ROTATED", "NEXT ROTATION", "DATABASE"}}
	shortened := false
	for _, r := range v.rows {
		state := cmp.Or(string(r.RotationStatus), "no answer")
		if len(r.Retrying) > 0 {
			state = "Retrying"
		}
		shortened = shortened || abbreviated(r.SecretID) != r.SecretID || abbreviated(r.DatabaseHost) != r.DatabaseHost
		table = append(table, []string{
			abbreviated(r.SecretID), state, cmp.Or(date(r.LastRotatedDate, v.now), "-"),
			cmp.Or(date(r.NextRotationDate, v.now), "-"), cmp.Or(abbreviated(r.DatabaseHost), "-"),
		})
	}
	columns(w, table)
	for _, r := range v.rows {
		if !r.PreviousUntil.IsZero() {
			fmt.Fprintf(w, "\n%s: user %s is in use; %s still logs in, until it is revoked at %s\n",
				plaintext.Line(r.SecretID), plaintext.Line(r.Username), plaintext.Line(r.PreviousUsername), date(r.PreviousUntil, v.now))
		}
		for line := range strings.Lines(r.OpenAccounts) {
			fmt.Fprintf(w, "\n%s: %s\n", plaintext.Line(r.SecretID), plaintext.Line(strings.TrimSuffix(line, "\n")))
		}
		for _, step := range r.Retrying {
			fmt.Fprintf(w, "\n%s: %s\n", plaintext.Line(r.SecretID), step.text(v.now))
		}
	}
	if shortened {
		fmt.Fprintln(w, "\nLong names are shortened in the middle: -o json shows them whole.")
	}
}

// nameWidth is what a name takes of a row, at most: one long name would push the columns of all rows off the screen.
const nameWidth = 60

func abbreviated(name string) string {
	runes := []rune(plaintext.Line(name))
	if len(runes) <= nameWidth {
		return string(runes)
	}
	half := (nameWidth - 1) / 2
	return string(runes[:half]) + "…" + string(runes[len(runes)-half:])
}
