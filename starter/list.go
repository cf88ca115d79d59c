package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.temporal.io/api/serviceerror"

	"github.com/rotate-user/rotate-user/internal/plaintext"
	"github.com/rotate-user/rotate-user/internal/program"
	"github.com/rotate-user/rotate-user/rotation"
)

var allStatuses = []rotation.RotationStatus{rotation.Scheduled, rotation.Rotating, rotation.Retrying, rotation.Failed, rotation.Paused}

func (a *app) listCommand() *cobra.Command {
	var f listFilter
	order := listOrder("secret")
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List every secret that is rotated: status, last and next rotation",
		Long: `List every secret that is rotated: status, last and next rotation. Filters can be combined.

The workflows keep this in search attributes. If the cluster lacks them, the starter asks each workflow, which takes longer.

A secret is overdue if its next rotation was due more than a minute ago: no worker has taken it up, or it is being retried. Error
types are those that status shows, such as AccessDenied, Unreachable or Locked. -o wide also shows the error type, and does not
shorten names.`,
		Example: `  starter list
  starter list --status Failed -o json
  starter list --overdue --host db1.example.com -o wide
  starter list --older-than 60d --sort last-rotated -o csv`,
	}
	flags := cmd.Flags()
	flags.StringVar((*string)(&f.status), "status", "", "only this status: Scheduled, Rotating, Retrying, Failed or Paused")
	flags.StringVar(&f.host, "host", "", "only secrets of this database server, with or without its port")
	flags.StringVar(&f.errorType, "error-type", "", "only secrets whose last rotation failed with this type of error")
	flags.BoolVar(&f.overdue, "overdue", false, "only secrets whose rotation is overdue")
	flags.TextVar(&f.olderThan, "older-than", rotation.Duration(0), "only secrets last rotated longer ago than this `duration`, such as 60d, or never")
	flags.Lookup("older-than").DefValue = "" // without the flag, 0s is not what happens
	flags.Var(&order, "sort", "sort by this column: "+strings.Join(listOrderNames(), ", "))
	flags.VarP(formatFlag{&a.output, []format{table, wide, jsonFormat, csvFormat}}, "output", "o", "how to print the list")
	var statuses []string
	for _, s := range allStatuses {
		statuses = append(statuses, string(s))
	}
	program.Complete(cmd, "status", statuses...)
	program.Complete(cmd, "sort", listOrderNames()...)
	program.Complete(cmd, "output", string(table), string(wide), string(jsonFormat), string(csvFormat))
	return a.does(cmd, f.check, func(ctx context.Context) error { return a.list(ctx, f, order) })
}

// list prints the secrets that match a filter.
func (a *app) list(ctx context.Context, f listFilter, order listOrder) error {
	query := "WorkflowType = '" + rotation.RotateUserWorkflow + "' AND ExecutionStatus = 'Running'"
	rows, err := a.listed(ctx, query+f.query(a.now()))
	var unknown *serviceerror.InvalidArgument
	if f != (listFilter{}) && errors.As(err, &unknown) { // the cluster lacks one of the attributes
		rows, err = a.listed(ctx, query)
	}
	if err != nil {
		return err
	}
	if err := a.ask(ctx, rows); err != nil {
		return err
	}
	silent := 0
	for i := range rows {
		rows[i].Overdue = rows[i].overdue(a.now())
		if rows[i].RotationStatus == "" {
			silent++
		}
	}
	if silent > 0 && f != (listFilter{}) {
		a.say("Not listed, although they may match: " + plaintext.Count(silent, "secret") + " whose rotation does not answer.")
	}
	rows = slices.DeleteFunc(rows, func(r listed) bool { return !f.matches(r, a.now()) })
	slices.SortFunc(rows, func(x, y listed) int { return cmp.Or(listOrders[order](x, y), cmp.Compare(x.SecretID, y.SecretID)) })
	return a.print(listView{rows, f, a.output == wide, a.now()})
}

// listFilter says which secrets to list. Its zero value lists all.
type listFilter struct {
	status          rotation.RotationStatus
	host, errorType string
	overdue         bool
	olderThan       rotation.Duration
}

