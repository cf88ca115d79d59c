package workflows

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"time"

	"github.com/google/uuid"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/rotate-user/rotate-user/internal/plaintext"
	"github.com/rotate-user/rotate-user/rotation"
)

const (
	kept  = 10 // rotations in State
	shown = 20 // lines of a rotation's changes

	// firstWindow is how long a rotation at the start is tried again: a schedule
	// has no window for it.
	firstWindow = 24 * time.Hour

	// lateSpread is over how long rotations are spread whose window has passed
	// while no worker was there.
	lateSpread = 15 * time.Minute
)

// rotator is one run.
type rotator struct {
	rotation.State

	input   rotation.RotateUserInput
	w       Workflows
	request *rotation.RotateRequest
	current *rotation.Rotation // under way
	awaited bool               // an update asked for the rotation, and its sender waits
	ended   *rotation.Rotation // what this run's rotation came to
	changed bool               // a message changed the state; the run gives way to the next
	stopped bool               // the workflow ends with this run, unless a resume withdraws it
	leaving bool               // no rotation begins in this run any more
	asked   bool               // the worker was asked about the search attributes
	shows   int                // times that visibility was to be told
	shown   rotation.RotationStatus
	updates int       // that this run has handled
	wish    wish      // the newest of the messages that contradict each other
	revokes time.Time // when a grace ends that has begun
	refused error     // why this workflow has no place beside another one
	staged  string    // the digest of the value that this run's rotation has staged
	stored  string    // the digest of what it has set for the standby
	expires time.Time // when the server will refuse that; zero for never
	began   string    // the version that was AWSCURRENT when this run's rotation began
	reset   bool      // this run is what became of another one by a reset
	looked  []string  // the warnings of the look at the start
}

func (w Workflows) begin(ctx workflow.Context, input rotation.RotateUserInput, carried *rotation.State) (*rotator, error) {
	r := &rotator{input: input, w: w}
	if info := workflow.GetInfo(ctx); info.OriginalRunID != "" {
		r.reset = info.OriginalRunID != info.WorkflowExecution.RunID
	}
	if carried != nil {
		r.State = *carried
		r.Requests = slices.Clone(r.Requests)
		if r.reset { // rotations that this run has forgotten may have changed rights since
			r.Digest, r.Rights = "", ""
		}
		r.takeUp(ctx)
		return r, r.listen(ctx)
	}
	if err := cmp.Or(input.Validate(), startable(ctx, input)); err != nil {
		return nil, invalidInput(err)
	}
	now := workflow.Now(ctx)
	r.NextRotationDate, r.WindowCloses = now, now.Add(firstWindow)
	if err := r.listen(ctx); err != nil {
		return nil, err
	}
	if !input.Immediately() {
		r.schedule(now)
		r.look(ctx)
		r.show(ctx)
	}
	return r, nil
}

// takeUp asks for the rotation that the run before left behind, if it is due.
func (r *rotator) takeUp(ctx workflow.Context) {
	if r.Requested == nil || workflow.Now(ctx).Before(r.RequestDue) {
		return
	}
	q, earlier := *r.Requested, r.RequestDue.IsZero()
	r.Requested = nil
	if err := r.mayRotate(ctx, q); err != nil && earlier { // a release that set no date dropped it, too
		r.note(ctx, rotation.RotateUpdate, rotation.OutcomeRefused, reason(err))
		return
	}
	r.signalled(ctx, q)
	r.changed = false // this run wakes for it
}

// sleep ends when a rotation is due, when a message has changed something, or when
// messages have filled the history. The timer is the first command of a run, so that a
// run that sleeps binds later releases to nothing else.
func (r *rotator) sleep(ctx workflow.Context) {
	r.describe(ctx)
	timers, cancel := workflow.WithCancel(ctx)
	var timer workflow.Future
	wake := func(at time.Time) {
		timer = workflow.NewTimerWithOptions(timers, at.Sub(workflow.Now(ctx)), workflow.TimerOptions{
			Summary: short("next rotation of " + r.input.SecretID + ": " + clock(at)),
		})
	}
	switch repeats := r.Requested != nil && !r.Held; {
	case repeats && (r.Paused || r.RequestDue.Before(r.NextRotationDate)):
		wake(r.RequestDue)
	case !r.paused():
		wake(r.NextRotationDate)
	}
	message := func() bool { return r.request != nil || r.changed || r.stopped }
	awake := func() bool { return message() || timer != nil && timer.IsReady() }
	err := r.await(ctx, awake)
	missed := !r.paused() && !workflow.Now(ctx).Before(r.NextRotationDate) && workflow.Now(ctx).After(r.WindowCloses)
	if err == nil && !message() && missed {
		wake(workflow.Now(ctx).Add(offset(r.input.SecretID, lateSpread)))
		r.WindowCloses = workflow.Now(ctx).Add(firstWindow)
		err = r.await(ctx, awake)
	}
	if err != nil { // the workflow was cancelled
		r.stopped = true
	}
	if r.request != nil {
		cancel()
	}
	if r.request == nil && r.Requested != nil && !r.Held && !r.changed && !workflow.Now(ctx).Before(r.RequestDue) {
		q := *r.Requested
		r.request = &q
	}
}

