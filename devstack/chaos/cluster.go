package chaos

import (
	"context"
	"crypto/tls"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/rotate-user/rotate-user/internal/connection"
	"github.com/rotate-user/rotate-user/internal/mysqld"
)

// The kinds of clusters.
const (
	Galera           = "galera"
	GroupReplication = "group-replication"
)

// clusterSize is the smallest size in which one node can be missing.
const clusterSize = 3

// cluster is a set of nodes behind one address.
type cluster struct {
	nodes []*mysqld.Server
	front *mysqld.Forwarder
	// on are the administrator's sessions on each node, whose reads wait until the node has
	// everything that the others have.
	on []*sql.DB
}

// startCluster starts the nodes. In a group, the first one is the only primary.
func startCluster(ctx context.Context, o Options, program mysqld.Program, log *os.File) (c *cluster, err error) {
	c = &cluster{}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.stop(o.Dir))
		}
	}()
	options := mysqld.Options{Log: log, Args: []string{"--general-log=1", "--general-log-file=general.log", "--max-connect-errors=1000000",
		"--max-connections=400"}}
	wait := map[string]string{"wsrep_sync_wait": "1"}
	if o.Cluster == Galera {
		c.nodes, err = program.StartGalera(ctx, clusterSize, options)
	} else {
		options.Args = append(options.Args, "--log-raw=1")
		wait = map[string]string{"group_replication_consistency": "'BEFORE'"}
		c.nodes, err = program.StartGroup(ctx, clusterSize, mysqld.OnePrimary, options)
	}
	if err != nil {
		return c, err
	}
	for _, node := range c.nodes {
		roots, err := node.RootCAs()
		if err != nil {
			return c, err
		}
		login := mysql.NewConfig()
		login.User, login.Passwd, login.Net, login.Addr = node.AdminUser, node.AdminPassword, "tcp", fmt.Sprintf("%s:%d", node.Host, node.Port)
		login.TLS = &tls.Config{RootCAs: roots, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12}
		login.Timeout, login.Params, login.Logger = 5*time.Second, wait, &mysql.NopLogger{}
		db, err := connection.Open(login)
		if err != nil {
			return c, err
		}
		c.on = append(c.on, db)
	}
	c.front, err = mysqld.NewForwarder(c.nodes...)
	return c, err
}

// synchronise waits until every node has everything that the others have.
func (c *cluster) synchronise(ctx context.Context) error {
	for i, db := range c.on {
		if err := db.QueryRowContext(ctx, "SELECT COUNT(*) FROM mysql.user").Scan(new(int)); err != nil {
			return fmt.Errorf("node %d: %w", i+1, err)
		}
	}
	return nil
}

// stop stops the nodes and keeps their files.
func (c *cluster) stop(dir string) error {
	var errs []error
	if c.front != nil {
		errs = append(errs, c.front.Close())
	}
	for _, db := range c.on {
		errs = append(errs, db.Close())
	}
	for i, node := range c.nodes {
		for _, name := range []string{"general.log", "binlog.000001"} {
			data, err := os.ReadFile(filepath.Join(node.DataDir, name))
			if err == nil {
				err = os.WriteFile(filepath.Join(dir, fmt.Sprintf("node-%d-%s", i+1, name)), data, 0o600)
			}
			if !errors.Is(err, os.ErrNotExist) {
				errs = append(errs, err)
			}
		}
		errs = append(errs, node.Stop())
	}
	return errors.Join(errs...)
}

// anyNode returns a fault that affects one node while the others continue.
func anyNode(lasts time.Duration, begin, end func(context.Context, *cluster, int) error) func(context.Context, *lane, *subject) outcome {
	return func(ctx context.Context, l *lane, _ *subject) outcome {
		l.disasterStrikes(func() error {
			node := rand.IntN(clusterSize)
			if err := begin(ctx, l.cluster, node); err != nil {
				return err
			}
			wait(ctx, lasts)
			return end(context.WithoutCancel(ctx), l.cluster, node)
		})
		return outcome{}
	}
}

// clusterKinds are the faults that only clusters have.
var clusterKinds = []kind{
	{name: "node held by a backup", side: sqlCall, all: true, strike: func(ctx context.Context, l *lane, _ *subject) outcome {
		l.disasterStrikes(func() (err error) {
			// Not one of the sessions that wait for the others: to unlock, it would wait for what
			// its own lock blocks.
			node := l.cluster.nodes[rand.IntN(clusterSize)]
			db, err := node.Open(node.AdminUser, node.AdminPassword)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, db.Close()) }()
			conn, err := db.Conn(ctx)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, conn.Close()) }()
			if _, err := conn.ExecContext(ctx, "FLUSH TABLES WITH READ LOCK"); err != nil {
				return err
			}
			wait(ctx, 3*time.Second)
			_, err = conn.ExecContext(context.WithoutCancel(ctx), "UNLOCK TABLES")
			return err
		})
		return outcome{}
	}},
	{name: "node frozen", side: sqlCall, all: true, strike: anyNode(2*time.Second,
		func(_ context.Context, c *cluster, node int) error { return c.nodes[node].Signal(syscall.SIGSTOP) },
		func(_ context.Context, c *cluster, node int) error { return c.nodes[node].Signal(syscall.SIGCONT) })},
	{name: "address leads to one node", side: sqlCall, all: true, strike: anyNode(3*time.Second,
		func(_ context.Context, c *cluster, node int) error { c.front.LeadTo(c.nodes[node]); return nil },
		func(_ context.Context, c *cluster, _ int) error { c.front.LeadTo(c.nodes...); return nil })},
	{name: "address leads elsewhere", side: sqlCall, all: true, strike: anyNode(0,
		func(_ context.Context, c *cluster, node int) error {
			c.front.LeadTo(slices.Concat(c.nodes[node:], c.nodes[:node])...)
			c.front.Cut()
			return nil
		},
		func(context.Context, *cluster, int) error { return nil })},
	{name: "node cut off", side: sqlCall, all: true, strike: func(ctx context.Context, l *lane, _ *subject) outcome {
		c := l.cluster
		if l.Cluster == Galera {
			return anyNode(3*time.Second,
				func(ctx context.Context, c *cluster, node int) error { return c.isolate(ctx, node, 1) },
				func(ctx context.Context, c *cluster, node int) error {
					if err := c.isolate(ctx, node, 0); err != nil {
						return err
					}
					return c.rejoined(ctx, node)
				})(ctx, l, nil)
		}
		l.disasterStrikes(func() error { // one that does not accept writes, because a new primary is a separate fault
			node := 1 + rand.IntN(clusterSize-1)
			if _, err := c.on[node].ExecContext(ctx, "STOP GROUP_REPLICATION"); err != nil {
				return err
			}
			wait(ctx, 3*time.Second)
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
			defer cancel()
			return c.nodes[node].JoinGroup(ctx)
		})
		return outcome{}
	}},
}

func (c *cluster) isolate(ctx context.Context, node, how int) error {
	_, err := c.on[node].ExecContext(ctx, fmt.Sprintf("SET GLOBAL wsrep_provider_options = 'gmcast.isolate=%d'", how))
	return err
}

// rejoined waits until a node of a Galera cluster has everything that the others have.
func (c *cluster) rejoined(ctx context.Context, node int) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		var name, state string
		if err := c.on[node].QueryRowContext(ctx, "SHOW STATUS LIKE 'wsrep_local_state_comment'").Scan(&name, &state); err != nil {
			return err
		}
		if state == "Synced" {
			return nil
		}
		wait(ctx, 20*time.Millisecond)
	}
}
