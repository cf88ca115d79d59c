package workflows

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/rotate-user/rotate-user/internal/plaintext"
	"github.com/rotate-user/rotate-user/rotation"
)

// rotator is one run of RotateUserWorkflow. It embeds the state that the run before it left and the next run gets.
type rotator struct {
	rotation.State
	progress

	w     Workflows
	input rotation.RotateUserInput
	phase phase
	asked requests
	// visible is what visibility was told.
	visible visible
	// reset means that this run continues another one that was reset.
	reset bool
	// refused is set when another workflow rotates the secret: this one ends with it.
	refused error
	// warnings are those of the look at the start.
	warnings []string
	// updates counts those that this run has handled.
	updates int
}

// phase is what a run does.
type phase int

const (
	asleep   phase = iota // until a rotation is due or a message asks for one
	rotating              // the steps of a rotation
	inGrace               // promoted; the revocation of the previous account remains
	leaving               // no rotation begins in this run any more
	stopped               // the workflow has ended
)

// requests is what messages have asked of this run. It does not say what is in progress.
type requests struct {
	// rotation is the one to begin, or what else the one in progress must do.
	rotation *rotation.RotateRequest
	// awaited means that the sender of an update waits for the rotation.
	awaited bool
	// signalled means that a signal asked for it, whose sender is told nothing.
	signalled bool
	// stop ends the workflow with this run, unless resume or pause withdraws it.
	stop bool
	// giveWay means that the state was changed and the next run must continue with it.
	giveWay bool
	newest  sent
}

// sent is when the newest pause, resume or stop of one workflow task was sent.
type sent struct{ task, at time.Time }

// progress is the rotation that this run makes.
type progress struct {
	// current is nil before and after the rotation, ended before its end.
	current, ended *rotation.Rotation
	// began is the version that was AWSCURRENT when the rotation began.
	began string
	// staged is the digest of the value that it has staged, stored that of the password that it has set.
	staged, stored string
	// expires is when the server will refuse that password by its own rules; zero for never.
	expires time.Time
	// revokesAt is the end of the grace.
	revokesAt time.Time
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
		r.resumeRequest(ctx)
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
		r.schedule(ctx, now)
		if within := time.Duration(input.FirstRotationWithin); within > 0 {
			r.NextRotationDate = r.outsideBlackout(ctx, now.Add(spreadOut(input.SecretID, within)))
			r.WindowCloses = r.NextRotationDate.Add(firstWindow)
		}
		r.planDryRun(ctx)
		r.show(ctx)
	}
	return r, nil
}

// startable refuses options with which the workflow would not live as long as the user.
func startable(ctx workflow.Context, input rotation.RotateUserInput) error {
	info := workflow.GetInfo(ctx)
	if info.CronSchedule != "" {
		return fmt.Errorf("the workflow was started with the cron schedule %q, which Temporal forgets after the first rotation: "+
			"start it without one, and put the schedule into RotationRules", plaintext.Cut(info.CronSchedule, 100))
	}
	if id, ok := workflow.GetTypedSearchAttributes(ctx).GetKeyword(scheduledByKey); ok {
		return fmt.Errorf("the workflow was started by the Temporal Schedule %q, which starts another rotation of the same secret each time: "+
			"delete the schedule, and start the workflow once, with the id %s and the schedule in RotationRules",
			plaintext.Cut(id, 100), rotation.RotateUserWorkflowID(input.SecretID))
	}
	timeout := func(name string, after time.Duration) error {
		if after == 0 || after >= shortestLife {
			return nil
		}
		return fmt.Errorf("the workflow was started with the %s timeout %s, after which the secret would no longer be rotated: "+
			"start it without one", name, after)
	}
	return cmp.Or(timeout("execution", info.WorkflowExecutionTimeout), timeout("run", info.WorkflowRunTimeout))
}

// shortestLife is the shortest timeout that a workflow may have that lives as long as a user.
const shortestLife = 10 * 365 * 24 * time.Hour

// scheduledByKey is set by Temporal on what a Schedule has started.
var scheduledByKey = temporal.NewSearchAttributeKeyKeyword("TemporalScheduledById")

// resumeRequest takes up the request that the run before left behind, if it is due.
func (r *rotator) resumeRequest(ctx workflow.Context) {
	if r.Requested == nil || workflow.Now(ctx).Before(r.RequestDue) {
		return
	}
	q, undated := *r.Requested, r.RequestDue.IsZero()
	r.Requested = nil
	if err := r.mayRotate(ctx, q); err != nil && undated { // a release that set no date dropped it, too
		r.note(ctx, rotation.RotateUpdate, rotation.OutcomeRefused, reason(err))
		return
	}
	r.signalled(ctx, q)
	r.asked.giveWay = false // this run wakes for it
}

