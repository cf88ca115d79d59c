package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rotate-user/rotate-user/devstack/stack"
	"github.com/rotate-user/rotate-user/internal/mysqld"
)

// binaries are the worker, the starter and the idle worker, built once into binDir.
var (
	binaries = sync.OnceValues(func() (string, error) {
		root, err := stack.Repository(context.Background())
		if err != nil {
			return "", err
		}
		return build(context.Background(), root, binDir)
	})
	binDir string
)

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if binDir, err = os.MkdirTemp("", "rotate-user-bench-"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(binDir)
		return m.Run()
	}())
}

// TestCountsStayWithinTheirGoals: counts, unlike times, are the same on every machine.
func TestCountsStayWithinTheirGoals(t *testing.T) {
	for _, engine := range engines(t) {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			bin, err := binaries()
			if err != nil {
				t.Fatal(err)
			}
			b, err := newBench(t.Context(), options{stack: stack.Options{Dir: t.TempDir(), Mysqld: engine}}, bin, io.Discard)
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := b.close(); err != nil {
					t.Error(err)
				}
			}()
			if err := b.prepare(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := b.count(t.Context()); err != nil {
				t.Fatal(err)
			}
			if b.report.MySQLRefused != 0 {
				t.Errorf("%d logins were refused", b.report.MySQLRefused)
			}
			for name, count := range map[string]struct{ got, goal int }{
				"calls of Secrets Manager": {b.report.SMCalls, 8},
				"writes among them":        {b.report.SMWrites, 3},
				"writes before it is done": {b.report.SMWritesBeforeDone, 2},
				"calls in sequence":        {b.report.SMCallsInSequence, 5},
				"connections":              {b.report.MySQLConnections, 3},
				"statements":               {b.report.MySQLStatements, 25},
				"events":                   {b.report.HistoryEvents, 42},
				"events asleep":            {b.report.HistoryEventsAsleep, 5},
			} {
				if count.got > count.goal || count.got == 0 {
					t.Errorf("%s: got %d, want at most %d", name, count.got, count.goal)
				}
			}
		})
	}
}

func TestCallsInSequence(t *testing.T) {
	start := time.Now()
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	for _, c := range []struct {
		calls []call
		want  int
	}{
		{nil, 0},
		{[]call{{at(0), at(10)}, {at(1), at(11)}, {at(2), at(12)}}, 1},
		{[]call{{at(0), at(10)}, {at(1), at(11)}, {at(12), at(20)}, {at(20), at(30)}}, 3},
		{[]call{{at(0), at(30)}, {at(0), at(10)}, {at(11), at(20)}}, 2}, // two beside one that takes long
	} {
		if got := (&tally{calls: c.calls}).inSequence(); got != c.want {
			t.Errorf("%v: %d in sequence, want %d", c.calls, got, c.want)
		}
	}
}

func engines(t *testing.T) []string {
	t.Helper()
	var names []string
	for _, p := range mysqld.Find() {
		names = append(names, p.Engine)
	}
	if names == nil {
		t.Skip("no database server on this machine")
	}
	return names
}

func TestSimulation(t *testing.T) {
	const midday = 200*minutesOfDay + 6*60
	for _, tt := range []struct {
		name  string
		fleet fleet
		want  func(outcome) bool
	}{
		{"each secret rotates twelve or thirteen times a year", fleet{secrets: 1000, days: 30, perS: 10, onboard: 30},
			func(o outcome) bool {
				return o.rotations >= 12000 && o.rotations <= 13000 && o.missedWindows == 0 && o.failed == 0
			}},
		{"a limit below what comes due makes a queue", fleet{secrets: 3000, days: 1, perS: 0.05, onboard: 1},
			func(o outcome) bool { return o.longestQueue > 100 && o.peakPerS <= 0.05 }},
		{"hours without database cost retries", fleet{secrets: 1000, days: 1, perS: 10, onboard: 1, outages: []interval{{midday, midday + 60}}},
			func(o outcome) bool { return o.failed > 0 && o.missedWindows == 0 }},
		{"days without database cost windows", fleet{secrets: 1000, days: 30, perS: 10, onboard: 30, outages: []interval{{midday, midday + 3*minutesOfDay}}},
			func(o outcome) bool { return o.missedWindows > 0 && o.oldest > 31*minutesOfDay }},
		{"a leak is mended as fast as the limit lets it", fleet{secrets: 6000, days: 30, perS: 1, onboard: 30, leak: midday},
			func(o outcome) bool { return o.leakDone >= 99 && o.leakDone <= 101 }},
	} {
		if o := simulate(tt.fleet); !tt.want(o) {
			t.Errorf("%s: got %+v", tt.name, o)
		}
	}
}

// TestPlansOfManyAndOfOne runs the plans of a small fleet, whose secrets are all found and need no change.
func TestPlansOfManyAndOfOne(t *testing.T) {
	t.Parallel()
	bin, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	b, err := newBench(t.Context(), options{stack: stack.Options{Dir: t.TempDir(), Mysqld: engines(t)[0]}, plans: 60}, bin, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := b.close(); err != nil {
			t.Error(err)
		}
	}()
	if err := b.prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := b.planAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r := b.report; r.Plans != 60 || r.PlansToSingle <= 0 || !strings.Contains(r.table(), "a plan of 60 secrets") {
		t.Errorf("the report is %+v", r)
	}
}
