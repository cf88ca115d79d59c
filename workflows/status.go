package workflows

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/rotate-user/rotate-user/internal/plaintext"
	"github.com/rotate-user/rotate-user/rotation"
)

func (r *rotator) rotationStatus() rotation.RotationStatus {
	switch {
	case r.failing() != nil:
		return rotation.Retrying
	case r.current != nil:
		return rotation.Rotating
	case r.stopped:
		return rotation.Stopped
	case r.paused():
		return rotation.Paused
	case len(r.Rotations) > 0 && r.Rotations[0].Error != "":
		return rotation.Failed
	default:
		return rotation.Scheduled
	}
}

// failing is the step of the rotation under way that has failed and is repeated, or nil.
func (r *rotator) failing() *rotation.Step {
	if r.current == nil || len(r.current.Steps) == 0 {
		return nil
	}
	if s := &r.current.Steps[len(r.current.Steps)-1]; s.Error != "" {
		return s
	}
	return nil
}

func (r *rotator) status() rotation.Status {
	s := rotation.Status{
		SecretID:        r.input.SecretID,
		MasterSecretID:  r.input.MasterSecretID,
		RotationStatus:  r.rotationStatus(),
		RotationRules:   r.input.Rules(),
		LastRotatedDate: r.LastRotatedDate,
		DatabaseHost:    r.DatabaseHost,
		PasswordExpires: r.PasswordExpires,
		Input:           r.input.Complete(),
		Digest:          r.Digest,
		Held:            r.Held,
		Stopping:        r.stopped && r.current != nil,
		Requested:       r.Requested,
		RequestDue:      r.RequestDue,
		Requests:        r.Requests,
		Reset:           r.reset,
		Warnings:        slices.Concat(r.open(), r.looked),
		SecretARN:       r.SecretARN,
		Left:            r.Left,
		Deleted:         r.Deleted,
		Current:         r.current,
		Rotations:       r.Rotations,
	}
	if !r.paused() && !r.stopped {
		s.NextRotationDate = r.NextRotationDate
	}
	if len(r.Usernames) == 2 {
		s.Username, s.StandbyUsername = r.Usernames[0], r.Usernames[1]
		pair := r.pair()
		s.Pair = &pair
	}
	if r.SeenUsername != "" && r.SeenUsername != s.Username {
		s.Username, s.StandbyUsername = r.SeenUsername, ""
	}
	if promoted := r.current.Promotion(); promoted != nil { // what remains to be done is the revocation, which may wait for long
		s.LastRotatedDate, s.PasswordExpires = promoted.EndedAt, r.expires
		if s.StandbyUsername == r.current.Username {
			s.Username, s.StandbyUsername = s.StandbyUsername, s.Username
		}
		if promoted == &r.current.Steps[len(r.current.Steps)-1] {
			s.PreviousUntil = r.revokes
		}
	}
	return s
}

// long is from when on visibility tells of a rotation under way. Most end within
// a second, and cost less than to tell of them.
const long = 30 * time.Second

func (r *rotator) showWhenLong(ctx workflow.Context) {
	timer := workflow.NewTimerWithOptions(ctx, long, workflow.TimerOptions{Summary: "until visibility says " + string(rotation.Rotating)})
	if timer.Get(ctx, nil) == nil && r.current != nil {
		r.show(ctx)
	}
}

// show tells visibility and the UI how the workflow stands.
func (r *rotator) show(ctx workflow.Context) {
	r.describe(ctx)
	s := r.status()
	underWay := s.Current != nil
	if !underWay {
		r.showOpen(ctx)
	}
	if underWay && s.RotationStatus == r.shown || !r.haveAttributes(ctx) {
		return
	}
	r.shown = s.RotationStatus
	updates := []temporal.SearchAttributeUpdate{rotation.RotationStatusKey.ValueSet(string(s.RotationStatus))}
	if !underWay {
		if !s.LastRotatedDate.IsZero() {
			updates = append(updates, rotation.LastRotatedDateKey.ValueSet(s.LastRotatedDate))
		}
		if s.NextRotationDate.IsZero() {
			updates = append(updates, rotation.NextRotationDateKey.ValueUnset())
		} else {
			updates = append(updates, rotation.NextRotationDateKey.ValueSet(s.NextRotationDate))
		}
		if s.DatabaseHost != "" {
			updates = append(updates, rotation.DatabaseHostKey.ValueSet(keyword(s.DatabaseHost)))
		}
	}
	if err := workflow.UpsertTypedSearchAttributes(ctx, updates...); err != nil {
		workflow.GetLogger(ctx).Warn("search attributes are left alone", "error", err)
	}
}

// haveAttributes reports whether the cluster has the search attributes. To set one that it
// lacks would fail the workflow's task, again and again.
func (r *rotator) haveAttributes(ctx workflow.Context) bool {
	r.shows++
	has := func() bool { return r.w.SearchAttributes != nil && r.w.SearchAttributes() }
	switch {
	case !r.SearchAttributes && !r.asked:
		r.asked = true
		if err := workflow.SideEffect(ctx, func(workflow.Context) any { return has() }).Get(&r.SearchAttributes); err != nil {
			workflow.GetLogger(ctx).Warn("search attributes are left alone", "error", err)
		}
	case r.SearchAttributes && (workflow.IsReplaying(ctx) || !has()):
		// They were removed after they had been set. Only then is anything recorded: GetVersion
		// records its answer when it is called first, and a replay that finds no record answers
		// with the default.
		if workflow.GetVersion(ctx, fmt.Sprintf("search attributes are gone (%d)", r.shows), workflow.DefaultVersion, 1) == 1 {
			r.SearchAttributes, r.asked = false, true
		}
	}
	return r.SearchAttributes
}

