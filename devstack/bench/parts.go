package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rotate-user/rotate-user/rotation"
)

// oneAtATime measures a rotation and its parts.
func (b *bench) oneAtATime(ctx context.Context) (err error) {
	subjects := make([]*subject, 4)
	for i := range subjects {
		if subjects[i], err = b.newSubject(ctx, "one"+strconv.Itoa(i)); err != nil {
			return err
		}
	}
	direct := b.newDirect()
	for _, s := range subjects[1:] {
		if err := direct.rotate(s); err != nil { // creates the clone
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
	r.medians(limit, inARow, noop, rotated, free)
	if aws != nil {
		r.AWSFunction.MSMedian, r.AWSFunction.MSP90 = aws.median(), aws.quantile(0.9)
		r.AWSFunction.ToLimit = aws.median() / limit.median()
		if err := b.faraway(ctx, aws, rotated); err != nil {
			return err
		}
	}
	return errors.Join(direct.close(), paced.Stop(), unpaced.Stop())
}

// medians reports the times of one at a time.
func (r *report) medians(limit, inARow, noop, rotated, free *contestant) {
	r.LimitMSMedian, r.LimitMSP90 = limit.median(), limit.quantile(0.9)
	r.ActivitiesMSMedian, r.ActivitiesMSP90 = inARow.median(), inARow.quantile(0.9)
	r.NoopMSMedian, r.NoopMSP90 = noop.median(), noop.quantile(0.9)
	r.RotationMSMedian, r.RotationMSP90 = rotated.median(), rotated.quantile(0.9)
	r.UnpacedRotationMSMedian, r.UnpacedRotationMSP90 = free.median(), free.quantile(0.9)
	r.ActivitiesToLimit = r.ActivitiesMSMedian / r.LimitMSMedian
	r.RotationToNoopPlusLimit = r.RotationMSMedian / (r.NoopMSMedian + r.LimitMSMedian)
}

// faraway measures a rotation and AWS's function once more, with a Secrets Manager that is as far away as AWS's is.
func (b *bench) faraway(ctx context.Context, aws, rotated *contestant) error {
	aws.samples, rotated.samples = nil, nil
	b.delay(10 * time.Millisecond)
	err := turns(ctx, b.rounds, aws, rotated)
	b.delay(b.latency)
	b.report.Latency10MSToAWSFunction = rotated.median() / aws.median()
	return err
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

// manyAtOnce measures a mass rotation without the limit on its pace, and what the database and
// Temporal can do on their own.
func (b *bench) manyAtOnce(ctx context.Context) error { //nolint:funlen // a list of what is measured, in the order in which it is measured
	subjects, err := b.pairs(ctx, "mass", b.secrets)
	if err != nil {
		return err
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
	var turn [64]sync.Mutex // the same secret must not be rotated twice at once
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

// end terminates the workflows of subjects, so that they cost nothing during other measurements.
func (b *bench) end(ctx context.Context, subjects []*subject) error {
	return each(ctx, len(subjects), 16, func(ctx context.Context, i int) error {
		return b.temporal.TerminateWorkflow(ctx, rotation.RotateUserWorkflowID(subjects[i].secretID), "", "measured")
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
