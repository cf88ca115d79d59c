package mysqldtest

import (
	"context"
	"database/sql"
	"fmt"
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
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var servers [2]*mysqld.Server
	var dbs [2]*sql.DB
	for i, args := range [][]string{primaryArgs, replicaArgs} {
		servers[i], dbs[i] = startLogging(ctx, t, p, i+1, args)
	}
	if prepare != nil {
		prepare(dbs[0], dbs[1])
	}
	reset, start := "RESET MASTER", "START SLAVE"
	change := "CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = %d, MASTER_USER = 'repl', MASTER_PASSWORD = 'repl'"
	running := "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE STATE LIKE 'Waiting for master to send event%'"
	if p.Engine == mysqld.MySQL {
		reset, start = "RESET BINARY LOGS AND GTIDS", "START REPLICA"
		change = "CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = %d, SOURCE_USER = 'repl', SOURCE_PASSWORD = 'repl', " +
			"GET_SOURCE_PUBLIC_KEY = 1"
		running = "SELECT COUNT(*) FROM performance_schema.replication_connection_status WHERE SERVICE_STATE = 'ON'"
	}
	statements := func(db *sql.DB, all ...string) {
		t.Helper()
		for _, s := range all {
			if _, err := db.ExecContext(ctx, s); err != nil {
				t.Fatalf("%s: %v", s, err)
			}
		}
	}
	statements(dbs[0], "CREATE USER repl@'%' IDENTIFIED BY 'repl'", "GRANT REPLICATION SLAVE ON *.* TO repl@'%'", reset)
	statements(dbs[1], fmt.Sprintf(change, servers[0].Port), start)
	for n := 0; n == 0; {
		if err := dbs[1].QueryRowContext(ctx, running).Scan(&n); err != nil {
			t.Fatalf("wait for the replica: %v", err)
		}
		if n == 0 {
			select {
			case <-ctx.Done():
				t.Fatal("the replica cannot reach its primary")
			case <-time.After(10 * time.Millisecond):
			}
		}
	}
	return servers[0], servers[1]
}

// startLogging starts a server with a binary log until the test ends.
func startLogging(ctx context.Context, t testing.TB, p mysqld.Program, id int, args []string) (*mysqld.Server, *sql.DB) {
	t.Helper()
	s, err := p.Start(ctx, mysqld.Options{Args: append([]string{"--log-bin=binlog", fmt.Sprint("--server-id=", id)}, args...)})
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
