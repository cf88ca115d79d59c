package chaos

import (
	"context"
	"crypto/tls"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awssm "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/go-sql-driver/mysql"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"

	"github.com/rotate-user/rotate-user/devstack/secretsmanager"
	"github.com/rotate-user/rotate-user/devstack/temporal"
	"github.com/rotate-user/rotate-user/internal/connection"
	"github.com/rotate-user/rotate-user/internal/mysqld"
	"github.com/rotate-user/rotate-user/internal/privateca"
	"github.com/rotate-user/rotate-user/workflows"
)

// world is what all lanes share: the servers, and the faults that affect all lanes.
type world struct {
	Options
	report *Report

	database        *mysqld.Server // the only server, or a node
	cluster         *cluster       // nil for one server
	databaseAddress string         // host:port
	admin           *sql.DB        // direct connections of the database's administrator
	clients         func(user, password string) (*sql.DB, error)

	secrets        *secretsmanager.Server
	secretsAddress string
	secretsManager *awssm.Client // without faults: it names secrets by ARN, whereas workers use names
	stopSecrets    []func() error

	temporalOptions temporal.Options
	temporal        *temporal.Server
	temporalAddress string
	temporalClient  client.Client

	certificate tls.Certificate
	caFile      string // authority of the proxies' certificate

	lanes sync.Map // name of a secret, or ARN of a master secret, to *lane

	disaster  sync.Mutex // only one at a time
	disasters atomic.Int64
	since     atomic.Int64 // when the last one ended, in Unix nanoseconds; 0 during one
}

// serverArguments make the database log everything that it receives, so that a password in it would
// be found.
func serverArguments(engine string) []string {
	args := []string{
		"--general-log=1", "--general-log-file=general.log", "--log-bin=binary", "--server-id=1", "--sync-binlog=0",
		"--max-connect-errors=1000000", // cut connections count as errors
		"--max-connections=400",
	}
	if engine == mysqld.MySQL {
		args = append(args, "--log-raw=1") // otherwise it would omit passwords itself
	}
	return args
}

// nolint:funlen // a list of what is started, each with its end
func newWorld(ctx context.Context, o Options, report *Report) (_ *world, err error) {
	w := &world{Options: o, report: report}
	w.since.Store(1)
	defer func() {
		if err != nil {
			err = errors.Join(err, w.stop())
		}
	}()
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, err
	}
	program, err := mysqld.FindOne(o.engine())
	if err != nil {
		return nil, err
	}
	errorLog, err := os.Create(filepath.Join(o.Dir, "database.log"))
	if err != nil {
		return nil, err
	}
	w.report.Database = program.Engine + " " + program.Version
	var at *mysqld.Server // the address for clients and workers
	if o.Cluster == "" {
		w.database, err = program.Start(ctx, mysqld.Options{DataDir: o.Dir, Args: serverArguments(program.Engine), Log: errorLog})
		at = w.database
	} else if w.cluster, err = startCluster(ctx, o, program, errorLog); err == nil {
		w.database = w.cluster.nodes[0]
		at = w.cluster.front.As(w.database)
		w.report.Database += ", three nodes, " + o.Cluster
	}
	if err != nil {
		return nil, err
	}
	w.databaseAddress = net.JoinHostPort(at.Host, strconv.Itoa(at.Port))
	roots, err := w.database.RootCAs()
	if err != nil {
		return nil, err
	}
	sessions := tls.NewLRUClientSessionCache(0) // a full handshake is most of what a login costs both sides
	w.clients = func(user, password string) (*sql.DB, error) {
		c := mysql.NewConfig()
		c.User, c.Passwd, c.Net, c.Addr = user, password, "tcp", w.databaseAddress
		c.TLS = &tls.Config{RootCAs: roots, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12, ClientSessionCache: sessions}
		c.Timeout, c.ReadTimeout, c.WriteTimeout = 5*time.Second, 5*time.Second, 5*time.Second
		c.Logger = &mysql.NopLogger{}
		db, err := connection.Open(c)
		if err != nil {
			return nil, err
		}
		db.SetMaxIdleConns(1)
		return db, nil
	}
	if w.cluster != nil {
		w.admin = w.cluster.on[0]
	} else if w.admin, err = w.clients(w.database.AdminUser, w.database.AdminPassword); err != nil {
		return nil, err
	}
	for _, statement := range []string{
		"CREATE DATABASE shop", "CREATE TABLE shop.orders (id INT PRIMARY KEY)", "INSERT INTO shop.orders VALUES (1)",
		"CREATE DATABASE extra", "CREATE TABLE extra.notes (id INT PRIMARY KEY)",
	} {
		if _, err := w.admin.ExecContext(ctx, statement); err != nil {
			return nil, fmt.Errorf("%s: %w", statement, err)
		}
	}

	if w.secrets, err = secretsmanager.New(secretsmanager.Options{Lag: o.Lag}); err != nil {
		return nil, err
	}
	w.secrets.Intercept(w.intercept)
	var present string // without lag, for the checks and the clients
	if w.secretsAddress, err = w.serve(w.secrets); err == nil {
		present, err = w.serve(w.secrets.WithoutLag())
	}
	if err != nil {
		return nil, err
	}
	w.secretsManager = awssm.New(awssm.Options{
		BaseEndpoint: &present, Region: "us-east-1",
		Credentials: aws.NewCredentialsCache(credentials.NewStaticCredentialsProvider(accessKey, secretKey, "")),
	})

	w.temporalOptions = temporal.Options{
		Path: filepath.Join(o.Dir, "temporal.db"), LogFile: filepath.Join(o.Dir, "temporal.log"),
		SearchAttributes: workflows.SearchAttributeTypes(),
	}
	if w.temporal, err = temporal.Start(ctx, w.temporalOptions); err != nil {
		return nil, err
	}
	w.temporalAddress = w.temporal.Address()
	_, port, err := net.SplitHostPort(w.temporalAddress)
	if err != nil {
		return nil, err
	}
	if w.temporalOptions.Port, err = net.LookupPort("tcp", port); err != nil {
		return nil, err
	}
	w.temporalClient, err = client.Dial(client.Options{
		HostPort: w.temporal.Address(), Namespace: temporal.Namespace, Logger: log.NewStructuredLogger(slog.New(slog.DiscardHandler)),
	})
	if err != nil {
		return nil, err
	}

	ca, err := privateca.New()
	if err != nil {
		return nil, err
	}
	if w.certificate, err = ca.ForServer("127.0.0.1"); err != nil {
		return nil, err
	}
	w.caFile = filepath.Join(o.Dir, "proxy-ca.pem")
	return w, os.WriteFile(w.caFile, ca.PEM(), 0o600)
}