// describe sets what the Temporal UI shows of the run, in Markdown. Names and
// the texts of servers are code there: they may hold links, and a statement must
// be copied as it was written.
func (r *rotator) describe(ctx workflow.Context) {
	s := r.status()
	head := fmt.Sprintf("**%s**: secret %s", s.RotationStatus, plaintext.Code(s.SecretID))
	if s.DatabaseHost != "" {
		head += " on " + plaintext.Code(s.DatabaseHost)
	}
	lines := []string{head + ", " + s.RotationRules.String(), ""}
	say := func(format string, args ...any) { lines = append(lines, "- "+fmt.Sprintf(format, args...)) }
	if s.Username != "" {
		say("in use: %s, the other one: %s", plaintext.Code(s.Username), plaintext.Code(s.StandbyUsername))
	}
	if !s.PreviousUntil.IsZero() {
		say("**AWSPREVIOUS**, user %s, logs in until it is revoked at %s", plaintext.Code(s.StandbyUsername), clock(s.PreviousUntil))
	}
	if s.Reset {
		say("this run was reset: it may know of fewer rotations than the secret, until its next rotation")
	}
	if !s.LastRotatedDate.IsZero() {
		say("last rotated: %s", clock(s.LastRotatedDate))
	}
	if !s.PasswordExpires.IsZero() {
		say("the password in use expires by the server's rules: %s", clock(s.PasswordExpires))
	}
	switch {
	case s.Current != nil:
		for _, step := range s.Current.Steps {
			if step.Error != "" {
				next := "is being repeated"
				if !step.NextAttempt.IsZero() {
					next = "is repeated at " + step.NextAttempt.UTC().Format("15:04:05 UTC")
				}
				say("**%s** failed %d times and %s: %s", step.Name, step.Attempts, next, plaintext.Code(step.Error))
			} else if step.EndedAt.IsZero() {
				say("**%s** is running", step.Name)
			} else {
				say("%s: %s", step.Name, plaintext.Code(step.Text))
			}
		}
	case s.Held:
		say("next: when the deletion of the secret lets go of it; if none runs, `starter recover` does once the secret is restored")
	case s.RotationStatus == rotation.Paused:
		say("next: when it is resumed, or rotated by request")
	case !s.NextRotationDate.IsZero():
		say("next: %s", clock(s.NextRotationDate))
	}
	if len(s.Rotations) > 0 && s.Rotations[0].Error != "" {
		say("**failed** at %s: %s", clock(s.Rotations[0].EndedAt), plaintext.Code(s.Rotations[0].Error))
	}
	for _, text := range r.open() {
		say("**still open**: %s", plaintext.Code(text))
	}
	if s.Stopping {
		say("stops after this rotation, unless it is resumed")
	}
	if s.Requested != nil {
		say("asked for and tried again at %s: a rotation%s", clock(s.RequestDue), map[bool]string{true: " that revokes the previous account"}[s.Requested.RevokePrevious])
	}
	for _, q := range s.Requests {
		times := ""
		if q.Count > 1 {
			times = fmt.Sprintf(", %d times", q.Count)
		}
		say("message %s **%s**%s, at %s: %s", q.Message, q.Outcome, times, clock(q.At), plaintext.Code(q.Reason))
	}
	setDetails(ctx, strings.Join(lines, "\n"))
}

// setDetails sets what the Temporal UI shows of a run. Temporal documents a limit of 20,000
// bytes, which its server does not enforce and Temporal Cloud does.
func setDetails(ctx workflow.Context, text string) {
	workflow.SetCurrentDetails(ctx, plaintext.Cut(text, 19_000))
}

// options name the step, and the accounts once they are known, for the reader
// of a history.
func (r *rotator) options(ctx workflow.Context, name string, tries int32) workflow.Context {
	summary := r.input.SecretID
	if len(r.Usernames) == 2 {
		summary += ": " + plaintext.Line(r.Usernames[0]+" → "+r.Usernames[1])
	}
	o := stepOptions(r.input.ActivityTaskQueue, short(summary))
	o.Priority.PriorityKey = r.priority()
	if name == rotation.CloneUser {
		patience := r.WindowCloses.Sub(workflow.Now(ctx))
		if r.request != nil { // has no window
			patience = pacedPatience
		}
		o = paced(o, cmp.Or(r.input.ActivityTaskQueue, workflow.GetInfo(ctx).TaskQueueName), patience)
		if o.Priority.PriorityKey == personPriority {
			o.TaskQueue = r.input.ActivityTaskQueue // whatever the server makes of priorities
		}
	}
	o.RetryPolicy.MaximumAttempts = tries // 0 is as many as its time allows
	return workflow.WithActivityOptions(ctx, o)
}

// priority is that of the rotation's steps. A request that a person waits for does not queue up behind those that are paced.
func (r *rotator) priority() int {
	switch {
	case r.awaited || r.request != nil && r.request.RevokePrevious:
		return personPriority
	case r.request != nil:
		return massPriority
	}
	return schedulePriority
}

// short keeps a summary within the 400 bytes that Temporal documents.
func short(s string) string { return plaintext.Cut(s, 390) }

// keyword keeps a search attribute within what every visibility store takes. The server
// terminates a workflow that sets one of more than 2,048 bytes.
func keyword(s string) string { return plaintext.Cut(plaintext.Line(s), 250) }
