package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.temporal.io/sdk/client"

	"github.com/rotate-user/rotate-user/internal/plaintext"
	"github.com/rotate-user/rotate-user/rotation"
)

const (
	progressInterval = time.Second      // between two queries
	progressLines    = 10 * time.Second // between two lines if the output is not a terminal
	barWidth         = 30
)

func (a *app) fleetRotateCommand() *cobra.Command {
	var input rotation.RotateFleetInput
	var canary int
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Rotate many secrets now, a few at a time",
		Long: `Rotate many secrets now, a few at a time. A workflow asks the running rotations, or those that --query finds, to rotate: first the
canaries, then the others if all canaries succeed. It stops starting rotations when more than --max-failures have failed. A rotation
whose error may be temporary counts as failed after three attempts.

The command shows the progress. You can interrupt it: the workflow continues, and starter fleet rotate status shows it again.`,
		Example: `  starter fleet rotate --query "DatabaseHost = 'db1.example.com:3306'"
  starter fleet rotate --revoke-previous --grace 10m --force --canary 5 --max-failures 2% --per-host 2`,
	}
	flags := cmd.Flags()
	flags.StringVar(&input.Query, "query", "", "`condition` on the search attributes of rotations, "+
		"as for temporal workflow list (default: all running rotations)")
	flags.BoolVar(&input.Rotate.Force, "force", false, "rotate even within the minimum overlap")
	flags.BoolVar(&input.Rotate.RevokePrevious, "revoke-previous", false,
		"after each promotion, lock the previous account and end its sessions")
	flags.TextVar(&input.Rotate.Grace, "grace", rotation.Duration(0),
		"`duration` that --revoke-previous waits after each promotion, at most 24h")
	flags.IntVar(&canary, "canary", 5, "`number` of secrets to rotate first")
	flags.StringVar(&input.MaxFailures, "max-failures", "2%", "`number` or percentage of rotations that may fail")
	flags.IntVar(&input.PerHost, "per-host", 2, "`number` of rotations at a time on each database host")
	flags.TextVar(&input.Over, "over", rotation.Duration(0), "`duration` over which the rotations are spread (default: as fast as possible)")
	for _, name := range []string{"grace", "over"} {
		flags.Lookup(name).DefValue = ""
	}
	activityQueueFlag(cmd, &input.ActivityTaskQueue)
	cmd.AddCommand(
		a.fleetProgressCommand(),
		a.fleetRotationUpdate("pause", "Start no more rotations until you resume", rotation.PauseUpdate),
		a.fleetRotationUpdate("resume", "Resume a paused fleet rotation", rotation.ResumeUpdate),
		a.fleetRotationUpdate("stop", "Start no more rotations; those in progress continue to their end", rotation.StopUpdate),
	)
	check := func() error {
		input.Canary = &canary
		return input.Validate()
	}
	return a.action(cmd, check, func(ctx context.Context) error {
		options := a.startOptions(rotation.RotateFleetWorkflowID(a.taskQueue), "rotate "+cmp.Or(input.Query, "all secrets"))
		options.WorkflowExecutionErrorWhenAlreadyStarted = true
		run, err := a.temporal.ExecuteWorkflow(ctx, options, rotation.RotateFleetWorkflow, input)
		if isRunning(err) {
			return advise("To see its progress, run: starter fleet rotate status", "a fleet rotation is already running")
		}
		if err != nil {
			return err
		}
		return a.followFleet(ctx, run)
	})
}

func (a *app) fleetProgressCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "status",
		Short:   "Show the progress of the fleet rotation",
		Example: `  starter fleet rotate status`,
	}
	return a.action(cmd, nil, func(ctx context.Context) error {
		s, err := a.fleetProgress(ctx)
		if err != nil {
			return err
		}
		return a.print(fleetRotationView{s, a.now()})
	})
}

func (a *app) fleetRotationUpdate(name, short, update string) *cobra.Command {
	cmd := &cobra.Command{Use: name, Short: short, Example: "  starter fleet rotate " + name}
	return a.action(cmd, nil, func(ctx context.Context) error {
		handle, err := a.temporal.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{
			WorkflowID: rotation.RotateFleetWorkflowID(a.taskQueue), UpdateName: update, Args: []any{rotation.Sender{SentAt: a.now()}},
			WaitForStage: client.WorkflowUpdateStageCompleted,
		})
		var s rotation.RotateFleetStatus
		if err == nil {
			err = handle.Get(ctx, &s)
		}
		if err != nil {
			return noFleetRotation(err)
		}
		return a.print(fleetRotationView{s, a.now()})
	})
}

