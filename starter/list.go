package main

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"go.temporal.io/api/serviceerror"

	"github.com/rotate-user/rotate-user/internal/plaintext"
	"github.com/rotate-user/rotate-user/internal/program"
	"github.com/rotate-user/rotate-user/rotation"
)

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
	flags.TextVar(&f.olderThan, "older-than", rotation.Duration(0),
		"only secrets last rotated longer ago than this `duration`, such as 60d, or never")
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
	return a.action(cmd, f.check, func(ctx context.Context) error { return a.list(ctx, f, order) })
}

// list prints the secrets that match a filter.
func (a *app) list(ctx context.Context, f listFilter, order listOrder) error {
	query := "WorkflowType = '" + rotation.RotateUserWorkflow + "' AND ExecutionStatus = 'Running'"
	rows, err := a.listRows(ctx, query+f.query(a.now()))
	var unknown *serviceerror.InvalidArgument
	if f != (listFilter{}) && errors.As(err, &unknown) { // the cluster lacks one of the attributes
		rows, err = a.listRows(ctx, query)
	}
	if err != nil {
		return err
	}
	if err := a.completeRows(ctx, rows); err != nil {
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
