package activities

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/rotate-user/rotate-user/internal/connection"
	"github.com/rotate-user/rotate-user/internal/panics"
	"github.com/rotate-user/rotate-user/internal/plaintext"
	"github.com/rotate-user/rotate-user/rotation"
)

const (
	// plansAtOnce is how many rotations one activity plans at a time. A plan that takes longer than slowPlan no longer counts
	// among them: it waits for a server, and others need not.
	plansAtOnce = 4
	slowPlan    = 2 * time.Second
	// planMargin is the time of the activity that no plan may use. It is for the result.
	planMargin = 10 * time.Second
	// The parts of a plan that a fleet's plan shows: this many changes, each text with this many bytes.
	plannedChanges = 3
	plannedBytes   = 250
)

// PlanRotations makes every check of the rotations of many secrets and writes nothing. It asks the
// workflow of each secret what it knows. A rotation that cannot be planned, such as that of a user of
// a server that does not answer, does not fail the others.
func (a *Activities) PlanRotations(ctx context.Context, in rotation.PlanRotationsInput) (rotation.PlanRotationsResult, error) {
	if _, err := redactorOf(ctx); err != nil {
		return rotation.PlanRotationsResult{}, err
	}
	plans := planEach(ctx, in.SecretIDs, a.planned)
	if err := ctx.Err(); err != nil {
		return rotation.PlanRotationsResult{}, err
	}
	return rotation.PlanRotationsResult{Plans: slices.DeleteFunc(plans, func(p rotation.PlannedRotation) bool {
		return !p.Failed() && !p.Created && p.Changed == 0
	})}, nil
}

// planEach plans rotations and returns the plans in the order of their secrets. Each plan must end with its context, which ends
// before ctx does.
func planEach(ctx context.Context, secretIDs []string, plan func(context.Context, string) rotation.PlannedRotation) []rotation.PlannedRotation {
	if end, limited := ctx.Deadline(); limited {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadlineCause(ctx, end.Add(-planMargin), errPlanTakesTooLong)
		defer cancel()
	}
	plans := make([]rotation.PlannedRotation, len(secretIDs))
	places := make(chan struct{}, plansAtOnce)
	var all sync.WaitGroup
	for i, id := range secretIDs {
		places <- struct{}{}
		leave := sync.OnceFunc(func() { <-places })
		slow := time.AfterFunc(slowPlan, leave)
		all.Go(func() {
			defer leave()
			defer slow.Stop()
			plans[i] = plan(ctx, id)
		})
	}
	all.Wait()
	return plans
}

var (
	// errPlanTakesTooLong is why a plan ends that waits for a server, or for its turn on a busy machine.
	errPlanTakesTooLong = fmt.Errorf("the plan was given up, because a server did not answer in time or the worker was too busy: %w",
		context.DeadlineExceeded)
	errWorkflowSilent = fmt.Errorf("its workflow did not answer within %v: check that a worker serves the workflow's task queue, and plan again: %w",
		lookTimeout, context.DeadlineExceeded)
)

// planned returns the plan of one rotation. Passwords are redacted for each secret by itself: a short
// password of one would otherwise withhold the texts about others.
func (a *Activities) planned(ctx context.Context, secretID string) rotation.PlannedRotation {
	r := new(redactor)
	p, err := a.planInShort(context.WithValue(ctx, redactorKey{}, r), secretID)
	if _, silent := errors.AsType[*connection.SilentError](err); err != nil && ctx.Err() != nil && !silent {
		err = context.Cause(ctx) // whatever the plan was waiting for
	}
	if err == nil {
		var safe []byte
		if safe, err = json.Marshal(r.result(p)); err == nil {
			p = rotation.PlannedRotation{}
			err = json.Unmarshal(safe, &p)
		}
	}
	if err != nil {
		v, text := r.explain(err)
		return rotation.PlannedRotation{SecretID: secretID, ErrorType: v.kind, Error: short(plaintext.Line(text), 2*plannedBytes)}
	}
	return p
}

func (a *Activities) planInShort(ctx context.Context, secretID string) (p rotation.PlannedRotation, err error) {
	defer panics.Into(&err)
	in, err := a.planInput(ctx, secretID)
	if err != nil {
		return p, err
	}
	info := activity.GetInfo(ctx)
	if queue := cmp.Or(in.ActivityTaskQueue, info.TaskQueue); queue != info.TaskQueue {
		return p, refuse(rotation.ErrorInvalidInput, "the steps of secret %s run on task queue %s: "+
			"run starter fleet plan with --activity-task-queue %[2]s, and --query for its secrets", secretID, queue)
	}
	plan, err := a.PlanRotation(ctx, in.PlanRotationInput)
	if err != nil {
		return p, err
	}
	p = rotation.PlannedRotation{SecretID: secretID, Created: plan.Created, Changed: plan.Changed}
	for _, change := range plan.Changes[:min(len(plan.Changes), plannedChanges)] {
		p.Changes = append(p.Changes, short(change, plannedBytes))
	}
	return p, nil
}

// planInput asks the workflow of a secret what its next rotation would be given.
func (a *Activities) planInput(ctx context.Context, secretID string) (in rotation.PlanInput, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, lookTimeout, errWorkflowSilent)
	defer cancel()
	answer, err := a.Temporal.QueryWorkflow(ctx, rotation.RotateUserWorkflowID(secretID), "", rotation.PlanQuery)
	if err != nil {
		return in, cmp.Or(context.Cause(ctx), err)
	}
	err = answer.Get(&in)
	return in, err
}
