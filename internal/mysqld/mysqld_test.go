package mysqld_test

import (
	"context"
	"crypto/tls"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/rotate-user/rotate-user/internal/mysqld"
	"github.com/rotate-user/rotate-user/internal/mysqld/mysqldtest"
)

func TestMain(m *testing.M) { mysqldtest.Main(m) }

func TestAdminHasEveryRightAndRootNone(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		ctx := t.Context()
		db, err := s.Open(s.AdminUser, s.AdminPassword)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		conn, err := db.Conn(ctx)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		var variable, cipher string
		if err := conn.QueryRowContext(ctx, "SHOW STATUS LIKE 'Ssl_cipher'").Scan(&variable, &cipher); err != nil || cipher == "" {
			t.Errorf("cipher %q, %v; want TLS", cipher, err)
		}
		var version string
		if err := conn.QueryRowContext(ctx, "SELECT VERSION()").Scan(&version); err != nil || !strings.HasPrefix(version, s.Version) {
			t.Errorf("version %q, %v; want %s", version, err, s.Version)
		}
		for _, statement := range []string{
			"CREATE USER proxied@localhost",
			"CREATE USER grantee@localhost",
			"GRANT ALL PRIVILEGES ON *.* TO grantee@localhost WITH GRANT OPTION",
			"GRANT PROXY ON proxied@localhost TO grantee@localhost WITH GRANT OPTION",
			"DROP USER proxied@localhost",
			"DROP USER grantee@localhost",
		} {
			if _, err := conn.ExecContext(ctx, statement); err != nil {
				t.Errorf("%s: %v", statement, err)
			}
		}
		root, err := s.Open("root", "")
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		if err := root.PingContext(ctx); err == nil {
			t.Error("root logs in without a password")
		}
	})
}

func TestOnlyLoopbackListens(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		addresses, err := net.InterfaceAddrs()
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range addresses {
			ip := a.(*net.IPNet).IP
			if ip.IsLoopback() || ip.To4() == nil {
				continue
			}
			if c, err := net.DialTCP("tcp", nil, &net.TCPAddr{IP: ip, Port: s.Port}); err == nil {
				c.Close()
				t.Errorf("the server listens on %s", ip)
			}
		}
	})
}

func TestPasswordOnNoCommandLine(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		files, err := filepath.Glob("/proc/*/cmdline")
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if text, err := os.ReadFile(f); err == nil && strings.Contains(string(text), s.AdminPassword) {
				t.Errorf("%s shows the administrator's password", f)
			}
		}
		if _, err := os.Stat(filepath.Join(filepath.Dir(s.DataDir), "init.sql")); err == nil {
			t.Error("the start-up script with the administrator's hash is still there")
		}
	})
}

func TestClientCertificateMeetsRequirement(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		ctx := t.Context()
		db, err := s.Open(s.AdminUser, s.AdminPassword)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		create := "CREATE USER certified@localhost IDENTIFIED BY 'Certified-12345' REQUIRE SUBJECT '/O=rotate-user/CN=some app'" +
			" AND ISSUER '/O=rotate-user/CN=private test CA'"
		if _, err := db.ExecContext(ctx, create); err != nil {
			t.Fatal(err)
		}
		defer db.ExecContext(context.WithoutCancel(ctx), "DROP USER certified@localhost")
		certificate, err := s.ClientCertificate("some app")
		if err != nil {
			t.Fatal(err)
		}
		pool, err := s.RootCAs()
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			certificates []tls.Certificate
			want         bool
		}{{nil, false}, {[]tls.Certificate{certificate}, true}} {
			config := mysql.NewConfig()
			config.User, config.Passwd, config.Net = "certified", "Certified-12345", "tcp"
			config.Addr = net.JoinHostPort("localhost", strings.TrimPrefix(portOf(s), ":"))
			config.TLS = &tls.Config{RootCAs: pool, ServerName: "localhost", Certificates: c.certificates}
			connector, err := mysql.NewConnector(config)
			if err != nil {
				t.Fatal(err)
			}
			conn, err := connector.Connect(ctx)
			if err == nil {
				conn.Close()
			}
			if (err == nil) != c.want {
				t.Errorf("with %d certificates: %v", len(c.certificates), err)
			}
		}
	})
}

func portOf(s *mysqld.Server) string {
	text := s.String()
	return text[strings.LastIndexByte(text, ':'):]
}

