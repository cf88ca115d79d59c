package workflows

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/rotate-user/rotate-user/internal/plaintext"
	"github.com/rotate-user/rotate-user/rotation"
)

// toTheEnd begins a rotation, and returns a context that outlives a cancellation of the workflow, which must not cut a rotation
// in two.
func (r *rotator) toTheEnd(ctx workflow.Context) workflow.Context {
	r.phase = rotating
	r.current = &rotation.Rotation{StartedAt: workflow.Now(ctx)}
	if r.Requested != nil { // whichever rotation comes first carries it out
		r.ask(*r.Requested)
	}
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	if r.ShowWhenLong {
		workflow.GoNamed(ctx, "show when long", r.showWhenLong)
	} else {
		r.show(ctx)
	}
	return ctx
}

// cloneUserInput is the input of the first step, or of a plan.
func (r *rotator) cloneUserInput(ctx workflow.Context) rotation.CloneUserInput {
	in := r.knownInput(ctx)
	in.NextRotationDate = r.nextAfter(ctx, workflow.Now(ctx)).At
	if r.asked.rotation != nil {
		in.Force, in.RevokePrevious = r.asked.rotation.Force, r.asked.rotation.RevokePrevious
		in.UndoDrift = r.asked.rotation.UndoDrift
		in.GraceSeconds = int64(time.Duration(r.asked.rotation.Grace).Seconds())
	}
	return in
}

// knownInput returns what the input of the first step has from the workflow's input and state. It records nothing, so a
// query may call it.
func (r *rotator) knownInput(ctx workflow.Context) rotation.CloneUserInput {
	info := workflow.GetInfo(ctx)
	return rotation.CloneUserInput{
		SecretID:              r.input.SecretID,
		MasterSecretID:        r.input.MasterSecretID,
		MasterServer:          r.input.MasterServer,
		CloneUsername:         r.input.CloneUsername,
		EarlierVersionID:      r.EarlierVersionID,
		EarlierSHA256:         r.EarlierSHA256,
		Mark:                  info.FirstRunID,
		Pair:                  r.Usernames,
		Digest:                r.Digest,
		Rights:                r.Rights,
		MinimumOverlapSeconds: int64(r.input.Overlap().Seconds()),
		Server:                r.DatabaseHost,
		Stored:                r.Stored,
		ReissuedVersionID:     r.ReissuedVersionID,
		TakenOver:             r.TakenOver,
		PromotedVersionID:     r.PromotedVersionID,
		PromotedAt:            r.LastRotatedDate,
		RequireAllNodes:       r.input.RequireAllNodes,
		TestEndpoints:         r.input.TestEndpoints,
		ProxySecretIDs:        r.input.ProxySecretIDs,
		Left:                  r.Left,
		MasterKnown:           r.MasterKnown,
	}
}

// planInput answers PlanQuery. Like PlanRotationWorkflow, it plans a rotation that an operator forces.
func (r *rotator) planInput(ctx workflow.Context) rotation.PlanInput {
	in := r.knownInput(ctx)
	in.Force, in.NextRotationDate = true, r.NextRotationDate
	return rotation.PlanInput{
		PlanRotationInput: rotation.PlanRotationInput{CloneUserInput: in},
		ActivityTaskQueue: r.input.ActivityTaskQueue,
	}
}

// cloneUser takes the first step. It repeats it while it waits for sessions of the standby to end.
func (r *rotator) cloneUser(ctx workflow.Context) (in rotation.StepInput, promoted bool, err error) {
	clone, err := r.cloneUntilDrained(ctx)
	if err != nil {
		return rotation.StepInput{}, false, err
	}
	in = clone.Rotation
	in.Reset = r.reset
	r.noteClone(ctx, clone)
	return in, clone.Promoted, r.mustBeDrained(clone)
}

func (r *rotator) cloneUntilDrained(ctx workflow.Context) (clone rotation.CloneUserResult, err error) {
	deadline := workflow.Now(ctx).Add(time.Duration(r.input.Drain))
	if r.asked.rotation == nil && r.WindowCloses.Before(deadline) {
		deadline = r.WindowCloses
	}
	for {
		if clone, err = step(ctx, r, rotation.CloneUser, rotation.Activities.CloneUser, r.cloneUserInput(ctx)); err != nil {
			return clone, err
		}
		// Each call reports what it changed itself. The next one finds the accounts equal.
		r.current.Created = r.current.Created || clone.Created
		r.current.Changed += clone.Changed
		r.current.Drifted += clone.Drifted
		r.current.Changes = atMost(shownLines, append(r.current.Changes, clone.Changes...))
		r.current.Drift = atMost(shownLines, append(r.current.Drift, clone.Drift...))
		if !clone.Promoted && r.knows(clone.Rotation) { // both accounts have these rights; what changes from now on is drift
			r.Digest, r.Rights = clone.Digest, clone.Rights
		}
		wait := min(deadline.Sub(workflow.Now(ctx)), time.Minute)
		if len(clone.InUse) == 0 || clone.Promoted || clone.Rotation.EndSessions || wait <= 0 {
			return clone, nil
		}
		if err := workflow.NewTimerWithOptions(ctx, wait, workflow.TimerOptions{
			Summary: short("waiting for the sessions of " + plaintext.Line(clone.Rotation.Standby.String())),
		}).Get(ctx, nil); err != nil {
			return clone, err
		}
	}
}