// planDryRun finds out whether a rotation would work, without making one.
func (r *rotator) planDryRun(ctx workflow.Context) {
	started := workflow.Now(ctx)
	var plan rotation.PlanRotationResult
	in := rotation.PlanRotationInput{CloneUserInput: r.cloneUserInput(ctx)}
	err := workflow.ExecuteActivity(r.options(ctx, rotation.PlanRotation, 0), rotation.Activities.PlanRotation, in).Get(ctx, &plan)
	end := rotation.Rotation{StartedAt: started, EndedAt: workflow.Now(ctx)}
	if err == nil {
		r.warnings = plan.Warnings
		return
	}
	if end.Error, end.ErrorType = explain(err); end.ErrorType == rotation.ErrorMinimumOverlap {
		return // it will have passed by then
	}
	r.Rotations = []rotation.Rotation{end}
	r.endIfRotatedElsewhere(end)
	workflow.GetLogger(ctx).Error("a rotation would be refused", "secret", r.input.SecretID, "type", end.ErrorType, "error", end.Error)
}

// endIfRotatedElsewhere ends a workflow that has not rotated anything if another workflow rotates the secret.
func (r *rotator) endIfRotatedElsewhere(end rotation.Rotation) {
	if end.ErrorType == rotation.ErrorRotatedElsewhere && r.LastRotatedDate.IsZero() {
		r.refused = temporal.NewNonRetryableApplicationError(end.Error, end.ErrorType, nil)
		r.asked.giveWay = true // there is nothing to wait for
	}
}

// record notes how the rotation ended and when the next one is due.
func (r *rotator) record(ctx workflow.Context, err error) {
	now := workflow.Now(ctx)
	end := r.current
	r.current = nil
	end.EndedAt = now
	promotion := end.Promotion()
	if promotion != nil {
		r.recordPromotion(end, promotion.EndedAt)
		r.schedule(ctx, now)
	}
	if err != nil {
		r.fail(ctx, end, err, promotion != nil)
	} else {
		r.forgetRequest()
		workflow.GetLogger(ctx).Info("rotated", "secret", r.input.SecretID, "user", end.Username, "version", end.VersionID, "next",
			r.NextRotationDate)
	}
	outcome := "succeeded"
	if end.Error != "" {
		outcome = "failed"
	}
	workflow.GetMetricsHandler(ctx).WithTags(map[string]string{"result": outcome}).Counter("rotate_user_rotations").Inc(1)
	r.ended = end
	for i := range r.Rotations {
		r.Rotations[i].Steps = nil
	}
	r.Rotations = append([]rotation.Rotation{*end}, r.Rotations[:min(len(r.Rotations), keptRotations-1)]...)
}

// recordPromotion keeps what the next rotation must know of this one. The promotion may be long past: a grace may have
// followed it.
func (r *rotator) recordPromotion(end *rotation.Rotation, promotedAt time.Time) {
	r.LastRotatedDate, r.PromotedVersionID, r.PasswordExpires = promotedAt, end.VersionID, r.expires
	r.SeenUsername = ""
	if r.Stored != nil && r.stored != "" {
		r.Stored[end.Username] = r.stored
	}
	if len(r.Usernames) == 2 && r.Usernames[0] != end.Username {
		r.Usernames = []string{end.Username, r.Usernames[0]}
	}
	r.Attempts, r.EarlierVersionID, r.EarlierSHA256, r.ReissuedVersionID, r.TakenOver = 0, "", "", "", ""
}

// next ends the run: it hands over to the next run, or ends the workflow if a message asked for that.
func (r *rotator) next(ctx workflow.Context) (rotation.Status, error) {
	r.phase, r.asked.rotation = leaving, nil
	r.asked.stop = r.asked.stop || ctx.Err() != nil
	undisturbed, _ := workflow.NewDisconnectedContext(ctx)
	if err := workflow.Await(undisturbed, func() bool { return workflow.AllHandlersFinished(undisturbed) }); err != nil {
		return rotation.Status{}, err
	}
	r.drainSignals(undisturbed)
	if q := r.asked.rotation; q != nil {
		r.Requested, r.RequestDue = joined(r.Requested, q), workflow.Now(ctx)
	}
	if r.asked.stop {
		r.phase = stopped
	}
	r.ShowWhenLong = true
	r.show(undisturbed)
	switch {
	case ctx.Err() != nil:
		return rotation.Status{}, ctx.Err()
	case r.refused != nil:
		return rotation.Status{}, r.refused
	case r.phase == stopped:
		return r.status(), nil
	}
	ctx = workflow.WithWorkflowTaskTimeout(ctx, TaskTimeout)
	return rotation.Status{}, workflow.NewContinueAsNewError(ctx, workflow.GetInfo(ctx).WorkflowType.Name, r.input, r.State)
}
