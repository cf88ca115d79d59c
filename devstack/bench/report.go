package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/rotate-user/rotate-user/internal/mysqld"
)

// report is what was measured. Times are in milliseconds unless their name says otherwise; ratios are of medians of the
// same run.
type report struct {
	Date        time.Time `json:"date"`
	Database    string    `json:"database"`
	CPUs        int       `json:"cpus"`
	Go          string    `json:"go"`
	LoadAtStart string    `json:"load_average_at_start,omitempty"`
	LatencyMS   float64   `json:"secretsmanager_latency_ms,omitempty"`

	spent
	SMWritesBeforeDone  int `json:"sm_writes_before_done"`
	SMCallsInSequence   int `json:"sm_calls_in_sequence"`
	HistoryEvents       int `json:"history_events"`
	HistoryBytes        int `json:"history_bytes"`
	HistoryEventsAsleep int `json:"history_events_asleep"`
	HistoryBytesAsleep  int `json:"history_bytes_asleep"`

	ActivitiesToLimit       float64 `json:"activities_to_limit"`
	RotationToNoopPlusLimit float64 `json:"rotation_to_noop_plus_limit"`

	LimitMSMedian           float64 `json:"limit_ms_median"`
	LimitMSP90              float64 `json:"limit_ms_p90"`
	ActivitiesMSMedian      float64 `json:"activities_ms_median"`
	ActivitiesMSP90         float64 `json:"activities_ms_p90"`
	NoopMSMedian            float64 `json:"noop_ms_median"`
	NoopMSP90               float64 `json:"noop_ms_p90"`
	RotationMSMedian        float64 `json:"rotation_ms_median"`
	RotationMSP90           float64 `json:"rotation_ms_p90"`
	UnpacedRotationMSMedian float64 `json:"unpaced_rotation_ms_median"`
	UnpacedRotationMSP90    float64 `json:"unpaced_rotation_ms_p90"`

	AWSFunction *awsFunctionResult `json:"aws_function,omitempty"`
	// Latency10MSToAWSFunction is a rotation as a part of one by AWS's function, if each call of Secrets Manager takes 10 ms longer.
	Latency10MSToAWSFunction float64 `json:"latency_10ms_to_aws_function,omitempty"`

	// A mass rotation of leaked credentials against the quota of writes, by this worker and by that of the revision Baseline.
	Baseline                  string  `json:"baseline,omitempty"`
	QuotaWritesPerS           int     `json:"quota_writes_per_s,omitempty"`
	QuotaRotationPerS         float64 `json:"quota_rotation_per_s,omitempty"`
	BaselineQuotaRotationPerS float64 `json:"baseline_quota_rotation_per_s,omitempty"`
	QuotaRateToBaseline       float64 `json:"quota_rate_to_baseline,omitempty"`

	MassRotationPerS  float64      `json:"mass_rotation_per_s"`
	MassRotationShare float64      `json:"mass_rotation_share"`
	Mass              []massResult `json:"mass"`

	Sleeping                  int         `json:"sleeping"`
	StartsPerS                float64     `json:"starts_per_s"`
	SleepingWorkerMB          float64     `json:"sleeping_worker_mb"`
	SleepingWorkerCorePercent float64     `json:"sleeping_worker_core_percent"`
	Alone                     amongResult `json:"alone"`
	AmongSleeping             amongResult `json:"among_sleeping"`
	// Sleeping50000MB is SleepingWorkerMB with 50,000 sleeping secrets.
	Sleeping50000MB float64 `json:"sleeping_50000_mb,omitempty"`

	// One plan of so many secrets, and that of one secret, each with a command of the starter. PlansToSingle is the
	// former as a part of as many of the latter, and Plans1000ToSingle the same for 1,000 secrets.
	Plans             int     `json:"plans,omitempty"`
	PlansMSMedian     float64 `json:"plans_ms_median,omitempty"`
	PlanMSMedian      float64 `json:"plan_ms_median,omitempty"`
	PlansToSingle     float64 `json:"plans_to_single,omitempty"`
	Plans1000ToSingle float64 `json:"plans_1000_to_single,omitempty"`

	// Emergency rotations with revocation, alone and beside the due users of servers that do not answer. The ratio is the worst of them.
	EmergencyAloneMSMedian float64        `json:"emergency_alone_ms_median"`
	EmergencyAloneMSMax    float64        `json:"emergency_alone_ms_max"`
	EmergencyBeside        []besideResult `json:"emergency_beside_frozen"`
	EmergencyBesideToAlone float64        `json:"emergency_beside_frozen_to_alone"`

	// After AWS has denied calls for an hour, in simulated time; and the median and longest if they end up to an hour later.
	AfterDenialsMinutes       float64 `json:"after_an_hour_of_denials_minutes"`
	AfterDenialsMinutesMedian float64 `json:"after_denials_minutes_median"`
	AfterDenialsMinutesMax    float64 `json:"after_denials_minutes_max"`

	// After a worker's death, until the rotations under way are done.
	RecoverySMedian         float64 `json:"recovery_s_median"`
	RecoverySMax            float64 `json:"recovery_s_max"`
	BaselineRecoverySMedian float64 `json:"baseline_recovery_s_median,omitempty"`
	BaselineRecoverySMax    float64 `json:"baseline_recovery_s_max,omitempty"`
	RecoveryToBaseline      float64 `json:"recovery_to_baseline,omitempty"`

	// After a restarted Temporal server answers, and after a replica has replaced its dead primary, until the rotations under way are
	// done; and how many steps were repeated because of the restart.
	TemporalRestartSMedian  float64 `json:"temporal_restart_s_median"`
	TemporalRestartSMax     float64 `json:"temporal_restart_s_max"`
	TemporalRestartRepeated int     `json:"temporal_restart_repeated_steps"`
	FailoverSMedian         float64 `json:"failover_s_median"`
	FailoverSMax            float64 `json:"failover_s_max"`
}

