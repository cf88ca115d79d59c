package chaos

import (
	"fmt"
	"strings"
	"sync"

	"github.com/rotate-user/rotate-user/devstack/secretsmanager"
)

// side is whom an outside call goes to.
type side string

const (
	sqlCall side = "database"
	smCall  side = "Secrets Manager"
)

// phase is how far an outside call has come.
type phase int

const (
	before phase = iota // it has not reached the other side
	during              // it has, and its answer is not awaited
	after               // it has taken effect, and its answer is on its way
)

func (p phase) String() string { return [...]string{"before", "during", "after"}[p] }

// call is one outside call of a lane's workers: a login, a statement, or a call of Secrets Manager.
type call struct {
	number int // in its rotation, from 1
	side   side
	name   string
}

// outcome is what becomes of a call.
type outcome struct {
	cut   bool // the connection ends here
	stall bool // the connection stays, and nothing passes
	fault secretsmanager.Fault
}

// gate is where all outside calls of a lane's workers pass. It counts them since the last reset, and sets off what is
// armed when its place is reached.
type gate struct {
	mu    sync.Mutex
	calls []call
	armed []*armed
	// always is asked at every call, after armed.
	always func(call, phase) outcome
}

// armed is a fault that waits for its place.
type armed struct {
	call  int // from this call on, the first on a fitting side
	phase phase
	side  side // empty for either
	// untested: it may only be set off as long as TestPassword has not begun.
	untested bool
	strike   func() outcome
	hit      chan struct{}
	at       call
}

// fits says whether it is set off by the last of the calls so far.
func (a *armed) fits(c call, p phase, calls []call) bool {
	return !a.struck() && a.phase == p && c.number >= a.call && (a.side == "" || a.side == c.side) && !(a.untested && tested(calls))
}

// tested says whether TestPassword has begun: something has followed the setting of a password and the release of its lock.
// Numbers of calls do not tell, as a worker that knows its database makes fewer of them.
func tested(calls []call) bool {
	set := false
	for _, c := range calls {
		setting := strings.HasPrefix(c.name, "ALTER USER")
		if set && !setting && !strings.HasPrefix(c.name, "SELECT RELEASE_LOCK") {
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

// reset forgets the calls so far and what was armed, and arms others.
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

// at is called as c reaches a phase. It may block.
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

// describe lists calls, one a line.
func describe(calls []call) string {
	var b strings.Builder
	for _, c := range calls {
		fmt.Fprintf(&b, "  %2d  %-15s  %s\n", c.number, c.side, c.name)
	}
	return b.String()
}
