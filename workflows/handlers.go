package workflows

import (
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
)

// listen registers the query, the updates, and the signals of the same names.
func (r *rotator) listen(ctx workflow.Context) error {
	now := func(change func(Sender)) func(workflow.Context) (Status, error) {
		return func(workflow.Context) (Status, error) {
			change(Sender{})
			return r.status(), nil
		}
	}
	err := errors.Join(
		workflow.SetQueryHandler(ctx, StatusQuery, func() (Status, error) { return r.status(), nil }),
		workflow.SetUpdateHandlerWithOptions(ctx, RotateUpdate, r.onRotate, workflow.UpdateHandlerOptions{
			Validator:   r.mayRotate,
			Description: "rotate now and answer the rotation",
		}),
		workflow.SetUpdateHandlerWithOptions(ctx, RescheduleUpdate, func(ctx workflow.Context, q RescheduleRequest) (Status, error) {
			r.reschedule(ctx, q)
			return r.status(), nil
		}, workflow.UpdateHandlerOptions{
			Validator:   func(q RescheduleRequest) error { return q.validate() },
			Description: "rotate by other rules from now on",
		}),
		workflow.SetUpdateHandlerWithOptions(ctx, PauseUpdate, now(r.pause), workflow.UpdateHandlerOptions{Description: "rotate by request only"}),
		workflow.SetUpdateHandlerWithOptions(ctx, ResumeUpdate, now(r.resume), workflow.UpdateHandlerOptions{Description: "rotate by the schedule again"}),
		workflow.SetUpdateHandlerWithOptions(ctx, StopUpdate, now(r.stop), workflow.UpdateHandlerOptions{Description: "end this workflow, after the rotation under way"}),
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

var signals = []string{RotateUpdate, PauseUpdate, ResumeUpdate, RescheduleUpdate, StopUpdate}

// drain takes the signals that have come while the run was ending.
func (r *rotator) drain(ctx workflow.Context) {
	for _, name := range signals {
		c := workflow.GetSignalChannel(ctx, name)
		for c.Len() > 0 {
			r.receive(ctx, c)
		}
	}
}

// receive does what a signal asks, as the update of that name would. Nobody
// waits for an answer, so what it may not do is logged.
func (r *rotator) receive(ctx workflow.Context, c workflow.ReceiveChannel) {
	var rotate RotateRequest
	var reschedule RescheduleRequest
	var err error
	switch c.Name() {
	case RotateUpdate:
		if !c.ReceiveAsync(&rotate) {
			return // it could not be read, and so asks for nothing
		}
		err = r.mayRotate(ctx, rotate)
		var app *temporal.ApplicationError
		if late := errors.As(err, &app) && app.Type() == ErrorJustRotated; err == nil || late {
			r.ask(rotate)
			err = nil
		}
	case RescheduleUpdate:
		if !c.ReceiveAsync(&reschedule) {
			return
		}
		if err = reschedule.validate(); err == nil {
			r.reschedule(ctx, reschedule)
		}
	default:
		var by Sender
		if !c.ReceiveAsync(&by) { // what cannot be decoded at all, the SDK has logged
			return
		}
		switch err = by.typed.err; {
		case err != nil:
		case c.Name() == PauseUpdate:
			r.pause(by)
		case c.Name() == ResumeUpdate:
			r.resume(by)
		case c.Name() == StopUpdate:
			r.stop(by)
		}
	}
	if err != nil {
		workflow.GetLogger(ctx).Warn("signal ignored", "secret", r.input.SecretID, "signal", c.Name(), "error", err)
	}
}

const maxGrace = 24 * time.Hour

func (r *rotator) mayRotate(ctx workflow.Context, q RotateRequest) error {
	if q.typed.err != nil {
		return invalidInput(q.typed.err)
	}
	if time.Duration(q.Grace) > maxGrace {
		return invalidInput(fmt.Errorf("Grace is %s: 24h at most", q.Grace))
	}
	if q.Grace > 0 && !q.RevokePrevious {
		return invalidInput(errors.New("Grace needs RevokePrevious"))
	}
	if r.stopped {
		return temporal.NewNonRetryableApplicationError("the rotation of secret "+r.input.SecretID+" has been stopped: start it again", string(Stopped), nil)
	}
	if r.leaving {
		return temporal.NewNonRetryableApplicationError("a rotation of secret "+r.input.SecretID+" has just ended: look at its status, and ask again if you want another", ErrorJustRotated, nil)
	}
	if !r.revokes.IsZero() && !q.RevokePrevious {
		return temporal.NewNonRetryableApplicationError(fmt.Sprintf(
			"a rotation of secret %s has ended but for its grace, which lasts until %s: ask for RevokePrevious to revoke the previous account now, and for another rotation after that",
			r.input.SecretID, clock(r.revokes)), ErrorJustRotated, nil)
	}
	safe := r.LastRotatedDate.Add(r.input.overlap())
	if r.current == nil && !q.Force && !r.LastRotatedDate.IsZero() && workflow.Now(ctx).Before(safe) {
		return temporal.NewNonRetryableApplicationError(fmt.Sprintf(
			"secret %s was rotated at %s, and clients may still use the credential before: rotating again is safe from %s, or with Force",
			r.input.SecretID, clock(r.LastRotatedDate), clock(safe)), ErrorMinimumOverlap, nil)
	}
	return nil
}

// onRotate waits for the rotation that it asks for, or that is under way.
func (r *rotator) onRotate(ctx workflow.Context, q RotateRequest) (Rotation, error) {
	r.ask(q)
	r.awaited = true
	if err := workflow.Await(ctx, func() bool { return r.ended != nil || r.leaving }); err != nil {
		return Rotation{}, err
	}
	if r.ended == nil {
		return Rotation{}, r.mayRotate(ctx, q)
	}
	if r.ended.Error != "" {
		return Rotation{}, temporal.NewNonRetryableApplicationError(r.ended.Error, r.ended.ErrorType, nil)
	}
	return *r.ended, nil
}

// ask joins a request to those that wait already.
func (r *rotator) ask(q RotateRequest) {
	if r.request == nil {
		r.request = &RotateRequest{}
	}
	r.request.Force = r.request.Force || q.Force
	if q.RevokePrevious && (!r.request.RevokePrevious || q.Grace < r.request.Grace) {
		r.request.RevokePrevious, r.request.Grace = true, q.Grace // whoever wants it sooner
	}
}

func (r *rotator) paused() bool { return r.Paused || r.Held }

func (r *rotator) pause(by Sender) {
	wish := &r.Paused
	if by.Deletion {
		wish = &r.Held
	}
	r.changed = r.changed || !*wish
	*wish = true
}

func (r *rotator) resume(by Sender) {
	r.changed = r.changed || r.Held || r.Paused && !by.Deletion
	r.Held, r.Paused = false, r.Paused && by.Deletion
}

func (r *rotator) stop(by Sender) { r.stopped = r.stopped || !by.Deletion || r.paused() }

// reschedule counts the new rules from the last rotation, or from now where
// that would mean a window that has passed.
func (r *rotator) reschedule(ctx workflow.Context, q RescheduleRequest) {
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

// UnmarshalJSON keeps what is wrong for the validator, which names it.
func (q *RotateRequest) UnmarshalJSON(data []byte) error {
	type plain RotateRequest
	return q.typed.decode(data, (*plain)(q))
}

// UnmarshalJSON keeps what is wrong for who receives the signal. A null is what
// some clients send where there is no argument.
func (s *Sender) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		*s = Sender{}
		return nil
	}
	type plain Sender
	return s.typed.decode(data, (*plain)(s))
}

// UnmarshalJSON keeps what is wrong for the validator, which names it.
func (q *RescheduleRequest) UnmarshalJSON(data []byte) error {
	type plain RescheduleRequest
	return q.typed.decode(data, (*plain)(q))
}

func (q RescheduleRequest) validate() error {
	if q.typed.err != nil {
		return invalidInput(q.typed.err)
	}
	if err := q.RotationRules.Validate(); err != nil {
		return invalidInput(fmt.Errorf("RotationRules: %w", err))
	}
	return nil
}