// noteClone keeps what the first step has found out.
func (r *rotator) noteClone(ctx workflow.Context, clone rotation.CloneUserResult) {
	in, before := clone.Rotation, r.pair()
	r.DatabaseHost = in.Server
	r.Deleted = nil
	r.current.VersionID = in.VersionID
	r.current.Username = in.Standby.User
	r.current.PreviousUsername = in.Source.User
	r.current.Warnings, r.current.InUse = clone.Warnings, clone.InUse
	r.began = in.CurrentVersionID
	r.expires = clone.PasswordExpires
	if r.reset && !clone.Promoted && !clone.Reissued && r.PromotedVersionID != "" && r.PromotedVersionID != in.CurrentVersionID {
		r.current.Warnings = append([]string{wasReset}, r.current.Warnings...)
	}
	if !clone.Promoted {
		r.Digest, r.Rights = clone.Digest, clone.Rights
		r.Usernames = []string{in.Source.User, in.Standby.User}
		r.rememberPair(clone)
		r.keepLeftPairs(ctx, before, clone)
	}
}

// mustBeDrained fails the rotation if RequireDrained is set and sessions of the standby have not ended. A rotation that ends
// these sessions itself does not wait for them.
func (r *rotator) mustBeDrained(clone rotation.CloneUserResult) error {
	standby := clone.Rotation.Standby
	switch {
	case !r.input.RequireDrained || clone.Rotation.EndSessions:
		return nil
	case len(clone.InUse) > 0:
		return refused(rotation.ErrorStillInUse, "%s is still in use after %s: %v; nothing but its rights was changed", standby,
			r.input.Drain, clone.InUse)
	case clone.InUseUnknown:
		return refused(rotation.ErrorStillInUse, "whether %s is still in use is unknown, and RequireDrained needs to know: "+
			"GRANT PROCESS ON *.* to the administrator of the master secret; nothing but the rights of the account was changed", standby)
	}
	return nil
}

// knows reports whether the state is that of the pair of a rotation.
func (r *rotator) knows(in rotation.StepInput) bool {
	return r.DatabaseHost == in.Server && slices.Contains(r.Usernames, in.Source.User) && slices.Contains(r.Usernames, in.Standby.User)
}

// rememberPair keeps what lets the next rotation recognize the password that the server stores for its standby.
func (r *rotator) rememberPair(clone rotation.CloneUserResult) {
	stored := map[string]string{}
	for _, user := range r.Usernames {
		if digest := r.Stored[user]; digest != "" {
			stored[user] = digest
		}
		for _, left := range r.Left { // of a secret that was edited back
			if digest := left.Stored[user]; digest != "" && left.Server == r.DatabaseHost {
				stored[user] = digest
			}
		}
	}
	r.Stored = stored
	r.SecretARN, r.MasterKnown = cmp.Or(clone.SecretARN, r.SecretARN), clone.Rotation.MasterSecretID
	if clone.Reissued {
		r.PromotedVersionID = clone.Rotation.CurrentVersionID
		r.ReissuedVersionID, r.TakenOver = clone.Rotation.CurrentVersionID, clone.Rotation.PendingVersionID
	}
}

// stagePassword takes the second step, under another version id if that of the rotation is taken.
func (r *rotator) stagePassword(ctx workflow.Context, in *rotation.StepInput) error {
	for try := 1; ; try++ {
		staged, err := step(ctx, r, rotation.StagePassword, rotation.Activities.StagePassword, *in)
		var app *temporal.ApplicationError
		if errors.As(err, &app) && app.Type() == rotation.ErrorTaken && try < stageTries {
			if err := workflow.SideEffect(ctx, func(workflow.Context) any { return uuid.NewString() }).Get(&in.VersionID); err != nil {
				return err
			}
			r.current.VersionID = in.VersionID
			continue
		}
		in.ValueSHA256, r.staged = staged.ValueSHA256, staged.ValueSHA256
		return err
	}
}

