package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rotate-user/rotate-user/rotation"
)

// timed is how long f takes, in milliseconds.
func timed(f func() error) (float64, error) {
	start := time.Now()
	err := f()
	return float64(time.Since(start).Microseconds()) / 1000, err
}

// samples are milliseconds.
type samples []float64

// quantile of the samples, 0 to 1.
func (s samples) quantile(q float64) float64 {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

func (s samples) median() float64 { return s.quantile(0.5) }

// contestant is one of the things that are measured in turns.
type contestant struct {
	samples
	prepare func() error // what does not count, if anything
	run     func() error
}

// turns measures all contestants once in each round. The first rounds, in which pools and caches fill, do not count.
func turns(ctx context.Context, rounds int, all ...*contestant) error {
	const (
		warmUp = 3
		// What a workflow leaves to be done after its end, such as its entry in visibility, is not for the next one to wait for.
		pause = 50 * time.Millisecond
	)
	for round := range rounds + warmUp {
		for _, c := range all {
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-time.After(pause):
			}
			if c.prepare != nil {
				if err := c.prepare(); err != nil {
					return err
				}
			}
			ms, err := timed(c.run)
			if err != nil {
				return err
			}
			if round >= warmUp {
				c.samples = append(c.samples, ms)
			}
		}
	}
	return nil
}

// oneAtATime measures a rotation and what it is made of.
func (b *bench) oneAtATime(ctx context.Context) (err error) {
	subjects := make([]*subject, 4)
	for i := range subjects {
		if subjects[i], err = b.newSubject(ctx, "one"+strconv.Itoa(i)); err != nil {
			return err
		}
	}
	direct := b.newDirect()
	for _, s := range subjects[1:] {
		if err := direct.rotate(s); err != nil { // makes the clone
			return err
		}
	}
	paced, err := b.start(ctx, "paced")
	if err != nil {
		return err
	}
	unpaced, err := b.start(ctx, "unpaced", "--max-rotations-per-second", "0")
	if err != nil {
		return err
	}
	if err := errors.Join(b.fall(ctx, paced, subjects[2], nextMonth()), b.fall(ctx, unpaced, subjects[3], nextMonth())); err != nil {
		return err
	}
	limit := &contestant{run: func() error { return b.limit(ctx, subjects[0]) }}
	inARow := &contestant{run: func() error { return direct.rotate(subjects[1]) }}
	noop := &contestant{run: func() error { return b.runNoop(ctx) }}
	rotated := &contestant{run: func() error { return b.rotate(ctx, subjects[2]) }}
	free := &contestant{run: func() error { return b.rotate(ctx, subjects[3]) }}
	all := []*contestant{limit, inARow, noop, rotated, free}
	var aws *contestant
	if b.awsFunction != "" {
		f, failed := b.startAWSFunction(ctx)
		if failed != nil {
			return failed
		}
		defer func() { err = errors.Join(err, f.close()) }()
		aws = &contestant{prepare: func() error { return f.prepare(ctx) }, run: f.rotate}
		all = append(all, aws)
	}
	if err := turns(ctx, b.rounds, all...); err != nil {
		return err
	}
	if b.profile != "" {
		if err := b.profiled(direct, subjects[1]); err != nil {
			return err
		}
	}
	r := &b.report
	r.LimitMSMedian, r.LimitMSP90 = limit.median(), limit.quantile(0.9)
	r.ActivitiesMSMedian, r.ActivitiesMSP90 = inARow.median(), inARow.quantile(0.9)
	r.NoopMSMedian, r.NoopMSP90 = noop.median(), noop.quantile(0.9)
	r.RotationMSMedian, r.RotationMSP90 = rotated.median(), rotated.quantile(0.9)
	r.UnpacedRotationMSMedian, r.UnpacedRotationMSP90 = free.median(), free.quantile(0.9)
	r.ActivitiesToLimit = r.ActivitiesMSMedian / r.LimitMSMedian
	r.RotationToNoopPlusLimit = r.RotationMSMedian / (r.NoopMSMedian + r.LimitMSMedian)
	if aws != nil {
		r.AWSFunction.MSMedian, r.AWSFunction.MSP90 = aws.median(), aws.quantile(0.9)
		r.AWSFunction.ToLimit = aws.median() / limit.median()
	}
	return errors.Join(direct.close(), paced.Stop(), unpaced.Stop())
}