// awsFunctionResult is one rotation by AWS's function.
type awsFunctionResult struct {
	spent
	MSMedian float64 `json:"ms_median"`
	MSP90    float64 `json:"ms_p90"`
	ToLimit  float64 `json:"to_limit"`
}

// massResult is one level of a mass rotation.
type massResult struct {
	AtOnce       int     `json:"at_once"`
	RotationPerS float64 `json:"rotation_per_s"`
	NoopPerS     float64 `json:"noop_per_s"`
	LimitPerS    float64 `json:"limit_per_s"`
	WorkerCPUMS  float64 `json:"worker_cpu_ms_per_rotation"`
}

// amongResult is what a rotation and its parts take beside other secrets.
type amongResult struct {
	LimitMSMedian      float64 `json:"limit_ms_median"`
	NoopMSMedian       float64 `json:"noop_ms_median"`
	ActivitiesMSMedian float64 `json:"activities_ms_median"`
	RotationMSMedian   float64 `json:"rotation_ms_median"`
}

func (a amongResult) String() string {
	return fmt.Sprintf("%.0f ms, %.0f ms, %.0f ms, %.0f ms", a.RotationMSMedian, a.ActivitiesMSMedian, a.NoopMSMedian, a.LimitMSMedian)
}

func (r *report) machine(database string, latency time.Duration) {
	r.LatencyMS = float64(latency.Microseconds()) / 1000
	r.Date, r.Database, r.CPUs, r.Go = time.Now().UTC().Truncate(time.Second), database, runtime.NumCPU(), runtime.Version()
	if load, err := os.ReadFile("/proc/loadavg"); err == nil { // Linux
		r.LoadAtStart = strings.Join(strings.Fields(string(load))[:3], " ")
	}
}

// table returns the figures as a Markdown table, for the README.
func (r *report) table() string {
	var b strings.Builder
	row := func(cells ...string) { b.WriteString("| " + strings.Join(cells, " | ") + " |\n") }
	n := func(v int) string { return fmt.Sprint(v) }
	x := func(v float64) string { return fmt.Sprintf("%.2f", v) }
	ms := func(median, p90 float64) string { return fmt.Sprintf("%.0f ms, %.0f ms", median, p90) }
	two := func(of, among int) string { return fmt.Sprintf("%d, %d", of, among) }
	var aws awsFunctionResult
	columns := 3
	if r.AWSFunction != nil {
		aws, columns = *r.AWSFunction, 4
	}
	one := func(cells ...string) { row(cells[:columns]...) }
	stepsGoal := "1.25"
	if strings.HasPrefix(r.Database, mysqld.MariaDB) {
		stepsGoal = "1.4"
	}
	one("one rotation", "rotate-user", "goal", "AWS's function")
	one("---", "---:", "---:", "---:")
	one("calls of Secrets Manager, writes among them", two(r.SMCalls, r.SMWrites), "8", two(aws.SMCalls, aws.SMWrites))
	one("writes before it is done, calls in sequence", two(r.SMWritesBeforeDone, r.SMCallsInSequence), "2, 5", "")
	one("connections to the database, refused ones among them", two(r.MySQLConnections, r.MySQLRefused), "3", two(aws.MySQLConnections, aws.MySQLRefused))
	one("statements", n(r.MySQLStatements), "25", n(aws.MySQLStatements))
	one("activities in a row, as a multiple of the raw limit", x(r.ActivitiesToLimit), stepsGoal, x(aws.ToLimit))
	one("the rotation, as a multiple of a no-op workflow and the raw limit", x(r.RotationToNoopPlusLimit), "1.15", "not durable")
	one("events in Temporal's history, bytes", two(r.HistoryEvents, r.HistoryBytes), "42", "")
	one("the same, asleep", two(r.HistoryEventsAsleep, r.HistoryBytesAsleep), "", "")
	one("median, 90th percentile", ms(r.RotationMSMedian, r.RotationMSP90), "", ms(aws.MSMedian, aws.MSP90))
	one("without the limit on the pace", ms(r.UnpacedRotationMSMedian, r.UnpacedRotationMSP90), "", "")
	if r.Latency10MSToAWSFunction > 0 {
		one("with 10 ms more for each call of Secrets Manager, as a part of AWS's function", x(r.Latency10MSToAWSFunction), "0.52", "1")
	}
	one("the activities in a row, without Temporal", ms(r.ActivitiesMSMedian, r.ActivitiesMSP90), "", "")
	one("a no-op workflow of five activities", ms(r.NoopMSMedian, r.NoopMSP90), "", "")
	one("the raw limit", ms(r.LimitMSMedian, r.LimitMSP90), "", "")
	b.WriteString("\n")
	row("a mass rotation, without the limit on its pace", "rotations/s", "no-op workflows/s", "raw limits/s", "worker's CPU for each")
	row("---", "---:", "---:", "---:", "---:")
	for _, m := range r.Mass {
		row(n(m.AtOnce)+" at once", fmt.Sprintf("%.1f", m.RotationPerS), fmt.Sprintf("%.1f", m.NoopPerS), fmt.Sprintf("%.1f", m.LimitPerS), fmt.Sprintf("%.1f ms", m.WorkerCPUMS))
	}
	if r.QuotaRateToBaseline > 0 {
		row(fmt.Sprintf("with revocation, %d writes/s allowed; the worker of %s", r.QuotaWritesPerS, r.Baseline), fmt.Sprintf("%.1f", r.QuotaRotationPerS),
			fmt.Sprintf("%.1f", r.BaselineQuotaRotationPerS), fmt.Sprintf("%.2f times", r.QuotaRateToBaseline), "goal: 1.45")
	}
	row("the best of each: rotations as a share of the lesser of the others", fmt.Sprintf("%.0f %%", r.MassRotationShare*100), "goal: 85 %", "", "")
	b.WriteString("\n")
	r.fleet(row)
	fmt.Fprintf(&b, "\n%s, Go %s, %d CPUs, %s; load average at the start %s", r.Database, strings.TrimPrefix(r.Go, "go"), r.CPUs, r.Date.Format(time.DateOnly), r.LoadAtStart)
	if r.LatencyMS > 0 {
		fmt.Fprintf(&b, "; each call of Secrets Manager %.0f ms longer", r.LatencyMS)
	}
	b.WriteString(".\n")
	return b.String()
}