// serve listens on a free port until the world stops, and returns its URL.
func (w *world) serve(h http.Handler) (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	go func() { _ = server.Serve(l) }() // until it is closed
	w.stopSecrets = append(w.stopSecrets, server.Close)
	return "http://" + l.Addr().String(), nil
}

// AWS's own examples.
const accessKey, secretKey = "AKIAIOSFODNN7EXAMPLE", "chaos"

// stop stops the servers. Their files remain.
func (w *world) stop() error {
	var errs []error
	if w.temporalClient != nil {
		w.temporalClient.Close()
	}
	if w.temporal != nil {
		errs = append(errs, w.temporal.Stop())
	}
	for _, stop := range w.stopSecrets {
		errs = append(errs, stop())
	}
	switch {
	case w.cluster != nil:
		errs = append(errs, w.cluster.stop(w.Dir))
	case w.database != nil:
		if w.admin != nil {
			errs = append(errs, w.admin.Close())
		}
		errs = append(errs, w.database.Stop())
	}
	return errors.Join(errs...)
}

// intercept passes the workers' calls of Secrets Manager through the gate of their lane. All others
// use ARNs; a lane's master secret is the exception.
func (w *world) intercept(c secretsmanager.Call) secretsmanager.Fault {
	found, ok := w.lanes.Load(c.SecretID)
	if !ok {
		return secretsmanager.Fault{}
	}
	return found.(*lane).intercept(c)
}

// strikeAll starts a fault that affects every lane, one at a time. The fault lasts until it
// returns.
func (w *world) strikeAll(f func() error) error {
	w.disaster.Lock()
	defer w.disaster.Unlock()
	w.disasters.Add(1)
	w.since.Store(0)
	defer func() { w.since.Store(time.Now().UnixNano()) }()
	return f()
}

// calmSince reports whether no fault has affected all lanes since then, or shortly before.
func (w *world) calmSince(then time.Time) bool {
	const aftermath = 15 * time.Second
	ended := w.since.Load()
	return ended != 0 && time.Unix(0, ended).Add(aftermath).Before(then)
}

func (w *world) restartTemporal(ctx context.Context) error {
	if err := w.temporal.Stop(); err != nil {
		return fmt.Errorf("stop Temporal: %w", err)
	}
	var err error
	for range 50 {
		if w.temporal, err = temporal.Start(ctx, w.temporalOptions); err == nil {
			return nil
		}
		time.Sleep(200 * time.Millisecond)
	}
	return fmt.Errorf("start Temporal again: %w", err)
}

// exec runs a statement as the database's administrator, and repeats it while the database is
// unreachable.
func (w *world) exec(ctx context.Context, statement string) error {
	return w.persist(ctx, func() error {
		_, err := w.admin.ExecContext(ctx, statement)
		return err
	})
}

// persist repeats f while the database is unreachable.
func (w *world) persist(ctx context.Context, f func() error) error {
	for {
		err := f()
		if err == nil || ctx.Err() != nil || !outOfReach(err) {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// outOfReach reports whether an error means that the database cannot be reached or cannot accept
// anyone, rather than that it refuses a credential. Only what a server reports about itself counts
// as the former; any other answer is a refusal.
func outOfReach(err error) bool {
	var answer *mysql.MySQLError
	if !errors.As(err, &answer) {
		return true
	}
	switch answer.Number {
	case 1040, // too many connections
		1053, 1077, 1079, // shutting down
		1135, 1158, 1159, 1160, 1161, // no thread, broken connection
		1047,       // node without quorum
		1290, 1836, // read-only
		1317, 1927, 3169: // interrupted, killed
		return true
	}
	return false
}
