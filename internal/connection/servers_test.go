package connection

import (
	"context"
	"crypto/tls"
	"database/sql/driver"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-sql-driver/mysql"
)

// answering is a server that answers after a delay or never, one login at a time or all at once.
type answering struct {
	after  time.Duration // negative: never
	err    error
	serial chan struct{} // holds one; nil: all at once
}

func (a *answering) Connect(ctx context.Context) (driver.Conn, error) {
	if a.serial != nil {
		a.serial <- struct{}{}
		defer func() { <-a.serial }()
	}
	answer := make(<-chan time.Time)
	if a.after >= 0 {
		answer = time.After(a.after)
	}
	select {
	case <-answer:
		return accepted{}, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (*answering) Driver() driver.Driver { return nil }

// ended records how an attempt ended, and how long it took.
type ended struct {
	err  error
	took time.Duration
}

// try starts n attempts at the same time.
func try(ctx context.Context, c connector, n int) chan ended {
	all := make(chan ended, n)
	for range n {
		go func() {
			start := time.Now()
			_, err := c.Connect(ctx)
			all <- ended{err, time.Since(start)}
		}()
	}
	return all
}

func isSilent(err error) bool {
	_, ok := errors.AsType[*SilentError](err)
	return ok
}

func TestOnlyOneAttemptWaitsForASilentServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var servers Servers
		there := &answering{after: -1}
		frozen := connector{there, servers.at("frozen:3306")}
		start := time.Now()
		first := try(t.Context(), frozen, 16)
		for range 15 {
			if e := <-first; !isSilent(e.err) || e.took != Patience {
				t.Errorf("an attempt beside the oldest ended after %v with %v", e.took, e.err)
			}
		}
		for range 60 {
			if e := <-try(t.Context(), frozen, 1); !isSilent(e.err) || e.took != 0 ||
				!strings.Contains(e.err.Error(), "frozen:3306 has not answered since "+start.UTC().Format(time.RFC3339)) {
				t.Errorf("a later attempt ended after %v with %v", e.took, e.err)
			}
		}
		if e := <-try(t.Context(), connector{&answering{}, servers.at("healthy:3306")}, 1); e.err != nil || e.took != 0 {
			t.Errorf("an attempt at another server ended after %v with %v", e.took, e.err)
		}
		if e := <-first; !isSilent(e.err) || e.took != handshakeTimeout {
			t.Errorf("the oldest attempt ended after %v with %v", e.took, e.err)
		}

		// Only one attempt at a time checks whether the server is back.
		probe := try(t.Context(), frozen, 1)
		synctest.Wait()
		if e := <-try(t.Context(), frozen, 1); !isSilent(e.err) || e.took != 0 ||
			!strings.Contains(e.err.Error(), start.UTC().Format(time.RFC3339)) {
			t.Errorf("an attempt beside another ended after %v with %v", e.took, e.err)
		}
		<-probe
		there.after = 0
		if e := <-try(t.Context(), frozen, 1); e.err != nil {
			t.Error(e.err)
		}
		there.after = time.Second
		all := try(t.Context(), frozen, 16)
		for range 16 {
			if e := <-all; e.err != nil {
				t.Errorf("after it has answered: %v", e.err)
			}
		}
	})
}

// A server that is slow but answers, or refuses, is not silent.
func TestSlowServer(t *testing.T) {
	denied := &mysql.MySQLError{Number: 1045}
	unreachable := &net.OpError{Op: "dial", Err: errors.New("connection refused")}
	for _, c := range []struct {
		name   string
		server answering
	}{
		{"just in time", answering{after: handshakeTimeout - time.Nanosecond}},
		{"one at a time", answering{after: Patience * 3 / 4, serial: make(chan struct{}, 1)}},
		{"denies", answering{after: time.Second, err: denied}},
		{"denies one at a time", answering{after: Patience * 3 / 4, serial: make(chan struct{}, 1), err: denied}},
		{"cannot be reached", answering{after: time.Second, err: unreachable}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if c.server.serial != nil {
					c.server.serial = make(chan struct{}, 1) // channels belong to the bubble that made them
				}
				n := 1
				if c.server.after < Patience {
					n = 6
				}
				at := connector{&c.server, new(Servers).at("slow:3306")}
				for range 2 {
					all := try(t.Context(), at, n)
					for range n {
						if e := <-all; !errors.Is(e.err, c.server.err) || isSilent(e.err) {
							t.Errorf("ended after %v with %v", e.took, e.err)
						}
					}
				}
			})
		})
	}
}

// A caller that gives up proves nothing about the server.
func TestGivingUpDoesNotCountAsAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := connector{&answering{after: -1}, new(Servers).at("frozen:3306")}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if e := <-try(ctx, at, 1); !errors.Is(e.err, context.DeadlineExceeded) || isSilent(e.err) {
			t.Error(e.err)
		}
		if e := <-try(t.Context(), at, 1); !isSilent(e.err) || e.took != handshakeTimeout {
			t.Errorf("ended after %v with %v", e.took, e.err)
		}
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		<-try(ctx, at, 1)
		probe := try(t.Context(), at, 1)
		synctest.Wait()
		if e := <-try(t.Context(), at, 1); !isSilent(e.err) || e.took != 0 {
			t.Errorf("an attempt beside another ended after %v with %v", e.took, e.err)
		}
		<-probe
	})
}

// Real connections end too, at whichever point of the login the server falls silent.
func TestRealServerThatFallsSilent(t *testing.T) {
	t.Parallel()
	greeting := append([]byte("\x4a\x00\x00\x00\x0a8.0.0\x00\x01\x00\x00\x00saltsalt\x00\x09\xaa\x2d\x02\x00\x08\x01\x15"),
		make([]byte, 10)...)
	greeting = append(greeting, "saltsaltsalt\x00mysql_native_password\x00"...)
	greeting[0] = byte(len(greeting) - 4)
	for name, sent := range map[string][]byte{"at once": nil, "within the greeting": greeting[:20], "after it": greeting,
		"within TLS": greeting} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer listener.Close()
			go func() {
				for {
					c, err := listener.Accept()
					if err != nil {
						return
					}
					defer c.Close()
					if _, err := c.Write(sent); err != nil {
						return
					}
				}
			}()
			c := mysql.NewConfig()
			c.Net, c.Addr, c.User, c.Logger, c.ReadTimeout = "tcp", listener.Addr().String(), "app", &mysql.NopLogger{}, time.Hour
			if name == "within TLS" {
				c.TLS = &tls.Config{ServerName: "db"}
			}
			db, err := Open(c)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			ctx, cancel := context.WithCancel(t.Context())
			first, second := make(chan error, 1), make(chan error, 1)
			go func() { first <- db.PingContext(ctx) }()
			go func() { second <- db.PingContext(ctx) }()
			select {
			case err = <-first:
			case err = <-second:
			}
			if !isSilent(err) {
				t.Errorf("one of two attempts ended with %v", err)
			}
			cancel()
		})
	}
}
