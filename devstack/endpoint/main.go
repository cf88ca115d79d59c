// Endpoint is the Secrets Manager endpoint of docker-compose.yml. Its setup command creates what
// must exist before the other services start.
//
//	endpoint setup DIR
//	endpoint serve [--address HOST:PORT] [--secret NAME=FILE]...
//	endpoint health [--address HOST:PORT]
package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/rotate-user/rotate-user/devstack/secretsmanager"
	"github.com/rotate-user/rotate-user/internal/privateca"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "endpoint:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("setup, serve or health?")
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	address := flags.String("address", "127.0.0.1:4584", "where the endpoint listens")
	var secrets []string
	flags.Func("secret", "NAME=FILE: a secret to create, and the file with its value", func(s string) error {
		secrets = append(secrets, s)
		return nil
	})
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	switch args[0] {
	case "setup":
		if flags.NArg() != 1 {
			return errors.New("setup: give a directory")
		}
		return setup(flags.Arg(0), os.Chown)
	case "serve":
		return serve(ctx, *address, secrets)
	case "health":
		return health(ctx, *address)
	}
	return fmt.Errorf("%q is not setup, serve or health", args[0])
}

// The ids of the users as which MySQL's image and the distroless image run their programs.
const (
	mysqlUser   = 999
	nonrootUser = 65532
)

// setup creates what must differ on every machine: the passwords and the database's certificate.
// MySQL can create a certificate itself, but that one names no host, so no client can verify it.
func setup(dir string, chown func(path string, uid, gid int) error) error {
	master := filepath.Join(dir, "master.json")
	if _, err := os.Stat(master); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	ca, err := privateca.New()
	if err != nil {
		return err
	}
	server, err := ca.ForServer("mysql", "localhost", "127.0.0.1")
	if err != nil {
		return err
	}
	key := filepath.Join(dir, "server-key.pem")
	if err := privateca.Save(server, filepath.Join(dir, "server.pem"), key); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "ca.pem"), ca.PEM(), 0o644); err != nil {
		return err
	}
	admin := rand.Text()
	value, err := json.Marshal(map[string]any{"engine": "mysql", "host": "mysql", "port": 3306, "username": "adminuser", "password": admin})
	if err != nil {
		return err
	}
	files := []struct {
		path, text string
		user       int
	}{
		{filepath.Join(dir, "root-password"), rand.Text(), mysqlUser},
		{filepath.Join(dir, "admin-password"), admin, mysqlUser},
		{master, string(value), nonrootUser}, // last: its presence means that the other files are complete
	}
	if err := chown(key, mysqlUser, mysqlUser); err != nil {
		return err
	}
	for _, f := range files {
		fresh := f.path + ".new"
		if err := os.WriteFile(fresh, []byte(f.text), 0o600); err != nil {
			return err
		}
		if err := errors.Join(chown(fresh, f.user, f.user), os.Rename(fresh, f.path)); err != nil {
			return err
		}
	}
	return nil
}

// serve serves until ctx is done. It keeps nothing.
func serve(ctx context.Context, address string, secrets []string) error {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	endpoint, err := secretsmanager.New(secretsmanager.Options{Log: log})
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.Handle("/", endpoint)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	for _, s := range secrets {
		if err := create(ctx, endpoint, s); err != nil {
			return errors.Join(err, l.Close())
		}
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// create stores a secret through the endpoint's own protocol, as a client would.
func create(ctx context.Context, endpoint http.Handler, secret string) error {
	name, file, ok := strings.Cut(secret, "=")
	if !ok {
		return fmt.Errorf("--secret %q: give NAME=FILE", secret)
	}
	value, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	input, err := json.Marshal(map[string]string{"Name": name, "SecretString": string(value), "ClientRequestToken": rand.Text() + "-compose"})
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "/", strings.NewReader(string(input)))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "secretsmanager.CreateSecret")
	var a answer
	endpoint.ServeHTTP(&a, r)
	if a.status != http.StatusOK {
		return fmt.Errorf("create secret %s: status %d: %s", name, a.status, a.body.String())
	}
	return nil
}

// answer records the response of a handler.
type answer struct {
	status int
	header http.Header
	body   strings.Builder
}

func (a *answer) Header() http.Header {
	if a.header == nil {
		a.header = http.Header{}
	}
	return a.header
}

func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

func (a *answer) Write(b []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(b)
}

func health(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	if host == "" {
		host = "127.0.0.1"
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+"/healthz", nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", r.URL, res.Status)
	}
	return nil
}
