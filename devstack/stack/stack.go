// Package stack runs everything that rotate-user needs on a laptop: Temporal, a Secrets Manager
// endpoint, a database server and the worker. Temporal and Secrets Manager run inside this process.
// The database and the worker are separate processes, as in production. Each part except the worker
// can be replaced by a real one.
package stack

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	awssm "github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/rotate-user/rotate-user/devstack/rds"
	"github.com/rotate-user/rotate-user/devstack/secretsmanager"
	"github.com/rotate-user/rotate-user/devstack/temporal"
	"github.com/rotate-user/rotate-user/internal/mysqld"
	"github.com/rotate-user/rotate-user/workflows"
)

// Options say which parts to start, and where. Ports are on 127.0.0.1; 0 chooses a free one.
type Options struct {
	// Dir receives the logs and, in bin, the binaries. It is required.
	Dir string
	// DataDir keeps the state of all parts for the next start. If it is empty, nothing is kept.
	DataDir string

	TemporalPort int
	UIPort       int // 0 for no UI
	// TemporalAddress, host:port, replaces our own server. The TEMPORAL_* variables say how to
	// connect to it.
	TemporalAddress string

	SecretsManagerPort int
	// SecretsManagerEndpoint, a URL, replaces our own endpoint, with AWS's usual variables. "aws"
	// means AWS.
	SecretsManagerEndpoint string
	// SecretsManagerLag is how far reads of our own endpoint lag behind its writes, except for
	// Client's.
	SecretsManagerLag time.Duration
	// SecretsManagerWrites is how many writes a second our own endpoint accepts, of which AWS accepts 50; 0 is any number.
	SecretsManagerWrites int

	MySQLPort int
	// Mysqld selects the database server: "mysql", "mariadb" or the path of a binary. By default,
	// it is the first one found.
	Mysqld string
	// ManagedMaster has RDS manage the credential of a second administrator, in a secret that does
	// not name a server: see MasterID. It needs our own database and Secrets Manager endpoint.
	// RotateMasterEvery is how often its password changes. If it is 0, only Managed.Rotate changes
	// it.
	ManagedMaster     bool
	RotateMasterEvery time.Duration
	// MySQLArgs are further options for our own database server.
	MySQLArgs []string
	// MySQLAddress, host:port, replaces our own server.
	MySQLAddress string
	// MySQLAdminUser and MySQLAdminPassword are the administrator of MySQLAddress.
	MySQLAdminUser, MySQLAdminPassword string
}

// MasterSecret is the name of the secret with the administrator's credentials.
const MasterSecret = "MyTestDatabaseMasterSecret"

// Stack is what is running. Fields of parts that are not ours are nil.
type Stack struct {
	Dir      string
	Temporal *temporal.Server
	Secrets  *secretsmanager.Server
	Database *mysqld.Server
	RDS      *rds.Server
	Managed  *rds.Master // nil without Options.ManagedMaster

	// Client reads and writes secrets through the AWS SDK, as an application would.
	Client *awssm.Client

	Engine  string // mysql or mariadb
	Version string // version of the database server
	Host    string // host of the database
	Port    int    // port of the database
	Admin   string // the administrator's name
	// MasterID is the secret of the administrator to use: MasterSecret, or the one that RDS
	// manages.
	MasterID string

	adminPassword string
	variables     []Variable
	dropped       []string
	stops         []func() error
}

// Variable is one environment variable.
type Variable struct{ Name, Value string }

// Start starts the parts one after the other, and stores the administrator's credentials in
// MasterSecret. If it fails, nothing is left running.
func Start(ctx context.Context, o Options) (_ *Stack, err error) {
	s := &Stack{Dir: o.Dir, MasterID: MasterSecret}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Stop())
		}
	}()
	for _, start := range []func(context.Context, Options) error{s.startDatabase, s.startSecretsManager, s.startTemporal} {
		if err := start(ctx, o); err != nil {
			return nil, err
		}
	}
	if err := s.storeMaster(ctx); err != nil {
		return nil, fmt.Errorf("secret %s: %w", MasterSecret, err)
	}
	if err := s.startRDS(ctx, o); err != nil {
		return nil, fmt.Errorf("rds: %w", err)
	}
	return s, nil
}

// Stop stops all parts, the last started first.
func (s *Stack) Stop() error {
	var errs []error
	for _, stop := range slices.Backward(s.stops) {
		errs = append(errs, stop())
	}
	s.stops = nil
	return errors.Join(errs...)
}

// Variables returns the environment variables with which starter, worker, temporal, aws and mysql
// reach this stack. None of them contains a password of the database.
func (s *Stack) Variables() []Variable { return slices.Clone(s.variables) }

