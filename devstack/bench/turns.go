package main

import (
	"context"
	_ "embed"
	"slices"
	"time"
)

// timed returns how long f takes, in milliseconds.
func timed(f func() error) (float64, error) {
	start := time.Now()
	err := f()
	return float64(time.Since(start).Microseconds()) / 1000, err
}

// samples are times in milliseconds.
type samples []float64

// quantile returns the q-quantile of the samples, for q from 0 to 1.
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
	prepare func() error // runs before the clock starts; may be nil
	run     func() error
}

// turns measures all contestants once in each round. The first rounds, in which pools and caches
// fill, do not count.
func turns(ctx context.Context, rounds int, all ...*contestant) error {
	const (
		warmUp = 3
		// Work that a workflow leaves behind, such as its entry in visibility, must not slow the
		// next one down.
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

// inTurns calls each of the functions for 0 to n-1, several at once, a fifth of n in each turn, and
// returns the calls per second of each.
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
