package workflows

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/rotate-user/rotate-user/internal/plaintext"
	"github.com/rotate-user/rotate-user/rotation"
)

// listen registers the query, the updates, and the signals of the same names.
func (r *rotator) listen(ctx workflow.Context) error {
	set := func(name, description string) error {
		return workflow.SetUpdateHandlerWithOptions(ctx, name, func(ctx workflow.Context, by rotation.Sender) (rotation.Status, error) {
			r.updates++
			r.set(ctx, name, by)
			return r.status(), nil
		}, workflow.UpdateHandlerOptions{
			Validator:   func(by rotation.Sender) error { return invalidInput(by.Validate()) },
			Description: description,
		})
	}
	err := errors.Join(
		workflow.SetQueryHandler(ctx, rotation.StatusQuery, func() (rotation.Status, error) {
			s := r.status()
			s.Rights, s.Stored = r.Rights, r.Stored // which are long, and an answer to an update is kept in the history
			return s, nil
		}),
		workflow.SetUpdateHandlerWithOptions(ctx, rotation.RotateUpdate, r.onRotate, workflow.UpdateHandlerOptions{
			Validator:   r.mayRotate,
			Description: "rotate now and answer the rotation",
		}),
		workflow.SetUpdateHandlerWithOptions(ctx, rotation.RescheduleUpdate, func(ctx workflow.Context, q rotation.RescheduleRequest) (rotation.Status, error) {
			r.updates++
			r.reschedule(ctx, q)
			return r.status(), nil
		}, workflow.UpdateHandlerOptions{
			Validator:   func(q rotation.RescheduleRequest) error { return invalidInput(q.Validate()) },
			Description: "rotate by other rules from now on",
		}),
		set(rotation.PauseUpdate, "rotate by request only"),
		set(rotation.ResumeUpdate, "rotate by the schedule again, and go on in spite of a stop"),
		set(rotation.StopUpdate, "end this workflow, after the rotation under way"),
		set(rotation.DismissUpdate, "forget the accounts that the secret was for before"),
	)
	if err != nil {
		return err
	}
	workflow.GoNamed(ctx, "signals", func(ctx workflow.Context) {
		s := workflow.NewNamedSelector(ctx, "signals")
		for _, name := range signals {
			s.AddReceive(workflow.GetSignalChannel(ctx, name), func(c workflow.ReceiveChannel, _ bool) { r.receive(ctx, c) })
		}
		for ctx.Err() == nil {
			s.Select(ctx)
		}
	})
	return nil
}

var signals = []string{rotation.RotateUpdate, rotation.PauseUpdate, rotation.ResumeUpdate, rotation.RescheduleUpdate, rotation.StopUpdate, rotation.DismissUpdate, rotation.SecretSeenSignal}

// drain takes the signals that have come while the run was ending.
func (r *rotator) drain(ctx workflow.Context) {
	for _, name := range signals {
		c := workflow.GetSignalChannel(ctx, name)
		for c.Len() > 0 {
			r.receive(ctx, c)
		}
	}
}

// receive does what a signal asks, as the update of that name would. Its sender waits for
// no answer, so the status says what became of it.
func (r *rotator) receive(ctx workflow.Context, c workflow.ReceiveChannel) {
	var err error
	switch c.Name() {
	case rotation.RotateUpdate:
		var q rotation.RotateRequest
		if r.read(ctx, c, &q) {
			r.signalled(ctx, q)
		}
	case rotation.RescheduleUpdate:
		var q rotation.RescheduleRequest
		if r.read(ctx, c, &q) {
			if err = invalidInput(q.Validate()); err == nil {
				r.reschedule(ctx, q)
			}
		}
	case rotation.SecretSeenSignal:
		var q rotation.SecretSeen
		if r.read(ctx, c, &q) {
			if err = invalidInput(q.Validate()); err == nil {
				r.changed = r.seen(ctx, q.Fate) || r.changed
			}
		}
	default:
		var by rotation.Sender
		if r.read(ctx, c, &by) {
			if err = invalidInput(by.Validate()); err == nil {
				r.set(ctx, c.Name(), by)
			}
		}
	}
	if err != nil {
		r.note(ctx, c.Name(), rotation.OutcomeRefused, reason(err))
	}
	r.describe(ctx)
}