// check finds what no secret could match. Everything that becomes part of a query is a plain word.
func (f *listFilter) check() error {
	if f.status != "" && !slices.Contains(allStatuses, f.status) {
		return fmt.Errorf("--status is %q: Scheduled, Rotating, Retrying, Failed or Paused", f.status)
	}
	if strings.ContainsFunc(f.host, func(r rune) bool { return r <= ' ' || strings.ContainsRune("'\"\\`", r) }) {
		return fmt.Errorf("--host is %q: a host name or address, with or without a port", f.host)
	}
	if strings.ContainsFunc(f.errorType, func(r rune) bool { return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') }) {
		return fmt.Errorf("--error-type is %q: a word such as AccessDenied", f.errorType)
	}
	return nil
}

// query returns the filter in the words of Temporal's visibility, to follow other conditions. A workflow without a status has none
// of the search attributes, so it is asked later.
func (f *listFilter) query(now time.Time) string {
	status := rotation.RotationStatusKey.GetName()
	var all []string
	if f.status != "" {
		all = append(all, fmt.Sprintf("%s = '%s'", status, f.status))
	}
	if address, whole := f.address(); whole {
		all = append(all, fmt.Sprintf("%s = '%s'", rotation.DatabaseHostKey.GetName(), address))
	} else if address != "" {
		all = append(all, fmt.Sprintf("%s STARTS_WITH '%s'", rotation.DatabaseHostKey.GetName(), address))
	}
	if f.errorType != "" { // what is being retried has no type there
		all = append(all, fmt.Sprintf("(%s = '%s' OR %s IN ('%s', '%s', '%s'))", rotation.RotationErrorKey.GetName(), f.errorType,
			status, rotation.Rotating, rotation.Retrying, rotation.Failed))
	}
	if f.overdue {
		all = append(all, fmt.Sprintf("%s < '%s'", rotation.NextRotationDateKey.GetName(), now.Add(-overdueAfter).Format(time.RFC3339)))
	}
	if f.olderThan > 0 {
		last := rotation.LastRotatedDateKey.GetName()
		all = append(all, fmt.Sprintf("(%s < '%s' OR %s IS NULL)", last, now.Add(-time.Duration(f.olderThan)).Format(time.RFC3339), last))
	}
	if len(all) == 0 {
		return ""
	}
	return fmt.Sprintf(" AND (%s IS NULL OR %s)", status, strings.Join(all, " AND "))
}

// address returns the server that the filter names, as it is written in DatabaseHost, and whether that is all of it. Without a
// port it is the beginning.
func (f *listFilter) address() (address string, whole bool) {
	if f.host == "" {
		return "", false
	}
	if host, port, err := net.SplitHostPort(f.host); err == nil {
		return net.JoinHostPort(host, port), true
	}
	return net.JoinHostPort(strings.Trim(f.host, "[]"), ""), false
}

func (f *listFilter) matches(r listed, now time.Time) bool {
	address, whole := f.address()
	return (f.status == "" || r.RotationStatus == f.status) &&
		(!whole || r.DatabaseHost == address) && strings.HasPrefix(r.DatabaseHost, address) &&
		(f.errorType == "" || slices.Contains(r.errorTypes(), f.errorType)) &&
		(!f.overdue || r.Overdue) &&
		(f.olderThan == 0 || r.RotationStatus != "" && now.Sub(r.LastRotatedDate) > time.Duration(f.olderThan))
}

// listOrder is the name of the column that a list is sorted by.
type listOrder string

// listOrders compare two rows. Rows without a value come last, but for a secret that was never rotated, which is the oldest.
var listOrders = map[listOrder]func(x, y listed) int{
	"secret":       func(x, y listed) int { return 0 },
	"status":       func(x, y listed) int { return valuesFirst(x.state(), y.state(), cmp.Compare) },
	"error":        func(x, y listed) int { return valuesFirst(x.RotationError, y.RotationError, cmp.Compare) },
	"database":     func(x, y listed) int { return valuesFirst(x.DatabaseHost, y.DatabaseHost, cmp.Compare) },
	"last-rotated": func(x, y listed) int { return x.LastRotatedDate.Compare(y.LastRotatedDate) },
	"next-rotation": func(x, y listed) int {
		return valuesFirst(x.NextRotationDate, y.NextRotationDate, time.Time.Compare)
	},
}

func valuesFirst[T comparable](x, y T, compare func(x, y T) int) int {
	var none T
	if (x == none) != (y == none) {
		return map[bool]int{true: 1, false: -1}[x == none]
	}
	return compare(x, y)
}

func listOrderNames() []string {
	return []string{"secret", "status", "error", "database", "last-rotated", "next-rotation"}
}

func (o *listOrder) String() string { return string(*o) }
func (o *listOrder) Type() string   { return "column" }
func (o *listOrder) Set(s string) error {
	if _, ok := listOrders[listOrder(s)]; !ok {
		return fmt.Errorf("it is one of %s", strings.Join(listOrderNames(), ", "))
	}
	*o = listOrder(s)
	return nil
}
