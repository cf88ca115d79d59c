package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"go.temporal.io/sdk/client"
	sdk "go.temporal.io/sdk/temporal"

	"github.com/rotate-user/rotate-user/internal/plaintext"
	"github.com/rotate-user/rotate-user/rotation"
)

// follow calls request for a rotation, and shows its steps until it ends.
func (a *app) follow(ctx context.Context, secretID string, request func(context.Context) (rotation.Rotation, error)) (rotationView, error) {
	type outcome struct {
		rotation rotation.Rotation
		err      error
	}
	ended := make(chan outcome, 1)
	go func() {
		rotated, err := request(ctx)
		ended <- outcome{rotated, err}
	}()

	p := &progress{out: a.out, live: a.live}
	if a.output != table {
		p.out, p.live = nil, false
	}
	notes := make(chan string)
	watched, cancel := context.WithCancel(ctx)
	stop := a.watch(watched, rotation.RotateUserWorkflowID(secretID), func(text string) {
		select {
		case notes <- text:
		case <-watched.Done():
		}
	})
	defer func() { cancel(); stop() }()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		select {
		case o := <-ended:
			if o.err != nil {
				return rotationView{}, a.rotationFailed(ctx, p, secretID, o.err)
			}
			p.show(o.rotation.Steps)
			next, err := a.query(ctx, secretID)
			if err != nil { // the rotation has succeeded; only the date of the next one is unknown
				next = rotation.Status{}
			}
			return rotationView{secretID, o.rotation, next, a.now()}, nil
		case text := <-notes:
			p.pause()
			a.say(text)
		case <-tick.C:
			if status, err := a.query(ctx, secretID); err == nil && status.Current != nil {
				p.show(status.Current.Steps)
			}
		}
	}
}

// rotationFailed shows how far a rotation got, if one started, and adds when the next attempt is.
func (a *app) rotationFailed(ctx context.Context, p *progress, secretID string, failure error) error {
	status, err := a.query(ctx, secretID)
	if err != nil || len(status.Rotations) == 0 || !isSameFailure(status.Rotations[0], failure) {
		p.pause()
		return failure
	}
	p.fail(status.Rotations[0].Steps)
	switch {
	case status.GaveWay():
		return failure
	case status.Requested != nil && !status.RequestDue.IsZero():
		return advised{failure, "The request is kept and retried at " + date(status.RequestDue, a.now())}
	case status.NextRotationDate.IsZero():
		return failure
	}
	return advised{failure, "The next attempt is at " + date(status.NextRotationDate, a.now())}
}

// awaitRotation waits for a rotation that was accepted under an update id. A reset of the workflow
// applies the update again in another run.
func (a *app) awaitRotation(ctx context.Context, secretID string, request rotation.RotateRequest, handle client.WorkflowUpdateHandle,
	updateID string) (r rotation.Rotation, err error) {
	for {
		err := handle.Get(ctx, &r)
		if err == nil || ctx.Err() != nil || !isRunGone(err) {
			return r, err
		}
		d, describeErr := a.describe(ctx, rotation.RotateUserWorkflowID(secretID))
		if describeErr != nil {
			return r, err
		}
		if e := a.ending(ctx, d); e != nil {
			return r, a.endedEarly(ctx, secretID, e)
		}
		var cancelled *sdk.CanceledError
		if !errors.As(err, &cancelled) {
			a.say("The run that accepted the request has ended, as it does after a reset. Waiting for the next run.")
			again, updateErr := a.requestRotation(ctx, secretID, request, updateID)
			if updateErr != nil {
				return r, updateErr
			}
			handle = again
		}
		select {
		case <-ctx.Done():
			return r, ctx.Err()
		case <-time.After(pollInterval): // a worker of an earlier release reports a cancellation at once, but finishes the rotation
		}
	}
}