// fleet adds the figures of a fleet, and of what disturbs it.
func (r *report) fleet(row func(cells ...string)) {
	pair := func(median, worst float64) string { return fmt.Sprintf("%.0f ms, %.0f ms", median, worst) }
	row("the fleet", "", "goal")
	row("---", "---:", "---:")
	if r.Sleeping > 0 {
		row(fmt.Sprintf("a worker's memory with %d sleeping secrets", r.Sleeping), fmt.Sprintf("%.0f MB", r.SleepingWorkerMB), "200 MB")
		row("its CPU, as a share of a core", fmt.Sprintf("%.2f %%", r.SleepingWorkerCorePercent), "1 %")
		row("before them: a rotation, the activities in a row, a no-op workflow, the raw limit, medians", r.Alone.String(), "")
		row(fmt.Sprintf("among them and their %d accounts on one database", 2*r.Sleeping), r.AmongSleeping.String(), "as before them")
		row("workflows started", fmt.Sprintf("%.0f/s", r.StartsPerS), "")
	}
	r.planLines(row)
	row("after a worker's death: median and last of 16 rotations in the middle of a step", fmt.Sprintf("%.1f s, %.1f s", r.RecoverySMedian, r.RecoverySMax), "5 s")
	if r.RecoveryToBaseline > 0 {
		row(fmt.Sprintf("the median, as a multiple of that of the worker of %s", r.Baseline), fmt.Sprintf("%.2f", r.RecoveryToBaseline), "0.45")
	}
	row("after a restart of Temporal's server: median and last of 16 rotations in the middle of a step; steps repeated",
		fmt.Sprintf("%.1f s, %.1f s; %d", r.TemporalRestartSMedian, r.TemporalRestartSMax, r.TemporalRestartRepeated), "")
	row(fmt.Sprintf("after a failover of the database that takes %.0f s: median and last of 16 rotations in the middle of a step", failoverTakes.Seconds()),
		fmt.Sprintf("%.1f s, %.1f s", r.FailoverSMedian, r.FailoverSMax), "")
	row("an emergency rotation alone: median and slowest", pair(r.EmergencyAloneMSMedian, r.EmergencyAloneMSMax), "")
	for _, f := range r.EmergencyBeside {
		row(fmt.Sprintf("the same beside %d due users of a server that %s", f.Users, f.Server), pair(f.MSMedian, f.MSMax), "")
	}
	row("the worst of these medians, as a multiple of alone", fmt.Sprintf("%.2f", r.EmergencyBesideToAlone), "2")
	row("after an hour of denials by AWS, in simulated time; median and longest if they end up to an hour later",
		fmt.Sprintf("%.0f min; %.0f min, %.0f min", r.AfterDenialsMinutes, r.AfterDenialsMinutesMedian, r.AfterDenialsMinutesMax), "")
}
