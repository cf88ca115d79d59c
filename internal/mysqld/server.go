package mysqld

import (
	"context"
	"crypto/tls"
	"database/sql"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/rotate-user/rotate-user/internal/child"
	"github.com/rotate-user/rotate-user/internal/connection"
)

// Options are the options of a server.
type Options struct {
	// DataDir has the server's files, its certificates and the administrator's password. It is created if it does not
	// exist, and contains a directory for each engine. If DataDir is empty, the server uses a temporary directory,
	// which Stop removes.
	DataDir string
	// Port is the TCP port, or 0 for a free one.
	Port int
	// Args are further server options. They come after ours, and so override them.
	Args []string
	// Log receives what the server prints. It may be nil.
	Log io.Writer
	// AdminUser is the administrator's name: letters, digits and underscores. The default is
	// adminuser.
	AdminUser string
}

// Server is a private server. It listens on Host and Port with TLS. AdminUser at localhost has every right on it.
type Server struct {
	Engine, Version string // as in Program
	Host            string // 127.0.0.1
	Port            int
	AdminUser       string
	AdminPassword   string
	CAFile          string // PEM file with the certificate authority to trust
	DataDir         string // the server's own data directory, to which file names in Args are relative

	program Program
	options Options
	home    string   // DataDir's parent
	env     []string // the process's environment; nil for this program's

	mu      sync.Mutex
	process *child.Process
}

// String describes the server without its password.
func (s *Server) String() string {
	return fmt.Sprintf("%s %s on %s", s.Engine, s.Version, s.address())
}

func (s *Server) temporary() string { return filepath.Join(s.home, "tmp") }

func (s *Server) address() string { return net.JoinHostPort(s.Host, strconv.Itoa(s.Port)) }

// A server that is still running after this time is killed.
const stopTimeout = 30 * time.Second

var plainName = regexp.MustCompile(`^[A-Za-z0-9_]{1,32}$`)

// Start prepares a data directory, starts the server, and returns when the administrator can log
// in. The context applies only to the start. The server then runs until Stop. On Linux it also ends
// with this program.
func (p Program) Start(ctx context.Context, o Options) (*Server, error) {
	if o.AdminUser == "" {
		o.AdminUser = "adminuser"
	}
	if !plainName.MatchString(o.AdminUser) {
		return nil, fmt.Errorf("administrator's name %q: use only letters, digits and underscores", o.AdminUser)
	}
	if err := checkArguments(o.Args); err != nil {
		return nil, err
	}
	s := &Server{Engine: p.Engine, Version: p.Version, Host: "127.0.0.1", AdminUser: o.AdminUser, program: p, options: o}
	var err error
	if o.DataDir == "" {
		s.home, err = os.MkdirTemp("", "rotate-user-"+p.Engine+"-")
	} else {
		s.home, err = filepath.Abs(filepath.Join(o.DataDir, p.Engine))
	}
	if err != nil {
		return nil, err
	}
	s.DataDir, s.CAFile = filepath.Join(s.home, "data"), filepath.Join(s.home, "ca.pem")
	if err := s.prepare(ctx); err != nil {
		s.forget()
		return nil, fmt.Errorf("prepare %s %s: %w", p.Engine, p.Version, err)
	}
	if err := s.run(ctx); err != nil {
		s.forget()
		return nil, fmt.Errorf("start %s %s: %w", p.Engine, p.Version, err)
	}
	return s, nil
}

// checkArguments refuses options with which the administrator could never log in, so that Start does
// not wait for it.
func checkArguments(args []string) error {
	for _, arg := range args {
		name, value, given := strings.Cut(strings.ReplaceAll(strings.ToLower(arg), "_", "-"), "=")
		off := value == "0" || value == "off" || value == "false"
		if name = strings.TrimPrefix(name, "--"); strings.TrimPrefix(name, "loose-") == "skip-name-resolve" && !(given && off) {
			return fmt.Errorf("option %s: the administrator is at localhost, which the server knows only by looking up names: leave it out", arg)
		}
	}
	return nil
}

// Open returns a pool of verified TLS connections for the user.
func (s *Server) Open(user, pass string) (*sql.DB, error) {
	pool, err := s.RootCAs()
	if err != nil {
		return nil, err
	}
	c := mysql.NewConfig()
	c.User, c.Passwd, c.Net, c.Addr = user, pass, "tcp", s.address()
	c.TLS = &tls.Config{RootCAs: pool, ServerName: s.Host, MinVersion: tls.VersionTLS12}
	c.Logger = &mysql.NopLogger{} // it would log every attempt while the server starts
	return connection.Open(c)
}

// Pid returns the server's process id.
func (s *Server) Pid() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.process.Pid
}

// Signal sends a signal to the server, such as SIGSTOP and SIGCONT to make it hang for a while.
func (s *Server) Signal(sig os.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.process.Signal(sig)
}

// Kill ends the server as a crash would, and waits for its end. Restart can use its data.
func (s *Server) Kill() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.process.End(syscall.SIGKILL, stopTimeout)
}

// Restart shuts the server down if it is running, and starts it again with the same port and data.
func (s *Server) Restart(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.process.End(syscall.SIGTERM, stopTimeout); err != nil {
		return err
	}
	if err := s.run(ctx); err != nil {
		return fmt.Errorf("restart %s: %w", s, err)
	}
	return nil
}

// Stop ends the server if it is running. It removes a temporary data directory. Such a server is
// killed rather than shut down, which would take MySQL seconds.
func (s *Server) Stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var sig os.Signal = syscall.SIGTERM
	if s.options.DataDir == "" {
		sig = syscall.SIGKILL
	}
	err := s.process.End(sig, stopTimeout)
	s.forget()
	return err
}

func (s *Server) forget() {
	if s.options.DataDir == "" {
		// Best effort: anything left is in the system's temporary directory.
		_ = os.RemoveAll(s.home)
	}
}
