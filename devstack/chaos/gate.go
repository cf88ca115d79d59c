package chaos

import (
	"fmt"
	"strings"
	"sync"

	"github.com/rotate-user/rotate-user/devstack/secretsmanager"
)

// side is the receiver of an external call.
type side string

const (
	sqlCall side = "database"
	smCall  side = "Secrets Manager"
)

// phase is the progress of an external call.
type phase int

const (
	before phase = iota // the call has not reached the other side
	during              // the call has reached the other side, and no answer is awaited
	after               // the call has taken effect, and its answer is on the way
)

func (p phase) String() string { return [...]string{"before", "during", "after"}[p] }

// call is one external call of a lane's workers: a login, a statement, or a call of Secrets
// Manager.
type call struct {
	number int // within its rotation, beginning with 1
	side   side
	name   string
}

// outcome is what happens to a call.
type outcome struct {
	cut   bool // the connection is closed
	stall bool // the connection stays open, and nothing passes
	fault secretsmanager.Fault
}

// gate is passed by all external calls of a lane's workers. It counts them since the last reset,
// and triggers an armed fault when its place is reached.
type gate struct {
	mu    sync.Mutex
	calls []call
	armed []*armed
	// always is called for every call, after armed.
	always func(call, phase) outcome
}

// armed is a fault that waits for its place.
type armed struct {
	call  int // the first call from this one on that is to the right side
	phase phase
	side  side // empty for either side
	// untested: it may be triggered only before TestPassword has begun.
	untested bool
	strike   func() outcome
	hit      chan struct{}
	at       call
}

// fits reports whether the last call so far triggers the fault.
func (a *armed) fits(c call, p phase, calls []call) bool {
	return !a.struck() && a.phase == p && c.number >= a.call && (a.side == "" || a.side == c.side) && !(a.untested && tested(calls))
}

// tested reports whether TestPassword has begun, that is, whether there were calls after a password
// was set and its lock released. The number of a call does not show this, because a worker that
// knows its database makes fewer calls.
func tested(calls []call) bool {
	set := false
	for _, c := range calls {
		setting := strings.HasPrefix(c.name, "ALTER USER")
		if set && !setting && !strings.HasPrefix(c.name, "SELECT RELEASE_") {
			return true
		}
		set = set || setting
	}
	return false
}

func (a *armed) struck() bool {
	select {
	case <-a.hit:
		return true
	default:
		return false
	}
}

// reset forgets the calls so far, and replaces what was armed.
func (g *gate) reset(a ...*armed) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.calls, g.armed = nil, a
}

// take returns the calls since the last reset.
func (g *gate) take() []call {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.calls
}

func (g *gate) setAlways(f func(call, phase) outcome) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.always = f
}

func (g *gate) begin(s side, name string) call {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := call{len(g.calls) + 1, s, name}
	g.calls = append(g.calls, c)
	return c
}

// at is called when c reaches a phase. It may block.
func (g *gate) at(c call, p phase) outcome {
	g.mu.Lock()
	always := g.always
	var due *armed
	for _, a := range g.armed {
		if due == nil && a.fits(c, p, g.calls) {
			due = a
			a.at = c
			close(a.hit)
		}
	}
	g.mu.Unlock()
	var o outcome
	if due != nil {
		o = due.strike()
	}
	if always != nil && o == (outcome{}) {
		o = always(c, p)
	}
	return o
}

func (c call) String() string { return fmt.Sprintf("%d (%s: %s)", c.number, c.side, c.name) }

// describe lists calls, one per line.
func describe(calls []call) string {
	var b strings.Builder
	for _, c := range calls {
		fmt.Fprintf(&b, "  %2d  %-15s  %s\n", c.number, c.side, c.name)
	}
	return b.String()
}