// read reports whether a signal was read. The SDK drops one that cannot be decoded, and goes
// on to the next of the same name.
func (r *rotator) read(ctx workflow.Context, c workflow.ReceiveChannel, into any) bool {
	before := c.Len()
	ok := c.ReceiveAsync(into)
	dropped := before - c.Len()
	if ok {
		dropped--
	}
	for range dropped {
		r.note(ctx, c.Name(), rotation.OutcomeUnreadable, "its argument is not one JSON value")
	}
	return ok
}

// signalled asks for a rotation, now or, if it is to revoke, as soon as that is safe.
func (r *rotator) signalled(ctx workflow.Context, q rotation.RotateRequest) {
	err := r.mayRotate(ctx, q)
	var app *temporal.ApplicationError
	kind := ""
	if errors.As(err, &app) {
		kind = app.Type()
	}
	switch {
	case err == nil, kind == rotation.ErrorJustRotated && r.leaving:
		r.ask(q)
	case kind == rotation.ErrorJustRotated:
		r.note(ctx, rotation.RotateUpdate, rotation.OutcomeSuperseded, reason(err))
	case kind == rotation.ErrorMinimumOverlap && q.RevokePrevious:
		r.Requested, r.RequestDue = joined(r.Requested, q), r.LastRotatedDate.Add(r.input.Overlap())
		r.changed = true // the next run wakes for it
		r.note(ctx, rotation.RotateUpdate, rotation.OutcomeDeferred, reason(err))
	default:
		r.note(ctx, rotation.RotateUpdate, rotation.OutcomeRefused, reason(err))
	}
}

const (
	keptRequests = 5   // in State
	reasonBytes  = 500 // of each
)

// note keeps what became of a message that was not carried out as it came. One that is
// repeated is counted.
func (r *rotator) note(ctx workflow.Context, message string, outcome rotation.Outcome, reason string) {
	n := rotation.Request{At: workflow.Now(ctx), Message: message, Outcome: outcome, Reason: plaintext.Cut(plaintext.Line(reason), reasonBytes), Count: 1}
	same := func(o rotation.Request) bool {
		return o.Message == n.Message && o.Outcome == n.Outcome && o.Reason == n.Reason
	}
	if i := slices.IndexFunc(r.Requests, same); i >= 0 {
		n.Count += r.Requests[i].Count
		r.Requests = slices.Delete(r.Requests, i, i+1)
	}
	r.Requests = append([]rotation.Request{n}, r.Requests[:min(len(r.Requests), keptRequests-1)]...)
	workflow.GetMetricsHandler(ctx).WithTags(map[string]string{"outcome": string(outcome)}).Counter("rotate_user_requests").Inc(1)
	workflow.GetLogger(ctx).Warn("message not carried out as it came", "secret", r.input.SecretID, "message", message, "outcome", outcome, "reason", n.Reason)
}

// reason is the text of a refusal.
func reason(err error) string {
	text, _ := explain(err)
	return text
}

func (r *rotator) mayRotate(ctx workflow.Context, q rotation.RotateRequest) error {
	if err := invalidInput(q.Validate()); err != nil {
		return err
	}
	if r.stopped && r.current != nil {
		return temporal.NewNonRetryableApplicationError("the rotation of secret "+r.input.SecretID+" stops after the one under way: resume it first", string(rotation.Stopped), nil)
	}
	if r.stopped {
		return temporal.NewNonRetryableApplicationError("the rotation of secret "+r.input.SecretID+" has been stopped: start it again", string(rotation.Stopped), nil)
	}
	if r.leaving {
		return temporal.NewNonRetryableApplicationError("a rotation of secret "+r.input.SecretID+" has just ended: look at its status, and ask again if you want another", rotation.ErrorJustRotated, nil)
	}
	if !r.revokes.IsZero() && !q.RevokePrevious {
		return temporal.NewNonRetryableApplicationError(fmt.Sprintf(
			"a rotation of secret %s has ended but for the revocation of the previous account, due at %s: ask for RevokePrevious to revoke the previous account now, and for another rotation after that",
			r.input.SecretID, clock(r.revokes)), rotation.ErrorJustRotated, nil)
	}
	safe := r.LastRotatedDate.Add(r.input.Overlap())
	if r.current == nil && !q.Force && !r.LastRotatedDate.IsZero() && workflow.Now(ctx).Before(safe) {
		return temporal.NewNonRetryableApplicationError(fmt.Sprintf(
			"secret %s was rotated at %s, and clients may still use the credential before: rotating again is safe from %s, or with Force",
			r.input.SecretID, clock(r.LastRotatedDate), clock(safe)), rotation.ErrorMinimumOverlap, nil)
	}
	return nil
}

