package main

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"time"

	"github.com/rotate-user/rotate-user/devstack/secretsmanager"
)

// recover kills a worker in the middle of rotations and starts another one, in turns with the baseline's worker.
func (b *bench) recover(ctx context.Context) error {
	ours := &contender{name: "rec", worker: filepath.Join(b.bin, "worker")}
	all := []*contender{ours}
	var base *contender
	if b.baselineBin != "" {
		base = &contender{name: "recbase", worker: filepath.Join(b.baselineBin, "worker")}
		all = append(all, base)
	}
	const turns, rotations = 2, 8
	took := map[*contender]samples{}
	for _, c := range all {
		var err error
		if c.subjects, err = b.pairs(ctx, c.name, turns*rotations); err != nil {
			return err
		}
	}
	for turn := range turns {
		for _, c := range all {
			s, err := b.recovered(ctx, c, c.subjects[turn*rotations:(turn+1)*rotations])
			if err != nil {
				return err
			}
			took[c] = append(took[c], s...)
		}
	}
	r := &b.report
	r.RecoverySMedian, r.RecoverySMax = took[ours].median(), took[ours].quantile(1)
	if base != nil {
		r.Baseline = b.baselineName
		r.BaselineRecoverySMedian, r.BaselineRecoverySMax = took[base].median(), took[base].quantile(1)
		r.RecoveryToBaseline = r.RecoverySMedian / r.BaselineRecoverySMedian
	}
	return nil
}

// recovered returns how many seconds after the death of their worker rotations are done. Another worker is there at once.
func (b *bench) recovered(ctx context.Context, c *contender, subjects []*subject) (took samples, err error) {
	if err := b.begin(ctx, c); err != nil {
		return nil, err
	}
	for _, s := range subjects {
		if err := b.fall(ctx, c.queue, s, nextMonth()); err != nil {
			return nil, err
		}
	}
	if err := b.await(ctx, func() (bool, error) { return b.allAsleep(ctx, subjects) }); err != nil {
		return nil, err
	}
	inside, release := b.hold(subjects)
	defer release()
	var mu sync.Mutex
	var killed time.Time
	done := make(chan error, 1)
	go func() {
		done <- each(ctx, len(subjects), len(subjects), func(ctx context.Context, i int) error {
			err := b.rotate(ctx, subjects[i])
			mu.Lock()
			defer mu.Unlock()
			took = append(took, time.Since(killed).Seconds())
			return err
		})
	}()
	inside()
	mu.Lock()
	killed = time.Now()
	mu.Unlock()
	err = c.queue.Kill()
	b.delay(b.latency)
	release()
	if err != nil {
		return nil, err
	}
	second, err := b.StartWorker(ctx, c.worker, "worker-"+c.name, "--task-queue", c.queue.name)
	if err != nil {
		return nil, err
	}
	if err := <-done; err != nil {
		return nil, err
	}
	return took, errors.Join(b.end(ctx, subjects), second.Stop())
}

// hold keeps calls of our own Secrets Manager endpoint from being answered until release. inside returns when there is a
// call for each of the subjects, so that all are in the middle of a step. With another endpoint, it returns after about half a rotation.
func (b *bench) hold(subjects []*subject) (inside, release func()) {
	if b.Secrets == nil {
		return func() { time.Sleep(time.Duration(b.report.RotationMSMedian/2) * time.Millisecond) }, func() {}
	}
	arrived, released := make(chan string, 1000), make(chan struct{})
	b.Secrets.Intercept(func(c secretsmanager.Call) secretsmanager.Fault {
		if !c.Done {
			arrived <- c.SecretID
			<-released
		}
		return secretsmanager.Fault{}
	})
	return func() {
		waiting := map[string]bool{}
		for _, s := range subjects {
			waiting[s.secretID] = true
		}
		for len(waiting) > 0 {
			delete(waiting, <-arrived)
		}
	}, sync.OnceFunc(func() { close(released) })
}
