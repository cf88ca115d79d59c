package main

import (
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
	progressInterval = time.Second      // between two looks
	progressLines    = 10 * time.Second // between two lines, if the output is not a terminal
	barWidth         = 30
)

func (a *app) fleetRotateCommand() *cobra.Command {
	var input rotation.RotateFleetInput
	var canary int
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Rotate many secrets now, a few at a time",
		Long: `Rotate many secrets now, a few at a time. A workflow asks the rotations that run, or those that --query finds, to rotate: the canaries
first, and the others if all of them succeed. It begins no other once more than --max-failures have failed. What may pass is tried
three times.

The command shows how far it is. You may interrupt it: the workflow continues, and starter fleet rotate status shows it again.`,
		Example: `  starter fleet rotate --query "DatabaseHost = 'db1.example.com:3306'"
  starter fleet rotate --revoke-previous --grace 10m --force --canary 5 --max-failures 2% --per-host 2`,
	}
	flags := cmd.Flags()
	flags.StringVar(&input.Query, "query", "", "`condition` on the search attributes of rotations, as for temporal workflow list (default all that run)")
	flags.BoolVar(&input.Rotate.Force, "force", false, "rotate what is younger than the minimum overlap, too")
	flags.BoolVar(&input.Rotate.RevokePrevious, "revoke-previous", false, "lock each previous account and end its sessions once the new one is promoted")
	flags.TextVar(&input.Rotate.Grace, "grace", rotation.Duration(0), "`duration` for which --revoke-previous waits after each promotion, 24h at most")
	flags.IntVar(&canary, "canary", 5, "`number` of secrets that are rotated first")
	flags.StringVar(&input.MaxFailures, "max-failures", "2%", "`number` or share of rotations that may fail")
	flags.IntVar(&input.PerHost, "per-host", 2, "`number` of rotations at once on a database host")
	flags.TextVar(&input.Over, "over", rotation.Duration(0), "`duration` over which the rotations are spread (default as fast as they may)")
	for _, name := range []string{"grace", "over"} {
		flags.Lookup(name).DefValue = ""
	}
	activityQueueFlag(cmd, &input.ActivityTaskQueue)
	cmd.AddCommand(
		a.fleetProgressCommand(),
		a.fleetRotationUpdate("pause", "Begin no rotation until it is resumed", rotation.PauseUpdate),
		a.fleetRotationUpdate("resume", "Go on", rotation.ResumeUpdate),
		a.fleetRotationUpdate("stop", "Begin no other rotation; those in progress end", rotation.StopUpdate),
	)
	check := func() error {
		input.Canary = &canary
		return input.Validate()
	}
	return a.action(cmd, check, func(ctx context.Context) error {
		options := a.startOptions(rotation.RotateFleetWorkflowID(a.taskQueue))
		options.WorkflowExecutionErrorWhenAlreadyStarted = true
		run, err := a.temporal.ExecuteWorkflow(ctx, options, rotation.RotateFleetWorkflow, input)
		if isRunning(err) {
			return advise("See it with: starter fleet rotate status", "a fleet is being rotated already")
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
		Short:   "Show how far it is",
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
	return advise("Begin with: starter fleet rotate", "no fleet is being rotated")
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

// followFleet shows how far a fleet's rotation is until it ends.
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
				return fmt.Errorf("%s not rotated", plaintext.Count(o.status.Total-o.status.Rotated, "secret"))
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

// showProgress draws one line, over the one before if the output is a terminal.
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

// progressLine is a bar, with the rate and the time that is left at that rate.
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

// fleetRotationView is how far a fleet's rotation is, or its result.
type fleetRotationView struct {
	status rotation.RotateFleetStatus
	now    time.Time
}

func (v fleetRotationView) value() any { return v.status }
func (v fleetRotationView) text(w io.Writer) {
	s := v.status
	pairs(w, "Fleet", s.String(), "Began", date(s.StartedAt, v.now), "Ended", date(s.EndedAt, v.now))
	section(w, "Failed", s.Failures)
	section(w, "Skipped", s.Skips)
	var hosts []string
	for host, n := range s.PendingHosts {
		if host == "" {
			host = "unknown host"
		}
		hosts = append(hosts, fmt.Sprintf("%s: %s", host, plaintext.Count(n, "secret")))
	}
	slices.Sort(hosts)
	section(w, "Not begun", hosts)
}
