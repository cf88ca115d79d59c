package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"go.temporal.io/api/enums/v1"
	"golang.org/x/sync/errgroup"

	"github.com/rotate-user/rotate-user/internal/plaintext"
	"github.com/rotate-user/rotate-user/rotation"
)

// fleetPlan lists the changes that make the rotations match a file.
type fleetPlan struct {
	Start  []planned `json:"Start,omitempty"`
	Change []planned `json:"Change,omitempty"`
	// Restart has the changes to options other than the schedule, which are fixed at the start.
	Restart   []planned `json:"Restart,omitempty"`
	Stop      []planned `json:"Stop,omitempty"`
	Unchanged int       `json:"Unchanged"`
	// Skip has the rotations in the file that a tag or another file declares.
	Skip []planned `json:"Skip,omitempty"`
	// Others counts the running rotations that are not in the file, and Declared how many of them
	// this file declared before.
	Others   int `json:"Others,omitempty"`
	Declared int `json:"Declared,omitempty"`

	owner string
}

// planned is one change.
type planned struct {
	SecretID string `json:"SecretId"`
	// Differs lists the fields that differ, one per line.
	Differs []string `json:"Differs,omitempty"`

	input rotation.RotateUserInput
	adopt bool // nothing declares it so far
}

func (p fleetPlan) changes() int { return len(p.Start) + len(p.Change) + len(p.Restart) + len(p.Stop) }

// runningRotation is the input of a running rotation, and what declares it.
type runningRotation struct {
	rotation.RotateUserInput
	declaredBy string
}

