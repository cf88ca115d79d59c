package workflows

import (
	"errors"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/rotate-user/rotate-user/rotation"
)

var signals = []string{
	rotation.RotateUpdate, rotation.PauseUpdate, rotation.ResumeUpdate, rotation.RescheduleUpdate, rotation.StopUpdate,
	rotation.DismissUpdate, rotation.SecretSeenSignal,
}

// receiveSignals carries out signals as they come.
func (r *rotator) receiveSignals(ctx workflow.Context) {
	s := workflow.NewNamedSelector(ctx, "signals")
	for _, name := range signals {
		s.AddReceive(workflow.GetSignalChannel(ctx, name), func(c workflow.ReceiveChannel, _ bool) { r.receive(ctx, c) })
	}
	for ctx.Err() == nil {
		s.Select(ctx)
	}
}

// drainSignals carries out the signals that came while the run was ending.
func (r *rotator) drainSignals(ctx workflow.Context) {
	for _, name := range signals {
		c := workflow.GetSignalChannel(ctx, name)
		for c.Len() > 0 {
			r.receive(ctx, c)
		}
	}
}

// receive does what the update of the signal's name would do. The sender does not wait for an answer, so the status says what
// became of the signal.
func (r *rotator) receive(ctx workflow.Context, c workflow.ReceiveChannel) {
	switch c.Name() {
	case rotation.RotateUpdate:
		if q, ok := read[rotation.RotateRequest](ctx, r, c); ok {
			r.RequestCloses = time.Time{} // a new request is retried for as long as the first was
			r.signalled(ctx, q)
		}
	case rotation.PauseUpdate:
		receive(ctx, r, c, r.pause)
	case rotation.ResumeUpdate:
		receive(ctx, r, c, r.resume)
	case rotation.StopUpdate:
		receive(ctx, r, c, r.stop)
	case rotation.DismissUpdate:
		receive(ctx, r, c, r.dismiss)
	case rotation.RescheduleUpdate:
		receive(ctx, r, c, r.reschedule)
	case rotation.SecretSeenSignal:
		receive(ctx, r, c, func(ctx workflow.Context, q rotation.SecretSeen) {
			r.asked.giveWay = r.seen(ctx, q.Fate) || r.asked.giveWay
		})
	}
	r.describe(ctx)
}

// receive carries out one signal if it can be read and is not refused.
func receive[Request interface{ Validate() error }](ctx workflow.Context, r *rotator, c workflow.ReceiveChannel,
	do func(workflow.Context, Request)) {
	q, ok := read[Request](ctx, r, c)
	if !ok {
		return
	}
	if err := r.mayTake(c.Name(), q); err != nil {
		r.note(ctx, c.Name(), rotation.OutcomeRefused, reason(err))
		return
	}
	do(ctx, q)
}

// read reports whether it has read a signal. The SDK drops a signal that it cannot decode and continues with the next one of that name.
func read[Request any](ctx workflow.Context, r *rotator, c workflow.ReceiveChannel) (q Request, ok bool) {
	before := c.Len()
	ok = c.ReceiveAsync(&q)
	dropped := before - c.Len()
	if ok {
		dropped--
	}
	for range dropped {
		r.note(ctx, c.Name(), rotation.OutcomeUnreadable, "its argument is not one JSON value")
	}
	return q, ok
}

// signalled requests a rotation: now, or if it is to revoke the previous account, as soon as that is safe.
func (r *rotator) signalled(ctx workflow.Context, q rotation.RotateRequest) {
	err := r.mayRotate(ctx, q)
	var app *temporal.ApplicationError
	kind := ""
	if errors.As(err, &app) {
		kind = app.Type()
	}
	switch {
	case err == nil, kind == rotation.ErrorJustRotated && r.phase == leaving: // the next run rotates
		r.ask(q)
		r.asked.signalled = true
	case kind == rotation.ErrorJustRotated:
		r.note(ctx, rotation.RotateUpdate, rotation.OutcomeSuperseded, reason(err))
	case kind == rotation.ErrorMinimumOverlap && q.RevokePrevious:
		r.Requested, r.RequestDue = joined(r.Requested, &q), r.LastRotatedDate.Add(r.input.Overlap())
		r.asked.giveWay = true // the next run wakes for it
		r.note(ctx, rotation.RotateUpdate, rotation.OutcomeDeferred, reason(err))
	default:
		r.note(ctx, rotation.RotateUpdate, rotation.OutcomeRefused, reason(err))
	}
}
