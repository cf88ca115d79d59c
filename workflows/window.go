package workflows

import (
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/rotate-user/rotate-user/internal/schedule"
	"github.com/rotate-user/rotate-user/rotation"
)

// sleep returns when a rotation is due, when a message has changed something, or when messages have filled the history. The
// timer is the first command of a run, so that a sleeping run does not bind later releases to anything else.
func (r *rotator) sleep(ctx workflow.Context) {
	r.describe(ctx)
	timers, cancel := workflow.WithCancel(ctx)
	var timer workflow.Future
	wake := func(at time.Time) {
		timer = workflow.NewTimerWithOptions(timers, at.Sub(workflow.Now(ctx)), workflow.TimerOptions{
			Summary: short("next rotation of " + r.input.SecretID + ": " + clock(at)),
		})
	}
	switch postponed := r.Requested != nil && !r.Held; {
	case postponed && (r.Paused || r.RequestDue.Before(r.NextRotationDate)):
		wake(r.RequestDue)
	case !r.paused():
		wake(r.NextRotationDate)
	}
	message := func() bool { return r.asked.rotation != nil || r.asked.giveWay || r.asked.stop }
	awake := func() bool { return message() || timer != nil && timer.IsReady() }
	err := r.await(ctx, awake)
	missed := !r.paused() && !workflow.Now(ctx).Before(r.NextRotationDate) && workflow.Now(ctx).After(r.WindowCloses)
	if err == nil && !message() && missed {
		wake(workflow.Now(ctx).Add(spread(r.input.SecretID, lateSpread)))
		r.WindowCloses = workflow.Now(ctx).Add(firstWindow)
		err = r.await(ctx, awake)
	}
	for err == nil && !message() && r.inBlackout(ctx) {
		wake(r.NextRotationDate)
		err = r.await(ctx, awake)
	}
	if err != nil { // the workflow was cancelled
		r.asked.stop = true
	}
	if r.asked.rotation != nil {
		cancel()
	}
	if r.asked.rotation == nil && r.Requested != nil && !r.Held && !r.asked.giveWay && !workflow.Now(ctx).Before(r.RequestDue) {
		q := *r.Requested
		r.asked.rotation = &q
	}
}

// inBlackout reports whether a scheduled rotation is due in a blackout, because the worker was away at its time, and puts it off
// until after that. The rotation at the start was requested.
func (r *rotator) inBlackout(ctx workflow.Context) bool {
	now := workflow.Now(ctx)
	atStart := len(r.Rotations) == 0 && r.input.Immediately()
	if len(r.input.Blackout) == 0 || atStart || r.paused() || now.Before(r.NextRotationDate) {
		return false
	}
	end := r.outsideBlackout(ctx, now)
	if !end.After(now) {
		return false
	}
	if r.NextRotationDate = end; end.After(r.WindowCloses) {
		r.NextRotationDate = r.outsideBlackout(ctx, end.Add(spread(r.input.SecretID, lateSpread)))
		r.WindowCloses = r.NextRotationDate.Add(firstWindow)
	}
	return true
}

// updatesPerRun is half of what Temporal accepts in one run.
const updatesPerRun = 1000

// await waits until awake reports true. If messages have filled the history, the run gives way to the next one, with the same
// dates: Temporal terminates a workflow whose history is too long, whether or not the messages changed anything.
func (r *rotator) await(ctx workflow.Context, awake func() bool) error {
	full := func() bool { return workflow.GetInfo(ctx).GetContinueAsNewSuggested() || r.updates >= updatesPerRun }
	err := workflow.Await(ctx, func() bool { return awake() || full() })
	if err != nil || awake() {
		return err
	}
	if workflow.GetVersion(ctx, "a full history is left behind", workflow.DefaultVersion, 1) == workflow.DefaultVersion {
		return workflow.Await(ctx, awake) // an earlier release slept on
	}
	r.asked.giveWay = true
	return nil
}

// due reports whether the run must rotate now.
func (r *rotator) due(ctx workflow.Context) bool {
	return !r.asked.stop && (r.asked.rotation != nil || !r.paused() && !r.asked.giveWay && !workflow.Now(ctx).Before(r.NextRotationDate))
}

// schedule sets the next date from the rules. A rotation that MinimumOverlap would refuse is postponed until it is safe.
func (r *rotator) schedule(ctx workflow.Context, after time.Time) {
	window := r.nextAfter(ctx, after)
	r.NextRotationDate, r.WindowCloses = window.At, window.Closes
	if safe := r.LastRotatedDate.Add(r.input.Overlap()); !r.LastRotatedDate.IsZero() && r.NextRotationDate.Before(safe) {
		r.NextRotationDate = r.outsideBlackout(ctx, safe)
	}
	if r.WindowCloses.Before(r.NextRotationDate) {
		r.WindowCloses = r.NextRotationDate
	}
}

// nextAfter returns the window of the rotation that follows one at a given time.
func (r *rotator) nextAfter(ctx workflow.Context, after time.Time) schedule.Window {
	return bySchedule(ctx, r, func(s *rotation.Schedule) schedule.Window { return s.Next(after, r.input.SecretID) })
}

// outsideBlackout returns the first time from t on that is in no blackout.
func (r *rotator) outsideBlackout(ctx workflow.Context, t time.Time) time.Time {
	if len(r.input.Blackout) == 0 {
		return t
	}
	return bySchedule(ctx, r, func(s *rotation.Schedule) time.Time { return s.Free(t) })
}