// Environment returns this process's environment, with Variables in place of its own settings for
// Temporal and AWS.
func (s *Stack) Environment() []string {
	env := slices.DeleteFunc(os.Environ(), func(v string) bool {
		return slices.ContainsFunc(s.dropped, func(prefix string) bool { return strings.HasPrefix(v, prefix) })
	})
	for _, v := range s.variables {
		env = append(env, v.Name+"="+v.Value)
	}
	return env
}

func (s *Stack) set(name, value string) {
	s.variables = append(s.variables, Variable{Name: name, Value: value})
}

func (s *Stack) startTemporal(ctx context.Context, o Options) error {
	if o.TemporalAddress != "" {
		s.set("TEMPORAL_ADDRESS", o.TemporalAddress)
		return nil
	}
	options := temporal.Options{
		Port: o.TemporalPort, UIPort: o.UIPort, LogFile: filepath.Join(s.Dir, "temporal.log"), SearchAttributes: workflows.SearchAttributeTypes(),
	}
	if o.DataDir != "" {
		options.Path = filepath.Join(o.DataDir, "temporal-1.32.db")
	}
	server, err := temporal.Start(ctx, options)
	if err != nil {
		return taken(err, "--temporal-port or --ui-port")
	}
	s.Temporal = server
	s.stops = append(s.stops, server.Stop)
	s.dropped = append(s.dropped, "TEMPORAL_")
	s.set("TEMPORAL_ADDRESS", server.Address())
	s.set("TEMPORAL_NAMESPACE", temporal.Namespace)
	return nil
}

func (s *Stack) startSecretsManager(ctx context.Context, o Options) error {
	load := []func(*config.LoadOptions) error{}
	var endpoint *string
	present := o.SecretsManagerEndpoint // the endpoint of Client
	switch o.SecretsManagerEndpoint {
	case "":
		log, err := os.OpenFile(filepath.Join(s.Dir, "secretsmanager.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		s.stops = append(s.stops, log.Close)
		options := secretsmanager.Options{Lag: o.SecretsManagerLag,
			Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
		if o.DataDir != "" {
			options.Path = filepath.Join(o.DataDir, "secrets.json")
			if err := os.MkdirAll(o.DataDir, 0o700); err != nil {
				return err
			}
		}
		if s.Secrets, err = secretsmanager.New(options); err != nil {
			return fmt.Errorf("secrets manager: %w", err)
		}
		s.Secrets.LimitWrites(o.SecretsManagerWrites)
		url, err := s.serve(o.SecretsManagerPort, s.Secrets)
		if err != nil {
			return taken(fmt.Errorf("secrets manager: %w", err), "--secretsmanager-port")
		}
		endpoint = &url
		present = url
		if o.SecretsManagerLag > 0 {
			if present, err = s.serve(0, s.Secrets.WithoutLag()); err != nil {
				return fmt.Errorf("secrets manager: %w", err)
			}
		}
		s.dropped = append(s.dropped, "AWS_")
		// Any key is accepted. These are AWS's own examples.
		key, secret := "AKIAIOSFODNN7EXAMPLE", "devstack"
		s.set("AWS_REGION", "us-east-1")
		s.set("AWS_DEFAULT_REGION", "us-east-1") // AWS CLI v1 and boto3 read only this one
		s.set("AWS_ACCESS_KEY_ID", key)
		s.set("AWS_SECRET_ACCESS_KEY", secret)
		load = append(load, config.WithRegion("us-east-1"), config.WithCredentialsProvider(staticKeys(key, secret)))
	case "aws":
	default:
		endpoint = &o.SecretsManagerEndpoint
	}
	if endpoint != nil {
		s.set("AWS_ENDPOINT_URL_SECRETS_MANAGER", *endpoint)
	}
	cfg, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return fmt.Errorf("secrets manager: %w", err)
	}
	s.Client = awssm.NewFromConfig(cfg, func(c *awssm.Options) {
		if endpoint != nil {
			c.BaseEndpoint = &present
		}
	})
	return nil
}

// serve listens on 127.0.0.1 until the stack stops, and returns its URL.
func (s *Stack) serve(port int, h http.Handler) (string, error) {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return "", err
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l) // ends with Close
	}()
	s.stops = append(s.stops, func() error {
		err := server.Close()
		<-done
		return err
	})
	return "http://" + l.Addr().String(), nil
}

// taken adds to an error the flag that moves a part whose port is in use.
func taken(err error, flag string) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%w; another stack may be up: stop it, or choose another port with %s", err, flag)
	}
	return err
}
