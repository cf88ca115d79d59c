package stack

import (
	"context"
	"crypto/tls"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/go-sql-driver/mysql"

	"github.com/rotate-user/rotate-user/internal/connection"
	"github.com/rotate-user/rotate-user/internal/freeport"
	"github.com/rotate-user/rotate-user/internal/mysqld"
)

func (s *Stack) startDatabase(ctx context.Context, o Options) error {
	if o.MySQLAddress != "" {
		return s.useDatabase(ctx, o)
	}
	program, err := mysqld.FindOne(o.Mysqld)
	if err != nil && o.Mysqld == "" {
		return fmt.Errorf("%w: run `make demo`, which installs one, or set --mysql-address", err)
	} else if err != nil {
		return fmt.Errorf("--mysqld: %w", err)
	}
	log, err := os.OpenFile(filepath.Join(s.Dir, program.Engine+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	s.stops = append(s.stops, log.Close)
	options := mysqld.Options{Port: o.MySQLPort, Args: o.MySQLArgs, Log: log}
	if o.MySQLPort != 0 {
		// Otherwise the server itself would report this only after a minute of retries.
		if err := freeport.Check(o.MySQLPort); err != nil {
			return taken(fmt.Errorf("%s: %w", program.Engine, err), "--mysql-port")
		}
	}
	if o.DataDir != "" {
		options.DataDir = o.DataDir
	}
	if s.Database, err = program.Start(ctx, options); err != nil {
		return fmt.Errorf("%s %s: %w", program.Engine, program.Version, err)
	}
	d := s.Database
	s.stops = append(s.stops, d.Stop)
	s.Engine, s.Version, s.Host, s.Port, s.Admin, s.adminPassword = d.Engine, d.Version, d.Host, d.Port, d.AdminUser, d.AdminPassword
	s.set("ROTATE_USER_TLS_CA_FILE", d.CAFile)
	return nil
}

// useDatabase collects what the administrator's secret needs to contain for a database that is not
// ours.
func (s *Stack) useDatabase(ctx context.Context, o Options) error {
	host, port, err := net.SplitHostPort(o.MySQLAddress)
	if err != nil {
		return fmt.Errorf("--mysql-address: %w", err)
	}
	if s.Port, err = strconv.Atoi(port); err != nil {
		return fmt.Errorf("--mysql-address: %w", err)
	}
	s.Host, s.Admin, s.adminPassword = host, o.MySQLAdminUser, o.MySQLAdminPassword
	if s.Admin == "" {
		return errors.New("--mysql-address needs --mysql-admin-user, and the password in MYSQL_ADMIN_PASSWORD")
	}
	db, err := s.Open(s.Admin, s.adminPassword)
	if err != nil {
		return err
	}
	defer db.Close()
	if err := db.QueryRowContext(ctx, "SELECT VERSION()").Scan(&s.Version); err != nil {
		return fmt.Errorf("database %s: log in as %s: %w", o.MySQLAddress, s.Admin, err)
	}
	s.Engine = mysqld.MySQL
	if strings.Contains(s.Version, "MariaDB") {
		s.Engine = mysqld.MariaDB
	}
	return nil
}

// Open returns a pool of verified TLS connections to the database.
func (s *Stack) Open(user, password string) (*sql.DB, error) {
	if s.Database != nil {
		return s.Database.Open(user, password)
	}
	c := mysql.NewConfig()
	c.User, c.Passwd, c.Net, c.Addr = user, password, "tcp", net.JoinHostPort(s.Host, strconv.Itoa(s.Port))
	pool, err := s.RootCAs()
	if err != nil {
		return nil, err
	}
	c.TLS = &tls.Config{RootCAs: pool, ServerName: s.Host, MinVersion: tls.VersionTLS12}
	return connection.Open(c)
}

// OptionFile returns an option file with which mysql and mariadb log in as the administrator. It
// contains the password.
func (s *Stack) OptionFile() string {
	var b strings.Builder
	fmt.Fprintf(&b, "[client]\nprotocol=tcp\nhost=%s\nport=%d\nuser=%s\npassword=%s\n", s.Host, s.Port, s.Admin, optionValue(s.adminPassword))
	if s.Database != nil {
		fmt.Fprintf(&b, "ssl-ca=%s\n", s.Database.CAFile)
	}
	// MySQL's client verifies the server if it is given a CA. MariaDB's, the only one that reads
	// this group, must be told to.
	b.WriteString("[client-mariadb]\nssl-verify-server-cert\n")
	return b.String()
}

// optionValue quotes a value in an option file.
func optionValue(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}
