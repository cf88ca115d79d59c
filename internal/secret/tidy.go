package secret

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/rotate-user/rotate-user/internal/panics"
)

// Moving AWSCURRENT to a version leaves AWSPENDING on it. Next to AWSCURRENT that label is
// harmless, and staging the next version moves it along. So it is removed only when that delays
// nothing else: not while rotations are being promoted, because all of them share one quota of
// writes.
const (
	tidyAfter = time.Second            // since the last promotion
	tidyPause = 200 * time.Millisecond // between two labels
	tidyWait  = time.Minute            // after an error, such as throttling
	tidyUntil = time.Hour              // since the promotion; later, the label stays
	tidyMost  = 10_000                 // labels that may wait
	tidyLimit = 30 * time.Second       // for one call
)

// tidier knows the promoted versions that may still have AWSPENDING.
type tidier struct {
	calling sync.Mutex // held during a call; taken before mu

	mu      sync.Mutex
	waiting map[string]promoted // by secret
	last    time.Time           // when the last promotion was made
	running bool
}

type promoted struct {
	versionID string
	at        time.Time
}

// TidyLater has Tidy remove AWSPENDING from a promoted version as soon as no rotation is being
// promoted. It returns at once. Nothing depends on it: a label that could not be removed stays until
// the next version of the secret is staged.
func (s *Store) TidyLater(id, versionID string) {
	t := &s.tidier
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = time.Now()
	if _, known := t.waiting[id]; len(t.waiting) >= tidyMost && !known {
		return
	}
	if t.waiting == nil {
		t.waiting = map[string]promoted{}
	}
	t.waiting[id] = promoted{versionID, t.last}
	if !t.running {
		t.running = true
		go s.tidyWhenQuiet()
	}
}

// TidyNow removes the labels that TidyLater has queued, until none is left, one cannot be removed,
// or ctx ends.
func (s *Store) TidyNow(ctx context.Context) {
	for ctx.Err() == nil {
		if more, err := s.tidyNext(ctx); err != nil || !more {
			return
		}
	}
}

// tidyWhenQuiet runs until no label is left to remove.
func (s *Store) tidyWhenQuiet() {
	t := &s.tidier
	for {
		t.mu.Lock()
		wait := tidyAfter - time.Since(t.last)
		if len(t.waiting) == 0 {
			t.running = false
			t.mu.Unlock()
			return
		}
		t.mu.Unlock()
		if wait <= 0 {
			wait = tidyPause
			if _, err := s.tidyNext(context.Background()); err != nil {
				wait = tidyWait
			}
		}
		<-time.After(wait)
	}
}

// tidyNext removes one label. It reports whether there was one.
func (s *Store) tidyNext(ctx context.Context) (more bool, err error) {
	t := &s.tidier
	t.calling.Lock()
	defer t.calling.Unlock()
	id, versionID := t.next()
	if id == "" {
		return false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, tidyLimit)
	defer cancel()
	defer func() {
		if err != nil && s.NotTidied != nil {
			s.NotTidied(fmt.Errorf("version %s was promoted but keeps %s until the next version is staged: %w", versionID, Pending, err))
		}
	}()
	defer panics.Into(&err)
	return true, s.Tidy(ctx, id, versionID)
}

// next removes a version from the queue and returns it. The id is empty if the queue is empty.
func (t *tidier) next() (id, versionID string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id, p := range t.waiting {
		delete(t.waiting, id)
		if time.Since(p.at) < tidyUntil {
			return id, p.versionID
		}
	}
	return "", ""
}

// staged records that AWSPENDING of a secret is on another version.
func (t *tidier) staged(id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.waiting, id)
}
