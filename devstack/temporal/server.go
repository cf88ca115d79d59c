// Package temporal runs a Temporal server and the Temporal UI inside this process, for demonstrations and tests.
//
// Both are started through Go interfaces that their makers may change, so their versions are
// pinned, and everything that uses these interfaces is in this package. It is not meant for
// production: there is one history shard and no authorization, and every listener is on 127.0.0.1.
package temporal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	uiserver "github.com/temporalio/ui-server/v2/server"
	uiconfig "github.com/temporalio/ui-server/v2/server/config"
	"github.com/temporalio/ui-server/v2/server/server_options"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"
	"go.temporal.io/server/common/authorization"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/dynamicconfig"
	"go.temporal.io/server/common/log"
	"go.temporal.io/server/common/membership/static"
	"go.temporal.io/server/common/persistence/sql/sqlplugin/sqlite"
	"go.temporal.io/server/common/primitives"
	server "go.temporal.io/server/temporal"
)

const (
	localhost   = "127.0.0.1"
	clusterName = "active"

	// Namespace is the one namespace of the server.
	Namespace = "default"
)

// Options say where the server listens and what it keeps. The zero value is an in-memory server on
// a free port without logs or UI.
type Options struct {
	// Port is the port of the frontend; 0 chooses a free one.
	Port int
	// UIPort is the port of the Temporal UI; 0 starts none.
	UIPort int
	// Path is the SQLite file in which the server keeps its state, so that workflows outlive it. If
	// it is empty, the state is in memory. A file belongs to one version of the server.
	Path string
	// LogFile receives the server's warnings and errors. If it is empty, they are dropped.
	LogFile string
	// SearchAttributes are the attributes that the namespace has from the start, by name.
	SearchAttributes map[string]enums.IndexedValueType
	// SuggestContinueAsNew is the number of events after which a run is told to continue as new. 0
	// is the server's default, 4,096.
	SuggestContinueAsNew int
	// Retention is how long closed runs are kept. 0 means a year, so that past rotations stay
	// readable in the UI.
	Retention time.Duration
}

// Server is a running Temporal server.
type Server struct {
	server server.Server
	ui     *uiserver.Server
	uiDone chan struct{}
	uiURL  string

	address string
	stop    sync.Once
	stopErr error
}

// Start starts a server and returns when it answers. If a port is taken, the error satisfies
// errors.Is(err, syscall.EADDRINUSE).
func Start(ctx context.Context, o Options) (_ *Server, err error) {
	if o.Retention == 0 {
		o.Retention = 365 * 24 * time.Hour
	}
	cfg, err := newConfig(o)
	if err != nil {
		return nil, err
	}
	if err := prepareStore(o, cfg.Persistence.DataStores[sqlite.PluginName].SQL); err != nil {
		return nil, err
	}

	settings := maps.Clone(dynamicConfig)
	if o.SuggestContinueAsNew != 0 {
		settings[dynamicconfig.HistoryCountSuggestContinueAsNew.Key()] = o.SuggestContinueAsNew
	}
	logger := log.Logger(log.NewNoopLogger())
	if o.LogFile != "" {
		logger = log.NewZapLogger(log.BuildZapLogger(log.Config{Level: "warn", OutputFile: o.LogFile}))
	}
	hosts := make(map[primitives.ServiceName]static.Hosts, len(cfg.Services))
	for name, s := range cfg.Services {
		hosts[primitives.ServiceName(name)] = static.SingleLocalHost(localAddress(s.RPC.GRPCPort))
	}
	s := &Server{address: cfg.PublicClient.HostPort}
	s.server, err = server.NewServer(
		server.WithConfig(cfg),
		server.ForServices(server.DefaultServices),
		server.WithStaticHosts(hosts), // a ring of one server needs no gossip and no time to settle
		server.WithLogger(logger),
		server.WithAuthorizer(authorization.NewNoopAuthorizer()),
		server.WithClaimMapper(func(*config.Config) authorization.ClaimMapper { return authorization.NewNoopClaimMapper() }),
		server.WithDynamicConfigClient(settings),
	)
	if err != nil {
		return nil, fmt.Errorf("temporal server: %w", err)
	}
	if err := s.server.Start(); err != nil {
		return nil, fmt.Errorf("temporal server: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Stop())
		}
	}()
	if err := s.waitReady(ctx); err != nil {
		return nil, fmt.Errorf("temporal server: %w", err)
	}
	if o.UIPort != 0 {
		if err := s.startUI(ctx, o.UIPort); err != nil {
			return nil, fmt.Errorf("temporal UI: %w", err)
		}
	}
	return s, nil
}

// Address returns the frontend's host:port.
func (s *Server) Address() string { return s.address }

// UIURL returns the address of the Temporal UI for a browser, or "" if there is none.
func (s *Server) UIURL() string { return s.uiURL }

// Stop stops the UI and the server. State in memory is lost.
func (s *Server) Stop() error {
	s.stop.Do(func() {
		if s.ui != nil {
			s.ui.Stop()
			<-s.uiDone
		}
		s.stopErr = s.server.Stop()
	})
	return s.stopErr
}

// waitReady returns when the namespace can be used. The frontend answers a little earlier than
// that.
func (s *Server) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute) // a busy machine may need one of them
	defer cancel()
	silent := sdklog.NewStructuredLogger(slog.New(slog.DiscardHandler))
	c, err := client.NewLazyClient(client.Options{HostPort: s.address, Namespace: Namespace, Logger: silent})
	if err != nil {
		return err
	}
	defer c.Close()
	return poll(ctx, func() error {
		_, err := c.CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{Namespace: Namespace})
		return err
	})
}

func (s *Server) startUI(ctx context.Context, port int) error {
	s.ui = uiserver.NewServer(server_options.WithConfigProvider(&uiconfig.Config{
		Host:                localhost,
		Port:                port,
		TemporalGRPCAddress: s.address,
		EnableUI:            true,
		HideLogs:            true,
		DisableNewsFetch:    true,
		DefaultNamespace:    Namespace,
		CORS:                uiconfig.CORS{CookieInsecure: true},
	}))
	s.uiDone = make(chan struct{})
	go func() {
		defer close(s.uiDone)
		_ = s.ui.Start() // returns nil when stopped, and does not return on other failures
	}()
	s.uiURL = "http://" + localAddress(port)
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return poll(ctx, func() error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.uiURL+"/healthz", nil)
		if err != nil {
			return err
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		defer res.Body.Close()
		if res.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: %s", req.URL, res.Status)
		}
		return nil
	})
}

func localAddress(port int) string { return net.JoinHostPort(localhost, strconv.Itoa(port)) }

// poll calls f until it succeeds or ctx is done.
func poll(ctx context.Context, f func() error) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		err := f()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("does not answer: %w", err)
		case <-tick.C:
		}
	}
}
