package connection_test

import (
	"context"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/rotate-user/rotate-user/internal/connection"
	"github.com/rotate-user/rotate-user/internal/mysqld"
	"github.com/rotate-user/rotate-user/internal/mysqld/mysqldtest"
)

func TestMain(m *testing.M) { mysqldtest.Main(m) }

// Without the second look, one log-in in 256 fails; the chance that a thousand pass by luck is one in fifty.
func TestEveryEd25519ChallengeIsMet(t *testing.T) {
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
				t.Fatalf("log-in %d: %v", n, err)
			}
		}
	})
}

func TestOpenRefusesWhatCannotWork(t *testing.T) {
	c := mysql.NewConfig()
	c.Net = "carrier pigeon"
	if _, err := connection.Open(c); err == nil {
		t.Error("an address of an unknown network was taken")
	}
}
