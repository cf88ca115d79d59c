package main

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"

	"go.temporal.io/api/workflowservice/v1"

	"github.com/rotate-user/rotate-user/rotation"
)

// singlePlans is how many plans of single secrets a turn measures, for the time of all.
const singlePlans = 20

// planAll measures the plan of many sleeping secrets with one command, and the plans of some of them with a command for
// each, in turns.
func (b *bench) planAll(ctx context.Context) error {
	if b.plans == 0 {
		return nil
	}
	subjects, err := b.pairs(ctx, "plan", b.plans)
	if err != nil {
		return err
	}
	q, err := b.start(ctx, "plans")
	if err != nil {
		return err
	}
	if err := each(ctx, b.plans, 16, func(ctx context.Context, i int) error { return b.fall(ctx, q, subjects[i], nextMonth()) }); err != nil {
		return err
	}
	query := "TaskQueue = '" + q.name + "'"
	if err := b.await(ctx, func() (bool, error) { return b.listed(ctx, query, b.plans) }); err != nil {
		return err
	}
	starter := func(args ...string) error {
		cmd := exec.CommandContext(ctx, filepath.Join(b.bin, "starter"), append(args, "--task-queue", q.name)...)
		cmd.Env = b.Environment()
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("starter %s: %w\n%s", args[0], err, out)
		}
		return nil
	}
	next := 0
	single := &contestant{run: func() error {
		for range singlePlans {
			if err := starter("plan", "--secret-id", subjects[next%b.plans].secretID); err != nil {
				return err
			}
			next++
		}
		return nil
	}}
	all := &contestant{run: func() error { return starter("fleet", "plan", "--query", query) }}
	const rounds = 5
	if err := turns(ctx, rounds, single, all); err != nil {
		return err
	}
	r := &b.report
	r.Plans, r.PlanMSMedian, r.PlansMSMedian = b.plans, single.median()/singlePlans, all.median()
	ratio := r.PlansMSMedian / (r.PlanMSMedian * float64(b.plans))
	r.PlansToSingle = ratio
	if b.plans == 1000 {
		r.Plans1000ToSingle = ratio
	}
	if err := b.end(ctx, subjects); err != nil {
		return err
	}
	return q.Stop()
}

// listed reports whether visibility lists so many running rotations.
func (b *bench) listed(ctx context.Context, query string, n int) (bool, error) {
	count, err := b.temporal.CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{
		Query: "WorkflowType = '" + rotation.RotateUserWorkflow + "' AND ExecutionStatus = 'Running' AND " + query,
	})
	return err == nil && count.GetCount() == int64(n), err
}

func (r *report) planLines(row func(cells ...string)) {
	if r.Plans == 0 {
		return
	}
	row("a plan of one secret, with a command for each", fmt.Sprintf("%.0f ms", r.PlanMSMedian), "")
	row("a plan of "+strconv.Itoa(r.Plans)+" secrets with one command, and as a part of "+strconv.Itoa(r.Plans)+" single ones",
		fmt.Sprintf("%.1f s, %.2f", r.PlansMSMedian/1000, r.PlansToSingle), "0.25")
}
