package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/rotate-user/rotate-user/rotation"
)

const (
	// changesPerRun limits the history of a run. The next run makes the remaining changes at once.
	changesPerRun = 500
	// betweenBatches is the time between two batches of rotations that start. Each of them first
	// checks its secret and its database.
	betweenBatches = 10 * time.Second
	// secondLook is how long a tag must be missing before its rotation is stopped. Secrets
	// Manager's lists show a change within five minutes.
	secondLook = 6 * time.Minute
	// passRetry is when to try again after a failed check.
	passRetry = 10 * time.Minute

	keptLines = 100 // limits the changes and the problems that a pass describes
)

// fleet is one run of SyncFleetWorkflow.
type fleet struct {
	rotation.FleetState

	input rotation.SyncFleetInput
	pass  *rotation.FleetPass // in progress
	// passed counts the completed passes of this run, at most one.
	passed int
	size   int  // of Managed, in bytes, with the secrets that are to be added
	asked  bool // an update requests a pass now
	stop   bool
	// owner is this workflow, as the memos of rotations name it, and owners has what declares the
	// running rotations. A run that an earlier release began has no owner, and changes all.
	owner  string
	owners map[string]string
}

// SyncFleetWorkflow keeps the running rotations in step with the tags of secrets. It starts missing
// rotations, reschedules those whose schedule differs, and stops those whose tag was removed. Each
// run sleeps, makes one pass, and continues as new. When the workflow ends, the rotations continue.
func (Workflows) SyncFleetWorkflow(ctx workflow.Context, input rotation.SyncFleetInput,
	carried *rotation.FleetState) (rotation.FleetStatus, error) {
	f := &fleet{input: input}
	if carried != nil {
		f.FleetState = *carried
	} else if err := input.Validate(); err != nil {
		return rotation.FleetStatus{}, invalidInput(err)
	}
	if f.Managed == nil {
		f.Managed = map[string]rotation.Managed{}
	}
	if err := f.listen(ctx); err != nil {
		return rotation.FleetStatus{}, err
	}
	f.sleep(ctx)
	if !f.stop && ctx.Err() == nil && (f.asked || !workflow.Now(ctx).Before(f.NextPass)) {
		f.sync(ctx)
	}
	return f.next(ctx)
}

func (f *fleet) listen(ctx workflow.Context) error {
	if err := workflow.SetQueryHandler(ctx, rotation.StatusQuery,
		func() (rotation.FleetStatus, error) { return f.status(), nil }); err != nil {
		return err
	}
	if err := workflow.SetUpdateHandlerWithOptions(ctx, rotation.StopUpdate,
		func(workflow.Context, rotation.Sender) (rotation.FleetStatus, error) {
			f.stop = true
			return f.status(), nil
		}, workflow.UpdateHandlerOptions{
			Validator:   func(by rotation.Sender) error { return invalidInput(by.Validate()) },
			Description: "end this workflow; the rotations continue",
		}); err != nil {
		return err
	}
	return workflow.SetUpdateHandlerWithOptions(ctx, rotation.SyncUpdate, f.onSync, workflow.UpdateHandlerOptions{
		Validator: func(q rotation.SyncRequest) error {
			if f.passed > 0 || f.stop {
				return refused(rotation.ErrorJustRotated,
					"the fleet of tag %s has just been checked, or its workflow is ending: try again", f.input.Key())
			}
			return invalidInput(q.Validate())
		},
		Description: "check the tags now",
	})
}

// onSync returns when a pass has ended. If a pass is in progress, it waits for that one, because a
// run makes only one.
func (f *fleet) onSync(ctx workflow.Context, q rotation.SyncRequest) (rotation.FleetStatus, error) {
	if q.Input != nil {
		tag := f.input.Tag
		f.input = *q.Input
		f.input.Tag = tag
	}
	f.asked = true
	if err := workflow.Await(ctx, func() bool { return f.passed > 0 || f.stop }); err != nil {
		return f.status(), err
	}
	return f.status(), nil
}

func (f *fleet) sleep(ctx workflow.Context) {
	f.describe(ctx)
	timers, cancel := workflow.WithCancel(ctx)
	timer := workflow.NewTimerWithOptions(timers, f.NextPass.Sub(workflow.Now(ctx)), workflow.TimerOptions{
		Summary: short("next check of tag " + f.input.Key() + ": " + clock(f.NextPass)),
	})
	if err := workflow.Await(ctx, func() bool { return f.asked || f.stop || timer.IsReady() }); err != nil {
		f.stop = true
	}
	cancel()
}