// bySchedule returns what the schedule answers. Workers may have different rules for a time zone, and a replay must find the dates
// that the run found, so answers that depend on a zone are recorded.
func bySchedule[T any](ctx workflow.Context, r *rotator, ask func(*rotation.Schedule) T) T {
	answer := func() T {
		s, err := r.input.Schedule()
		if err != nil { // a worker of another release took it
			panic(fmt.Sprintf("the schedule of secret %s cannot be read: %v", r.input.SecretID, err))
		}
		return ask(s)
	}
	if r.input.TimeZone == "" {
		return answer()
	}
	var recorded T
	if err := workflow.SideEffect(ctx, func(workflow.Context) any { return answer() }).Get(&recorded); err != nil {
		panic(err) // the recorded value cannot be read
	}
	return recorded
}

// fail decides when a failed rotation is retried: inside its window with a growing backoff, otherwise on the next date of the
// schedule. A request leaves a scheduled rotation of a later date alone.
func (r *rotator) fail(ctx workflow.Context, end *rotation.Rotation, err error, promoted bool) {
	end.Error, end.ErrorType = explain(err)
	r.seen(ctx, fateOf(err))
	if !promoted && r.catchUp(ctx, "after a failure") {
		end.Error = wasReset + ": " + end.Error
	}
	now := workflow.Now(ctx)
	r.endIfRotatedElsewhere(*end)
	asked := r.asked.rotation != nil && r.NextRotationDate.After(now)
	staged := slices.ContainsFunc(end.Steps, func(s rotation.Step) bool { return s.Name == rotation.StagePassword })
	if staged && !promoted {
		r.EarlierVersionID, r.EarlierSHA256 = end.VersionID, r.staged
	}
	r.postponeRequest(ctx, end, err, promoted)
	if !promoted && !asked {
		r.Attempts++
		next := now.Add(backoff(r.Attempts))
		if until, ok := retryAt(err); ok {
			next = until
		}
		next = r.outsideBlackout(ctx, next)
		switch {
		case !next.After(r.WindowCloses):
			r.NextRotationDate = next
		case notServed(err): // the rotation stays due until a worker is back
			r.Attempts, r.NextRotationDate, r.WindowCloses = 0, now.Add(spread(r.input.SecretID, lateSpread)), now.Add(firstWindow)
		default:
			r.Attempts = 0 // in the next window the backoff starts from the beginning
			r.schedule(ctx, now)
		}
	}
	workflow.GetLogger(ctx).Error("rotation failed", "secret", r.input.SecretID, "type", end.ErrorType, "error", end.Error, "next",
		r.NextRotationDate)
}

// postponeRequest keeps a request that could not be carried out, and sets when it is retried: a
// request to revoke until it succeeds, and another one that a signal made for as long as a rotation
// at the start. The sender of any other update has the error and decides. After a promotion nothing
// is retried: another rotation would revoke another account.
func (r *rotator) postponeRequest(ctx workflow.Context, end *rotation.Rotation, err error, promoted bool) {
	q := r.asked.rotation
	kept := q != nil && (q.RevokePrevious || r.asked.signalled || r.Requested != nil)
	due, closes := r.retryRequest(ctx, end, err)
	switch {
	case kept && promoted && q.RevokePrevious:
		r.note(ctx, rotation.RotateUpdate, rotation.OutcomeFailed, "rotated, but the previous account was not revoked: "+end.Error)
	case kept && promoted:
	case kept && due.After(closes) && !q.RevokePrevious:
		r.note(ctx, rotation.RotateUpdate, rotation.OutcomeFailed, "not retried after "+clock(closes)+": "+end.Error)
	case kept:
		r.Requested, r.RequestDue, r.RequestCloses = q, due, closes
		r.RequestAttempts++
		r.note(ctx, rotation.RotateUpdate, rotation.OutcomeDeferred, end.Error)
		return
	}
	r.forgetRequest()
}

// retryRequest returns when a request that failed is retried, and until when it may be.
func (r *rotator) retryRequest(ctx workflow.Context, end *rotation.Rotation, err error) (due, closes time.Time) {
	now := workflow.Now(ctx)
	due, closes = now.Add(backoff(r.RequestAttempts+1)), r.RequestCloses
	if until, ok := retryAt(err); ok {
		due = until
	}
	switch {
	case notServed(err):
		closes = now.Add(firstWindow) // it stays due until a worker is back
	case closes.IsZero():
		closes = end.StartedAt.Add(firstWindow)
	}
	return due, closes
}

func (r *rotator) forgetRequest() {
	r.Requested, r.RequestDue, r.RequestCloses, r.RequestAttempts = nil, time.Time{}, time.Time{}, 0
}

// backoff returns how long to wait after so many failed attempts: from one minute up to an hour.
func backoff(attempts int) time.Duration {
	return min(time.Minute<<min(attempts-1, 6), time.Hour)
}

// retryAt returns the time from which the error of a step no longer holds, if the error names one.
func retryAt(err error) (time.Time, bool) {
	var app *temporal.ApplicationError
	var until time.Time
	if errors.As(err, &app) && app.HasDetails() && app.Details(&until) == nil {
		return until, !until.IsZero()
	}
	return time.Time{}, false
}

// spread returns an offset below within that is always the same for a key, so that secrets do not fire together.
func spread(key string, within time.Duration) time.Duration {
	h := fnv.New64a()
	_, _ = h.Write([]byte(key))
	return time.Duration(h.Sum64() % uint64(within))
}

// spreadOut does so over days, a second at a time: names that differ in their last characters only would end up together in
// nanoseconds.
func spreadOut(key string, within time.Duration) time.Duration {
	h := fnv.New64a()
	_, _ = h.Write([]byte(key))
	return time.Duration(h.Sum64()%max(1, uint64(within/time.Second))) * time.Second
}