// onRotate waits for the rotation that it asks for, or that is under way.
func (r *rotator) onRotate(ctx workflow.Context, q rotation.RotateRequest) (rotation.Rotation, error) {
	r.updates++
	r.ask(q)
	r.awaited = true
	ended := func() bool { return r.ended != nil || r.leaving }
	if err := workflow.Await(ctx, ended); err != nil {
		if workflow.GetVersion(ctx, "a cancelled rotation is answered", workflow.DefaultVersion, 1) == workflow.DefaultVersion {
			return rotation.Rotation{}, err
		}
		// A cancellation ends the workflow, and not the rotation under way.
		undisturbed, _ := workflow.NewDisconnectedContext(ctx)
		if err := workflow.Await(undisturbed, ended); err != nil {
			return rotation.Rotation{}, err
		}
	}
	if r.ended == nil {
		return rotation.Rotation{}, r.mayRotate(ctx, q)
	}
	if r.ended.Error != "" {
		return rotation.Rotation{}, temporal.NewNonRetryableApplicationError(r.ended.Error, r.ended.ErrorType, nil)
	}
	return *r.ended, nil
}

// ask joins a request to those that wait already.
func (r *rotator) ask(q rotation.RotateRequest) { r.request = joined(r.request, q) }

// joined is one request for what both ask for.
func joined(to *rotation.RotateRequest, q rotation.RotateRequest) *rotation.RotateRequest {
	var all rotation.RotateRequest
	if to != nil {
		all = *to
	}
	all.Force = all.Force || q.Force
	all.UndoDrift = all.UndoDrift || q.UndoDrift
	if q.RevokePrevious && (!all.RevokePrevious || q.Grace < all.Grace) {
		all.RevokePrevious, all.Grace = true, q.Grace // the sooner of the two
	}
	return &all
}

func (r *rotator) paused() bool { return r.Paused || r.Held }

// wish is when the newest of the messages of one workflow task was sent.
type wish struct{ task, sent time.Time }

// set carries out pause, resume or stop, unless a newer one of them came with it. Messages that
// meet the first task of a run, because no worker was there or a reset applies them again, come
// grouped by their names rather than in the order in which they were sent.
func (r *rotator) set(ctx workflow.Context, name string, by rotation.Sender) {
	if name == rotation.DismissUpdate { // it contradicts none of them
		r.changed = r.changed || len(r.Left) > 0
		r.Left = nil
		return
	}
	now := workflow.Now(ctx)
	if !r.wish.task.Equal(now) {
		r.wish = wish{task: now}
	}
	if !by.SentAt.IsZero() {
		if by.SentAt.Before(r.wish.sent) {
			r.note(ctx, name, rotation.OutcomeSuperseded, "a newer message came with it")
			return
		}
		r.wish.sent = by.SentAt
	}
	switch name {
	case rotation.PauseUpdate:
		r.pause(by)
	case rotation.ResumeUpdate:
		r.resume(by)
	case rotation.StopUpdate:
		r.stopped = r.stopped || !by.Deletion || r.paused()
	}
	r.describe(ctx)
}

func (r *rotator) pause(by rotation.Sender) {
	wish := &r.Paused
	if by.Deletion {
		wish = &r.Held
	}
	r.changed = r.changed || !*wish
	*wish = true
	r.stopped = r.stopped && by.Deletion
}

// resume withdraws a stop that has not taken effect, too. A deletion lets go of a secret that is there.
func (r *rotator) resume(by rotation.Sender) {
	if by.Deletion {
		r.Deleted = nil
	}
	r.changed = r.changed || r.Held || r.Paused && !by.Deletion
	r.Held, r.Paused = false, r.Paused && by.Deletion
	r.stopped = r.stopped && by.Deletion
}

// reschedule counts the new rules from the last rotation, or from now where
// that would mean a window that has passed.
func (r *rotator) reschedule(ctx workflow.Context, q rotation.RescheduleRequest) {
	r.input.RotationRules = q.RotationRules
	now := workflow.Now(ctx)
	r.schedule(now)
	if last := r.LastRotatedDate; !last.IsZero() {
		if r.schedule(last); r.WindowCloses.Before(now) {
			r.schedule(now)
		}
	}
	r.changed = true
}
