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

// placement is a fault and its place.
type placement struct {
	first bool // in a secret's first rotation, which creates the standby, rather than a later one
	call  int
	phase phase
	kind  kind
	also  *placement // a second fault later in the same rotation, or nil
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

// deadline is the latest start of a fault, or zero if there is no limit.
func (o Options) deadline(started time.Time) time.Time {
	if o.For == 0 {
		return time.Time{}
	}
	return started.Add(o.For)
}

// plan decides which faults occur where, and in which order.
type plan struct {
	mu    sync.Mutex
	rest  []placement
	all   func() []placement
	last  time.Time // last fault that affected all lanes
	taken int
}

// survey makes two rotations without a fault, the first of a secret and a later one, to learn which
// external calls there are, and plans a fault at each of them.
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
	l.report.say("external calls of the first rotation:\n%sof a later one:\n%s", describe(traces[0]), describe(traces[1]))
	l.report.AllPlaces = 3 * (len(traces[0]) + len(traces[1]))
	seed := l.Seed
	return &plan{all: func() []placement {
		seed++
		return l.placements(traces, seed)
	}}, nil
}

// placements returns all faults at all places. It begins with one fault at each place, whose order
// and kind depend on the seed, continues with another one at each place, and so on. From the second
// round on, every third fault is followed by another one.
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
						k.people && tested(trace[:c.number]): // later changes may not be noticed before the promotion
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

// next returns the next placement that is possible now, and postpones the others.
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
		// If there is a time limit, slow faults come first in every other lane, or there would be
		// none.
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