// updatesPerRun is half of what Temporal accepts in one run.
const updatesPerRun = 1000

// await waits until awake reports true. A run whose history messages have filled gives way
// to the next, with the same dates: Temporal terminates a workflow for too long a history,
// whether or not the messages changed anything.
func (r *rotator) await(ctx workflow.Context, awake func() bool) error {
	full := func() bool { return workflow.GetInfo(ctx).GetContinueAsNewSuggested() || r.updates >= updatesPerRun }
	err := workflow.Await(ctx, func() bool { return awake() || full() })
	if err != nil || awake() {
		return err
	}
	if workflow.GetVersion(ctx, "a full history is left behind", workflow.DefaultVersion, 1) == workflow.DefaultVersion {
		return workflow.Await(ctx, awake) // an earlier release slept on
	}
	r.changed = true
	return nil
}

func (r *rotator) due(ctx workflow.Context) bool {
	return !r.stopped && (r.request != nil || !r.paused() && !r.changed && !workflow.Now(ctx).Before(r.NextRotationDate))
}

// toTheEnd is a context that outlives a cancellation of the workflow: a
// rotation that has begun is never cut in two by it.
func (r *rotator) toTheEnd(ctx workflow.Context) workflow.Context {
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

func (r *rotator) cloneUserInput(ctx workflow.Context) rotation.CloneUserInput {
	info := workflow.GetInfo(ctx)
	in := rotation.CloneUserInput{
		SecretID:              r.input.SecretID,
		MasterSecretID:        r.input.MasterSecretID,
		CloneUsername:         r.input.CloneUsername,
		EarlierVersionID:      r.EarlierVersionID,
		EarlierSHA256:         r.EarlierSHA256,
		Mark:                  info.FirstRunID,
		Pair:                  r.Usernames,
		Digest:                r.Digest,
		Rights:                r.Rights,
		MinimumOverlapSeconds: int64(r.input.Overlap().Seconds()),
		NextRotationDate:      r.input.Rules().Next(workflow.Now(ctx), r.input.SecretID).At,
		Server:                r.DatabaseHost,
		Stored:                r.Stored,
		ReissuedVersionID:     r.ReissuedVersionID,
		TakenOver:             r.TakenOver,
		PromotedVersionID:     r.PromotedVersionID,
		PromotedAt:            r.LastRotatedDate,
		RequireAllNodes:       r.input.RequireAllNodes,
		TestEndpoints:         r.input.TestEndpoints,
		Left:                  r.Left,
	}
	if r.request != nil {
		in.Force, in.RevokePrevious = r.request.Force, r.request.RevokePrevious
		in.UndoDrift = r.request.UndoDrift
		in.GraceSeconds = int64(time.Duration(r.request.Grace).Seconds())
	}
	return in
}

// cloneUser takes the first step, and again while sessions of the standby are
// waited for.
func (r *rotator) cloneUser(ctx workflow.Context) (rotation.StepInput, bool, error) {
	var clone rotation.CloneUserResult
	deadline := workflow.Now(ctx).Add(time.Duration(r.input.Drain))
	if r.request == nil && r.WindowCloses.Before(deadline) {
		deadline = r.WindowCloses
	}
	for {
		var err error
		if clone, err = step(ctx, r, rotation.CloneUser, rotation.Activities.CloneUser, r.cloneUserInput(ctx)); err != nil {
			return rotation.StepInput{}, false, err
		}
		r.current.Created = r.current.Created || clone.Created
		// Each look has its own: what the first one changed, the next one finds equal.
		r.current.Changed += clone.Changed
		r.current.Drifted += clone.Drifted
		r.current.Changes = atMost(shown, append(r.current.Changes, clone.Changes...))
		r.current.Drift = atMost(shown, append(r.current.Drift, clone.Drift...))
		if !clone.Promoted && r.knows(clone.Rotation) { // what is taken from the account in use from now on was on both
			r.Digest, r.Rights = clone.Digest, clone.Rights
		}
		wait := min(deadline.Sub(workflow.Now(ctx)), time.Minute)
		if len(clone.InUse) == 0 || clone.Promoted || clone.Rotation.EndSessions || wait <= 0 {
			break
		}
		if err := workflow.NewTimerWithOptions(ctx, wait, workflow.TimerOptions{
			Summary: short("waiting for the sessions of " + plaintext.Line(clone.Rotation.Standby.String())),
		}).Get(ctx, nil); err != nil {
			return rotation.StepInput{}, false, err
		}
	}
	in := clone.Rotation
	in.Reset = r.reset
	before := r.pair()
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
		r.remember(clone)
		r.leave(ctx, before, clone)
	}
	if in.EndSessions { // those of the standby are not waited for
		return in, clone.Promoted, nil
	}
	if r.input.RequireDrained && len(clone.InUse) > 0 {
		return rotation.StepInput{}, false, temporal.NewNonRetryableApplicationError(
			fmt.Sprintf("%s is still in use after %s: %v; nothing was changed on it but its rights", in.Standby, r.input.Drain, clone.InUse), rotation.ErrorStillInUse, nil)
	}
	if r.input.RequireDrained && clone.InUseUnknown {
		return rotation.StepInput{}, false, temporal.NewNonRetryableApplicationError(
			fmt.Sprintf("whether %s is still in use is unknown, and RequireDrained asks for it: GRANT PROCESS ON *.* to the administrator of the master secret; nothing was changed on it but its rights", in.Standby), rotation.ErrorStillInUse, nil)
	}
	return in, clone.Promoted, nil
}