// sync makes one pass.
func (f *fleet) sync(ctx workflow.Context) {
	f.pass = &rotation.FleetPass{StartedAt: workflow.Now(ctx)}
	f.describe(ctx)
	if workflow.GetVersion(ctx, "rotations are declared by one owner", workflow.DefaultVersion, 1) != workflow.DefaultVersion {
		f.owner = workflow.GetInfo(ctx).WorkflowExecution.ID
	}
	f.NextPass = f.pass.StartedAt.Add(f.input.Interval())
	changes, err := f.changes(ctx)
	if err != nil {
		f.pass.Error, f.pass.ErrorType = explain(err)
		f.soon(f.pass.StartedAt.Add(passRetry))
		workflow.GetLogger(ctx).Error("the tags could not be checked", "tag", f.input.Key(), "type", f.pass.ErrorType, "error", f.pass.Error)
	}
	if n := len(changes); n > changesPerRun {
		f.pass.Deferred += n - changesPerRun
		changes = changes[:changesPerRun]
		f.soon(f.pass.StartedAt)
	}
	f.carryOut(ctx, changes)
	f.pass.EndedAt = workflow.Now(ctx)
	f.LastPass, f.pass = f.pass, nil
	f.passed++
	workflow.GetLogger(ctx).Info("checked the tags", "tag", f.input.Key(), "result", f.LastPass.String())
}

// soon moves the next pass forward.
func (f *fleet) soon(at time.Time) {
	if at.Before(f.NextPass) {
		f.NextPass = at
	}
}

// next continues with the next run, or ends the workflow.
func (f *fleet) next(ctx workflow.Context) (rotation.FleetStatus, error) {
	undisturbed, _ := workflow.NewDisconnectedContext(ctx)
	if f.passed == 0 {
		f.stop = f.stop || ctx.Err() != nil
	}
	if err := workflow.Await(undisturbed, func() bool { return workflow.AllHandlersFinished(undisturbed) }); err != nil {
		return rotation.FleetStatus{}, err
	}
	f.describe(undisturbed)
	switch {
	case ctx.Err() != nil:
		return rotation.FleetStatus{}, ctx.Err()
	case f.stop:
		return f.status(), nil
	}
	return rotation.FleetStatus{}, workflow.NewContinueAsNewError(ctx, workflow.GetInfo(ctx).WorkflowType.Name, f.input, f.FleetState)
}

// listSecrets returns all secrets that have the tag.
func (f *fleet) listSecrets(ctx workflow.Context) (all []rotation.TaggedSecret, err error) {
	for token := ""; ; {
		var page rotation.ListSecretsResult
		in := rotation.ListSecretsInput{Tag: f.input.Key(), NextToken: token}
		if err := workflow.ExecuteActivity(f.options(ctx), rotation.Activities.ListSecrets, in).Get(ctx, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Secrets...)
		if token = page.NextToken; token == "" {
			return all, nil
		}
	}
}

// listRotations returns the secrets whose rotations are running, as the ids of their workflows name
// them.
func (f *fleet) listRotations(ctx workflow.Context) (map[string]bool, error) {
	running := map[string]bool{}
	f.owners = map[string]string{}
	for token := []byte(nil); ; {
		var page rotation.ListRotationsResult
		in := rotation.ListRotationsInput{NextPageToken: token}
		if err := workflow.ExecuteActivity(f.options(ctx), rotation.Activities.ListRotations, in).Get(ctx, &page); err != nil {
			return nil, err
		}
		for i, id := range page.SecretIDs {
			running[id] = true
			if i < len(page.DeclaredBy) {
				f.owners[id] = page.DeclaredBy[i]
			}
		}
		if token = page.NextPageToken; len(token) == 0 {
			return running, nil
		}
	}
}

func (f *fleet) options(ctx workflow.Context) workflow.Context {
	o := stepOptions(f.input.Defaults.ActivityTaskQueue, short("tag "+f.input.Key()))
	o.Priority = temporal.Priority{PriorityKey: schedulePriority}
	return workflow.WithActivityOptions(ctx, o)
}
