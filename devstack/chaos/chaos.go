// Package chaos breaks a whole rotate-user stack on purpose, while clients log in without pause, and reports whether
// anything that is promised did not hold.
//
// The workers are real processes, the database is a real server, Temporal keeps its state in a file. Every outside call
// of a rotation, each login, statement and call of Secrets Manager, passes a gate, where a fault can be placed before,
// during or after it. A rotation without a fault shows which calls there are; then faults strike at every one of them.
package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
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
	// Worker is the worker's binary; OtherWorker one of another release, which has to work beside it. It may be empty.
	Worker, OtherWorker string
	// Engine is mysql or mariadb; empty for the first that is found.
	Engine string
	// Cluster is Galera or GroupReplication; empty for one server. Engine does not count then.
	Cluster string
	// Rotations is how many are made at least, those without a fault included.
	Rotations int
	// For, if positive, is after how long no further fault begins, whatever Rotations says.
	For time.Duration
	// Seed decides which faults strike where, and in what order.
	Seed uint64
	// Lanes is how many secrets are rotated side by side; 0 is 12.
	Lanes int
	// Lag is how far what the workers read from Secrets Manager lags behind what was written.
	Lag time.Duration
	// Out receives what happens, as it happens.
	Out io.Writer
	// Only, if not empty, is the one kind of fault to place.
	Only string
}

func (o Options) otherWorker() string {
	if o.OtherWorker != "" {
		return o.OtherWorker
	}
	return o.Worker
}

// engine is that of the cluster, if there is one.
func (o Options) engine() string {
	switch o.Cluster {
	case Galera:
		return mysqld.MariaDB
	case GroupReplication:
		return mysqld.MySQL
	}
	return o.Engine
}

// kinds are the ways to break what there is.
func (o Options) kinds() []kind {
	if o.Cluster == "" {
		return kinds
	}
	return append(slices.DeleteFunc(slices.Clone(kinds), func(k kind) bool { return k.server }), clusterKinds...)
}

// placement is a fault and where it strikes.
type placement struct {
	first bool // in the first rotation of a secret, which makes the standby, or in a later one
	call  int
	phase phase
	kind  kind
	also  *placement // a second fault, later in the same rotation; nil for none
}

func (p placement) place() string {
	which := "later rotation"
	if p.first {
		which = "first rotation"
	}
	return fmt.Sprintf("%s, %s call %d", which, p.phase, p.call)
}

func (p placement) String() string {
	text := p.kind.name + ", " + p.place()
	if p.also != nil {
		text += ", and " + p.also.String()
	}
	return text
}

