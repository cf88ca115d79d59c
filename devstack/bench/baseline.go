package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"go.temporal.io/sdk/client"

	"github.com/rotate-user/rotate-user/devstack/stack"
	"github.com/rotate-user/rotate-user/rotation"
	"github.com/rotate-user/rotate-user/workflows"
)

// buildBaseline builds the worker of another revision, and returns the directory of its programs
// and the revision's short name.
func buildBaseline(ctx context.Context, root, dir, revision string) (bin, name string, err error) {
	git := func(args ...string) (string, error) {
		out, err := exec.CommandContext(ctx, "git", append([]string{"-C", root}, args...)...).CombinedOutput()
		if err != nil {
			return "", fmt.Errorf("--baseline: git %s: %w\n%s", strings.Join(args, " "), err, out)
		}
		return strings.TrimSpace(string(out)), nil
	}
	if name, err = git("rev-parse", "--short", "--verify", revision+"^{commit}"); err != nil {
		return "", "", err
	}
	temp, err := os.MkdirTemp("", "bench-baseline-")
	if err != nil {
		return "", "", err
	}
	tree := filepath.Join(temp, "tree")
	if _, err := git("worktree", "add", "--detach", tree, name); err != nil {
		return "", "", errors.Join(err, os.RemoveAll(temp))
	}
	bin, err = stack.Build(ctx, tree, filepath.Join(dir, "baseline"))
	_, removed := git("worktree", "remove", "--force", tree)
	return bin, name, errors.Join(err, removed, os.RemoveAll(temp))
}

// contender is a build of the worker with its own secrets and task queue.
type contender struct {
	name, worker string
	subjects     []*subject
	queue        *queue // its worker runs only during the contender's turns
	ms           float64
	done         int
}

// againstQuota makes our worker and the baseline's rotate leaked secrets in turns, as fast as the
// quota of writes allows. Only one of them runs at a time.
func (b *bench) againstQuota(ctx context.Context) error {
	if b.baselineBin == "" {
		return nil
	}
	if b.Secrets == nil {
		return errors.New("--baseline is measured on our own Secrets Manager endpoint: leave out --secretsmanager-endpoint")
	}
	// The names are parts of user names, which are 32 characters at most.
	ours := &contender{name: "ours", worker: filepath.Join(b.bin, "worker")}
	base := &contender{name: "base", worker: filepath.Join(b.baselineBin, "worker")}
	both := []*contender{ours, base}
	for _, c := range both {
		if err := b.ready(ctx, c); err != nil {
			return err
		}
	}
	const turns = 4
	for turn := range turns {
		for _, c := range []*contender{both[turn%2], both[1-turn%2]} {
			if err := b.turn(ctx, c, c.subjects[turn*b.secrets/turns:(turn+1)*b.secrets/turns]); err != nil {
				return err
			}
		}
	}
	r := &b.report
	r.Baseline, r.QuotaWritesPerS = b.baselineName, b.quota
	r.QuotaRotationPerS, r.BaselineQuotaRotationPerS = float64(ours.done)/ours.ms*1000, float64(base.done)/base.ms*1000
	r.QuotaRateToBaseline = r.QuotaRotationPerS / r.BaselineQuotaRotationPerS
	return errors.Join(b.end(ctx, ours.subjects), b.end(ctx, base.subjects))
}

// ready creates the secrets of a contender, rotates each once with its workflow, and waits until
// the workflows sleep.
func (b *bench) ready(ctx context.Context, c *contender) error {
	var err error
	if c.subjects, err = b.pairs(ctx, c.name, b.secrets); err != nil {
		return err
	}
	if err := b.begin(ctx, c); err != nil {
		return err
	}
	if err := each(ctx, len(c.subjects), 16, func(ctx context.Context, i int) error {
		return b.fall(ctx, c.queue, c.subjects[i], nextMonth())
	}); err != nil {
		return err
	}
	if err := b.await(ctx, func() (bool, error) { return b.allAsleep(ctx, c.subjects[max(0, len(c.subjects)-20):]) }); err != nil {
		return err
	}
	return c.queue.Stop()
}

// begin starts the worker of a contender.
func (b *bench) begin(ctx context.Context, c *contender) (err error) {
	c.queue = &queue{name: "bench-" + b.run + "-" + c.name}
	if c.worker == filepath.Join(b.bin, "worker") {
		c.queue.taskTimeout = workflows.TaskTimeout
	}
	c.queue.Worker, err = b.StartWorker(ctx, c.worker, "worker-"+c.name, "--task-queue", c.queue.name)
	return err
}

// turn rotates some secrets of a contender and revokes their previous credentials.
func (b *bench) turn(ctx context.Context, c *contender, subjects []*subject) error {
	const atOnce = 64
	if err := b.begin(ctx, c); err != nil {
		return err
	}
	b.Secrets.LimitWrites(b.quota)
	ms, err := timed(func() error {
		return each(ctx, len(subjects), atOnce, func(ctx context.Context, i int) error { return b.revoke(ctx, subjects[i]) })
	})
	b.Secrets.LimitWrites(0)
	c.ms, c.done = c.ms+ms, c.done+len(subjects)
	fmt.Fprintf(b.progress, "  %s: %.1f rotations/s\n", c.name, float64(len(subjects))/ms*1000)
	return errors.Join(err, c.queue.Stop())
}

// revoke asks a workflow to rotate a leaked credential, and waits until the previous one is revoked.
func (b *bench) revoke(ctx context.Context, s *subject) error {
	update, err := b.temporal.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{
		WorkflowID: rotation.RotateUserWorkflowID(s.secretID), UpdateName: rotation.RotateUpdate,
		Args: []any{rotation.RotateRequest{Force: true, RevokePrevious: true}}, WaitForStage: client.WorkflowUpdateStageCompleted,
	})
	if err != nil {
		return err
	}
	return update.Get(ctx, nil)
}

// pairs creates users with secrets, and rotates each of them once, which creates its clone.
func (b *bench) pairs(ctx context.Context, name string, n int) ([]*subject, error) {
	subjects := make([]*subject, n)
	if err := each(ctx, n, 8, func(ctx context.Context, i int) (err error) {
		subjects[i], err = b.newSubject(ctx, name+strconv.Itoa(i))
		return err
	}); err != nil {
		return nil, err
	}
	directs := make(chan *direct, 4)
	for range cap(directs) {
		directs <- b.newDirect()
	}
	err := each(ctx, n, cap(directs), func(_ context.Context, i int) error {
		d := <-directs
		defer func() { directs <- d }()
		return d.rotate(subjects[i])
	})
	for range cap(directs) {
		err = errors.Join(err, (<-directs).close())
	}
	return subjects, err
}