// knows reports whether the state is of the pair that a rotation is of.
func (r *rotator) knows(in rotation.StepInput) bool {
	return r.DatabaseHost == in.Server && slices.Contains(r.Usernames, in.Source.User) && slices.Contains(r.Usernames, in.Standby.User)
}

// remember keeps what tells the next rotation whose the password is that the server stores for its standby.
func (r *rotator) remember(clone rotation.CloneUserResult) {
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

// stagePassword takes the second step, under another id where the rotation's own
// turns out to be in use.
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
	r.current.Warnings = atMost(shown, append(r.current.Warnings, tested.Warnings...))
	return err
}

// promotePassword takes the last step.
func (r *rotator) promotePassword(ctx workflow.Context, in rotation.StepInput) error {
	_, err := step(ctx, r, rotation.PromotePassword, rotation.Activities.PromotePassword, in)
	return err
}

// stageTries are the ids under which a version is stored, at most: each one that
// is in use was stored by a worker that died, or by an editor who knew it.
const stageTries = 3

func atMost(n int, lines []string) []string { return lines[:min(len(lines), n)] }

// step runs one activity and notes it for those who watch. What has failed is repeated for a
// while, and the reason can be seen meanwhile.
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
		if now.Add(wait).Sub(failing) > patience || workflow.GetVersion(ctx, "a step is repeated", workflow.DefaultVersion, 1) == workflow.DefaultVersion {
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

// betweenTries is how long to wait before a step that failed is repeated, and how long to
// go on with it: not at all if no repetition can help. A revocation is tried longer, and
// whatever the error: the rotation itself is done, and what is missing, such as a right of
// the administrator, can be mended meanwhile.
func betweenTries(name string, attempts int, err error) (wait, patience time.Duration) {
	longest := time.Minute
	var app *temporal.ApplicationError
	isApp := errors.As(err, &app)
	switch {
	case temporal.IsCanceledError(err):
		return 0, -1
	case name == rotation.RevokePrevious && !(isApp && (app.Type() == rotation.ErrorEdited || app.Type() == rotation.ErrorOtherServer)):
		longest, patience = time.Hour, revokePatience
	case outOfTime(err), isApp && app.NonRetryable():
		return 0, -1
	default:
		patience = stepPatience
	}
	repeated := max(0, attempts-quickTries+1)
	wait = min(15*time.Second<<min(repeated, 10), longest)
	if isApp {
		wait = max(wait, app.NextRetryDelay())
	}
	return wait, patience
}

// outOfTime reports whether a step had all of its time.
func outOfTime(err error) bool {
	var timeout *temporal.TimeoutError
	return errors.As(err, &timeout) &&
		(timeout.TimeoutType() == enums.TIMEOUT_TYPE_SCHEDULE_TO_START || timeout.TimeoutType() == enums.TIMEOUT_TYPE_SCHEDULE_TO_CLOSE)
}

// revokePrevious follows the promotion where a request asked for it.
func (r *rotator) revokePrevious(ctx workflow.Context, in rotation.StepInput) error {
	if r.request == nil || !r.request.RevokePrevious {
		return nil
	}
	if in.Source.User == "" {
		return temporal.NewNonRetryableApplicationError(
			"version "+in.VersionID+" had been promoted by the attempt before, and what it replaced is not revoked: ask again", rotation.ErrorJustRotated, nil)
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

// waitForGrace ends sooner where another request comes with a shorter grace, or none.
func (r *rotator) waitForGrace(ctx workflow.Context, account string) error {
	promoted := workflow.Now(ctx)
	for {
		grace := r.request.Grace
		r.revokes = promoted.Add(time.Duration(grace))
		r.describe(ctx)
		left := r.revokes.Sub(workflow.Now(ctx))
		if left <= 0 {
			return nil
		}
		timers, cancel := workflow.WithCancel(ctx)
		timer := workflow.NewTimerWithOptions(timers, left, workflow.TimerOptions{Summary: short("grace before " + plaintext.Line(account) + " is revoked")})
		err := workflow.Await(ctx, func() bool { return timer.IsReady() || r.request.Grace < grace })
		cancel()
		if err != nil {
			return err
		}
	}
}

// record notes how the rotation ended and when the next one is due.
func (r *rotator) record(ctx workflow.Context, err error) {
	now := workflow.Now(ctx)
	end := r.current
	r.current = nil
	end.EndedAt = now
	promotion := end.Promotion()
	promoted := promotion != nil
	if promoted {
		// A grace may have passed since.
		r.LastRotatedDate, r.PromotedVersionID, r.PasswordExpires = promotion.EndedAt, end.VersionID, r.expires
		r.SeenUsername = ""
		if r.Stored != nil && r.stored != "" {
			r.Stored[end.Username] = r.stored
		}
		if len(r.Usernames) == 2 && r.Usernames[0] != end.Username {
			r.Usernames = []string{end.Username, r.Usernames[0]}
		}
		r.Attempts, r.EarlierVersionID, r.EarlierSHA256, r.ReissuedVersionID, r.TakenOver = 0, "", "", "", ""
		r.schedule(now)
	}
	if err != nil {
		r.fail(ctx, end, err, promoted)
	} else {
		r.Requested, r.RequestDue, r.RequestAttempts = nil, time.Time{}, 0
		workflow.GetLogger(ctx).Info("rotated", "secret", r.input.SecretID, "user", end.Username, "version", end.VersionID, "next", r.NextRotationDate)
	}
	workflow.GetMetricsHandler(ctx).WithTags(map[string]string{"result": result(end)}).Counter("rotate_user_rotations").Inc(1)
	r.ended = end
	for i := range r.Rotations {
		r.Rotations[i].Steps = nil
	}
	r.Rotations = append([]rotation.Rotation{*end}, r.Rotations[:min(len(r.Rotations), kept-1)]...)
}

// fail decides when a rotation that failed is tried again: inside its window
// with growing pauses, else when the schedule says.
func (r *rotator) fail(ctx workflow.Context, end *rotation.Rotation, err error, promoted bool) {
	end.Error, end.ErrorType = explain(err)
	r.seen(ctx, fateOf(err))
	if !promoted && r.catchUp(ctx, "after a failure") {
		end.Error = wasReset + ": " + end.Error
	}
	now := workflow.Now(ctx)
	r.giveWay(*end)
	asked := r.request != nil && r.NextRotationDate.After(now)
	staged := slices.ContainsFunc(end.Steps, func(s rotation.Step) bool { return s.Name == rotation.StagePassword })
	if staged && !promoted {
		r.EarlierVersionID, r.EarlierSHA256 = end.VersionID, r.staged
	}
	r.repeat(ctx, end, err, promoted)
	if !promoted && !asked {
		r.Attempts++
		next := now.Add(pause(r.Attempts))
		if until, ok := tryAgainAt(err); ok {
			next = until
		}
		switch {
		case !next.After(r.WindowCloses):
			r.NextRotationDate = next
		case notServed(err): // the rotation stays due until a worker is back
			r.Attempts, r.NextRotationDate, r.WindowCloses = 0, now.Add(offset(r.input.SecretID, lateSpread)), now.Add(firstWindow)
		default:
			r.Attempts = 0 // the next window begins with short pauses again
			r.schedule(now)
		}
	}
	workflow.GetLogger(ctx).Error("rotation failed", "secret", r.input.SecretID, "type", end.ErrorType, "error", end.Error, "next", r.NextRotationDate)
}

// wasReset is said where the secret shows more than the workflow knew.
const wasReset = "this run was reset, and AWSCURRENT is another version than it knew"

// catchUp takes the user in use and the date from the secret, if AWSCURRENT is another version than a
// run that was reset knows of, and reports whether it is. When tells the places apart that call it:
// what was recorded before the point that the run was reset to is replayed, and has no such look.
func (r *rotator) catchUp(ctx workflow.Context, when string) bool {
	// The SDK's replayer does not know a run that was reset from the one that it was reset from: in a
	// replay, what is recorded decides.
	if !r.reset && !workflow.IsReplaying(ctx) {
		return false
	}
	if workflow.GetVersion(ctx, "a run that was reset looks at the secret "+when, workflow.DefaultVersion, 1) == workflow.DefaultVersion {
		return false
	}
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	var current rotation.LookAtCurrentResult
	in := rotation.LookAtCurrentInput{SecretID: r.input.SecretID, PromotedVersionID: r.PromotedVersionID}
	if err := workflow.ExecuteActivity(r.options(ctx, "", quickTries), rotation.Activities.LookAtCurrent, in).Get(ctx, &current); err != nil {
		workflow.GetLogger(ctx).Warn("a run that was reset could not look at its secret", "secret", r.input.SecretID, "error", err)
		return false
	}
	// A run that never promoted anything knows of no version, but for the one that its rotation began from.
	moved := r.began != "" && current.VersionID != r.began
	if current.VersionID == r.PromotedVersionID || r.PromotedVersionID == "" && !current.Ours && !moved {
		return false
	}
	r.LastRotatedDate, r.SeenUsername, r.PasswordExpires = current.Since, current.Username, time.Time{}
	r.Digest, r.Rights = "", ""
	if len(r.Usernames) == 2 && r.Usernames[1] == current.Username {
		r.Usernames = []string{r.Usernames[1], r.Usernames[0]}
	}
	return true
}

// giveWay ends a workflow that has not rotated anything where another one rotates the secret.
func (r *rotator) giveWay(end rotation.Rotation) {
	if end.ErrorType == rotation.ErrorRotatedElsewhere && r.LastRotatedDate.IsZero() {
		r.refused = temporal.NewNonRetryableApplicationError(end.Error, end.ErrorType, nil)
		r.changed = true // there is nothing to wait for
	}
}

// repeat keeps a request to revoke that could not be carried out, and says when it is tried
// again. It ends with the promotion: the account that was in use then is no longer the one
// that another rotation would revoke.
func (r *rotator) repeat(ctx workflow.Context, end *rotation.Rotation, err error, promoted bool) {
	q := r.request
	if q == nil || !q.RevokePrevious {
		r.Requested = nil
		return
	}
	if promoted {
		r.Requested, r.RequestDue, r.RequestAttempts = nil, time.Time{}, 0
		r.note(ctx, rotation.RotateUpdate, rotation.OutcomeFailed, "rotated, but the previous account was not revoked: "+end.Error)
		return
	}
	r.RequestAttempts++
	r.RequestDue = workflow.Now(ctx).Add(pause(r.RequestAttempts))
	if until, ok := tryAgainAt(err); ok {
		r.RequestDue = until
	}
	r.Requested = q
	r.note(ctx, rotation.RotateUpdate, rotation.OutcomeDeferred, end.Error)
}

// notServed reports whether a step failed because no worker took it.
func notServed(err error) bool {
	var timeout *temporal.TimeoutError
	if !errors.As(err, &timeout) {
		return false
	}
	switch timeout.TimeoutType() {
	case enums.TIMEOUT_TYPE_SCHEDULE_TO_START:
		return true
	case enums.TIMEOUT_TYPE_SCHEDULE_TO_CLOSE:
		return timeout.Unwrap() == nil // no attempt failed before
	default:
		return false
	}
}

// pause grows from one minute to an hour.
func pause(attempts int) time.Duration {
	return min(time.Minute<<min(attempts-1, 6), time.Hour)
}

func result(end *rotation.Rotation) string {
	if end.Error != "" {
		return "failed"
	}
	return "succeeded"
}

// explain is the text and the type of the error of a step. The activity's own
// edge has made the text fit to be stored.
func explain(err error) (text, kind string) {
	var app *temporal.ApplicationError
	if errors.As(err, &app) {
		return plaintext.Line(app.Message()), app.Type()
	}
	var timeout *temporal.TimeoutError
	if errors.As(err, &timeout) {
		if notServed(err) {
			return "no worker took the step: start one for the task queue of the activities, or look at its log", "Timeout"
		}
		return "the step did not end in time: look whether a worker serves the task queue and whether the database answers", "Timeout"
	}
	return err.Error(), "Unknown"
}

func tryAgainAt(err error) (time.Time, bool) {
	var app *temporal.ApplicationError
	var until time.Time
	if errors.As(err, &app) && app.HasDetails() && app.Details(&until) == nil {
		return until, !until.IsZero()
	}
	return time.Time{}, false
}

// schedule sets the next date from the rules. A rotation that its own overlap
// would refuse is put off until it would not.
func (r *rotator) schedule(after time.Time) {
	window := r.input.Rules().Next(after, r.input.SecretID)
	r.NextRotationDate, r.WindowCloses = window.At, window.Closes
	if safe := r.LastRotatedDate.Add(r.input.Overlap()); !r.LastRotatedDate.IsZero() && r.NextRotationDate.Before(safe) {
		r.NextRotationDate = safe
	}
	if r.WindowCloses.Before(r.NextRotationDate) {
		r.WindowCloses = r.NextRotationDate
	}
}

// look asks whether a rotation would work, without one.
func (r *rotator) look(ctx workflow.Context) {
	started := workflow.Now(ctx)
	var plan rotation.PlanRotationResult
	err := workflow.ExecuteActivity(r.options(ctx, "", 0), rotation.Activities.PlanRotation, rotation.PlanRotationInput{CloneUserInput: r.cloneUserInput(ctx)}).Get(ctx, &plan)
	end := rotation.Rotation{StartedAt: started, EndedAt: workflow.Now(ctx)}
	if err == nil {
		r.looked = plan.Warnings
		return
	}
	if end.Error, end.ErrorType = explain(err); end.ErrorType == rotation.ErrorMinimumOverlap {
		return // it will have passed by then
	}
	r.Rotations = []rotation.Rotation{end}
	r.giveWay(end)
	workflow.GetLogger(ctx).Error("a rotation would be refused", "secret", r.input.SecretID, "type", end.ErrorType, "error", end.Error)
}

// next ends the run: it hands over to the next one, or ends the workflow where
// that was asked for.
func (r *rotator) next(ctx workflow.Context) (rotation.Status, error) {
	r.leaving, r.request = true, nil
	r.stopped = r.stopped || ctx.Err() != nil
	undisturbed, _ := workflow.NewDisconnectedContext(ctx)
	if err := workflow.Await(undisturbed, func() bool { return workflow.AllHandlersFinished(undisturbed) }); err != nil {
		return rotation.Status{}, err
	}
	r.drain(undisturbed)
	if r.request != nil {
		if r.Requested != nil {
			r.ask(*r.Requested)
		}
		r.Requested, r.RequestDue = r.request, workflow.Now(ctx)
	}
	r.ShowWhenLong = true
	r.show(undisturbed)
	switch {
	case ctx.Err() != nil:
		return rotation.Status{}, ctx.Err()
	case r.refused != nil:
		return rotation.Status{}, r.refused
	case r.stopped:
		return r.status(), nil
	}
	return rotation.Status{}, workflow.NewContinueAsNewError(ctx, workflow.GetInfo(ctx).WorkflowType.Name, r.input, r.State)
}

func offset(key string, within time.Duration) time.Duration {
	h := fnv.New64a()
	_, _ = h.Write([]byte(key))
	return time.Duration(h.Sum64() % uint64(within))
}

// invalidInput turns what Validate says into the error of a workflow or an update; nil stays nil.
func invalidInput(err error) error {
	if err == nil {
		return nil
	}
	return temporal.NewNonRetryableApplicationError(err.Error(), rotation.ErrorInvalidInput, nil)
}

func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }
