package mysqld

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/rotate-user/rotate-user/internal/connection"
	"github.com/rotate-user/rotate-user/internal/password"
)

// Options say how to start a server.
type Options struct {
	// DataDir is where the server's files, certificates and administrator's password are kept, made if absent. Each
	// engine has its own folder in it. Empty: a temporary directory, removed by Stop.
	DataDir string
	// Port is the TCP port. 0: a free one.
	Port int
	// Args are further server options, after ours, so that they prevail.
	Args []string
	// Log receives what the server prints. May be nil.
	Log io.Writer
	// AdminUser is the administrator's name: letters, digits, underscore. Empty: adminuser.
	AdminUser string
}

// Server is a private server. It listens on Host and Port with TLS; AdminUser at localhost has every right on it.
type Server struct {
	Engine, Version string // as in Program
	Host            string // 127.0.0.1
	Port            int
	AdminUser       string
	AdminPassword   string
	CAFile          string // the certificate authority to trust, PEM
	DataDir         string // the server's own data directory, where file names in Args are relative to

	program Program
	options Options
	home    string   // DataDir's parent
	env     []string // of the process; nil: this program's

	mu      sync.Mutex
	process *process
}

// String names the server without its password.
func (s *Server) String() string {
	return fmt.Sprintf("%s %s on %s", s.Engine, s.Version, s.address())
}

func (s *Server) temporary() string { return filepath.Join(s.home, "tmp") }

func (s *Server) address() string { return net.JoinHostPort(s.Host, strconv.Itoa(s.Port)) }

var plainName = regexp.MustCompile(`^[A-Za-z0-9_]{1,32}$`)