// Run breaks things until enough rotations are made. The error says that the harness itself failed; what it found is in
// the report.
func Run(ctx context.Context, o Options) (_ *Report, err error) {
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
					l.report.violate("lane %d gives up: %v", l.number, err)
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

// deadline is when the last fault may begin, the zero time for never.
func (o Options) deadline(started time.Time) time.Time {
	if o.For == 0 {
		return time.Time{}
	}
	return started.Add(o.For)
}

// plan is which faults strike where, in order.
type plan struct {
	mu    sync.Mutex
	rest  []placement
	all   func() []placement
	last  time.Time // of a fault that hit everybody
	taken int
}

// survey learns from two rotations without a fault, the first of a secret and a later one, which outside calls there
// are, and plans a fault at each of them.
func (l *lane) survey(ctx context.Context) (*plan, error) {
	if err := l.renew(ctx); err != nil {
		return nil, err
	}
	var traces [2][]call
	for i := range traces {
		l.gate.reset()
		ask := func(ctx context.Context) error { return l.launch(ctx, l.subject) }
		if i > 0 {
			ask = func(ctx context.Context) error {
				return l.temporalClient.SignalWorkflow(ctx, l.subject.workflow, "", rotation.RotateUpdate, rotation.RotateRequest{})
			}
		}
		rotated, err := l.subject.ended(ctx, ask)
		if err != nil {
			return nil, err
		}
		if rotated.Error != "" {
			return nil, fmt.Errorf("a rotation without a fault failed: %s: %s", rotated.ErrorType, rotated.Error)
		}
		l.report.rotated(false)
		traces[i] = l.gate.take()
	}
	l.subject.finished(ctx)
	l.report.say("outside calls of the first rotation:\n%sof a later one:\n%s", describe(traces[0]), describe(traces[1]))
	l.report.AllPlaces = 3 * (len(traces[0]) + len(traces[1]))
	seed := l.Seed
	return &plan{all: func() []placement {
		seed++
		return l.placements(traces, seed)
	}}, nil
}

// placements are all faults at all places: at first one of each place, in an order and of a kind drawn from the seed,
// then another one of each, and so on. From the second round on, one in three is followed by another fault.
func (l *lane) placements(traces [2][]call, seed uint64) []placement {
	random := rand.New(rand.NewPCG(seed, 0))
	var rounds [][]placement
	for i, trace := range traces {
		for _, c := range trace {
			for _, ph := range []phase{before, during, after} {
				var fit []placement
				for _, k := range l.kinds() {
					switch {
					case l.Only != "" && k.name != l.Only,
						k.side != "" && k.side != c.side,
						k.phases != nil && !slices.Contains(k.phases, ph),
						k.people && tested(trace[:c.number]): // what is changed by then, nobody may notice before the promotion
						continue
					}
					fit = append(fit, placement{first: i == 0, call: c.number, phase: ph, kind: k})
				}
				random.Shuffle(len(fit), func(a, b int) { fit[a], fit[b] = fit[b], fit[a] })
				for n, p := range fit {
					if n == len(rounds) {
						rounds = append(rounds, nil)
					}
					rounds[n] = append(rounds[n], p)
				}
			}
		}
	}
	var all []placement
	for n, round := range rounds {
		random.Shuffle(len(round), func(a, b int) { round[a], round[b] = round[b], round[a] })
		for i, p := range round {
			others := slices.DeleteFunc(slices.Clone(rounds[0]), func(o placement) bool {
				return o.first != p.first || o.call < p.call || o.kind.people || o.kind.all || o.kind.edits
			})
			if n > 0 && len(others) > 0 && random.IntN(3) == 0 {
				round[i].also = &others[random.IntN(len(others))]
			}
		}
		all = append(all, round...)
	}
	return all
}

const (
	// slowTakes is how long a slow fault needs, and the rotation after it.
	slowTakes = 80 * time.Second
	// between is the time between faults that hit everybody, so that others have their turn undisturbed.
	between = 25 * time.Second
)

// next takes the next placement that can be had by now, and puts off the others.
func (p *plan) next(deadline time.Time) (placement, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if !deadline.IsZero() && now.After(deadline) {
		return placement{}, false
	}
	if len(p.rest) == 0 {
		p.rest = p.all()
	}
	p.taken++
	fits := func(c placement) bool {
		late := c.kind.slow && !deadline.IsZero() && now.Add(slowTakes).After(deadline)
		return !late && (!c.kind.all || now.Sub(p.last) >= between)
	}
	chosen := slices.IndexFunc(p.rest, fits)
	if !deadline.IsZero() && p.taken%2 == 0 {
		// Where the time is short, slow faults come first in every other lane, or none would be seen.
		if i := slices.IndexFunc(p.rest, func(c placement) bool { return c.kind.slow && fits(c) }); i >= 0 {
			chosen = i
		}
	}
	if chosen < 0 {
		return placement{}, false
	}
	c := p.rest[chosen]
	if c.kind.all {
		p.last = now
	}
	p.rest = slices.Delete(p.rest, chosen, chosen+1)
	return c, true
}

// strike makes one rotation in which a fault strikes, and one after it that has to put everything right.
func (l *lane) strike(ctx context.Context, p placement) error {
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
		at := "its place was not reached"
		if all[i].struck() {
			at, excused = all[i].at.String(), excused || p.kind.excuses()
			l.report.struck(p.kind.name, p.place())
		} else {
			l.report.missed()
		}
		told = append(told, fmt.Sprintf("%s %s, %s", p.kind.name, p.place(), at))
	}
	if rotated.Error != "" && !excused {
		l.report.violate("%s: the rotation did not get over it: %s: %s", s.user, rotated.ErrorType, rotated.Error)
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