// profiled profiles the activities in a row.
func (b *bench) profiled(d *direct, s *subject) error {
	cpu, err := os.Create(filepath.Join(b.profile, "cpu.pprof"))
	if err != nil {
		return err
	}
	defer cpu.Close()
	runtime.MemProfileRate = 4096
	if err := pprof.StartCPUProfile(cpu); err != nil {
		return err
	}
	for range 2 * b.rounds {
		if err := d.rotate(s); err != nil {
			return err
		}
	}
	pprof.StopCPUProfile()
	heap, err := os.Create(filepath.Join(b.profile, "allocs.pprof"))
	if err != nil {
		return err
	}
	defer heap.Close()
	return pprof.Lookup("allocs").WriteTo(heap, 0)
}

// manyAtOnce measures a mass rotation, without the limit on its pace, and what the database and Temporal can do by
// themselves.
func (b *bench) manyAtOnce(ctx context.Context) error {
	subjects := make([]*subject, b.secrets)
	if err := each(ctx, b.secrets, 8, func(ctx context.Context, i int) (err error) {
		subjects[i], err = b.newSubject(ctx, "mass"+strconv.Itoa(i))
		return err
	}); err != nil {
		return err
	}
	directs := make(chan *direct, 4)
	for range cap(directs) {
		directs <- b.newDirect()
	}
	if err := each(ctx, b.secrets, cap(directs), func(_ context.Context, i int) error {
		d := <-directs
		defer func() { directs <- d }()
		return d.rotate(subjects[i])
	}); err != nil {
		return err
	}
	for range cap(directs) {
		if err := (<-directs).close(); err != nil {
			return err
		}
	}
	limited := make([]*subject, min(b.secrets, 64))
	if err := each(ctx, len(limited), 8, func(ctx context.Context, i int) (err error) {
		limited[i], err = b.newSubject(ctx, "limit"+strconv.Itoa(i))
		return err
	}); err != nil {
		return err
	}
	q, err := b.start(ctx, "mass", "--max-rotations-per-second", "0", "--max-concurrent-activities", "32")
	if err != nil {
		return err
	}
	if err := each(ctx, b.secrets, 16, func(ctx context.Context, i int) error { return b.fall(ctx, q, subjects[i], nextMonth()) }); err != nil {
		return err
	}
	if err := b.await(ctx, func() (bool, error) { return b.allAsleep(ctx, subjects[max(0, b.secrets-20):]) }); err != nil {
		return err
	}
	var turn [64]sync.Mutex // two may not rotate the same secret at once
	kinds := []func(context.Context, int) error{
		func(ctx context.Context, _ int) error { return b.runNoop(ctx) },
		func(ctx context.Context, i int) error {
			n := i % len(limited)
			turn[n].Lock()
			defer turn[n].Unlock()
			return b.limit(ctx, limited[n])
		},
		func(ctx context.Context, i int) error { return b.rotate(ctx, subjects[i]) },
	}
	for _, atOnce := range []int{1, 8, 32} {
		profile := func(s os.Signal) error {
			if b.profile == "" || atOnce != 32 {
				return nil
			}
			return q.Signal(s)
		}
		if err := profile(syscall.SIGUSR1); err != nil {
			return err
		}
		cpu, err := q.metric(ctx, "process_cpu_seconds_total")
		if err != nil {
			return err
		}
		perS, err := inTurns(ctx, b.secrets, atOnce, kinds)
		if err != nil {
			return err
		}
		spent, err := q.metric(ctx, "process_cpu_seconds_total")
		if err != nil {
			return err
		}
		if err := profile(syscall.SIGUSR2); err != nil {
			return err
		}
		b.report.Mass = append(b.report.Mass, massResult{
			AtOnce: atOnce, NoopPerS: perS[0], LimitPerS: perS[1], RotationPerS: perS[2], WorkerCPUMS: (spent - cpu) * 1000 / float64(b.secrets),
		})
	}
	r := &b.report
	var noop, limit float64
	for _, m := range r.Mass {
		noop, limit, r.MassRotationPerS = max(noop, m.NoopPerS), max(limit, m.LimitPerS), max(r.MassRotationPerS, m.RotationPerS)
	}
	r.MassRotationShare = r.MassRotationPerS / min(noop, limit)
	return errors.Join(b.end(ctx, subjects), q.Stop())
}