func noFleetRotation(err error) error {
	if !isNotFound(err) {
		return err
	}
	return advise("Start one with: starter fleet rotate", "no fleet rotation is running")
}

func (a *app) fleetProgress(ctx context.Context) (s rotation.RotateFleetStatus, err error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	answer, err := a.temporal.QueryWorkflow(ctx, rotation.RotateFleetWorkflowID(a.taskQueue), "", rotation.StatusQuery)
	if err != nil {
		return s, noFleetRotation(err)
	}
	err = answer.Get(&s)
	return s, err
}

// followFleet shows the progress of a fleet's rotation until it ends.
func (a *app) followFleet(ctx context.Context, run client.WorkflowRun) error {
	type outcome struct {
		status rotation.RotateFleetStatus
		err    error
	}
	ended := make(chan outcome, 1)
	go func() {
		var o outcome
		o.err = run.Get(ctx, &o.status)
		ended <- o
	}()
	defer a.watch(ctx, rotation.RotateFleetWorkflowID(a.taskQueue), a.say)()
	tick := time.NewTicker(progressInterval)
	defer tick.Stop()
	var shown time.Time
	for {
		select {
		case o := <-ended:
			a.endProgress()
			if o.err != nil {
				return o.err
			}
			if err := a.print(fleetRotationView{o.status, a.now()}); err != nil {
				return err
			}
			if o.status.Stopped != "" || o.status.Failed > 0 {
				n := o.status.Total - o.status.Rotated
				return fmt.Errorf("%s not rotated", plaintext.Count(n, "secret"))
			}
			return nil
		case <-tick.C:
			if a.output != table || !a.live && time.Since(shown) < progressLines {
				continue
			}
			if s, err := a.fleetProgress(ctx); err == nil {
				shown = time.Now()
				a.showProgress(s)
			}
		}
	}
}

// showProgress prints the progress. On a terminal it overwrites the previous line.
func (a *app) showProgress(s rotation.RotateFleetStatus) {
	text := progressLine(s, a.now())
	if a.live {
		fmt.Fprintf(a.out, "\r\x1b[K%s", text)
		return
	}
	fmt.Fprintln(a.out, text)
}

func (a *app) endProgress() {
	if a.live && a.output == table {
		fmt.Fprint(a.out, "\r\x1b[K")
	}
}

// progressLine returns a bar, followed by the rate and the estimated time left.
func progressLine(s rotation.RotateFleetStatus, now time.Time) string {
	settled := s.Rotated + s.Failed + s.Skipped
	filled := 0
	if s.Total > 0 {
		filled = barWidth * settled / s.Total
	}
	text := fmt.Sprintf("[%s%s] %d of %d", strings.Repeat("#", filled), strings.Repeat(".", barWidth-filled), settled, s.Total)
	if s.Failed > 0 {
		text += fmt.Sprintf(", %d failed", s.Failed)
	}
	took := now.Sub(s.StartedAt)
	switch {
	case s.Stopped != "":
		return text + ", stopped: " + plaintext.Line(s.Stopped)
	case s.Paused:
		return text + ", paused"
	case s.Canary:
		return text + ", canaries first"
	case settled > 0 && took >= time.Second:
		rate := float64(settled) / took.Seconds()
		left := time.Duration(float64(s.Total-settled) / rate * float64(time.Second))
		return text + fmt.Sprintf(", %.1f/s, %s left", rate, roughly(left))
	}
	return text
}

// fleetRotationView is the progress or the result of a fleet's rotation.
type fleetRotationView struct {
	status rotation.RotateFleetStatus
	now    time.Time
}

func (v fleetRotationView) value() any { return v.status }
func (v fleetRotationView) text(w io.Writer) {
	s := v.status
	pairs(w, "Fleet", s.String(), "Started", date(s.StartedAt, v.now), "Ended", date(s.EndedAt, v.now))
	section(w, "Failed", shortened(s.Failures, planShown))
	section(w, "Skipped", shortened(s.Skips, planShown))
	var hosts []string
	for host, n := range s.PendingHosts {
		if host == "" {
			host = "unknown host"
		}
		hosts = append(hosts, fmt.Sprintf("%s: %s", host, plaintext.Count(n, "secret")))
	}
	slices.Sort(hosts)
	section(w, "Not started", hosts)
}

// shortened returns the first lines, and how many others -o json shows.
func shortened(lines []string, most int) []string {
	if len(lines) <= most {
		return lines
	}
	return append(slices.Clone(lines[:most]), fmt.Sprintf("and %d more: see -o json", len(lines)-most))
}
