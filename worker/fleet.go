package main

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/converter"

	"github.com/rotate-user/rotate-user/internal/panics"
	"github.com/rotate-user/rotate-user/rotation"
)

// fleetMetrics exports what Temporal's visibility knows about all rotations of a task queue. The number of its series does not depend
// on the number of secrets. Every worker exports the same figures, so a query takes the max of them.
//
// Temporal can group counts only by ExecutionStatus (server 1.32), so each status and each type of error needs its own query.
type fleetMetrics struct {
	visibility fleetVisibility
	namespace  string
	taskQueue  string
	logger     *slog.Logger

	// usable reports whether the namespace has the search attributes.
	usable func() bool

	seen atomic.Pointer[fleet]
	// oldest and next are the earliest dates that the last look found, and errorTypes the types of error.
	oldest, next time.Time
	errorTypes   []string
	said         string // the error that was logged last
}

type fleetVisibility interface {
	CountWorkflow(context.Context, *workflowservice.CountWorkflowExecutionsRequest) (*workflowservice.CountWorkflowExecutionsResponse, error)
	ListWorkflow(context.Context, *workflowservice.ListWorkflowExecutionsRequest) (*workflowservice.ListWorkflowExecutionsResponse, error)
}

// fleet is what one look at visibility found.
type fleet struct {
	at       time.Time
	statuses map[string]int64
	overdue  int64
	errors   map[string]int64
	// oldest is when the oldest credential was promoted, and next when the next rotation is due. Zero means that there is none.
	oldest, next time.Time
}

const (
	fleetInterval = time.Minute
	// fleetShare bounds the share of the time that a worker spends with these queries: after a look that took a minute, it rests for
	// twenty. The figures of a look that failed, or that rests for too long, are not exported.
	fleetShare  = 20
	fleetExpiry = 5 * fleetInterval
	// fleetPrecision is how exact the dates are, and fleetHorizon how far from now they may lie: a rotation can be due in 1000 days.
	fleetPrecision = time.Minute
	fleetHorizon   = 3000 * 24 * time.Hour
	// fleetErrorTypes bounds the number of series. Further types are counted together.
	fleetErrorTypes = 20
	otherErrorTypes = "other"
	noStatus        = "None" // a rotation without search attributes
)

var fleetStatuses = []rotation.RotationStatus{rotation.Scheduled, rotation.Rotating, rotation.Retrying, rotation.Failed, rotation.Paused}

// watchFleet exports the figures of a fleet until ctx ends.
func (m *metrics) watchFleet(ctx context.Context, f *fleetMetrics) {
	m.registry.MustRegister(f)
	go f.watch(ctx)
}

// watch looks at the fleet until ctx ends.
func (f *fleetMetrics) watch(ctx context.Context) {
	var failed error
	defer func() {
		if failed != nil {
			f.logger.Error("the metrics of the fleet are not exported until the worker restarts", "error", failed)
		}
	}()
	defer panics.Into(&failed)
	for {
		begun := time.Now()
		f.refresh(ctx, begun)
		select {
		case <-ctx.Done():
			return
		case <-time.After(max(fleetInterval, fleetShare*time.Since(begun))):
		}
	}
}

// refresh looks at the fleet once. If that fails, it keeps the last figures until they expire, and logs the reason once.
func (f *fleetMetrics) refresh(ctx context.Context, now time.Time) {
	if !f.usable() {
		return
	}
	seen, err := f.look(ctx, now)
	if err == nil {
		f.seen.Store(seen)
		f.said = ""
		return
	}
	if ctx.Err() == nil && f.said != err.Error() {
		f.said = err.Error()
		f.logger.Warn("the metrics of the fleet could not be read from Temporal", "error", err)
	}
}

func (f *fleetMetrics) look(ctx context.Context, now time.Time) (*fleet, error) {
	q := &fleetQuery{ctx: ctx, f: f, now: now}
	seen := &fleet{statuses: map[string]int64{}, errors: map[string]int64{}}
	status, next := rotation.RotationStatusKey.GetName(), rotation.NextRotationDateKey.GetName()
	for _, s := range fleetStatuses {
		seen.statuses[string(s)] = q.count("%s = '%s'", status, s)
	}
	seen.statuses[noStatus] = q.count("%s IS NULL", status)
	seen.overdue = q.before(next, now.Add(-rotation.OverdueAfter))
	seen.errors = q.errors()
	seen.oldest = q.earliest(rotation.LastRotatedDateKey.GetName(), f.oldest)
	seen.next = q.earliest(next, f.next)
	if q.err != nil {
		return nil, q.err
	}
	f.oldest, f.next = seen.oldest, seen.next
	seen.at = time.Now()
	return seen, nil
}

// fleetQuery is one look. After the first error it asks nothing.
type fleetQuery struct {
	ctx context.Context
	f   *fleetMetrics
	now time.Time
	err error
}

func (q *fleetQuery) query(format string, args ...any) string {
	return fmt.Sprintf("WorkflowType = '%s' AND ExecutionStatus = 'Running' AND TaskQueue = '%s' AND ", rotation.RotateUserWorkflow,
		escaped(q.f.taskQueue)) +
		fmt.Sprintf(format, args...)
}

// escaped returns a text for use between quotes in a query.
func escaped(s string) string { return strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) }

func (q *fleetQuery) count(format string, args ...any) int64 {
	if q.err != nil {
		return 0
	}
	ctx, cancel := context.WithTimeout(q.ctx, askTimeout)
	defer cancel()
	answer, err := q.f.visibility.CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{
		Namespace: q.f.namespace, Query: q.query(format, args...),
	})
	q.err = err
	return answer.GetCount()
}

