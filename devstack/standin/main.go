// Standin does what docker-compose.yml needs of the program in Temporal's image, with the server of this module. Images
// that stand in for Temporal's have it as "temporal", if no image registry can be reached.
//
//	temporal server start-dev --ip IP
//	temporal operator cluster health
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/rotate-user/rotate-user/devstack/temporal"
)

const (
	port   = "7233"
	uiPort = "8233"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "temporal:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	switch command := strings.Join(args, " "); {
	case command == "operator cluster health":
		return health(ctx)
	case len(args) == 4 && strings.HasPrefix(command, "server start-dev --ip "):
		return serve(ctx, args[3])
	default:
		return fmt.Errorf("%q is not a command that this stand-in knows", command)
	}
}

// serve runs the server until ctx is done. The server listens on 127.0.0.1 only, so connections from other containers
// are passed on to it.
func serve(ctx context.Context, ip string) error {
	const inner, innerUI = 17233, 18233
	s, err := temporal.Start(ctx, temporal.Options{Port: inner, UIPort: innerUI, LogFile: "stderr"})
	if err != nil {
		return err
	}
	for from, to := range map[string]string{port: s.Address(), uiPort: strings.TrimPrefix(s.UIURL(), "http://")} {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort(ip, from))
		if err != nil {
			return errors.Join(err, s.Stop())
		}
		go forward(ctx, l, to)
	}
	<-ctx.Done()
	return s.Stop()
}

// forward passes each connection on to an address. It returns when l is closed, with the program.
func forward(ctx context.Context, l net.Listener, address string) {
	for {
		from, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer from.Close()
			to, err := new(net.Dialer).DialContext(ctx, "tcp", address)
			if err != nil {
				return
			}
			defer to.Close()
			done := make(chan struct{}, 2)
			for _, pair := range [][2]net.Conn{{from, to}, {to, from}} {
				go func() {
					_, _ = io.Copy(pair[0], pair[1]) // either side closing ends the connection
					done <- struct{}{}
				}()
			}
			<-done
		}()
	}
}

func health(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	c, err := client.NewLazyClient(client.Options{HostPort: net.JoinHostPort("127.0.0.1", port)})
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.CheckHealth(ctx, nil)
	return err
}
