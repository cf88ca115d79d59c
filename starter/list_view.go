package main

import (
	"cmp"
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rotate-user/rotate-user/internal/plaintext"
)

// listView is a list of secrets.
type listView struct {
	rows   []listed
	filter listFilter
	wide   bool
	now    time.Time
}

func (v listView) value() any { return v.rows }
func (v listView) text(w io.Writer) {
	switch {
	case len(v.rows) > 0:
	case v.filter == listFilter{}:
		fmt.Fprintln(w, "No secret is rotated. Start with: starter start --secret-id ...")
		return
	case v.filter == listFilter{status: v.filter.status}:
		fmt.Fprintf(w, "No secret is %s.\n", v.filter.status)
		return
	default:
		fmt.Fprintln(w, "No secret matches.")
		return
	}
	if v.wide {
		v.wideTable(w)
	} else {
		v.table(w)
	}
	v.notes(w)
}

func (v listView) table(w io.Writer) {
	rows := [][]string{{"SECRET", "STATUS", "LAST ROTATED", "NEXT ROTATION", "DATABASE"}}
	shortened := false
	for _, r := range v.rows {
		shortened = shortened || abbreviated(r.SecretID) != r.SecretID || abbreviated(r.DatabaseHost) != r.DatabaseHost
		rows = append(rows, []string{
			abbreviated(r.SecretID), cmp.Or(r.state(), "no answer"), cmp.Or(date(r.LastRotatedDate, v.now), "-"),
			cmp.Or(date(r.NextRotationDate, v.now), "-"), cmp.Or(abbreviated(r.DatabaseHost), "-"),
		})
	}
	columns(w, rows)
	if shortened {
		fmt.Fprintln(w, "\nLong names are shortened in the middle. To see them in full, use -o wide.")
	}
}

func (v listView) wideTable(w io.Writer) {
	rows := [][]string{{"SECRET", "STATUS", "ERROR", "LAST ROTATED", "NEXT ROTATION", "DATABASE"}}
	for _, r := range v.rows {
		next := cmp.Or(date(r.NextRotationDate, v.now), "-")
		if r.Overdue {
			next += ", overdue"
		}
		kinds := slices.DeleteFunc(r.errorTypes(), func(s string) bool { return s == "" })
		rows = append(rows, []string{
			r.SecretID, cmp.Or(r.state(), "no answer"), cmp.Or(strings.Join(kinds, ", "), "-"), cmp.Or(date(r.LastRotatedDate, v.now), "-"),
			next, cmp.Or(r.DatabaseHost, "-"),
		})
	}
	columns(w, rows)
}

// csv writes the list for a spreadsheet or a script. Dates are in RFC 3339, UTC.
func (v listView) csv(w io.Writer) error {
	c := csv.NewWriter(w)
	if err := c.Write([]string{"SecretId", "RotationStatus", "RotationError", "LastRotatedDate", "NextRotationDate", "Overdue",
		"DatabaseHost"}); err != nil {
		return err
	}
	moment := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.UTC().Format(time.RFC3339)
	}
	for _, r := range v.rows {
		row := []string{r.SecretID, r.state(), r.RotationError, moment(r.LastRotatedDate), moment(r.NextRotationDate),
			strconv.FormatBool(r.Overdue), r.DatabaseHost}
		for i := range row {
			row[i] = plaintext.Line(row[i])
		}
		if err := c.Write(row); err != nil {
			return err
		}
	}
	c.Flush()
	return c.Error()
}

// notes prints what does not fit into the table's rows.
func (v listView) notes(w io.Writer) {
	for _, r := range v.rows {
		if !r.PreviousUntil.IsZero() {
			fmt.Fprintf(w, "\n%s: user %s is current; %s still logs in, until it is revoked at %s\n",
				plaintext.Line(r.SecretID), plaintext.Line(r.Username), plaintext.Line(r.PreviousUsername), date(r.PreviousUntil, v.now))
		}
		for line := range strings.Lines(r.OpenAccounts) {
			fmt.Fprintf(w, "\n%s: %s\n", plaintext.Line(r.SecretID), plaintext.Line(strings.TrimSuffix(line, "\n")))
		}
		for _, step := range r.Retrying {
			fmt.Fprintf(w, "\n%s: %s\n", plaintext.Line(r.SecretID), step.text(v.now))
		}
	}
}

// nameWidth limits the names in a table, so that one long name does not push the columns off the
// screen.
const nameWidth = 60

func abbreviated(name string) string {
	runes := []rune(plaintext.Line(name))
	if len(runes) <= nameWidth {
		return string(runes)
	}
	half := (nameWidth - 1) / 2
	return string(runes[:half]) + "…" + string(runes[len(runes)-half:])
}
