package mysqldtest

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/rotate-user/rotate-user/internal/mysqld"
)

// Replicated starts a primary and a replica for one test, each with further arguments. What exists
// on both before they are connected, such as their administrators, is not replicated. prepare may
// add to it.
func Replicated(t testing.TB, p mysqld.Program, primaryArgs, replicaArgs []string, prepare func(primary, replica *sql.DB)) (primary,
	replica *mysqld.Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	var servers [2]*mysqld.Server
	var dbs [2]*sql.DB
	for i, args := range [][]string{primaryArgs, replicaArgs} {
		servers[i], dbs[i] = startLogging(ctx, t, p, i+1, args)
	}
	if prepare != nil {
		prepare(dbs[0], dbs[1])
	}
	if err := servers[0].Replicate(ctx, servers[1]); err != nil {
		t.Fatal(err)
	}
	return servers[0], servers[1]
}

// startLogging starts a server with a binary log until the test ends.
func startLogging(ctx context.Context, t testing.TB, p mysqld.Program, id int, args []string) (*mysqld.Server, *sql.DB) {
	t.Helper()
	s, err := p.Start(ctx, mysqld.Options{Args: append(mysqld.ReplicationArgs(id), args...)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	db, err := s.Open(s.AdminUser, s.AdminPassword)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, db
}
