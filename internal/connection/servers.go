package connection

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/go-sql-driver/mysql"
)

// Servers remembers which servers do not answer, so that one that accepts connections and then
// stays silent does not stop the work on all others. One attempt at a time waits for such a server,
// and the rest fail at once. The zero value is ready to use.
type Servers struct {
	mu sync.Mutex
	by map[string]*server
}

// at returns the record of the server at an address.
func (s *Servers) at(address string) *server {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.by == nil {
		s.by = map[string]*server{}
	}
	if s.by[address] == nil {
		s.by[address] = &server{address: address}
	}
	return s.by[address]
}

// Silent reports whether the server at an address has not answered the last attempt to log in.
func (s *Servers) Silent(address string) bool {
	at := s.at(address)
	at.mu.Lock()
	defer at.mu.Unlock()
	return !at.silent.IsZero()
}

// Check returns a SilentError if the server does not answer. It logs in to find out, unless the server has just answered another
// login. A login that the server refuses is an answer.
func (s *Servers) Check(ctx context.Context, c *mysql.Config) error {
	if s.at(c.Addr).answeredLately() {
		return nil
	}
	db, err := s.Open(c)
	if err != nil {
		return err
	}
	defer db.Close()
	err = db.PingContext(ctx)
	if silent, ok := errors.AsType[*SilentError](err); ok {
		return silent
	}
	return context.Cause(ctx)
}

const (
	// handshakeTimeout bounds one login attempt, from the first packet until the session's settings
	// are made.
	handshakeTimeout = 10 * time.Second
	// Patience is how long concurrent attempts wait for a server that answers none of them. After
	// that, only the oldest continues.
	Patience = 2 * time.Second
)

// SilentError reports that a server has not answered a login, and since when. It is worth retrying:
// at most one attempt waits for the server, and the first answer ends this state.
type SilentError struct {
	Address string
	Since   time.Time
}

func (e *SilentError) Error() string {
	return fmt.Sprintf("the server at %s has not answered since %s: check that it runs and is not overloaded", e.Address,
		e.Since.UTC().Format(time.RFC3339))
}

// errSilent cancels an attempt that has waited too long.
var errSilent = errors.New("no answer")

// server is what is known about one server.
type server struct {
	address string

	mu       sync.Mutex
	attempts []*attempt // in progress, oldest first
	answered time.Time  // when the server last answered
	silent   time.Time  // start of the first unanswered attempt; zero after an answer
}

type attempt struct{ begun time.Time }

// answeredLately reports whether the server has answered a login within the patience of those who wait for one.
func (s *server) answeredLately() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.silent.IsZero() && time.Since(s.answered) < Patience
}

// begin starts an attempt, which must use the returned context. It fails if the server is silent
// and another attempt is already waiting for it. end must be called with the attempt's result and
// returns the error to report.
func (s *server) begin(parent context.Context) (ctx context.Context, end func(error) error, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := &attempt{time.Now()}
	if len(s.attempts) > 0 && (!s.silent.IsZero() || s.quiet() >= Patience) {
		return nil, nil, s.err()
	}
	s.attempts = append(s.attempts, a)
	ctx, cancel := context.WithCancelCause(parent)
	limit := time.AfterFunc(handshakeTimeout, func() { cancel(errSilent) })
	var turn *time.Timer
	turn = time.AfterFunc(Patience, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !slices.Contains(s.attempts, a) || s.attempts[0] == a {
			return
		}
		if left := Patience - s.quiet(); left > 0 { // it has answered another attempt in the meantime
			turn.Reset(left)
			return
		}
		cancel(errSilent)
	})
	return ctx, func(err error) error {
		limit.Stop()
		turn.Stop()
		defer cancel(nil)
		return s.end(parent, a, err, context.Cause(ctx))
	}, nil
}

// quiet returns how long the oldest attempt in progress has waited without the server answering any
// attempt.
func (s *server) quiet() time.Duration {
	since := s.attempts[0].begun
	if s.answered.After(since) {
		since = s.answered
	}
	return time.Since(since)
}

// err returns the error of an attempt that is not worth waiting for.
func (s *server) err() error {
	since := s.silent
	if since.IsZero() {
		since = s.attempts[0].begun
	}
	return &SilentError{s.address, since}
}

func (s *server) end(parent context.Context, a *attempt, err, cause error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() { s.attempts = slices.DeleteFunc(s.attempts, func(other *attempt) bool { return other == a }) }()
	var network net.Error
	switch {
	case err != nil && (errors.Is(cause, errSilent) || parent.Err() == nil && errors.As(err, &network) && network.Timeout()):
		if s.silent.IsZero() {
			s.silent = s.attempts[0].begun
		}
		return s.err()
	case err == nil || parent.Err() == nil: // a refusal is an answer too
		s.answered, s.silent = time.Now(), time.Time{}
	}
	return err
}
