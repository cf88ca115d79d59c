package mysqld

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/rotate-user/rotate-user/internal/child"
	"github.com/rotate-user/rotate-user/internal/freeport"
	"github.com/rotate-user/rotate-user/internal/password"
)

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
			if s.Port, err = freeport.Port(); err != nil {
				return err
			}
		}
		cmd := s.program.command(s.arguments(script)...)
		cmd.Env = s.env
		output := &tail{log: s.options.Log}
		cmd.Stdout, cmd.Stderr = output, output
		p, err := child.Start(cmd)
		if err != nil {
			return err
		}
		if err = s.ready(ctx, p); err == nil {
			s.options.Port = s.Port // the same port after a restart
			s.process = p
			return nil
		}
		_ = p.Kill() // it may have ended
		<-p.Done()
		// Another program may have taken the free port in the meantime.
		taken := strings.Contains(output.String(), "Address already in use")
		if !taken || s.options.Port != 0 || attempt == 5 || ctx.Err() != nil {
			return fmt.Errorf("%w\n%s", err, output)
		}
	}
}

// ready waits until the administrator can log in, the process ends, or the context is done.
func (s *Server) ready(ctx context.Context, p *child.Process) error {
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
		case <-p.Done():
			return fmt.Errorf("the server ended: %w", cmp.Or(p.Err(), errors.New("exit status 0")))
		case <-ctx.Done():
			return fmt.Errorf("%w; the last login failed: %w", ctx.Err(), err)
		case <-tick.C:
		}
	}
}

func (s *Server) arguments(script string) []string {
	args := append([]string{
		"--no-defaults",
		"--datadir=" + s.DataDir,
		"--bind-address=" + s.Host,
		"--port=" + strconv.Itoa(s.Port),
		"--socket=mysqld.sock", // relative to the data directory, because a socket's path is limited to about 100 bytes
		"--pid-file=mysqld.pid",
		// A separate directory: when MariaDB starts, it removes what looks like leftover temporary
		// tables, including those of other servers.
		"--tmpdir=" + s.temporary(),
		"--init-file=" + script,
		"--ssl-ca=" + s.CAFile,
		"--ssl-cert=" + filepath.Join(s.home, "server.pem"),
		"--ssl-key=" + filepath.Join(s.home, "server-key.pem"),
		"--skip-log-bin",
		// Data must survive a killed process, but not a power failure.
		"--sync-binlog=0",
		"--innodb-flush-log-at-trx-commit=2",
		"--loose-innodb-flush-method=nosync",
		"--innodb-buffer-pool-size=32M",
		logSize(s.Engine),
	}, asUser()...)
	if s.Engine == MySQL {
		args = append(args, "--mysqlx=OFF", "--auto-generate-certs=OFF", "--secure-file-priv=NULL",
			// Smaller than the defaults, for which each server reserves and clears memory when it starts.
			"--table-open-cache=200", "--table-definition-cache=400", "--innodb-log-buffer-size=1M")
	}
	return append(append(args, s.program.places()...), s.options.Args...)
}

// initScript returns SQL that gives the administrator its rights, and replaces root's empty
// password on a new MySQL server. Older servers need one statement per line. Passwords are hashed
// because the server may log the statements.
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
			// GRANT PROXY works only in a session that has logged in, unlike that of a start-up
			// script.
			fmt.Sprintf("REPLACE INTO mysql.proxies_priv (Host, User, Proxied_host, Proxied_user, With_grant) VALUES ('localhost', '%s', "+
				"'', '', 1);", s.AdminUser),
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
