package main

import (
	"github.com/spf13/cobra"

	"github.com/rotate-user/rotate-user/internal/schedule"
	"github.com/rotate-user/rotate-user/workflows"
)

// rulesFlags are RotationRules.
type rulesFlags struct {
	cmd   *cobra.Command
	rules workflows.RotationRules
}

func (f *rulesFlags) add(cmd *cobra.Command) {
	f.cmd = cmd
	flags := cmd.Flags()
	flags.IntVar(&f.rules.AutomaticallyAfterDays, "automatically-after-days", 0, "days between rotations, 1 to 1000 (default 30)")
	flags.StringVar(&f.rules.ScheduleExpression, "schedule-expression", "", "instead of days: rate(12 hours), rate(10 days), cron(0 8 ? * MON *); UTC")
	flags.StringVar(&f.rules.Duration, "duration", "", "length of the rotation window, such as 3h (default to the end of the day)")
	cmd.MarkFlagsMutuallyExclusive("automatically-after-days", "schedule-expression")
}

// given says whether the command line names a schedule.
func (f *rulesFlags) given() bool {
	return f.cmd.Flags().Changed("automatically-after-days") || f.cmd.Flags().Changed("schedule-expression")
}

// differs says whether the command line names other rules than these.
func (f *rulesFlags) differs(have workflows.RotationRules) bool {
	return f.given() && f.rules != have || f.cmd.Flags().Changed("duration") && f.rules.Duration != have.Duration
}

// check finds what the workflow cannot tell from a schedule that was left out.
func (f *rulesFlags) check() error {
	if f.given() {
		return f.rules.Validate()
	}
	return nil
}

// inputFlags are the input of RotateUserWorkflow.
type inputFlags struct {
	rulesFlags

	input          workflows.RotateUserInput
	immediately    bool
	minimumOverlap schedule.Duration
}

func (f *inputFlags) add(cmd *cobra.Command) {
	secretFlag(cmd, &f.input.SecretID)
	flags := cmd.Flags()
	flags.StringVar(&f.input.MasterSecretID, "master-secret-id", "", "name or ARN of the administrator's secret (default \"masterarn\" of the user's secret)")
	flags.StringVar(&f.input.CloneUsername, "clone-username", "", "the other account of the pair (default <user>_clone)")
	f.rulesFlags.add(cmd)
	flags.TextVar(&f.minimumOverlap, "minimum-overlap", schedule.Duration(0), "`duration` for which a new credential is left alone before the other one may change (default 1h)")
	flags.TextVar(&f.input.Drain, "drain", schedule.Duration(0), "`duration` for which a rotation waits for the standby's sessions to end")
	flags.BoolVar(&f.input.RequireDrained, "require-drained", false, "fail the rotation when they have not")
	activityQueueFlag(cmd, &f.input.ActivityTaskQueue)
	for _, name := range []string{"minimum-overlap", "drain"} {
		flags.Lookup(name).DefValue = "" // 0s is not what happens without the flag
	}
}

// addImmediately is for the commands that start a schedule.
func (f *inputFlags) addImmediately(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.immediately, "rotate-immediately", true, "rotate at the start; =false looks whether it would work, and waits for the schedule")
}

// check completes the input and says what is wrong with it.
func (f *inputFlags) check() error {
	if err := f.rulesFlags.check(); err != nil {
		return err
	}
	f.input.RotationRules = f.rules
	if f.cmd.Flags().Changed("rotate-immediately") {
		f.input.RotateImmediately = &f.immediately
	}
	if f.cmd.Flags().Changed("minimum-overlap") {
		f.input.MinimumOverlap = &f.minimumOverlap
	}
	return f.input.Validate()
}