// requestRotation requests a rotation, or finds the one that was requested under the same id.
func (a *app) requestRotation(ctx context.Context, secretID string, request rotation.RotateRequest,
	updateID string) (client.WorkflowUpdateHandle, error) {
	return a.temporal.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{
		WorkflowID: rotation.RotateUserWorkflowID(secretID), UpdateID: updateID, UpdateName: rotation.RotateUpdate, Args: []any{request},
		WaitForStage: client.WorkflowUpdateStageAccepted,
	})
}

// endedEarly explains what happened to a rotation whose workflow ended first.
func (a *app) endedEarly(ctx context.Context, secretID string, e *ending) error {
	said := fmt.Sprintf("the rotation of secret %s %s", secretID, e.text(a.now()))
	status, err := a.query(ctx, secretID)
	if err != nil {
		return advise("Check the secret with: starter validate --secret-id "+secretID, "%s", said)
	}
	return advised{errors.New(said + ". " + a.lastRotationText(status)), "Start it again with: " + startCommandFor(secretID, status.Input)}
}

// lastRotationText returns what a workflow that has ended knows about its last rotation.
func (a *app) lastRotationText(s rotation.Status) string {
	r := s.Current
	switch {
	case r == nil && len(s.Rotations) > 0 && s.Rotations[0].Error == "":
		last := s.Rotations[0]
		return fmt.Sprintf("Its last rotation, at %s, promoted version %s, user %s", date(last.EndedAt, a.now()), last.VersionID,
			plaintext.Line(last.Username))
	case r == nil:
		return "No rotation was under way"
	case r.Promotion() != nil:
		text := fmt.Sprintf("Version %s, user %s, was promoted before that", r.VersionID, plaintext.Line(r.Username))
		if lost := a.lostRevocationText(s); lost != "" {
			text += ". " + lost
		}
		return text
	case len(r.Steps) == 0:
		return "The rotation had not started"
	default:
		step := r.Steps[len(r.Steps)-1].Name
		text := step + " was under way and may still take effect; AWSCURRENT logs in either way"
		if i := slices.IndexFunc(r.Steps, func(s rotation.Step) bool { return s.Name == rotation.SetPassword }); i >= 0 {
			text += fmt.Sprintf(". AWSPREVIOUS may no longer log in, as the password of %s was being replaced", plaintext.Line(r.Username))
		}
		return text
	}
}

// rotationView is a rotation that has succeeded. next is the status after it, empty if unknown.
type rotationView struct {
	secretID string
	rotation rotation.Rotation
	next     rotation.Status
	now      time.Time
}

func (v rotationView) value() any { return v.rotation }

func (v rotationView) text(w io.Writer) {
	r := v.rotation
	previous := r.PreviousUsername + " still logs in, as AWSPREVIOUS"
	if r.Revoked {
		previous = r.PreviousUsername + " is locked: AWSPREVIOUS no longer logs in"
	}
	fmt.Fprintf(w, "\nRotated in %s.\n\n", took(r.StartedAt, r.EndedAt))
	rows := []string{"Secret", v.secretID, "User", r.Username, "Version", r.VersionID}
	if r.PreviousUsername != "" {
		rows = append(rows, "Previous", previous)
	}
	if r.SessionsEnded > 0 {
		rows = append(rows, "Sessions", fmt.Sprintf("%d ended, none left", r.SessionsEnded))
	}
	if !v.next.NextRotationDate.IsZero() {
		rows = append(rows, "Next", date(v.next.NextRotationDate, v.now))
	}
	pairs(w, rows...)
	if r.Revoked {
		fmt.Fprintln(w, "\nClients that cache the secret are refused until they read it again. AWS's caching clients do so within 60 minutes.")
	}
	section(w, "Changed"+firstOf(len(r.Changes), max(r.Changed, len(r.Changes))), r.Changes)
	section(w, "Of these, to revert changes made only to "+plaintext.Line(r.Username)+firstOf(len(r.Drift), max(r.Drifted, len(r.Drift))),
		r.Drift)
	section(w, "Sessions that were still open as "+plaintext.Line(r.Username), r.InUse)
	section(w, "Warnings", r.Warnings)
}
