// Package chaos breaks a complete rotate-user stack on purpose while clients log in continuously,
// and reports every promise that was not kept.
//
// The workers are real processes, the database is a real server, and Temporal keeps its state in a
// file. Every external call of a rotation, that is, each login, statement and call of Secrets
// Manager, passes a gate at which a fault can be injected before, during or after it. Rotations
// without a fault show which calls there are. Then faults occur at every one of them.
package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rotate-user/rotate-user/internal/mysqld"
	"github.com/rotate-user/rotate-user/rotation"
)

// Options say what to break, and for how long.
type Options struct {
	// Dir receives logs and data.
	Dir string
	// Worker is the worker's binary. OtherWorker is the binary of another release that has to work
	// together with it, or "".
	Worker, OtherWorker string
	// Engine is mysql or mariadb, or "" for the first one that is found.
	Engine string
	// Cluster is Galera or GroupReplication, or "" for one server. If it is set, Engine is ignored.
	Cluster string
	// Rotations is the minimum number of rotations, including those without a fault.
	Rotations int
	// For, if positive, is the time after which no further fault begins, regardless of Rotations.
	For time.Duration
	// Seed decides which faults occur where, and in which order.
	Seed uint64
	// Lanes is how many secrets are rotated in parallel; 0 means 12.
	Lanes int
	// Lag is how far the workers' reads from Secrets Manager lag behind writes.
	Lag time.Duration
	// Out receives a line for everything that happens.
	Out io.Writer
	// Only, if not empty, is the only kind of fault to inject.
	Only string
}

func (o Options) otherWorker() string {
	if o.OtherWorker != "" {
		return o.OtherWorker
	}
	return o.Worker
}

// engine returns the cluster's engine, or Engine.
func (o Options) engine() string {
	switch o.Cluster {
	case Galera:
		return mysqld.MariaDB
	case GroupReplication:
		return mysqld.MySQL
	}
	return o.Engine
}

// kinds returns the kinds of faults for this server or cluster.
func (o Options) kinds() []kind {
	if o.Cluster == "" {
		return kinds
	}
	return append(slices.DeleteFunc(slices.Clone(kinds), func(k kind) bool { return k.server }), clusterKinds...)
}

// Run breaks things until enough rotations were made. An error means that the harness itself
// failed; the report has what it found.
func Run(ctx context.Context, o Options) (_ *Report, err error) { //nolint:funlen // the order of one run, from start to report
	if o.Lanes == 0 {
		o.Lanes = 12
	}
	started := time.Now()
	r := newReport(o.Seed, o.Out)
	w, err := newWorld(ctx, o, r)
	if err != nil {
		return nil, err
	}
	defer func() {
		if w != nil {
			err = errors.Join(err, w.stop())
		}
	}()
	lanes := make([]*lane, o.Lanes)
	for i := range lanes {
		if lanes[i], err = newLane(ctx, w, i); err != nil {
			return nil, err
		}
	}
	defer func() {
		for _, l := range lanes {
			for _, p := range l.give() {
				p.kill()
			}
		}
	}()
	p, err := lanes[0].survey(ctx)
	if err != nil {
		return nil, err
	}
	if !o.deadline(started).IsZero() {
		r.say("faults for %s, seed %d", o.For, o.Seed)
	} else {
		r.say("%d rotations, seed %d", o.Rotations, o.Seed)
	}

	var wg sync.WaitGroup
	for _, l := range lanes {
		wg.Go(func() {
			for ctx.Err() == nil {
				if r.rotations() >= o.Rotations && o.For == 0 {
					break
				}
				next, ok := p.next(o.deadline(started))
				if !ok {
					break
				}
				if err := l.strike(ctx, next); err != nil {
					l.report.violate("lane %d gave up: %v", l.number, err)
					break
				}
			}
			l.retire(ctx)
			l.failed(l.stop())
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}

	if err := w.leftovers(ctx); err != nil {
		return nil, err
	}
	c := newCanary(r)
	if err := w.learn(c); err != nil {
		return nil, err
	}
	if err := w.scanTemporal(ctx, c); err != nil {
		return nil, err
	}
	for _, text := range r.metrics {
		c.scan("metrics", text)
	}
	err = w.stop()
	if scanErr := w.scanFiles(c); err == nil {
		err = scanErr
	}
	w = nil
	c.see(o.Cluster)
	r.finish(started)
	return r, err
}

const (
	// slowTakes is how long a slow fault and the rotation after it take.
	slowTakes = 80 * time.Second
	// between is the time between faults that affect all lanes, so that other faults occur
	// undisturbed.
	between = 25 * time.Second
)

// strike makes one rotation in which a fault occurs, and then one that has to repair everything.
func (l *lane) strike(ctx context.Context, p placement) error { //nolint:funlen // the order of one strike, from the fault to the checks
	if p.first || l.subject == nil {
		l.retire(ctx)
		if err := l.renew(ctx); err != nil {
			return err
		}
	}
	s := l.subject
	was, err := s.labels(ctx)
	if err != nil {
		return err
	}
	launch := func(ctx context.Context) error { return l.launch(ctx, s) }
	if was[previous] == "" && !p.first {
		if _, err := s.ended(ctx, launch); err != nil {
			return err
		}
		if err := l.clean(ctx, false); err != nil {
			return err
		}
		if was, err = s.labels(ctx); err != nil {
			return err
		}
	}
	faults := []placement{p}
	if p.also != nil {
		faults = append(faults, *p.also)
	}
	var all []*armed
	for _, p := range faults {
		all = append(all, &armed{
			call: p.call, phase: p.phase, side: p.kind.side, untested: p.kind.people, hit: make(chan struct{}),
			strike: func() outcome { return p.kind.strike(ctx, l, s) },
		})
	}
	l.gate.reset(all...)
	byUpdate := p.call%2 == 0
	var rotated rotation.Rotation
	if p.first {
		rotated, err = s.ended(ctx, launch)
	} else {
		rotated, err = s.rotate(ctx, byUpdate, false)
	}
	l.gate.reset()
	l.recovery.Wait()
	l.gate.setAlways(nil)
	if err != nil {
		return fmt.Errorf("%s: %w", p, err)
	}
	l.report.rotated(rotated.Error != "")
	var told []string
	excused := false
	for i, p := range faults {
		at := "its call was not reached"
		if all[i].struck() {
			at, excused = all[i].at.String(), excused || p.kind.excuses()
			l.report.struck(p.kind.name, p.place())
		} else {
			l.report.missed()
		}
		told = append(told, fmt.Sprintf("%s %s, %s", p.kind.name, p.place(), at))
	}
	if rotated.Error != "" && !excused {
		l.report.violate("%s: the rotation did not recover: %s: %s", s.user, rotated.ErrorType, rotated.Error)
	}
	ended := "promoted"
	if rotated.Error != "" {
		ended = "failed, " + rotated.ErrorType + ": " + rotated.Error
	}
	l.report.say("%s: %s: %s", s.user, strings.Join(told, "; and "), ended)
	violations := l.report.violations()
	s.inspect(ctx, rotated, was, p.kind.edits)
	if err := l.clean(ctx, !byUpdate); err != nil {
		return fmt.Errorf("after %s: %w", p, err)
	}
	s.finished(ctx)
	if l.report.violations() > violations {
		l.report.say("those were after %s", p)
	}
	return nil
}

func (r *Report) violations() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.Violations)
}
