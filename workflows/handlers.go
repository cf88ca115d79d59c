package workflows

import (
	"errors"
	"fmt"
	"slices"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/rotate-user/rotate-user/internal/plaintext"
	"github.com/rotate-user/rotate-user/rotation"
)

// revoke is a RotateUpdate that asks for RevokePrevious.
const revoke = "rotate with RevokePrevious"

// takes says what becomes of each message in each phase: empty if it is taken, otherwise the type of the error that refuses it.
// Beside that, a rotation is refused when a stop was requested, and before MinimumOverlap has passed (see mayRotate).
var takes = map[string][stopped + 1]string{
	// while                 asleep  rotating  inGrace                      leaving                      stopped
	rotation.RotateUpdate:     {"", "", rotation.ErrorJustRotated, rotation.ErrorJustRotated, string(rotation.Stopped)},
	revoke:                    {"", "", "", rotation.ErrorJustRotated, string(rotation.Stopped)},
	rotation.PauseUpdate:      {"", "", "", "", string(rotation.Stopped)},
	rotation.ResumeUpdate:     {"", "", "", "", string(rotation.Stopped)},
	rotation.RescheduleUpdate: {"", "", "", "", string(rotation.Stopped)},
	rotation.StopUpdate:       {"", "", "", "", string(rotation.Stopped)},
	rotation.DismissUpdate:    {"", "", "", "", string(rotation.Stopped)},
	rotation.SecretSeenSignal: {"", "", "", "", string(rotation.Stopped)},
}

// listen registers the queries, the updates, and the signals of the same names.
func (r *rotator) listen(ctx workflow.Context) error {
	err := errors.Join(
		workflow.SetQueryHandler(ctx, rotation.StatusQuery, func() (rotation.Status, error) {
			s := r.status()
			s.Rights, s.Stored = r.Rights, r.Stored // too long for the answers to updates, which histories keep
			return s, nil
		}),
		workflow.SetQueryHandler(ctx, rotation.PlanQuery, func() (rotation.PlanInput, error) { return r.planInput(ctx), nil }),
		workflow.SetUpdateHandlerWithOptions(ctx, rotation.RotateUpdate, r.onRotate, workflow.UpdateHandlerOptions{
			Validator: r.mayRotate, Description: "rotate now and return the rotation",
		}),
		handle(ctx, r, rotation.RescheduleUpdate, "rotate on another schedule from now on", r.reschedule),
		handle(ctx, r, rotation.PauseUpdate, "rotate only by request", r.pause),
		handle(ctx, r, rotation.ResumeUpdate, "rotate on the schedule again, and withdraw a stop", r.resume),
		handle(ctx, r, rotation.StopUpdate, "end this workflow, after the rotation in progress", r.stop),
		handle(ctx, r, rotation.DismissUpdate, "forget the accounts that the secret was for before", r.dismiss),
	)
	if err != nil {
		return err
	}
	workflow.GoNamed(ctx, "signals", r.receiveSignals)
	return nil
}

// handle registers an update that answers a Status.
func handle[Request interface{ Validate() error }](ctx workflow.Context, r *rotator, name, description string,
	do func(workflow.Context, Request)) error {
	return workflow.SetUpdateHandlerWithOptions(ctx, name, func(ctx workflow.Context, q Request) (rotation.Status, error) {
		r.updates++
		do(ctx, q)
		return r.status(), nil
	}, workflow.UpdateHandlerOptions{
		Validator:   func(q Request) error { return r.mayTake(name, q) },
		Description: description,
	})
}

// mayTake returns why a message other than rotate is refused, or nil if it is accepted.
func (r *rotator) mayTake(name string, q interface{ Validate() error }) error {
	if err := q.Validate(); err != nil {
		return invalidInput(err)
	}
	if takes[name][r.phase] != "" {
		return r.refuseStopped()
	}
	return nil
}

