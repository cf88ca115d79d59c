package steps

import (
	"crypto/tls"
	"database/sql"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/go-sql-driver/mysql"

	"github.com/rotate-user/rotate-user/internal/mysqld"
	"github.com/rotate-user/rotate-user/internal/mysqld/mysqldtest"
)

// hostile contains escape sequences that clear and colour a terminal, a line break, a link and
// right-to-left text.
const hostile = "x\x1b[2J\x1b[31m\r\n[a](http://b)\u202e"

func mustBePlain(t *testing.T, what string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsGraphic(r) }) {
			t.Errorf("%s is shown unescaped: %q", what, text)
		}
	}
}

// TestNamesFromOutside checks that hostile names chosen by a client or on a server are escaped
// before they reach a history, and with it a terminal or the Temporal UI.
func TestNamesFromOutside(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		l.rotate()
		l.sql("CREATE DATABASE `" + hostile + "`")
		t.Cleanup(func() { l.sql("DROP DATABASE `" + hostile + "`") })
		l.sql("CREATE TABLE `" + hostile + "`.`" + hostile + "` (id INT)")
		l.sql("GRANT UPDATE ON `" + hostile + "`.`" + hostile + "` TO " + l.user + "_clone@'%'")

		// The standby is now the user itself, and a client still uses it.
		roots, err := s.RootCAs()
		if err != nil {
			t.Fatal(err)
		}
		c := mysql.NewConfig()
		c.User, c.Passwd, c.Net, c.Addr = l.user, "First.Passw0rd", "tcp", net.JoinHostPort(s.Host, strconv.Itoa(s.Port))
		c.TLS = &tls.Config{RootCAs: roots, ServerName: s.Host}
		c.ConnectionAttributes = "program_name:" + hostile
		connector, err := mysql.NewConnector(c)
		if err != nil {
			t.Fatal(err)
		}
		client := sql.OpenDB(connector)
		t.Cleanup(func() { client.Close() })
		if err := client.PingContext(t.Context()); err != nil {
			t.Fatal(err)
		}

		plan := l.plan(1)
		if len(plan.Changes) == 0 || len(plan.Statements) == 0 || len(plan.InUse) == 0 {
			t.Fatalf("nothing is planned: %+v", plan)
		}
		if s.Engine == mysqld.MySQL && !strings.Contains(plan.InUse[0], `\x1b[2J`) {
			t.Errorf("the program is missing: %q", plan.InUse)
		}
		mustBePlain(t, "a plan", slices.Concat(plan.Changes, plan.Statements, plan.Drift, plan.InUse, plan.Warnings)...)

		clone, err := l.clone()
		if err != nil {
			t.Fatal(err)
		}
		if len(clone.Changes) == 0 {
			t.Errorf("nothing was changed: %+v", clone)
		}
		mustBePlain(t, "a result", slices.Concat(clone.Changes, clone.Drift, clone.InUse, clone.Warnings)...)

		// The refusal names the table: the administrator lacks a right that it has to grant.
		l.sql("DROP TABLE `" + hostile + "`.`" + hostile + "`")
		l.put(map[string]any{"username": hostile, "password": "First.Passw0rd", "masterarn": "master"})
		_, err = l.clone()
		if err == nil {
			t.Fatal("a user that does not exist is rotated")
		}
		mustBePlain(t, "an error", fmt.Sprint(err))
	})
}
