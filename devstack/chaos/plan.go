package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/rotate-user/rotate-user/rotation"
)

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
						k.people && tested(trace[:c.number]): // a change by then may go unnoticed before the promotion
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