func (r *rotator) refuseStopped() error {
	if r.current != nil {
		return refused(rotation.Stopped, "the rotation of secret %s stops after the one in progress: resume it first", r.input.SecretID)
	}
	return refused(rotation.Stopped, "the rotation of secret %s has been stopped: start it again", r.input.SecretID)
}

func refused[Type ~string](kind Type, format string, args ...any) error {
	return temporal.NewNonRetryableApplicationError(fmt.Sprintf(format, args...), string(kind), nil)
}

// mayRotate returns why a request for a rotation is refused, or nil if it is accepted.
func (r *rotator) mayRotate(ctx workflow.Context, q rotation.RotateRequest) error {
	if err := q.Validate(); err != nil {
		return invalidInput(err)
	}
	message := rotation.RotateUpdate
	if q.RevokePrevious {
		message = revoke
	}
	kind := takes[message][r.phase]
	safe := r.LastRotatedDate.Add(r.input.Overlap())
	switch {
	case r.asked.stop, r.phase == stopped:
		return r.refuseStopped()
	case kind != "" && r.phase == leaving:
		return refused(kind, "a rotation of secret %s has just ended: check its status, and ask again if you want another", r.input.SecretID)
	case kind != "":
		return refused(kind, "a rotation of secret %s has ended but for the revocation of the previous account, due at %s: "+
			"ask for RevokePrevious to revoke the previous account now, and for another rotation after that", r.input.SecretID, clock(r.revokesAt))
	case r.phase == asleep && !q.Force && !r.LastRotatedDate.IsZero() && workflow.Now(ctx).Before(safe):
		return refused(rotation.ErrorMinimumOverlap, "secret %s was rotated at %s, and clients may still use the previous credential: "+
			"rotating again is safe from %s, or with Force", r.input.SecretID, clock(r.LastRotatedDate), clock(safe))
	}
	return nil
}

