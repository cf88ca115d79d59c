package temporal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"go.temporal.io/server/common/cluster"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/dynamicconfig"
	"go.temporal.io/server/common/persistence/sql/sqlplugin/sqlite"
	"go.temporal.io/server/common/primitives"
	sqliteschema "go.temporal.io/server/schema/sqlite"
	server "go.temporal.io/server/temporal"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/rotate-user/rotate-user/internal/freeport"
)

// dynamicConfig raises the limits of a server with a single history shard. By default, a shard's
// queues are read at most twenty times a second, so five activities in a row wait six times 50 ms.
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
	// Whenever the shard reads new tasks, it also goes through all tasks completed since the last
	// acknowledgment, which by default are those of half a minute or a whole one.
	dynamicconfig.TransferProcessorUpdateAckInterval.Key():   time.Second,
	dynamicconfig.TimerProcessorUpdateAckInterval.Key():      time.Second,
	dynamicconfig.VisibilityProcessorUpdateAckInterval.Key(): time.Second,
}

func newConfig(o Options) (*config.Config, error) {
	var ports freeport.Held
	defer ports.Release()
	if o.UIPort != 0 {
		// The UI ends the whole process if its port is taken, so check this first.
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
			// In-memory databases are shared by name within a process. The port makes the name
			// unique.
			DatabaseName:      "temporal-" + strconv.Itoa(frontend),
			ConnectAttributes: map[string]string{"mode": "memory", "cache": "shared"},
		}
	}
	return &config.SQL{
		PluginName:   sqlite.PluginName,
		DatabaseName: path,
		ConnectAttributes: map[string]string{
			"mode": "rwc",
			// With these settings, a killed process loses nothing, and a commit need not wait for
			// the disk.
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
