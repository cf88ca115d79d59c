package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/rotate-user/rotate-user/rotation"
)

// rulesFlags are the flags for RotationRules, TimeZone and Blackout.
type rulesFlags struct {
	cmd      *cobra.Command
	rules    rotation.RotationRules
	timeZone string
	blackout []string
}

func (f *rulesFlags) add(cmd *cobra.Command) {
	f.cmd = cmd
	flags := cmd.Flags()
	flags.Var((*days)(&f.rules.AutomaticallyAfterDays), "automatically-after-days", "days between rotations, 1 to 1000 (default 30)")
	flags.StringVar(&f.rules.ScheduleExpression, "schedule-expression", "",
		"instead of days: rate(12 hours), rate(10 days) or cron(0 8 ? * MON *)")
	flags.StringVar(&f.rules.Duration, "duration", "",
		"length of the rotation window, 1h to 24h (default: until the end of the day, or 1h if there are several rotations a day)")
	f.addCalendar(cmd)
	cmd.MarkFlagsMutuallyExclusive("automatically-after-days", "schedule-expression")
}

// addCalendar adds the flags for the time zone and the blackout.
func (f *rulesFlags) addCalendar(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.timeZone, "time-zone", "", "IANA time `zone` of days, cron and blackouts, such as Europe/Berlin (default UTC)")
	flags.StringArrayVar(&f.blackout, "blackout", nil,
		"`time` in which no scheduled rotation starts: 2026-12-25, 2026-12-24/2027-01-02 or 'Fri 16:00 - Mon 08:00'; can be repeated; "+
			"\"none\" removes it")
}

// entries returns the blackout: nil if the command line has none, and empty if it removes the blackout.
func (f *rulesFlags) entries() []string {
	if slices.Equal(f.blackout, []string{"none"}) {
		return []string{}
	}
	return f.blackout
}

// given reports whether the command line has a schedule.
func (f *rulesFlags) given() bool {
	return f.cmd.Flags().Changed("automatically-after-days") || f.cmd.Flags().Changed("schedule-expression")
}

// differs reports whether the command line has other rules than these.
func (f *rulesFlags) differs(have rotation.RotationRules) bool {
	return f.given() && f.rules != have || f.cmd.Flags().Changed("duration") && f.rules.Duration != have.Duration
}

// check refuses values that the workflow could not tell from a missing schedule.
func (f *rulesFlags) check() error {
	if f.given() {
		return f.rules.Validate()
	}
	return nil
}

// inputFlags are the flags for the input of RotateUserWorkflow.
type inputFlags struct {
	rulesFlags

	input          rotation.RotateUserInput
	immediately    bool
	minimumOverlap rotation.Duration
}

func (f *inputFlags) add(cmd *cobra.Command) {
	secretFlag(cmd, &f.input.SecretID)
	flags := cmd.Flags()
	flags.StringVar(&f.input.MasterSecretID, "master-secret-id", "",
		"name or ARN of the master secret (default: \"masterarn\" in the user's secret)")
	masterServerFlags(flags, &f.input.MasterServer)
	flags.StringVar(&f.input.CloneUsername, "clone-username", "", "user name of the other account of the pair (default: <user>_clone)")
	f.rulesFlags.add(cmd)
	flags.TextVar(&f.minimumOverlap, "minimum-overlap", rotation.Duration(0),
		"`duration` that a promoted credential stays untouched before the other one may change (default 1h)")
	flags.TextVar(&f.input.Drain, "drain", rotation.Duration(0),
		"`duration` that a rotation waits for the sessions of the standby account to end")
	flags.BoolVar(&f.input.RequireDrained, "require-drained", false, "with --drain: fail the rotation if they have not ended by then")
	flags.BoolVar(&f.input.RequireAllNodes, "require-all-nodes", false,
		"do not promote while a node of the cluster cannot be asked for the new password")
	endpointsFlag(cmd, &f.input)
	activityQueueFlag(cmd, &f.input.ActivityTaskQueue)
	for _, name := range []string{"minimum-overlap", "drain"} {
		flags.Lookup(name).DefValue = "" // without the flag, 0s is not what happens
	}
}

// addImmediately adds the flag of the commands that start a schedule.
func (f *inputFlags) addImmediately(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.immediately, "rotate-immediately", true,
		"rotate at the start; with =false, check that a rotation would work and wait for the schedule")
}

// check completes the input and validates it.
func (f *inputFlags) check() error {
	if err := f.rulesFlags.check(); err != nil {
		return err
	}
	f.input.RotationRules, f.input.TimeZone, f.input.Blackout = f.rules, f.timeZone, f.entries()
	if f.cmd.Flags().Changed("rotate-immediately") {
		f.input.RotateImmediately = &f.immediately
	}
	if f.cmd.Flags().Changed("minimum-overlap") {
		f.input.MinimumOverlap = &f.minimumOverlap
	}
	return f.input.Validate()
}