// runningInputs returns the running rotations. It queries only those that are wanted, or all if
// wanted is nil; the others have only their SecretID set.
func (a *app) runningInputs(ctx context.Context, wanted map[string]bool) (map[string]runningRotation, error) {
	rows, err := a.listRows(ctx, "WorkflowType = '"+rotation.RotateUserWorkflow+"' AND ExecutionStatus = 'Running'")
	if err != nil {
		return nil, err
	}
	inputs := make([]runningRotation, len(rows))
	var g errgroup.Group
	g.SetLimit(maxParallelQueries)
	for i, row := range rows {
		inputs[i].SecretID, inputs[i].declaredBy = row.SecretID, row.DeclaredBy
		if wanted != nil && !wanted[row.SecretID] {
			continue
		}
		g.Go(func() error {
			s, err := a.query(ctx, row.SecretID)
			switch {
			case err != nil:
				return a.unanswered(ctx, err, row.SecretID)
			case s.Input != nil:
				inputs[i].RotateUserInput = *s.Input
			default: // the worker is of an earlier release
				inputs[i].MasterSecretID, inputs[i].RotationRules = s.MasterSecretID, s.RotationRules
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	all := map[string]runningRotation{}
	for i, row := range rows {
		all[row.SecretID] = inputs[i]
	}
	return all, nil
}

// planFleet compares the inputs that a file declares with the running rotations. owner is the file,
// as the memos of rotations name it.
func (a *app) planFleet(ctx context.Context, owner string, declared []rotation.RotateUserInput, prune bool) (plan fleetPlan, err error) {
	plan.owner = owner
	wanted, tags := map[string]bool{}, map[string]bool{}
	for _, in := range declared {
		wanted[in.SecretID] = true
	}
	running, err := a.runningInputs(ctx, wanted)
	if err != nil {
		return plan, err
	}
	for _, in := range declared {
		have, runs := running[in.SecretID]
		if !runs {
			plan.Start = append(plan.Start, planned{SecretID: in.SecretID, input: in})
			continue
		}
		if have.declaredBy != "" && have.declaredBy != owner && a.declares(ctx, have.declaredBy, tags) {
			plan.Skip = append(plan.Skip, planned{SecretID: in.SecretID, Differs: []string{"declared by " + have.declaredBy}})
			continue
		}
		differs, onlySchedule := differences(have.RotateUserInput, in)
		adopt := have.declaredBy != owner
		if adopt {
			differs = append(differs, "declared by "+cmp.Or(have.declaredBy, "nothing")+", from now on by "+owner)
		}
		change := planned{SecretID: in.SecretID, Differs: differs, input: in, adopt: adopt}
		switch {
		case len(differs) == 0:
			plan.Unchanged++
		case onlySchedule:
			plan.Change = append(plan.Change, change)
		default:
			plan.Restart = append(plan.Restart, change)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(running)) {
		if wanted[id] {
			continue
		}
		plan.Others++
		if running[id].declaredBy != owner {
			continue
		}
		if plan.Declared++; prune {
			plan.Stop = append(plan.Stop, planned{SecretID: id})
		}
	}
	return plan, nil
}

// tagOwner begins the owners that are tags.
const tagOwner = "sync-fleet/"

// declares reports whether an owner still declares rotations. A tag does as long as its workflow
// runs. tags remembers the answers.
func (a *app) declares(ctx context.Context, owner string, tags map[string]bool) bool {
	if !strings.HasPrefix(owner, tagOwner) {
		return true
	}
	if _, known := tags[owner]; !known {
		d, err := a.describe(ctx, owner)
		gone := isNotFound(err) ||
			err == nil && d.GetWorkflowExecutionInfo().GetStatus() != enums.WORKFLOW_EXECUTION_STATUS_RUNNING
		tags[owner] = !gone
	}
	return tags[owner]
}

// differences lists the fields in which two inputs differ, and reports whether reschedule can
// change all of them. It ignores the fields that matter only when a rotation starts.
func differences(have, want rotation.RotateUserInput) (lines []string, onlySchedule bool) {
	onlySchedule = true
	h, w := asFields(have), asFields(want)
	names := map[string]bool{}
	for _, fields := range []map[string]any{h, w} {
		for name := range fields {
			names[name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if reflect.DeepEqual(h[name], w[name]) {
			continue
		}
		onlySchedule = onlySchedule && slices.Contains([]string{"RotationRules", "TimeZone", "Blackout"}, name)
		lines = append(lines, fmt.Sprintf("%s: is %s, declared %s", name, shown(h[name]), shown(w[name])))
	}
	return lines, onlySchedule
}

func shown(v any) string {
	if v == nil {
		return "none"
	}
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return strings.Trim(string(data), `"`)
}

// asFields returns an input's JSON as a map, with defaults filled in.
func asFields(in rotation.RotateUserInput) map[string]any {
	in = lasting(in)
	in.MinimumOverlap = in.Complete().MinimumOverlap
	data, err := json.Marshal(in)
	if err != nil {
		panic(err) // an input can always be encoded
	}
	var fields map[string]any
	if err := json.Unmarshal(data, &fields); err != nil {
		panic(err)
	}
	return fields
}

// lasting returns an input without the fields that matter only at its start, and without those that
// have their default value.
func lasting(in rotation.RotateUserInput) rotation.RotateUserInput {
	in = *in.Complete()
	in.RotateImmediately, in.FirstRotationWithin = nil, 0
	if in.TimeZone == "UTC" {
		in.TimeZone = ""
	}
	if len(in.Blackout) == 0 {
		in.Blackout = nil
	}
	if time.Duration(*in.MinimumOverlap) == time.Hour {
		in.MinimumOverlap = nil
	}
	return in
}

// planShown limits how many changes of each kind are shown. -o json shows all.
const planShown = 200

// fleetPlanView is a plan before it is applied.
type fleetPlanView struct{ plan fleetPlan }

func (v fleetPlanView) value() any { return v.plan }
func (v fleetPlanView) text(w io.Writer) {
	var rows [][]string
	for _, kind := range []struct {
		name string
		all  []planned
	}{{"start", v.plan.Start}, {"change", v.plan.Change}, {"restart", v.plan.Restart}, {"stop", v.plan.Stop}, {"skip", v.plan.Skip}} {
		for i, p := range kind.all {
			if i == planShown {
				rows = append(rows, []string{kind.name, fmt.Sprintf("and %d more", len(kind.all)-i), ""})
				break
			}
			why := strings.Join(p.Differs, "; ")
			if kind.name == "start" {
				why = p.input.ScheduleText()
			}
			rows = append(rows, []string{kind.name, p.SecretID, why})
		}
	}
	columns(w, rows)
	p := v.plan
	if len(rows) > 0 {
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "%d to start, %d to change, %d to restart, %d to stop, %d unchanged.\n", len(p.Start), len(p.Change), len(p.Restart),
		len(p.Stop), p.Unchanged)
	if n := len(p.Skip); n > 0 {
		fmt.Fprintf(w, "%s declared elsewhere: skipped.\n", plaintext.Count(n, "rotation"))
	}
	if n := p.Others - len(p.Stop); n > 0 {
		fmt.Fprintf(w, "%s not in the file: unchanged.\n", plaintext.Count(n, "rotation"))
	}
	if n := p.Declared - len(p.Stop); n > 0 {
		fmt.Fprintf(w, "This file declared %d of them before. To stop those, use --prune.\n", n)
	}
}
