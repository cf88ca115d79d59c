package workflows

import (
	"slices"

	"go.temporal.io/sdk/workflow"

	"github.com/rotate-user/rotate-user/rotation"
)

const (
	// plansInBatch is how many rotations one activity plans, and batchesAtOnce how many activities run at a time.
	plansInBatch  = 50
	batchesAtOnce = 4
	// plansListed bounds the result of PlanFleetWorkflow.
	plansListed = 1000
)

// PlanFleetWorkflow returns what the next rotation of every running rotation, or of those that a query finds, would do. It
// writes nothing.
func (Workflows) PlanFleetWorkflow(ctx workflow.Context, input rotation.PlanFleetInput) (result rotation.PlanFleetResult, err error) {
	if err := input.Validate(); err != nil {
		return result, invalidInput(err)
	}
	ctx = workflow.WithActivityOptions(ctx, stepOptions(input.ActivityTaskQueue, "fleet"))
	ids, err := runningRotations(ctx, input.Query)
	if err != nil {
		return result, err
	}
	result.Total = len(ids)
	places := workflow.NewSemaphore(ctx, batchesAtOnce)
	batches := workflow.NewWaitGroup(ctx)
	for batch := range slices.Chunk(ids, plansInBatch) {
		if err := places.Acquire(ctx, 1); err != nil {
			return result, err
		}
		batches.Add(1)
		workflow.Go(ctx, func(ctx workflow.Context) {
			defer batches.Done()
			defer places.Release(1)
			var planned rotation.PlanRotationsResult
			in := rotation.PlanRotationsInput{SecretIDs: batch}
			if failed := workflow.ExecuteActivity(ctx, rotation.Activities.PlanRotations, in).Get(ctx, &planned); failed != nil {
				err = failed
				return
			}
			addPlans(&result, planned.Plans)
		})
	}
	batches.Wait(ctx)
	return result, err
}

// runningRotations lists the secrets of the running rotations that a query finds.
func runningRotations(ctx workflow.Context, query string) (ids []string, err error) {
	for token := []byte(nil); ; {
		var page rotation.ListRotationsResult
		in := rotation.ListRotationsInput{Query: query, NextPageToken: token}
		if err := workflow.ExecuteActivity(ctx, rotation.Activities.ListRotations, in).Get(ctx, &page); err != nil {
			return nil, err
		}
		ids = append(ids, page.SecretIDs...)
		if token = page.NextPageToken; len(token) == 0 {
			return ids, nil
		}
	}
}

// addPlans counts the plans of one batch, and lists them while there is room.
func addPlans(result *rotation.PlanFleetResult, plans []rotation.PlannedRotation) {
	for _, p := range plans {
		if p.Failed() {
			result.Failing++
		} else {
			result.Changing++
		}
		if len(result.Plans) < plansListed {
			result.Plans = append(result.Plans, p)
		}
	}
}