// compare lists the options in which the command line differs from the running rotation, and
// returns the rotation's input with those options changed. Options that are not on the command line
// keep their values.
func (f *inputFlags) compare(status rotation.Status) (different []string, want rotation.RotateUserInput) {
	have := status.Input
	if have == nil { // a worker of an earlier release returns only these
		have = &rotation.RotateUserInput{SecretID: f.input.SecretID, MasterSecretID: status.MasterSecretID, RotationRules: status.RotationRules}
	}
	want = *have
	if f.differs(have.RotationRules) {
		if f.given() {
			want.RotationRules = f.rules
		} else {
			want.RotationRules.Duration = f.rules.Duration
		}
		different = append(different, fmt.Sprintf("%s: is %s, requested %s", rules, have.RotationRules, want.RotationRules))
	}
	for _, o := range f.options(status, have, &want) {
		if f.cmd.Flags().Changed(o.flag) && !o.same {
			different = append(different, fmt.Sprintf("--%s: is %s, requested %s", o.flag, cmp.Or(o.running, "none"), cmp.Or(o.asked, "none")))
			o.take()
		}
	}
	return different, want
}

// option is one flag, compared with a running rotation.
type option struct {
	flag, running, asked string

	same bool
	take func()
}

// options returns the flags to compare. Taking one sets it in want.
func (f *inputFlags) options(status rotation.Status, have, want *rotation.RotateUserInput) []option {
	in, list := f.input, func(all []string) string { return strings.Join(all, ", ") }
	pair := []string{have.CloneUsername, status.Username, status.StandbyUsername}
	all := []option{
		{"time-zone", cmp.Or(have.TimeZone, "UTC"), in.TimeZone, cmp.Or(in.TimeZone, "UTC") == cmp.Or(have.TimeZone, "UTC"),
			func() { want.TimeZone = in.TimeZone }},
		{"blackout", list(have.Blackout), list(in.Blackout), slices.Equal(in.Blackout, have.Blackout), func() { want.Blackout = in.Blackout }},
		{"master-secret-id", have.MasterSecretID, in.MasterSecretID, in.MasterSecretID == have.MasterSecretID,
			func() { want.MasterSecretID = in.MasterSecretID }},
		{"clone-username", cmp.Or(have.CloneUsername, status.StandbyUsername), in.CloneUsername, slices.Contains(pair, in.CloneUsername),
			func() { want.CloneUsername = in.CloneUsername }},
	}
	for _, flag := range []string{"master-host", "master-port", "master-engine"} {
		if f.cmd.Flags().Changed(flag) { // they are given together
			all = append(all, option{flag, masterServer(have.MasterServer), masterServer(in.MasterServer), in.MasterServer == have.MasterServer,
				func() { want.MasterServer = in.MasterServer }})
			break
		}
	}
	if overlap := have.MinimumOverlap; overlap != nil {
		all = append(all, option{"minimum-overlap", overlap.String(), f.minimumOverlap.String(), f.minimumOverlap == *overlap,
			func() { want.MinimumOverlap = in.MinimumOverlap }})
	}
	if status.Input == nil { // a worker of an earlier release does not return the others
		return all
	}
	return append(all,
		option{"drain", have.Drain.String(), in.Drain.String(), in.Drain == have.Drain, func() { want.Drain = in.Drain }},
		option{"require-drained", fmt.Sprint(have.RequireDrained), fmt.Sprint(in.RequireDrained), in.RequireDrained == have.RequireDrained,
			func() { want.RequireDrained = in.RequireDrained }},
		option{"require-all-nodes", fmt.Sprint(have.RequireAllNodes), fmt.Sprint(in.RequireAllNodes), in.RequireAllNodes == have.RequireAllNodes,
			func() { want.RequireAllNodes = in.RequireAllNodes }},
		option{"test-endpoints", list(have.TestEndpoints), list(in.TestEndpoints), slices.Equal(in.TestEndpoints, have.TestEndpoints),
			func() { want.TestEndpoints = in.TestEndpoints }},
		option{"proxy-secret-ids", list(have.ProxySecretIDs), list(in.ProxySecretIDs), slices.Equal(in.ProxySecretIDs, have.ProxySecretIDs),
			func() { want.ProxySecretIDs = in.ProxySecretIDs }},
		option{"activity-task-queue", have.ActivityTaskQueue, in.ActivityTaskQueue, in.ActivityTaskQueue == have.ActivityTaskQueue,
			func() { want.ActivityTaskQueue = in.ActivityTaskQueue }},
	)
}

const rules = "schedule"

// onlyRules reports whether reschedule can change everything that differs.
func (f *inputFlags) onlyRules(different []string) bool {
	return !slices.ContainsFunc(different, func(text string) bool {
		name, _, _ := strings.Cut(text, ":")
		return !slices.Contains([]string{rules, "--time-zone", "--blackout"}, name)
	})
}
