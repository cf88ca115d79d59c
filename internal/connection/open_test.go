package connection_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/rotate-user/rotate-user/internal/connection"
	"github.com/rotate-user/rotate-user/internal/mysqld"
	"github.com/rotate-user/rotate-user/internal/mysqld/mysqldtest"
)

func TestMain(m *testing.M) { mysqldtest.Main(m) }

// Without the retry, one login in 256 fails. The probability that a thousand pass by luck is about
// 2%.
func TestEd25519ChallengesThatEndInZeroAreRetried(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		if s.Engine != mysqld.MariaDB {
			return // MySQL has no such plugin
		}
		admin, err := s.Open(s.AdminUser, s.AdminPassword)
		if err != nil {
			t.Fatal(err)
		}
		defer admin.Close()
		for _, statement := range []string{
			"INSTALL SONAME 'auth_ed25519'",
			"CREATE USER challenged IDENTIFIED VIA ed25519 USING PASSWORD('Aa1-challenged')",
		} {
			if _, err := admin.ExecContext(t.Context(), statement); err != nil && !strings.Contains(err.Error(), "already") {
				t.Fatal(err)
			}
		}
		defer func() {
			if _, err := admin.ExecContext(context.WithoutCancel(t.Context()), "DROP USER challenged"); err != nil {
				t.Error(err)
			}
		}()
		db, err := s.Open("challenged", "Aa1-challenged")
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		db.SetMaxIdleConns(-1) // every ping logs in
		for n := range 1000 {
			if err := db.PingContext(t.Context()); err != nil {
				t.Fatalf("login %d: %v", n, err)
			}
		}
	})
}

func TestOpenRefusesAnUnknownNetwork(t *testing.T) {
	c := mysql.NewConfig()
	c.Net = "carrier pigeon"
	if _, err := connection.Open(c); err == nil {
		t.Error("Open accepted an unknown network")
	}
}

// An account with any plugin can log in, whichever plugin the server offers first, over TLS, and a
// second time from the server's cache.
func TestEveryPluginLogsIn(t *testing.T) {
	long := strings.Repeat("Aa1-", 64)
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		admin, err := s.Open(s.AdminUser, s.AdminPassword)
		if err != nil {
			t.Fatal(err)
		}
		defer admin.Close()
		exec := func(statement string, args ...any) {
			t.Helper()
			if _, err := admin.ExecContext(context.WithoutCancel(t.Context()), statement, args...); err != nil {
				t.Fatalf("%s: %v", statement, err)
			}
		}
		rows, err := admin.QueryContext(t.Context(), "SELECT PLUGIN_NAME FROM information_schema.PLUGINS"+
			" WHERE PLUGIN_NAME IN ('mysql_native_password', 'caching_sha2_password', 'sha256_password') AND PLUGIN_STATUS = 'ACTIVE'")
		if err != nil {
			t.Fatal(err)
		}
		var plugins []string
		for rows.Next() {
			var name string
			if err := rows.Scan(&name); err != nil {
				t.Fatal(err)
			}
			plugins = append(plugins, name)
		}
		if err := rows.Err(); err != nil || plugins == nil {
			t.Fatalf("plugins %v, %v", plugins, err)
		}
		t.Log(plugins)
		greetings := []string{""}
		if s.Engine == mysqld.MySQL {
			greetings = plugins
			defer exec("SET GLOBAL authentication_policy = DEFAULT")
		}
		for _, greeting := range greetings {
			if greeting != "" {
				exec("SET GLOBAL authentication_policy = '" + greeting + ",,'")
			}
			for _, plugin := range plugins {
				for _, password := range []string{"Aa1-first", long, "\x01"} {
					made := "CREATE USER plugged IDENTIFIED WITH " + plugin + " BY '" + password + "'"
					if s.Engine == mysqld.MariaDB {
						made = "CREATE USER plugged IDENTIFIED VIA " + plugin + " USING PASSWORD('" + password + "')"
					}
					exec(made)
					for range 2 {
						db, err := s.Open("plugged", password)
						if err != nil {
							t.Fatal(err)
						}
						var cipher, name string
						if err := db.QueryRowContext(t.Context(), "SHOW STATUS LIKE 'Ssl_cipher'").Scan(&name, &cipher); err != nil || cipher == "" {
							t.Errorf("greeted by %s, %s with %d characters: cipher %q, %v", greeting, plugin, len(password), cipher, err)
						}
						db.Close()
					}
					db, err := s.Open("plugged", "wrong")
					if err != nil {
						t.Fatal(err)
					}
					var refused *mysql.MySQLError
					if err := db.PingContext(t.Context()); !errors.As(err, &refused) || refused.Number != 1045 {
						t.Errorf("greeted by %s, %s: a wrong password gives %v", greeting, plugin, err)
					}
					db.Close()
					exec("DROP USER plugged")
				}
			}
		}
	})
}

// A server whose certificate is not trusted gets no password.
func TestTLSIsVerified(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		c := mysql.NewConfig()
		c.Net, c.Addr, c.User, c.Passwd = "tcp", net.JoinHostPort(s.Host, strconv.Itoa(s.Port)), s.AdminUser, s.AdminPassword
		c.TLS = &tls.Config{ServerName: s.Host}
		db, err := connection.Open(c)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		var untrusted *tls.CertificateVerificationError
		if err := db.PingContext(t.Context()); !errors.As(err, &untrusted) {
			t.Errorf("got %v", err)
		}
	})
}
