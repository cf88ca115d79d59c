package prooftest

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/rotate-user/rotate-user/internal/mysqld"
	"github.com/rotate-user/rotate-user/internal/mysqld/mysqldtest"
)

// settings are set on every server. Statements are logged, so that tests see what was sent, and that no
// password was. The others are settings that an administrator may have made and that change how
// statements are parsed and results are printed.
var settings = []string{
	"SET GLOBAL log_output = 'FILE', general_log_file = 'general.log', general_log = ON",
	"SET GLOBAL sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT'", "SET GLOBAL sql_quote_show_create = OFF",
}

// onEachServer runs f on each shared server.
func onEachServer(t *testing.T, f func(t *testing.T, s *mysqld.Server)) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		prepare(t, s)
		f(t, s)
	})
}

// onPartialRevokes runs f on a separate MySQL server with partial_revokes=ON, which changes the
// meaning of database names and cannot be turned off again.
func onPartialRevokes(t *testing.T, f func(t *testing.T, s *mysqld.Server)) {
	for _, p := range mysqldtest.Programs(t) {
		if p.Engine != mysqld.MySQL {
			continue
		}
		t.Run(p.Engine+"-"+p.Version+"-partial-revokes", func(t *testing.T) {
			s, err := p.Start(t.Context(), mysqld.Options{Args: []string{"--partial-revokes=ON"}})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := s.Stop(); err != nil {
					t.Error(err)
				}
			})
			prepare(t, s)
			f(t, s)
		})
	}
}

func prepare(t *testing.T, s *mysqld.Server) {
	t.Helper()
	c := connect(t, s, s.AdminUser, s.AdminPassword)
	must(t, c, settings...)
	if s.Engine == mysqld.MariaDB {
		must(t, c, "INSTALL PLUGIN IF NOT EXISTS ed25519 SONAME 'auth_ed25519'")
	}
}

// tester is what tests and property tests have in common.
type tester interface {
	Helper()
	Context() context.Context
	Cleanup(func())
	Error(...any)
	Errorf(string, ...any)
	Fatal(...any)
	Fatalf(string, ...any)
}

var worlds atomic.Int64

// world is one test's own part of a server.
type world struct {
	server *mysqld.Server
	n      string    // a word that only this case has
	admin  string    // this case's own administrator, with all rights of the server's administrator
	conn   *sql.Conn // the administrator's connection, with an empty sql_mode
	secret string    // the administrator's password
}

func newWorld(t tester, s *mysqld.Server) *world {
	t.Helper()
	w := &world{server: s, n: fmt.Sprintf("w%d", worlds.Add(1)), secret: "Admin-12345-of-tests"}
	w.admin = w.n + "admin"
	root := connect(t, s, s.AdminUser, s.AdminPassword)
	a := name{w.admin, "localhost"}.sql()
	must(t, root, "CREATE USER "+a+" IDENTIFIED BY "+literal(w.secret), "GRANT ALL ON *.* TO "+a+" WITH GRANT OPTION")
	everybody := "''@''"
	if s.Engine == mysqld.MariaDB {
		everybody = "''@'%'"
	}
	must(t, root, "GRANT PROXY ON "+everybody+" TO "+a+" WITH GRANT OPTION")
	w.conn = connect(t, s, w.admin, w.secret)
	return w
}

// run runs a case's statements for the account.
func (w *world) run(t tester, a name, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		if text, ok := w.spelt(a, statement); ok {
			must(t, w.conn, text)
		}
	}
}

// spelt returns a case's statement for the account, and false if it is for another engine.
func (w *world) spelt(a name, statement string) (string, bool) {
	if engine, rest, ok := strings.Cut(statement, ":"); ok && (engine == mysqld.MySQL || engine == mysqld.MariaDB) {
		if engine != w.server.Engine {
			return "", false
		}
		statement = rest
	}
	return strings.NewReplacer("{u}", a.sql(), "{n}", w.n, "{p}", firstPassword).Replace(statement), true
}

const firstPassword = "First-12345-password"

// sent returns all statements that a user has sent.
func (w *world) sent(t tester, user string) []string {
	t.Helper()
	found, _ := logs.LoadOrStore(w.server.DataDir, &log{path: filepath.Join(w.server.DataDir, "general.log"), users: map[string]string{},
		sent: map[string][]string{}})
	l := found.(*log)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.read(); err != nil {
		t.Fatal(err)
	}
	return slices.Clone(l.sent[user])
}

var logs sync.Map // *log by data directory

// log reads a server's general log as it grows.
type log struct {
	mu    sync.Mutex
	path  string
	at    int64               // how far it has been read
	users map[string]string   // by connection
	sent  map[string][]string // by user
	last  string              // the user whose statement continues on further lines
}

// An entry begins with a time, which MariaDB omits if it has not changed, the connection, and a
// kind.
var entry = regexp.MustCompile(`^(?:\d\S+(?: +\S+)?)?\t+ *(\d+) ([A-Z][a-z]+(?: [A-Za-z]+)?)\t?(.*)$`)

func (l *log) read() error {
	f, err := os.Open(l.path)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Seek(l.at, io.SeekStart); err != nil {
		return err
	}
	text, err := io.ReadAll(f)
	if err != nil {
		return err
	}
	end := bytes.LastIndexByte(text, '\n') + 1
	l.at += int64(end)
	for line := range strings.Lines(string(text[:end])) {
		line = strings.TrimSuffix(line, "\n")
		m := entry.FindStringSubmatch(line)
		if m == nil {
			if all := l.sent[l.last]; len(all) > 0 {
				all[len(all)-1] += "\n" + line
			}
			continue
		}
		l.last = ""
		switch m[2] {
		case "Connect":
			l.users[m[1]], _, _ = strings.Cut(m[3], "@")
		case "Query", "Execute":
			l.last = l.users[m[1]]
			l.sent[l.last] = append(l.sent[l.last], m[3])
		}
	}
	return nil
}

// connect returns a connection that ends with the test.
func connect(t tester, s *mysqld.Server, user, pass string) *sql.Conn {
	t.Helper()
	db, err := s.Open(user, pass)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	c, err := db.Conn(context.WithoutCancel(t.Context()))
	if err != nil {
		t.Fatalf("log in as %s: %v", user, err)
	}
	t.Cleanup(func() { c.Close() })
	must(t, c, "SET sql_mode = '', sql_quote_show_create = ON")
	return c
}

func must(t tester, c *sql.Conn, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		if _, err := c.ExecContext(context.WithoutCancel(t.Context()), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

func roots(t tester, s *mysqld.Server) *x509.CertPool {
	t.Helper()
	pool, err := s.RootCAs()
	if err != nil {
		t.Fatal(err)
	}
	return pool
}

func certificate(t tester, s *mysqld.Server) []tls.Certificate {
	t.Helper()
	c, err := s.ClientCertificate("proof")
	if err != nil {
		t.Fatal(err)
	}
	return []tls.Certificate{c}
}