// onRotate waits for the rotation that it requests, or for the one in progress.
func (r *rotator) onRotate(ctx workflow.Context, q rotation.RotateRequest) (rotation.Rotation, error) {
	r.updates++
	r.ask(q)
	r.asked.awaited = true
	ended := func() bool { return r.ended != nil || r.phase >= leaving }
	if err := workflow.Await(ctx, ended); err != nil {
		if workflow.GetVersion(ctx, "a cancelled rotation is answered", workflow.DefaultVersion, 1) == workflow.DefaultVersion {
			return rotation.Rotation{}, err
		}
		// A cancellation ends the workflow, but not the rotation in progress.
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
func (r *rotator) ask(q rotation.RotateRequest) { r.asked.rotation = joined(r.asked.rotation, &q) }

// joined returns one request for what both ask for. Either may be nil.
func joined(a, b *rotation.RotateRequest) *rotation.RotateRequest {
	var all rotation.RotateRequest
	for _, q := range []*rotation.RotateRequest{a, b} {
		if q == nil {
			continue
		}
		all.Force = all.Force || q.Force
		all.UndoDrift = all.UndoDrift || q.UndoDrift
		if q.RevokePrevious && (!all.RevokePrevious || q.Grace < all.Grace) {
			all.RevokePrevious, all.Grace = true, q.Grace // the shorter grace
		}
	}
	return &all
}

func (r *rotator) paused() bool { return r.Paused || r.Held }

// pause is the update and the signal of that name.
func (r *rotator) pause(ctx workflow.Context, by rotation.Sender) {
	if r.overtaken(ctx, rotation.PauseUpdate, by) {
		return
	}
	flag := &r.Paused
	if by.Deletion {
		flag = &r.Held
	}
	r.asked.giveWay = r.asked.giveWay || !*flag
	*flag = true
	r.asked.stop = r.asked.stop && by.Deletion
	r.describe(ctx)
}

// resume also withdraws a stop that has not taken effect. The resume of a deletion means that the secret is there.
func (r *rotator) resume(ctx workflow.Context, by rotation.Sender) {
	if r.overtaken(ctx, rotation.ResumeUpdate, by) {
		return
	}
	if by.Deletion {
		r.Deleted = nil
	}
	r.asked.giveWay = r.asked.giveWay || r.Held || r.Paused && !by.Deletion
	r.Held, r.Paused = false, r.Paused && by.Deletion
	r.asked.stop = r.asked.stop && by.Deletion
	r.describe(ctx)
}

// stop ends the workflow with this run. The stop of a deletion ends only a rotation that is paused or held: one that runs is
// of a later secret of the same name.
func (r *rotator) stop(ctx workflow.Context, by rotation.Sender) {
	if r.overtaken(ctx, rotation.StopUpdate, by) {
		return
	}
	r.asked.stop = r.asked.stop || !by.Deletion || r.paused()
	r.describe(ctx)
}

// overtaken reports whether a newer pause, resume or stop came with this one. Messages that meet the first task of a run, because
// no worker was there or a reset applies them again, come grouped by their names instead of in the order in which they were sent.
func (r *rotator) overtaken(ctx workflow.Context, name string, by rotation.Sender) bool {
	if now := workflow.Now(ctx); !r.asked.newest.task.Equal(now) {
		r.asked.newest = sent{task: now}
	}
	if by.SentAt.IsZero() {
		return false
	}
	if by.SentAt.Before(r.asked.newest.at) {
		r.note(ctx, name, rotation.OutcomeSuperseded, "a newer message came with it")
		return true
	}
	r.asked.newest.at = by.SentAt
	return false
}

// dismiss forgets the pairs that the secret was for before.
func (r *rotator) dismiss(_ workflow.Context, _ rotation.Sender) {
	r.asked.giveWay = r.asked.giveWay || len(r.Left) > 0
	r.Left = nil
}

// reschedule counts the new rules from the last rotation, or from now if that window has passed.
func (r *rotator) reschedule(ctx workflow.Context, q rotation.RescheduleRequest) {
	before := r.input.ScheduleText()
	r.input = q.Apply(r.input)
	if q.DeclaredBy != "" {
		if err := workflow.UpsertMemo(ctx, map[string]any{rotation.DeclaredByMemo: plaintext.Cut(q.DeclaredBy, 250)}); err != nil {
			workflow.GetLogger(ctx).Warn("the memo was not set", "error", err)
		}
		if r.input.ScheduleText() == before {
			return
		}
	}
	now := workflow.Now(ctx)
	r.schedule(ctx, now)
	if last := r.LastRotatedDate; !last.IsZero() {
		if r.schedule(ctx, last); r.WindowCloses.Before(now) {
			r.schedule(ctx, now)
		}
	}
	r.asked.giveWay = true
}

// note keeps what became of a message that was not carried out as it came. Repeated messages are counted.
func (r *rotator) note(ctx workflow.Context, message string, outcome rotation.Outcome, reason string) {
	n := rotation.Request{At: workflow.Now(ctx), Message: message, Outcome: outcome,
		Reason: plaintext.Cut(plaintext.Line(reason), reasonBytes), Count: 1}
	same := func(o rotation.Request) bool {
		return o.Message == n.Message && o.Outcome == n.Outcome && o.Reason == n.Reason
	}
	if i := slices.IndexFunc(r.Requests, same); i >= 0 {
		n.Count += r.Requests[i].Count
		r.Requests = slices.Delete(r.Requests, i, i+1)
	}
	r.Requests = append([]rotation.Request{n}, r.Requests[:min(len(r.Requests), keptRequests-1)]...)
	workflow.GetMetricsHandler(ctx).WithTags(map[string]string{"outcome": string(outcome)}).Counter("rotate_user_requests").Inc(1)
	workflow.GetLogger(ctx).Warn("message not carried out as it came", "secret", r.input.SecretID, "message", message, "outcome", outcome,
		"reason", n.Reason)
}

const (
	keptRequests = 5   // in State
	reasonBytes  = 500 // of each
)

// reason returns the text of a refusal.
func reason(err error) string {
	text, _ := explain(err)
	return text
}
