// Package temporal runs a Temporal server and the Temporal UI inside this process, for demonstrations and tests.
//
// Both are started through Go interfaces that their makers mark as liable to change, so their versions are pinned and
// everything that touches them is in this one file. Nothing here is meant for production: there is one history shard,
// no authorization, and every listener is on 127.0.0.1.
package temporal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
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
	"go.temporal.io/server/common/cluster"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/dynamicconfig"
	"go.temporal.io/server/common/log"
	"go.temporal.io/server/common/membership/static"
	"go.temporal.io/server/common/persistence/sql/sqlplugin/sqlite"
	"go.temporal.io/server/common/primitives"
	sqliteschema "go.temporal.io/server/schema/sqlite"
	server "go.temporal.io/server/temporal"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/rotate-user/rotate-user/internal/freeport"
)

const (
	localhost   = "127.0.0.1"
	clusterName = "active"

	// Namespace is the one namespace of the server.
	Namespace = "default"
)

// Options says where the server listens and what it keeps. The zero value is a server in memory, on a free port, that
// logs nothing and has no UI.
type Options struct {
	// Port of the frontend; 0 takes a free one.
	Port int
	// UIPort of the Temporal UI; 0 starts none.
	UIPort int
	// Path of the SQLite file in which the server keeps its state, so that workflows outlive it; empty keeps it in
	// memory. A file belongs to one version of the server.
	Path string
	// LogFile receives warnings and errors of the server; empty drops them.
	LogFile string
	// SearchAttributes that the namespace has from the start, by name.
	SearchAttributes map[string]enums.IndexedValueType
	// SuggestContinueAsNew is after how many events a run is told to continue as new; 0 is the server's default, 4,096.
	SuggestContinueAsNew int
	// Retention of closed runs; 0 means a year, so that past rotations stay readable in the UI.
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

// Start starts a server and returns when it answers. A port that is taken is an error for which
// errors.Is(err, syscall.EADDRINUSE) holds.
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
		server.WithStaticHosts(hosts), // a ring of one needs no gossip, and no second to settle
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

// Address of the frontend, host:port.
func (s *Server) Address() string { return s.address }

// UIURL is the address of the Temporal UI for a browser, empty where there is none.
func (s *Server) UIURL() string { return s.uiURL }

// Stop ends the UI and the server. What is in memory is lost.
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

// waitReady returns when the namespace can be used: the frontend answers a little before it knows it.
func (s *Server) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
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
		_ = s.ui.Start() // returns nil when stopped; its other failures do not return
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

// dynamicConfig lifts what limits a server with a single history shard: by default a shard's queues are read at most
// twenty times a second, which makes five activities in a row wait six times 50 ms.
var dynamicConfig = dynamicconfig.StaticClient{
	dynamicconfig.TransferProcessorMaxPollRPS.Key():                  5000,
	dynamicconfig.TransferProcessorMaxPollHostRPS.Key():              5000,
	dynamicconfig.TimerProcessorMaxPollRPS.Key():                     5000,
	dynamicconfig.TimerProcessorMaxPollHostRPS.Key():                 5000,
	dynamicconfig.VisibilityProcessorMaxPollRPS.Key():                5000,
	dynamicconfig.VisibilityProcessorMaxPollHostRPS.Key():            5000,
	dynamicconfig.FrontendRPS.Key():                                  20000,
	dynamicconfig.FrontendMaxNamespaceRPSPerInstance.Key():           20000,
	dynamicconfig.FrontendMaxNamespaceVisibilityRPSPerInstance.Key(): 1000,
	dynamicconfig.HistoryRPS.Key():                                   20000,
	dynamicconfig.MatchingRPS.Key():                                  20000,
	dynamicconfig.FrontendPersistenceMaxQPS.Key():                    50000,
	dynamicconfig.HistoryPersistenceMaxQPS.Key():                     50000,
	dynamicconfig.MatchingPersistenceMaxQPS.Key():                    50000,
	// The shard walks through all tasks done since the last acknowledgement whenever it reads new ones: by default
	// the tasks of half a minute, or of a whole one.
	dynamicconfig.TransferProcessorUpdateAckInterval.Key():   time.Second,
	dynamicconfig.TimerProcessorUpdateAckInterval.Key():      time.Second,
	dynamicconfig.VisibilityProcessorUpdateAckInterval.Key(): time.Second,
}

func newConfig(o Options) (*config.Config, error) {
	var ports freeport.Held
	defer ports.Release()
	if o.UIPort != 0 {
		// The UI ends the whole process when its port is taken, so this has to be known before.
		if _, err := ports.Hold(o.UIPort); err != nil {
			return nil, fmt.Errorf("temporal UI: %w", err)
		}
	}
	frontend, err := ports.Hold(o.Port)
	if err != nil {
		return nil, fmt.Errorf("temporal frontend: %w", err)
	}
	services := map[string]config.Service{}
	for _, name := range server.DefaultServices {
		port := frontend
		if name != string(primitives.FrontendService) {
			if port, err = ports.Hold(0); err != nil {
				return nil, fmt.Errorf("temporal %s: %w", name, err)
			}
		}
		services[name] = config.Service{RPC: config.RPC{GRPCPort: port, BindOnLocalHost: true}}
	}
	address := localAddress(frontend)
	archival := config.ArchivalNamespaceDefaults{
		History:    config.HistoryArchivalNamespaceDefaults{State: "disabled"},
		Visibility: config.VisibilityArchivalNamespaceDefaults{State: "disabled"},
	}
	return &config.Config{
		Global: config.Global{Membership: config.Membership{
			MaxJoinDuration:  30 * time.Second,
			BroadcastAddress: localhost,
		}},
		Persistence: config.Persistence{
			DefaultStore:     sqlite.PluginName,
			VisibilityStore:  sqlite.PluginName,
			NumHistoryShards: 1,
			DataStores:       map[string]config.DataStore{sqlite.PluginName: {SQL: sqlConfig(o.Path, frontend)}},
		},
		ClusterMetadata: &cluster.Config{
			FailoverVersionIncrement: 10,
			MasterClusterName:        clusterName,
			CurrentClusterName:       clusterName,
			ClusterInformation: map[string]cluster.ClusterInformation{
				clusterName: {Enabled: true, InitialFailoverVersion: 1, RPCAddress: address},
			},
		},
		DCRedirectionPolicy: config.DCRedirectionPolicy{Policy: "noop"},
		Services:            services,
		Archival: config.Archival{
			History:    config.HistoryArchival{State: "disabled"},
			Visibility: config.VisibilityArchival{State: "disabled"},
		},
		PublicClient:      config.PublicClient{HostPort: address},
		NamespaceDefaults: config.NamespaceDefaults{Archival: archival},
	}, nil
}

func sqlConfig(path string, frontend int) *config.SQL {
	if path == "" {
		return &config.SQL{
			PluginName: sqlite.PluginName,
			// Databases in memory are shared by name within a process; the port is ours alone.
			DatabaseName:      "temporal-" + strconv.Itoa(frontend),
			ConnectAttributes: map[string]string{"mode": "memory", "cache": "shared"},
		}
	}
	return &config.SQL{
		PluginName:   sqlite.PluginName,
		DatabaseName: path,
		ConnectAttributes: map[string]string{
			"mode": "rwc",
			// With these a killed process loses nothing and a commit need not wait for the disk.
			"journal_mode": "wal",
			"synchronous":  "normal",
		},
	}
}

func prepareStore(o Options, sql *config.SQL) error {
	if o.Path != "" {
		switch _, err := os.Stat(o.Path); {
		case errors.Is(err, os.ErrNotExist):
			if err := os.MkdirAll(filepath.Dir(o.Path), 0o700); err != nil {
				return fmt.Errorf("temporal store: %w", err)
			}
			if err := sqliteschema.SetupSchema(sql); err != nil {
				return fmt.Errorf("temporal store %s: %w", o.Path, err)
			}
		case err != nil:
			return fmt.Errorf("temporal store: %w", err)
		}
	}
	namespace, err := sqliteschema.NewNamespaceConfig(clusterName, Namespace, false, o.SearchAttributes)
	if err != nil {
		return fmt.Errorf("temporal namespace: %w", err)
	}
	namespace.Detail.Config.Retention = durationpb.New(o.Retention)
	if err := sqliteschema.CreateNamespaces(sql, namespace); err != nil {
		return fmt.Errorf("temporal namespace: %w", err)
	}
	return nil
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
