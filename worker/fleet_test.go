package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.temporal.io/api/common/v1"
	"go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/converter"

	"github.com/rotate-user/rotate-user/rotation"
)

// rotations is as much of Temporal's visibility as fleetMetrics asks. Each one maps the search attributes to their values.
type rotations struct {
	t      *testing.T
	all    []map[string]any
	counts int
	lists  int
	err    error
}

const fleetConditions = "WorkflowType = 'RotateUserWorkflow' AND ExecutionStatus = 'Running' AND TaskQueue = 'rotate-user' AND "

func (r *rotations) find(query string) (found []map[string]any) {
	conditions, ok := strings.CutPrefix(query, fleetConditions)
	if !ok {
		r.t.Errorf("the query %s counts workflows of others", query)
	}
	for _, one := range r.all {
		all := true
		for c := range strings.SplitSeq(conditions, " AND ") {
			all = all && r.holds(one, c)
		}
		if all {
			found = append(found, one)
		}
	}
	return found
}

func (r *rotations) holds(one map[string]any, condition string) bool {
	name, test, _ := strings.Cut(condition, " ")
	value, set := one[name]
	switch operator, operand, _ := strings.Cut(test, " "); operator {
	case "IS":
		return set == (operand == "NOT NULL")
	case "=":
		return set && fmt.Sprintf("'%v'", value) == operand
	case "!=":
		return !set || fmt.Sprintf("'%v'", value) != operand
	case "<":
		limit, err := time.Parse(time.RFC3339, strings.Trim(operand, "'"))
		if err != nil {
			r.t.Error(err)
		}
		return set && value.(time.Time).Before(limit)
	}
	r.t.Errorf("unknown condition %s", condition)
	return false
}

func (r *rotations) CountWorkflow(_ context.Context,
	request *workflowservice.CountWorkflowExecutionsRequest) (*workflowservice.CountWorkflowExecutionsResponse, error) {
	r.counts++
	if r.err != nil {
		return nil, r.err
	}
	return &workflowservice.CountWorkflowExecutionsResponse{Count: int64(len(r.find(request.Query)))}, nil
}

func (r *rotations) ListWorkflow(_ context.Context,
	request *workflowservice.ListWorkflowExecutionsRequest) (*workflowservice.ListWorkflowExecutionsResponse, error) {
	r.lists++
	answer := &workflowservice.ListWorkflowExecutionsResponse{}
	for _, one := range r.find(request.Query)[:request.PageSize] {
		fields := map[string]*common.Payload{}
		for name, value := range one {
			p, err := converter.GetDefaultDataConverter().ToPayload(value)
			if err != nil {
				return nil, err
			}
			fields[name] = p
		}
		answer.Executions = append(answer.Executions, &workflow.WorkflowExecutionInfo{SearchAttributes: &common.SearchAttributes{IndexedFields: fields}})
	}
	return answer, nil
}

func rotationOf(status rotation.RotationStatus, last, next time.Time, failure string) map[string]any {
	one := map[string]any{"RotationStatus": string(status)}
	if !last.IsZero() {
		one["LastRotatedDate"] = last
	}
	if !next.IsZero() {
		one["NextRotationDate"] = next
	}
	if failure != "" {
		one["RotationError"] = failure
	}
	return one
}

// exported returns the series of a collector by their names and labels.
func exported(t *testing.T, c prometheus.Collector) map[string]float64 {
	t.Helper()
	registry := prometheus.NewRegistry()
	if err := registry.Register(c); err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			label := ""
			for _, l := range m.GetLabel() {
				if l.GetName() != "namespace" && l.GetName() != "task_queue" {
					label = " " + l.GetValue()
				}
			}
			all[strings.TrimPrefix(family.GetName(), "rotate_user_")+label] = m.GetGauge().GetValue()
		}
	}
	return all
}

func TestFleetMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now, day := time.Now(), 24*time.Hour
		oldest, next := now.Add(-40*day), now.Add(-2*time.Minute)
		temporal := &rotations{t: t, all: []map[string]any{
			rotationOf(rotation.Scheduled, now.Add(-3*day), now.Add(27*day), ""),
			rotationOf(rotation.Scheduled, oldest, now.Add(time.Hour), ""),
			rotationOf(rotation.Retrying, now.Add(-30*day), next, ""),
			rotationOf(rotation.Failed, now.Add(-31*day), now.Add(-30*time.Second), rotation.ErrorAccessDenied),
			rotationOf(rotation.Failed, time.Time{}, now.Add(time.Hour), rotation.ErrorAccessDenied),
			rotationOf(rotation.Failed, now.Add(-day), now.Add(time.Hour), rotation.ErrorUnreachable),
			rotationOf(rotation.Paused, now.Add(-day), time.Time{}, ""),
			{},
		}}
		f := &fleetMetrics{visibility: temporal, namespace: "default", taskQueue: rotation.TaskQueue, usable: func() bool { return true },
			logger: discard}
		f.refresh(t.Context(), now)
		got := exported(t, f)
		for name, want := range map[string]float64{
			"secrets Scheduled": 2, "secrets Rotating": 0, "secrets Retrying": 1, "secrets Failed": 3, "secrets Paused": 1, "secrets None": 1,
			"secrets_overdue": 1, "secrets_failed AccessDenied": 2, "secrets_failed Unreachable": 1,
		} {
			if value, ok := got[name]; !ok || value != want {
				t.Errorf("%s is %v, want %v", name, value, want)
			}
		}
		for name, want := range map[string]time.Time{"oldest_credential_timestamp_seconds": oldest, "next_rotation_timestamp_seconds": next} {
			if early := want.Sub(time.Unix(int64(got[name]), 0)); early < 0 || early > fleetPrecision+time.Second {
				t.Errorf("%s is %s before %s", name, early, want)
			}
		}
		if len(got) != 11 {
			t.Errorf("%d series: %v", len(got), got)
		}

		temporal.counts, temporal.lists = 0, 0
		f.refresh(t.Context(), now)
		if temporal.counts > 14 || temporal.lists != 0 {
			t.Errorf("%d counts and %d lists for what has not changed", temporal.counts, temporal.lists)
		}

		temporal.all = temporal.all[:1]
		f.refresh(t.Context(), now)
		got = exported(t, f)
		if n, ok := got["secrets_failed AccessDenied"]; ok || got["secrets Failed"] != 0 {
			t.Errorf("what no longer fails is exported: %v, %v", n, got)
		}
		if early := now.Add(-3 * day).Sub(time.Unix(int64(got["oldest_credential_timestamp_seconds"]), 0)); early < 0 ||
			early > fleetPrecision+time.Second {
			t.Errorf("the oldest credential is %s too old", early)
		}

		temporal.all = nil
		f.refresh(t.Context(), now)
		if got = exported(t, f); len(got) != 7 {
			t.Errorf("without rotations: %v", got)
		}
		temporal.counts = 0
		f.refresh(t.Context(), now)
		if temporal.counts > 12 {
			t.Errorf("%d counts without rotations", temporal.counts)
		}
	})
}

func TestFleetMetricsWithManyTypesOfErrors(t *testing.T) {
	temporal := &rotations{t: t}
	for n := range 3 * fleetErrorTypes {
		temporal.all = append(temporal.all, rotationOf(rotation.Failed, time.Time{}, time.Time{}, fmt.Sprint("Error", n)))
	}
	f := &fleetMetrics{visibility: temporal, taskQueue: rotation.TaskQueue, usable: func() bool { return true }, logger: discard}
	for range 2 {
		f.refresh(t.Context(), time.Now())
		kinds := 0
		got := exported(t, f)
		for name := range got {
			if strings.HasPrefix(name, "secrets_failed") {
				kinds++
			}
		}
		if kinds != fleetErrorTypes+1 || got["secrets_failed other"] != 2*fleetErrorTypes {
			t.Errorf("%d types, %v others", kinds, got["secrets_failed other"])
		}
	}
}

// The figures of a look that is long past would hide that something is overdue now.
func TestFleetMetricsExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var logs bytes.Buffer
		usable := false
		temporal := &rotations{t: t, all: []map[string]any{{}}}
		f := &fleetMetrics{
			visibility: temporal, taskQueue: rotation.TaskQueue, logger: slog.New(slog.NewTextHandler(&logs, nil)),
			usable: func() bool { return usable },
		}
		check := func(when string, series, counts int) {
			t.Helper()
			if got := exported(t, f); len(got) != series || cmp.Compare(temporal.counts, 0) != counts {
				t.Errorf("%s: %d counts, series %v", when, temporal.counts, got)
			}
			temporal.counts = 0
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go f.watch(ctx)
		synctest.Wait()
		check("without search attributes", 0, 0)
		usable = true
		<-time.After(fleetInterval)
		synctest.Wait()
		check("with them", 7, 1)
		temporal.err = errors.New("Temporal is down")
		<-time.After(fleetExpiry - time.Second)
		synctest.Wait()
		check("soon after Temporal went down", 7, 1)
		<-time.After(2 * time.Second)
		synctest.Wait()
		check("later", 0, 1)
		if n := strings.Count(logs.String(), "Temporal is down"); n != 1 {
			t.Errorf("the error is logged %d times", n)
		}
		temporal.err = nil
		<-time.After(fleetInterval)
		synctest.Wait()
		check("when Temporal is back", 7, 1)
	})
}
