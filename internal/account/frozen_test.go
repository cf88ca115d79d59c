package account

import (
	"context"
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/rotate-user/rotate-user/internal/connection"
	"github.com/rotate-user/rotate-user/internal/mysqld"
	"github.com/rotate-user/rotate-user/internal/mysqld/mysqldtest"
)

// TestSessionsOfAServerThatFreezes checks that a server that freezes while all its sessions are in use keeps waiting those who want
// another one for only a few seconds, and later ones not at all.
func TestSessionsOfAServerThatFreezes(t *testing.T) {
	t.Parallel()
	mysqldtest.EachProgram(t, func(t *testing.T, p mysqld.Program) {
		s, err := p.Start(t.Context(), mysqld.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Stop()
		roots, err := s.RootCAs()
		if err != nil {
			t.Fatal(err)
		}
		d := &Dialer{RootCAs: roots}
		defer d.Close()
		open := func(ctx context.Context) error {
			a, err := d.Admin(ctx, Endpoint{Host: s.Host, Port: s.Port, TLS: true}, s.AdminUser, s.AdminPassword)
			if err == nil {
				t.Cleanup(func() { a.Close() })
			}
			return err
		}
		for range poolSize {
			if err := open(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		const others = 8
		results := make(chan error, others)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for range others {
			go func() { results <- open(ctx) }()
		}
		for range others - 1 {
			if _, silent := errors.AsType[*connection.SilentError](<-results); !silent {
				t.Error("a session of a server that does not answer was not refused as one")
			}
		}
		if err := open(ctx); !errors.As(err, new(*connection.SilentError)) {
			t.Errorf("got %v", err)
		}
	})
}
