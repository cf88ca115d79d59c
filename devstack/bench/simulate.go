package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/rotate-user/rotate-user/devstack/stack"
	"github.com/rotate-user/rotate-user/internal/schedule"
)

// fleet is what is simulated: many secrets with the same rules, and what happens to them.
type fleet struct {
	secrets int
	days    int     // between rotations
	perS    float64 // limit of rotations started per second
	onboard int     // days over which the secrets are added

	outages []interval // during which no rotation succeeds
	leak    int        // minute at which all secrets must rotate; 0 for never
}

// interval is a range of minutes since the start.
type interval struct{ from, to int }

// outcome is the result of the year. Rates are of the busiest minute, waits are in minutes.
type outcome struct {
	rotations, failed int
	peakDue           int     // rotations that came due in one minute
	peakPerS          float64 // rotations, in the busiest minute
	longestQueue      int
	longestWait       int
	missedWindows     int
	leakDone          int // minutes until the last secret was rotated after the leak
	busiestDay        int // rotations
	oldest            int // the most minutes between two rotations of one secret
	minutesAtLimit    int
}

const (
	minutesOfYear = 365 * 24 * 60
	minutesOfDay  = 24 * 60
)

// simulate goes through a year minute by minute. A secret that comes due joins the queue of the
// paced first step, and the limit admits so many a minute, in order. A failed rotation is retried
// after 1, 2, 4 ... 60 minutes until its window closes, and then by the schedule, as in workflows.
// The windows and the places in them come from internal/schedule.
func simulate(f fleet) outcome { //nolint:funlen // one loop over the events of a simulation, which share its clock
	rules, err := schedule.New(schedule.Rules{AutomaticallyAfterDays: f.days}, "", nil)
	if err != nil {
		panic(err) // a fleet of ours has no such rules
	}
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	type state struct {
		next, closes, last, since int32 // minutes: due, its window's end, rotated, waiting
		attempts                  int8
		queued, leaked            bool
	}
	secrets := make([]state, f.secrets)
	due := make([][]int32, minutesOfYear)
	put := func(minute int, i int32) {
		secrets[i].next = int32(minute)
		if minute < minutesOfYear {
			due[minute] = append(due[minute], i)
		}
	}
	names := make([]string, f.secrets)
	for i := range secrets {
		names[i] = "fleet/" + strconv.Itoa(i)
		// Added evenly, each with a rotation at the start.
		at := int(int64(i) * int64(max(f.onboard, 1)) * minutesOfDay / int64(f.secrets))
		secrets[i] = state{closes: int32(at + minutesOfDay), last: -1, since: int32(at)}
		put(at, int32(i))
	}
	next := func(i int32, minute int) {
		w := rules.Next(start.Add(time.Duration(minute)*time.Minute), names[i])
		s := &secrets[i]
		s.closes, s.attempts = int32(w.Closes.Sub(start).Minutes()), 0
		put(int(w.At.Sub(start).Minutes()), i)
	}
	var o outcome
	var queue []int32
	perMinute := int(f.perS * 60)
	day, ofDay := 0, 0
	toRotate := f.secrets
	for minute := range minutesOfYear {
		if f.leak != 0 && minute == f.leak {
			for i := range secrets {
				if secrets[i].leaked = true; !secrets[i].queued {
					secrets[i].queued, secrets[i].since = true, int32(minute)
					queue = append(queue, int32(i))
				}
			}
		}
		joined := 0
		for _, i := range due[minute] {
			s := &secrets[i]
			if s.queued || s.next != int32(minute) {
				continue // its date has changed
			}
			s.queued, s.since = true, int32(minute)
			queue = append(queue, i)
			joined++
		}
		due[minute] = nil
		o.peakDue = max(o.peakDue, joined)
		o.longestQueue = max(o.longestQueue, len(queue))
		out := slices.ContainsFunc(f.outages, func(v interval) bool { return minute >= v.from && minute < v.to })
		n := min(len(queue), perMinute)
		if n == perMinute {
			o.minutesAtLimit++
		}
		for _, i := range queue[:n] {
			s := &secrets[i]
			s.queued = false
			o.longestWait = max(o.longestWait, minute-int(s.since))
			if out {
				o.failed++
				s.attempts++
				if again := minute + min(1<<min(s.attempts-1, 6), 60); again <= int(s.closes) {
					put(again, i)
				} else {
					o.missedWindows++
					next(i, minute)
				}
				continue
			}
			if s.last >= 0 {
				o.oldest = max(o.oldest, minute-int(s.last))
			}
			if s.leaked {
				s.leaked = false
				if toRotate--; toRotate == 0 {
					o.leakDone = minute - f.leak
				}
			}
			o.rotations++
			ofDay++
			s.last = int32(minute)
			next(i, minute)
		}
		queue = queue[n:]
		if !out {
			o.peakPerS = max(o.peakPerS, float64(n)/60)
		}
		if d := minute / minutesOfDay; d != day {
			o.busiestDay, day, ofDay = max(o.busiestDay, ofDay), d, 0
		}
	}
	return o
}

// smWritesPerRotation are those before a rotation is done. What is tidied later waits until no rotation is being promoted.
const smWritesPerRotation = 2

