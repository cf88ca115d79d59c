package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/rotate-user/rotate-user/rotation"
)

func (b *bench) allAsleep(ctx context.Context, subjects []*subject) (bool, error) {
	for _, s := range subjects {
		d, err := b.temporal.DescribeWorkflowExecution(ctx, rotation.RotateUserWorkflowID(s.secretID), "")
		if err != nil || !asleep(d) {
			return false, err
		}
	}
	return true, nil
}

// sleep measures a rotation before and among many sleeping secrets, and the worker that has them.
// All their accounts are on the one database.
func (b *bench) sleep(ctx context.Context) (err error) { //nolint:funlen // a list of the measurements in their order
	if b.sleeping == 0 {
		return nil
	}
	q, err := b.start(ctx, "sleeping")
	if err != nil {
		return err
	}
	direct := b.newDirect()
	defer func() { err = errors.Join(err, direct.close()) }()
	awake := make([]*subject, 2)
	for i := range awake {
		if awake[i], err = b.newSubject(ctx, "awake"+strconv.Itoa(i)); err != nil {
			return err
		}
		if err := direct.rotate(awake[i]); err != nil { // creates the clone
			return err
		}
	}
	if err := b.fall(ctx, q, awake[0], nextMonth()); err != nil {
		return err
	}
	measure := func() (amongResult, error) {
		noop := &contestant{run: func() error { return b.runNoop(ctx) }}
		inARow := &contestant{run: func() error { return direct.rotate(awake[1]) }}
		rotated := &contestant{run: func() error { return b.rotate(ctx, awake[0]) }}
		err := turns(ctx, min(b.rounds, 30), noop, inARow, rotated)
		return amongResult{noop.median(), inARow.median(), rotated.median()}, err
	}
	r := &b.report
	if r.Alone, err = measure(); err != nil {
		return err
	}

	subjects, err := b.sleepers(ctx)
	if err != nil {
		return err
	}
	ms, err := timed(func() error {
		return each(ctx, b.sleeping, 32, func(ctx context.Context, i int) error { return b.fall(ctx, q, subjects[i], nextMonth()) })
	})
	if err != nil {
		return err
	}
	r.Sleeping, r.StartsPerS = b.sleeping, float64(b.sleeping)/ms*1000
	if err := b.await(ctx, func() (bool, error) { return b.allAsleep(ctx, subjects[max(0, b.sleeping-200):]) }); err != nil {
		return err
	}
	if r.AmongSleeping, err = measure(); err != nil {
		return err
	}

	const watched = 30 * time.Second
	before, err := q.metric(ctx, "process_cpu_seconds_total")
	if err != nil {
		return err
	}
	select {
	case <-time.After(watched):
	case <-ctx.Done():
		return ctx.Err()
	}
	after, err := q.metric(ctx, "process_cpu_seconds_total")
	if err != nil {
		return err
	}
	bytes, err := q.metric(ctx, "process_resident_memory_bytes")
	if err != nil {
		return err
	}
	r.SleepingWorkerMB = bytes / 1e6
	if b.sleeping == 50_000 {
		r.Sleeping50000MB = r.SleepingWorkerMB
	}
	r.SleepingWorkerCorePercent = (after - before) / watched.Seconds() * 100
	return q.Stop()
}

// sleepers creates both accounts for secrets whose workflows sleep. The secrets themselves are
// never read.
func (b *bench) sleepers(ctx context.Context) ([]*subject, error) {
	subjects := make([]*subject, b.sleeping)
	const atOnce = 50
	return subjects, each(ctx, (b.sleeping+atOnce-1)/atOnce, 2, func(ctx context.Context, chunk int) error {
		var accounts []string
		for i := chunk * atOnce; i < min((chunk+1)*atOnce, b.sleeping); i++ {
			name := "sleeping" + strconv.Itoa(i)
			user := "b" + b.run + "_" + name
			subjects[i] = &subject{secretID: "bench/" + b.run + "/" + name, pair: []string{user, user + "_clone"},
				digest: randomText() + randomText()}
			accounts = append(accounts, "'"+user+"'@'%'", "'"+user+"_clone'@'%'")
		}
		list := strings.Join(accounts, ", ")
		for _, statement := range []string{"CREATE USER " + list, "GRANT SELECT, INSERT, UPDATE, DELETE ON `bench" + b.run + "`.* TO " + list} {
			if _, err := b.pool.ExecContext(ctx, statement); err != nil {
				return fmt.Errorf("make the accounts of secrets that sleep: %w", err)
			}
		}
		return nil
	})
}