// The test covers a server's life: kept data, a crash, a restart, a stop, and another start with
// the same directory.
func TestLife(t *testing.T) {
	for _, p := range mysqldtest.Programs(t) {
		t.Run(p.Engine+"-"+p.Version, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			dir := t.TempDir()
			options := mysqld.Options{DataDir: dir, AdminUser: "boss", Args: []string{"--general-log=1", "--general-log-file=general.log"}}
			s, err := p.Start(ctx, options)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { s.Stop() })
			exec := func(s *mysqld.Server, statement string) {
				t.Helper()
				db, err := s.Open("boss", s.AdminPassword)
				if err != nil {
					t.Fatal(err)
				}
				defer db.Close()
				if _, err := db.ExecContext(ctx, statement); err != nil {
					t.Fatalf("%s: %v", statement, err)
				}
			}
			exec(s, "CREATE USER keeper@localhost")
			exec(s, "CREATE DATABASE kept")
			port, pid := s.Port, s.Pid()
			if err := s.Kill(); err != nil {
				t.Fatal(err)
			}
			if err := syscall.Kill(pid, 0); err == nil {
				t.Error("the killed server is still running")
			}
			if err := s.Restart(ctx); err != nil {
				t.Fatal(err)
			}
			if s.Port != port {
				t.Errorf("port %d after the restart, was %d", s.Port, port)
			}
			exec(s, "ALTER USER keeper@localhost ACCOUNT LOCK")
			if err := s.Restart(ctx); err != nil {
				t.Fatal(err)
			}
			exec(s, "ALTER USER keeper@localhost ACCOUNT UNLOCK")
			if err := s.Signal(syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			if err := s.Stop(); err != nil {
				t.Fatal(err)
			}
			log, err := os.ReadFile(filepath.Join(s.DataDir, "general.log"))
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(log), "CREATE DATABASE kept") || strings.Contains(string(log), s.AdminPassword) {
				t.Error("the general log lacks a statement or shows the administrator's password")
			}
			again, err := p.Start(ctx, options)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { again.Stop() })
			if again.AdminPassword != s.AdminPassword {
				t.Error("the administrator has another password after a start on kept data")
			}
			exec(again, "DROP DATABASE kept")
		})
	}
}

func TestTemporaryDirectoryIsRemoved(t *testing.T) {
	for _, p := range mysqldtest.Programs(t) {
		t.Run(p.Engine+"-"+p.Version, func(t *testing.T) {
			t.Setenv("TMPDIR", t.TempDir())
			s, err := p.Start(t.Context(), mysqld.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Stop(); err != nil {
				t.Error(err)
			}
			if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v %v", left, err)
			}
		})
	}
}

func TestStartErrorContainsTheServersOutput(t *testing.T) {
	for _, p := range mysqldtest.Programs(t) {
		t.Run(p.Engine+"-"+p.Version, func(t *testing.T) {
			s, err := p.Start(t.Context(), mysqld.Options{Args: []string{"--no-such-option"}})
			if err == nil {
				s.Stop()
				t.Fatal("started with an unknown option")
			}
			if !strings.Contains(err.Error(), "no-such-option") {
				t.Errorf("the error does not say what is wrong: %v", err)
			}
		})
	}
}

// TestServersStartFromOneBlankDirectory checks that the blank directory is created once, and that
// its copies are different servers.
func TestServersStartFromOneBlankDirectory(t *testing.T) {
	for _, p := range mysqldtest.Programs(t) {
		t.Run(p.Engine+"-"+p.Version, func(t *testing.T) {
			cache := t.TempDir()
			t.Setenv("HOME", cache) // on macOS
			t.Setenv("XDG_CACHE_HOME", cache)
			var blanks []os.FileInfo
			seen := map[string]bool{}
			for range 2 {
				s, err := p.Start(t.Context(), mysqld.Options{})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { s.Stop() })
				found, err := filepath.Glob(filepath.Join(cache, "rotate-user", "*"))
				if err != nil || len(found) != 1 {
					t.Fatalf("blank directories: %v, %v; want one", found, err)
				}
				info, err := os.Stat(found[0])
				if err != nil {
					t.Fatal(err)
				}
				blanks = append(blanks, info)
				for _, file := range []string{"auto.cnf", "private_key.pem"} {
					own, err := os.ReadFile(filepath.Join(s.DataDir, file))
					if err == nil && seen[string(own)] {
						t.Errorf("two servers have the same %s", file)
					}
					seen[string(own)] = true
				}
			}
			if !os.SameFile(blanks[0], blanks[1]) || !blanks[0].ModTime().Equal(blanks[1].ModTime()) {
				t.Error("the blank directory was created twice")
			}
		})
	}
}