func newSimulateCommand() *cobra.Command {
	var secrets int
	var figures string
	cmd := &cobra.Command{
		Use:   "simulate",
		Short: "Simulate a year of a million secrets, with outages and a leak",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			root, err := stack.Repository(cmd.Context())
			if err != nil {
				return err
			}
			if !filepath.IsAbs(figures) {
				figures = filepath.Join(root, figures)
			}
			var measured *report
			text, err := os.ReadFile(figures)
			if err == nil {
				measured = new(report)
				err = json.Unmarshal(text, measured)
			}
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				return fmt.Errorf("%s: %w", figures, err)
			}
			return simulateAll(cmd.OutOrStdout(), secrets, measured)
		},
	}
	cmd.Flags().IntVar(&secrets, "secrets", 1_000_000, "secrets of the fleet")
	cmd.Flags().StringVar(&figures, "figures", "bench.json", "the figures of a benchmark, to compute what the fleet needs")
	return cmd
}

// scenarios returns the scenarios of a fleet. Day 200 is a typical day.
func scenarios(secrets int) []struct {
	name string
	fleet
} {
	const midday = 200*minutesOfDay + 6*60 // in the first half of the windows
	base := fleet{secrets: secrets, days: 30, perS: 10, onboard: 30}
	with := func(change func(*fleet)) fleet {
		f := base
		change(&f)
		return f
	}
	return []struct {
		name string
		fleet
	}{
		{"taken on over 30 days", base},
		{"taken on in one day", with(func(f *fleet) { f.onboard = 1 })},
		{"rotated every 7 days", with(func(f *fleet) { f.days, f.onboard = 7, 7 })},
		{"an outage of 6 hours", with(func(f *fleet) { f.outages = []interval{{midday, midday + 6*60}} })},
		{"an outage of 3 days", with(func(f *fleet) { f.outages = []interval{{midday, midday + 3*minutesOfDay}} })},
		{"a leak: all at once", with(func(f *fleet) { f.leak = midday })},
		{"a leak, 24 rotations/s (all of the quota)", with(func(f *fleet) { f.leak, f.perS = midday, 24 })},
		{"a leak, 8 accounts, 80 rotations/s", with(func(f *fleet) { f.leak, f.perS = midday, 80 })},
		{"a leak in an outage of 6 hours", with(func(f *fleet) { f.leak, f.outages = midday, []interval{{midday, midday + 6*60}} })},
	}
}

func simulateAll(w io.Writer, secrets int, measured *report) error {
	var b strings.Builder
	row := func(cells ...string) { b.WriteString("| " + strings.Join(cells, " | ") + " |\n") }
	fmt.Fprintf(&b, "%d secrets, 365 days, in minutes:\n\n", secrets)
	row("scenario", "limit, rotations/s", "rotations", "busiest minute, rotations/s", "writes/s", "due in one minute", "longest queue", "longest wait", "failed tries", "windows missed", "oldest password", "at the limit", "leak mended after")
	row("---", "---:", "---:", "---:", "---:", "---:", "---:", "---:", "---:", "---:", "---:", "---:", "---:")
	var steady, worst outcome
	for i, s := range scenarios(secrets) {
		o := simulate(s.fleet)
		if i == 0 {
			steady = o
		}
		if o.peakPerS > worst.peakPerS {
			worst = o
		}
		mended := ""
		if s.leak != 0 {
			mended = span(o.leakDone)
		}
		row(s.name, fmt.Sprint(s.perS), fmt.Sprint(o.rotations), fmt.Sprintf("%.1f", o.peakPerS), fmt.Sprintf("%.1f", o.peakPerS*smWritesPerRotation), fmt.Sprint(o.peakDue),
			fmt.Sprint(o.longestQueue), span(o.longestWait), fmt.Sprint(o.failed), fmt.Sprint(o.missedWindows), span(o.oldest), span(o.minutesAtLimit), mended)
	}
	if measured != nil && measured.HistoryBytes > 0 {
		perMonth := float64(steady.rotations) / 12
		var cpu float64
		for _, m := range measured.Mass {
			cpu = cmp.Or(m.WorkerCPUMS, cpu)
		}
		b.WriteString("\nWhat that takes, by the figures of the benchmark:\n\n")
		row("", "an ordinary year", "at 10 rotations/s", "at 80 rotations/s")
		row("---", "---:", "---:", "---:")
		all := func(name string, f func(perS float64) string) {
			row(name, f(steady.peakPerS), f(10), f(80))
		}
		all("rotations/s", func(r float64) string { return fmt.Sprintf("%.1f", r) })
		all("events/s written by Temporal", func(r float64) string {
			return fmt.Sprintf("%.0f", r*float64(measured.HistoryEvents+measured.HistoryEventsAsleep))
		})
		all("cores of workers", func(r float64) string { return fmt.Sprintf("%.2f", r*cpu/1000) })
		all("rotations under way at a time", func(r float64) string { return fmt.Sprintf("%.1f", r*measured.RotationMSMedian/1000) })
		all("statements/s of all databases together", func(r float64) string { return fmt.Sprintf("%.0f", r*float64(measured.MySQLStatements)) })
		all("calls/s of Secrets Manager", func(r float64) string { return fmt.Sprintf("%.0f", r*float64(measured.SMCalls)) })
		fmt.Fprintf(&b, "\nHistories of sleeping runs: %.1f GB. Histories of the runs of a month, where closed runs are kept for 30 days: %.1f GB.\n",
			float64(secrets)*float64(measured.HistoryBytesAsleep)/1e9, perMonth*float64(measured.HistoryBytes)/1e9)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// span formats minutes in the usual units.
func span(minutes int) string {
	switch {
	case minutes < 120:
		return fmt.Sprintf("%d min", minutes)
	case minutes < 2*minutesOfDay:
		return fmt.Sprintf("%.1f h", float64(minutes)/60)
	default:
		return fmt.Sprintf("%.1f days", float64(minutes)/minutesOfDay)
	}
}
