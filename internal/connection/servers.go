package connection

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"
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

const (
	// handshakeTimeout bounds one login attempt, from the first packet until the session's settings
	// are made.
	handshakeTimeout = 10 * time.Second
	// patience is how long concurrent attempts wait for a server that answers none of them. After
	// that, only the oldest continues.
	patience = 2 * time.Second
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

// begin starts an attempt, which must use the returned context. It fails if the server is silent
// and another attempt is already waiting for it. end must be called with the attempt's result and
// returns the error to report.
func (s *server) begin(parent context.Context) (ctx context.Context, end func(error) error, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := &attempt{time.Now()}
	if len(s.attempts) > 0 && (!s.silent.IsZero() || s.quiet() >= patience) {
		return nil, nil, s.err()
	}
	s.attempts = append(s.attempts, a)
	ctx, cancel := context.WithCancelCause(parent)
	limit := time.AfterFunc(handshakeTimeout, func() { cancel(errSilent) })
	var turn *time.Timer
	turn = time.AfterFunc(patience, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !slices.Contains(s.attempts, a) || s.attempts[0] == a {
			return
		}
		if left := patience - s.quiet(); left > 0 { // it has answered another attempt in the meantime
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