// Start prepares a data directory, runs the server and returns when the administrator can log in. The context bounds
// the start only; the server then runs until Stop, or the end of this program where the system can see to that.
func (p Program) Start(ctx context.Context, o Options) (*Server, error) {
	if o.AdminUser == "" {
		o.AdminUser = "adminuser"
	}
	if !plainName.MatchString(o.AdminUser) {
		return nil, fmt.Errorf("administrator's name %q: letters, digits and underscore only", o.AdminUser)
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

// prepare makes whatever the server needs and the directory does not have yet.
func (s *Server) prepare(ctx context.Context) error {
	if err := os.MkdirAll(s.temporary(), 0o700); err != nil {
		return err
	}
	if err := ensureCertificates(s.home); err != nil {
		return err
	}
	file := filepath.Join(s.home, "admin-password")
	saved, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		saved = []byte(rand.Text())
		err = os.WriteFile(file, saved, 0o600)
	}
	if err != nil {
		return err
	}
	s.AdminPassword = string(saved)
	if _, err := os.Stat(s.DataDir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	// Under another name first: a directory that was cut off half way is never taken for a good one.
	fresh := s.DataDir + ".new"
	if err := os.RemoveAll(fresh); err != nil {
		return err
	}
	if err := s.initialise(ctx, fresh); err != nil {
		return err
	}
	return os.Rename(fresh, s.DataDir)
}

func (s *Server) initialise(ctx context.Context, dir string) error {
	var cmd *exec.Cmd
	args := append([]string{"--no-defaults", "--datadir=" + dir, "--tmpdir=" + s.temporary()}, asUser()...)
	switch s.Engine {
	case MySQL:
		args = append(args, "--initialize-insecure", "--innodb-flush-method=nosync")
		cmd = s.program.command(append(args, s.program.places()...)...)
	default:
		script, err := installer(s.program.Path)
		if err != nil {
			return err
		}
		cmd = exec.Command(script, append(args, "--skip-test-db", "--skip-name-resolve", "--innodb-flush-method=nosync")...)
	}
	p, err := start(cmd, s.options.Log)
	if err != nil {
		return err
	}
	if err := p.wait(ctx); err != nil {
		return fmt.Errorf("make a data directory: %w\n%s", err, p.tail)
	}
	return nil
}

// installer finds the script that makes MariaDB's data directories.
func installer(server string) (string, error) {
	bin := filepath.Dir(server)
	for _, name := range []string{"mariadb-install-db", "mysql_install_db"} {
		for _, path := range []string{filepath.Join(bin, name), filepath.Join(bin, "../bin", name), filepath.Join(bin, "../scripts", name), name} {
			if found, err := exec.LookPath(path); err == nil {
				return found, nil
			}
		}
	}
	return "", fmt.Errorf("no mariadb-install-db near %s or on PATH", server)
}

// asUser lets the server run as root, which it refuses unless told so.
func asUser() []string {
	if os.Geteuid() == 0 {
		return []string{"--user=root"}
	}
	return nil
}

// run starts the process and waits until the administrator can log in.
func (s *Server) run(ctx context.Context) error {
	script := filepath.Join(s.home, "init.sql")
	text, err := s.initScript()
	if err != nil {
		return err
	}
	if err := os.WriteFile(script, []byte(text), 0o600); err != nil {
		return err
	}
	defer os.Remove(script)
	for attempt := 1; ; attempt++ {
		if s.Port = s.options.Port; s.Port == 0 {
			if s.Port, err = freePort(); err != nil {
				return err
			}
		}
		cmd := s.program.command(s.arguments(script)...)
		cmd.Env = s.env
		p, err := start(cmd, s.options.Log)
		if err != nil {
			return err
		}
		if err = s.ready(ctx, p); err == nil {
			s.options.Port = s.Port // the same one after a restart
			s.process = p
			return nil
		}
		_ = p.Kill()
		<-p.done
		// Somebody may have taken the free port in the meantime.
		taken := strings.Contains(p.tail.String(), "Address already in use")
		if !taken || s.options.Port != 0 || attempt == 5 || ctx.Err() != nil {
			return fmt.Errorf("%w\n%s", err, p.tail)
		}
	}
}

func (s *Server) arguments(script string) []string {
	args := append([]string{
		"--no-defaults",
		"--datadir=" + s.DataDir,
		"--bind-address=" + s.Host,
		"--port=" + strconv.Itoa(s.Port),
		"--socket=mysqld.sock", // relative to the data directory, as a socket's whole path is limited to some 100 bytes
		"--pid-file=mysqld.pid",
		// Of its own: a MariaDB that starts removes what look like left-overs of temporary tables, those of its neighbours too.
		"--tmpdir=" + s.temporary(),
		"--init-file=" + script,
		"--ssl-ca=" + s.CAFile,
		"--ssl-cert=" + filepath.Join(s.home, "server.pem"),
		"--ssl-key=" + filepath.Join(s.home, "server-key.pem"),
		"--skip-log-bin",
		// What survives a killed process but not a power failure is good enough here.
		"--sync-binlog=0",
		"--innodb-flush-log-at-trx-commit=2",
		"--loose-innodb-flush-method=nosync",
		"--innodb-buffer-pool-size=32M",
	}, asUser()...)
	if s.Engine == MySQL {
		args = append(args, "--mysqlx=OFF", "--auto-generate-certs=OFF", "--secure-file-priv=NULL", "--innodb-redo-log-capacity=16M")
	}
	return append(append(args, s.program.places()...), s.options.Args...)
}

// initScript gives the administrator his rights, and nobody else any: root of a fresh MySQL has no password. One
// statement a line, as older servers want it. Hashes, for the server may write all of it into its log.
func (s *Server) initScript() (string, error) {
	admin := fmt.Sprintf("'%s'@'localhost'", s.AdminUser)
	if s.Engine == MariaDB {
		hash, err := password.Hash("mysql_native_password", s.AdminPassword)
		if err != nil {
			return "", err
		}
		as := fmt.Sprintf("IDENTIFIED VIA mysql_native_password USING '%s'", hash)
		return strings.Join([]string{
			"CREATE USER IF NOT EXISTS " + admin + " " + as + ";",
			"ALTER USER " + admin + " " + as + ";",
			"GRANT ALL PRIVILEGES ON *.* TO " + admin + " WITH GRANT OPTION;",
			// GRANT PROXY wants somebody who is logged in, which a start-up script is not.
			fmt.Sprintf("REPLACE INTO mysql.proxies_priv (Host, User, Proxied_host, Proxied_user, With_grant) VALUES ('localhost', '%s', '', '', 1);", s.AdminUser),
			"FLUSH PRIVILEGES;",
			"",
		}, "\n"), nil
	}
	hash, err := password.Hash("caching_sha2_password", s.AdminPassword)
	if err != nil {
		return "", err
	}
	as := fmt.Sprintf("IDENTIFIED WITH caching_sha2_password AS '%s'", hash)
	return strings.Join([]string{
		"CREATE USER IF NOT EXISTS " + admin + " " + as + ";",
		"ALTER USER " + admin + " " + as + ";",
		"ALTER USER 'root'@'localhost' " + as + ";",
		"GRANT ALL PRIVILEGES ON *.* TO " + admin + " WITH GRANT OPTION;",
		"GRANT PROXY ON ''@'' TO " + admin + " WITH GRANT OPTION;",
		"",
	}, "\n"), nil
}

// ready waits until the administrator can log in, the process ends or the context is done.
func (s *Server) ready(ctx context.Context, p *process) error {
	db, err := s.Open(s.AdminUser, s.AdminPassword)
	if err != nil {
		return err
	}
	defer db.Close()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if err = db.PingContext(ctx); err == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("the server ended: %w", errors.Join(p.err, errors.New("see its log")))
		case <-ctx.Done():
			return fmt.Errorf("%w; the last log-in said: %w", ctx.Err(), err)
		case <-tick.C:
		}
	}
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
	c.Logger = &mysql.NopLogger{} // a server that starts or dies is no news here
	return connection.Open(c)
}

// Pid is the server's process id.
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

// Kill ends the server as a crash would, and waits for its end. Its data stay for Restart.
func (s *Server) Kill() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.process.end(syscall.SIGKILL)
}

// Restart ends the server in order, if it runs, and starts it again on the same port and data.
func (s *Server) Restart(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.process.end(syscall.SIGTERM); err != nil {
		return err
	}
	if err := s.run(ctx); err != nil {
		return fmt.Errorf("restart %s: %w", s, err)
	}
	return nil
}

// Stop ends the server in order, if it runs, and removes a temporary data directory.
func (s *Server) Stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.process.end(syscall.SIGTERM)
	s.forget()
	return err
}

func (s *Server) forget() {
	if s.options.DataDir == "" {
		// Best effort: what is left lies in the system's temporary directory.
		_ = os.RemoveAll(s.home)
	}
}

// A server that does not end in this time is killed.
const stopTimeout = 30 * time.Second

// end signals the process and waits for its end.
func (p *process) end(sig os.Signal) error {
	// A stopped process would not see the signal.
	_ = p.Signal(syscall.SIGCONT)
	if err := p.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	timeout := time.NewTimer(stopTimeout)
	defer timeout.Stop()
	select {
	case <-p.done:
		return nil
	case <-timeout.C:
	}
	err := p.Kill()
	<-p.done
	return err
}

// wait waits for the process to end by itself and kills it when the context is done.
func (p *process) wait(ctx context.Context) error {
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
		_ = p.Kill()
		<-p.done
		return ctx.Err()
	}
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