// inTurns calls each of the functions for 0 to n-1, some at once, a fifth of n in each turn, and returns how many calls of
// each have ended in a second.
func inTurns(ctx context.Context, n, atOnce int, all []func(context.Context, int) error) ([]float64, error) {
	const turns = 5
	took := make([]float64, len(all))
	for turn := range turns {
		first, end := turn*n/turns, (turn+1)*n/turns
		for k, f := range all {
			ms, err := timed(func() error {
				return each(ctx, end-first, atOnce, func(ctx context.Context, i int) error { return f(ctx, first+i) })
			})
			if err != nil {
				return nil, err
			}
			took[k] += ms
		}
	}
	for k := range took {
		took[k] = float64(n) / took[k] * 1000
	}
	return took, nil
}

// end terminates the workflows of subjects, so that they cost nothing while something else is measured.
func (b *bench) end(ctx context.Context, subjects []*subject) error {
	return each(ctx, len(subjects), 16, func(ctx context.Context, i int) error {
		return b.temporal.TerminateWorkflow(ctx, rotation.RotateUserWorkflowID(subjects[i].secretID), "", "measured")
	})
}

func (b *bench) allAsleep(ctx context.Context, subjects []*subject) (bool, error) {
	for _, s := range subjects {
		d, err := b.temporal.DescribeWorkflowExecution(ctx, rotation.RotateUserWorkflowID(s.secretID), "")
		if err != nil || !asleep(d) {
			return false, err
		}
	}
	return true, nil
}

// recover kills a worker in the middle of some rotations and starts another.
func (b *bench) recover(ctx context.Context) error {
	const rotations = 8
	subjects := make([]*subject, rotations)
	d := b.newDirect()
	for i := range subjects {
		var err error
		if subjects[i], err = b.newSubject(ctx, "recovered"+strconv.Itoa(i)); err != nil {
			return err
		}
		if err := d.rotate(subjects[i]); err != nil {
			return err
		}
	}
	first, err := b.start(ctx, "killed")
	if err != nil {
		return err
	}
	for _, s := range subjects {
		if err := b.fall(ctx, first, s, nextMonth()); err != nil {
			return err
		}
	}
	if err := b.await(ctx, func() (bool, error) { return b.allAsleep(ctx, subjects) }); err != nil {
		return err
	}
	var killed time.Time
	var mu sync.Mutex
	var took samples
	done := make(chan error, 1)
	go func() {
		done <- each(ctx, rotations, rotations, func(ctx context.Context, i int) error {
			err := b.rotate(ctx, subjects[i])
			mu.Lock()
			defer mu.Unlock()
			took = append(took, float64(time.Since(killed).Milliseconds())/1000)
			return err
		})
	}()
	// About half of a rotation later.
	time.Sleep(time.Duration(b.report.RotationMSMedian/2) * time.Millisecond)
	mu.Lock()
	killed = time.Now()
	mu.Unlock()
	if err := first.Kill(); err != nil {
		return err
	}
	second, err := b.StartWorker(ctx, filepath.Join(b.bin, "worker"), "worker-successor", "--task-queue", first.name)
	if err != nil {
		return err
	}
	if err := <-done; err != nil {
		return err
	}
	b.report.RecoverySMedian, b.report.RecoverySMax = took.median(), took.quantile(1)
	return errors.Join(b.end(ctx, subjects), d.close(), second.Stop())
}

// sleep measures a rotation before and among many secrets that sleep, and looks at their worker. All their accounts are on
// the one database.
func (b *bench) sleep(ctx context.Context) (err error) {
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
		if err := direct.rotate(awake[i]); err != nil { // makes the clone
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
	r.SleepingWorkerCorePercent = (after - before) / watched.Seconds() * 100
	return q.Stop()
}

// sleepers are secrets for workflows that sleep, with both accounts of each. The secrets themselves nobody reads.
func (b *bench) sleepers(ctx context.Context) ([]*subject, error) {
	subjects := make([]*subject, b.sleeping)
	const atOnce = 50
	return subjects, each(ctx, (b.sleeping+atOnce-1)/atOnce, 2, func(ctx context.Context, chunk int) error {
		var accounts []string
		for i := chunk * atOnce; i < min((chunk+1)*atOnce, b.sleeping); i++ {
			name := "sleeping" + strconv.Itoa(i)
			user := "b" + b.run + "_" + name
			subjects[i] = &subject{secretID: "bench/" + b.run + "/" + name, pair: []string{user, user + "_clone"}, digest: randomText() + randomText()}
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

// metric reads one metric of a worker.
func (q *queue) metric(ctx context.Context, name string) (float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, q.MetricsURL, nil)
	if err != nil {
		return 0, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strconv.ParseFloat(strings.TrimSpace(value), 64)
		}
	}
	return 0, fmt.Errorf("%s has no %s", q.MetricsURL, name)
}