// setPassword takes the third step.
func (r *rotator) setPassword(ctx workflow.Context, in *rotation.StepInput) error {
	set, err := step(ctx, r, rotation.SetPassword, rotation.Activities.SetPassword, *in)
	in.PasswordStored, r.stored = set.PasswordStored, set.PasswordStored
	r.current.SessionsEnded += set.SessionsEnded
	return err
}

// testPassword takes the fourth step.
func (r *rotator) testPassword(ctx workflow.Context, in rotation.StepInput) error {
	tested, err := step(ctx, r, rotation.TestPassword, rotation.Activities.TestPassword, in)
	r.current.Warnings = atMost(shownLines, append(r.current.Warnings, tested.Warnings...))
	return err
}

// promotePassword takes the last step.
func (r *rotator) promotePassword(ctx workflow.Context, in rotation.StepInput) error {
	_, err := step(ctx, r, rotation.PromotePassword, rotation.Activities.PromotePassword, in)
	return err
}

// revokePrevious follows the promotion if a request asked for it.
func (r *rotator) revokePrevious(ctx workflow.Context, in rotation.StepInput) error {
	if r.asked.rotation == nil || !r.asked.rotation.RevokePrevious {
		return nil
	}
	if in.Source.User == "" {
		return refused(rotation.ErrorJustRotated,
			"version %s had been promoted by an earlier attempt, and the account before it is not revoked: ask again", in.VersionID)
	}
	if err := r.waitForGrace(ctx, in.Source.String()); err != nil {
		return err
	}
	revoked, err := step(ctx, r, rotation.RevokePrevious, rotation.Activities.RevokePrevious, in)
	if err != nil {
		return err
	}
	r.current.Revoked = true
	r.current.SessionsEnded += revoked.SessionsEnded
	return nil
}

// waitForGrace returns sooner if another request comes with a shorter grace, or none.
func (r *rotator) waitForGrace(ctx workflow.Context, account string) error {
	r.phase = inGrace
	promoted := workflow.Now(ctx)
	for {
		grace := r.asked.rotation.Grace
		r.revokesAt = promoted.Add(time.Duration(grace))
		r.describe(ctx)
		left := r.revokesAt.Sub(workflow.Now(ctx))
		if left <= 0 {
			return nil
		}
		timers, cancel := workflow.WithCancel(ctx)
		summary := short("grace before " + plaintext.Line(account) + " is revoked")
		timer := workflow.NewTimerWithOptions(timers, left, workflow.TimerOptions{Summary: summary})
		err := workflow.Await(ctx, func() bool { return timer.IsReady() || r.asked.rotation.Grace < grace })
		cancel()
		if err != nil {
			return err
		}
	}
}

// step runs one activity and records it in the status. A step that fails is repeated for a while, and the status says why.
func step[In any, Out interface{ Done(In) string }](
	ctx workflow.Context, r *rotator, name string, activity func(rotation.Activities, context.Context, In) (Out, error), in In,
) (out Out, err error) {
	if n := len(r.current.Steps); n == 0 || r.current.Steps[n-1].Name != name {
		r.current.Steps = append(r.current.Steps, rotation.Step{Name: name, StartedAt: workflow.Now(ctx)})
	}
	s := &r.current.Steps[len(r.current.Steps)-1]
	var failing time.Time // since when
	for tries := int32(quickTries); ; tries = 1 {
		r.describe(ctx)
		err := workflow.ExecuteActivity(r.options(ctx, name, tries), activity, in).Get(ctx, &out)
		now := workflow.Now(ctx)
		if err == nil {
			s.EndedAt = now
			s.Text = plaintext.Line(out.Done(in))
			s.Error = ""
			return out, nil
		}
		if failing.IsZero() {
			failing = now
		}
		wait, patience := betweenTries(name, s.Attempts, err)
		if now.Add(wait).Sub(failing) > patience ||
			workflow.GetVersion(ctx, "a step is repeated", workflow.DefaultVersion, 1) == workflow.DefaultVersion {
			return out, err
		}
		s.Attempts += int(tries)
		s.Error, _ = explain(err)
		s.NextAttempt = now.Add(wait)
		r.show(ctx)
		timer := workflow.NewTimerWithOptions(ctx, wait, workflow.TimerOptions{Summary: "until " + name + " is repeated"})
		if timer.Get(ctx, nil) != nil {
			return out, err
		}
		s.NextAttempt = time.Time{}
	}
}

const (
	keptRotations = 10 // in State
	shownLines    = 20 // of a rotation's changes
)

func atMost(n int, lines []string) []string { return lines[:min(len(lines), n)] }
