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

// Servers remembers which servers do not answer, so that one that accepts connections and stays silent does not stop the
// work for all others: one attempt at a time waits for it, and the rest fail at once. The zero value is ready to use.
type Servers struct {
	mu sync.Mutex
	by map[string]*server
}

// at returns what is known of the server at an address.
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
	// handshakeTimeout bounds one attempt to log in, from the first packet to the settings of the session.
	handshakeTimeout = 10 * time.Second
	// patience is how long several attempts wait side by side for a server that answers none of them. Then only the
	// oldest goes on.
	patience = 2 * time.Second
)

// SilentError says that a server accepts no log-in, and since when. A new attempt is worth a try: at most one waits for
// the server, and the first answer ends this state.
type SilentError struct {
	Address string
	Since   time.Time
}

func (e *SilentError) Error() string {
	return fmt.Sprintf("the server at %s has not answered since %s: check that it runs and is not overloaded", e.Address, e.Since.UTC().Format(time.RFC3339))
}

// errSilent ends an attempt that has waited for too long.
var errSilent = errors.New("no answer")

// server is what is known of one server.
type server struct {
	address string

	mu       sync.Mutex
	attempts []*attempt // those under way, the oldest first
	answered time.Time  // the last time that one ended with an answer
	silent   time.Time  // when the first of those began that ended without; zero since an answer
}

type attempt struct{ begun time.Time }

// begin lets an attempt begin under the context that it returns, unless the server is silent and another waits for it
// already. end takes the result of the attempt and returns its error.
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
		if left := patience - s.quiet(); left > 0 { // it has answered another meanwhile
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

// quiet is how long the oldest attempt under way has seen no answer to itself or another.
func (s *server) quiet() time.Duration {
	since := s.attempts[0].begun
	if s.answered.After(since) {
		since = s.answered
	}
	return time.Since(since)
}

// err is the error of an attempt that is not worth the wait.
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
	case err == nil || parent.Err() == nil: // also a refusal is an answer
		s.answered, s.silent = time.Now(), time.Time{}
	}
	return err
}