// before counts the rotations whose attribute is a date before t.
func (q *fleetQuery) before(attribute string, t time.Time) int64 {
	return q.count("%s < '%s'", attribute, t.UTC().Format(time.RFC3339Nano))
}

// earliest returns the earliest date of an attribute, at most fleetPrecision too early, and zero if there is none. Visibility in SQL
// cannot sort, so this searches with counts. It begins where the last look found the date: two counts are enough if that is the same.
func (q *fleetQuery) earliest(attribute string, last time.Time) time.Time {
	if last.IsZero() {
		if q.count("%s IS NOT NULL", attribute) == 0 {
			return time.Time{}
		}
		last = q.now
	}
	// In the end, no date is before low, and there is one before high.
	low, high := last, last
	step := fleetPrecision
	if q.before(attribute, last) > 0 {
		for low = high.Add(-step); q.before(attribute, low) > 0 && q.now.Sub(low) < fleetHorizon; low = high.Add(-step) {
			high, step = low, 2*step
		}
	} else {
		for high = low.Add(step); q.before(attribute, high) == 0; high = low.Add(step) {
			if q.err != nil || high.Sub(q.now) > fleetHorizon {
				return time.Time{}
			}
			low, step = high, 2*step
		}
	}
	for high.Sub(low) > fleetPrecision && q.err == nil {
		if middle := low.Add(high.Sub(low) / 2); q.before(attribute, middle) > 0 {
			high = middle
		} else {
			low = middle
		}
	}
	return low
}

// errors counts the rotations that failed last, by the type of the error. It lists a rotation only to learn of a type that it does not
// know yet.
func (q *fleetQuery) errors() map[string]int64 {
	attribute := rotation.RotationErrorKey.GetName()
	counts := map[string]int64{}
	left := q.count("%s IS NOT NULL", attribute)
	known := q.f.errorTypes
	for _, kind := range known {
		if counts[kind] = q.count("%s = '%s'", attribute, escaped(kind)); counts[kind] == 0 {
			delete(counts, kind)
		}
		left -= counts[kind]
	}
	for left > 0 && len(counts) < fleetErrorTypes && q.err == nil {
		kind := q.anotherType(attribute, known)
		if kind == "" {
			break
		}
		known = append(slices.Clip(known), kind)
		counts[kind] = q.count("%s = '%s'", attribute, escaped(kind))
		left -= counts[kind]
	}
	q.f.errorTypes = slices.DeleteFunc(slices.Clone(known), func(kind string) bool { return counts[kind] == 0 })
	if left > 0 {
		counts[otherErrorTypes] = left
	}
	return counts
}

// anotherType returns a type of error that is not known, and nothing if there is none.
func (q *fleetQuery) anotherType(attribute string, known []string) string {
	query := q.query("%s IS NOT NULL", attribute)
	for _, kind := range known {
		query += fmt.Sprintf(" AND %s != '%s'", attribute, escaped(kind))
	}
	ctx, cancel := context.WithTimeout(q.ctx, askTimeout)
	defer cancel()
	page, err := q.f.visibility.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{Namespace: q.f.namespace, Query: query,
		PageSize: 1})
	if err != nil {
		q.err = err
		return ""
	}
	for _, execution := range page.GetExecutions() {
		var kind string
		payload := execution.GetSearchAttributes().GetIndexedFields()[attribute]
		if converter.GetDefaultDataConverter().FromPayload(payload, &kind) == nil {
			return kind
		}
	}
	return ""
}

var _ prometheus.Collector = (*fleetMetrics)(nil)

func (f *fleetMetrics) Describe(descriptions chan<- *prometheus.Desc) {
	for _, d := range fleetDescriptions {
		descriptions <- d
	}
}

var (
	secretsDesc = fleetDesc("secrets", "Secrets that are rotated, by the status of their rotation.", "status")
	overdueDesc = fleetDesc("secrets_overdue", "Secrets whose rotation was due more than a minute ago.")
	errorsDesc  = fleetDesc("secrets_failed", "Secrets whose last rotation failed, by the type of its error.", "error_type")
	oldestDesc  = fleetDesc("oldest_credential_timestamp_seconds", "When the oldest current credential was promoted.")
	nextDesc    = fleetDesc("next_rotation_timestamp_seconds", "When the next rotation of any secret is due.")

	fleetDescriptions = []*prometheus.Desc{secretsDesc, overdueDesc, errorsDesc, oldestDesc, nextDesc}
)

func fleetDesc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("rotate_user_"+name, help, append([]string{"namespace", "task_queue"}, labels...), nil)
}

func (f *fleetMetrics) Collect(metrics chan<- prometheus.Metric) {
	seen := f.seen.Load()
	if seen == nil || time.Since(seen.at) > fleetExpiry {
		return
	}
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		metrics <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, append([]string{f.namespace, f.taskQueue}, labels...)...)
	}
	for status, n := range seen.statuses {
		gauge(secretsDesc, float64(n), status)
	}
	gauge(overdueDesc, float64(seen.overdue))
	for kind, n := range seen.errors {
		gauge(errorsDesc, float64(n), kind)
	}
	if !seen.oldest.IsZero() {
		gauge(oldestDesc, float64(seen.oldest.Unix()))
	}
	if !seen.next.IsZero() {
		gauge(nextDesc, float64(seen.next.Unix()))
	}
}
