package activities

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"

	"go.temporal.io/sdk/activity"
	"golang.org/x/sync/errgroup"

	"github.com/rotate-user/rotate-user/internal/panics"
	"github.com/rotate-user/rotate-user/internal/plaintext"
	"github.com/rotate-user/rotate-user/rotation"
)

const (
	// plansAtOnce is how many rotations one activity plans at a time.
	plansAtOnce = 4
	// The parts of a plan that a fleet's plan shows: this many changes, each text with this many bytes.
	plannedChanges = 3
	plannedBytes   = 250
)

// PlanRotations makes every check of the rotations of many secrets and writes nothing. It asks the
// workflow of each secret what it knows. A rotation that cannot be planned does not fail the others.
func (a *Activities) PlanRotations(ctx context.Context, in rotation.PlanRotationsInput) (rotation.PlanRotationsResult, error) {
	if _, err := redactorOf(ctx); err != nil {
		return rotation.PlanRotationsResult{}, err
	}
	plans := make([]rotation.PlannedRotation, len(in.SecretIDs))
	var g errgroup.Group
	g.SetLimit(plansAtOnce)
	for i, id := range in.SecretIDs {
		g.Go(func() error {
			plans[i] = a.planned(ctx, id)
			return ctx.Err()
		})
	}
	if err := g.Wait(); err != nil {
		return rotation.PlanRotationsResult{}, err
	}
	return rotation.PlanRotationsResult{Plans: slices.DeleteFunc(plans, func(p rotation.PlannedRotation) bool {
		return !p.Failed() && !p.Created && p.Changed == 0
	})}, nil
}

// planned returns the plan of one rotation. Passwords are redacted for each secret by itself: a short
// password of one would otherwise withhold the texts about others.
func (a *Activities) planned(ctx context.Context, secretID string) rotation.PlannedRotation {
	r := new(redactor)
	p, err := a.planInShort(context.WithValue(ctx, redactorKey{}, r), secretID)
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
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	answer, err := a.Temporal.QueryWorkflow(ctx, rotation.RotateUserWorkflowID(secretID), "", rotation.PlanQuery)
	if err != nil {
		return in, err
	}
	err = answer.Get(&in)
	return in, err
}
