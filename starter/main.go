// The starter is the command line of rotate-user for operators. It is only a Temporal client: the
// worker does the work, and only the worker has access to AWS and to the databases.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"
	_ "time/tzdata" // for machines without a time zone database

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/envconfig"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/log"
	"golang.org/x/term"
	"google.golang.org/grpc"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	a := &app{dial: dial, lookup: os.LookupEnv, now: time.Now, out: os.Stdout, errors: os.Stderr, live: isTerminal(os.Stdout),
		watchInterval: time.Second, hintAfter: hintAfter}
	code := a.run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

// dial connects to Temporal as the temporal CLI does. It also returns what decodes memos, which is nil without a codec server.
func dial(ctx context.Context) (temporal, converter.DataConverter, error) {
	options, err := clientOptions()
	if err != nil {
		return nil, nil, err
	}
	options.Logger = log.NewStructuredLogger(slog.New(slog.DiscardHandler))
	c, err := client.DialContext(ctx, options)
	if err != nil {
		address := options.HostPort
		if address == "" {
			address = client.DefaultHostPort + " (the default)"
		}
		return nil, nil, fmt.Errorf("connect to Temporal at %s: %w\nSet TEMPORAL_ADDRESS and TEMPORAL_NAMESPACE, or a profile, "+
			"as for the temporal CLI", address, err)
	}
	return c, options.DataConverter, nil
}

// clientOptions returns the same options as the temporal CLI uses, including its codec server. Only
// that server can decode what the worker has encoded.
func clientOptions() (client.Options, error) {
	options, err := envconfig.LoadClientOptions(envconfig.LoadClientOptionsRequest{ConfigFileStrict: true, IncludeRemoteCodec: true})
	if err != nil {
		return client.Options{}, fmt.Errorf("temporal configuration: %w", err)
	}
	// See the worker's clientOptions.
	options.ConnectionOptions.DialOptions = append(options.ConnectionOptions.DialOptions, grpc.WithDisableServiceConfig())
	return options, nil
}

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }
