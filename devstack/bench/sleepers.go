package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strconv"
	"time"

	"go.temporal.io/api/serviceerror"

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
	awake := make([]*subject, 3)
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
		limit := &contestant{run: func() error { return b.limit(ctx, awake[2]) }}
		noop := &contestant{run: func() error { return b.runNoop(ctx) }}
		inARow := &contestant{run: func() error { return direct.rotate(awake[1]) }}
		rotated := &contestant{run: func() error { return b.rotate(ctx, awake[0]) }}
		err := turns(ctx, min(b.rounds, 30), limit, noop, inARow, rotated)
		return amongResult{limit.median(), noop.median(), inARow.median(), rotated.median()}, err
	}
	r := &b.report
	if r.Alone, err = measure(); err != nil {
		return err
	}

	began := time.Now()
	done := func(what string) {
		fmt.Fprintf(b.progress, "  %s after %v\n", what, time.Since(began).Round(time.Second))
	}
	subjects, err := b.sleepers(ctx)
	if err != nil {
		return err
	}
	done("accounts made")
	ms, err := timed(func() error {
		return each(ctx, b.sleeping, 32, func(ctx context.Context, i int) error {
			if i > 0 && i%10000 == 0 {
				done(fmt.Sprint(i, " workflows started"))
			}
			return b.fallPatiently(ctx, q, subjects[i])
		})
	})
	if err != nil {
		return err
	}
	done("workflows started")
	r.Sleeping, r.StartsPerS = b.sleeping, float64(b.sleeping)/ms*1000
	if err := b.awaitFor(ctx, time.Hour, func() (bool, error) { return b.allAsleep(ctx, subjects[max(0, b.sleeping-200):]) }); err != nil {
		return err
	}
	done("all asleep")
	if r.AmongSleeping, err = measure(); err != nil {
		return err
	}
	done("rotations among them measured")

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

// fallPatiently is fall for a server that has so much to do that a start may time out. It is the same workflow if that has started.
func (b *bench) fallPatiently(ctx context.Context, q *queue, s *subject) (err error) {
	for range 5 {
		err = b.fall(ctx, q, s, nextMonth())
		if _, late := errors.AsType[*serviceerror.DeadlineExceeded](err); !late && !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
	}
	return err
}

// sleepers creates both accounts for secrets whose workflows sleep. The secrets themselves are
// never read, and their users never log in.
func (b *bench) sleepers(ctx context.Context) ([]*subject, error) {
	subjects := make([]*subject, b.sleeping)
	var users []string
	for i := range subjects {
		name := "sleeping" + strconv.Itoa(i)
		user := "b" + b.run + "_" + name
		subjects[i] = &subject{secretID: "bench/" + b.run + "/" + name, pair: []string{user, user + "_clone"}, digest: randomText() + randomText()}
		users = append(users, subjects[i].pair...)
	}
	create := b.copyAccounts
	if b.Database == nil { // only the server itself may write to its grant tables
		create = b.createAccounts
	}
	if err := create(ctx, b.pool, users, ""); err != nil {
		return nil, fmt.Errorf("make the accounts of secrets that sleep: %w", err)
	}
	return subjects, nil
}
