package mysqld

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// replicationSQL has an engine's statements for replication.
type replicationSQL struct {
	reset, change, start string
	running              string   // counts the connections to the primary
	promote              []string // end the replication
}

func (s *Server) replicationSQL() replicationSQL {
	if s.Engine == MySQL {
		return replicationSQL{
			"RESET BINARY LOGS AND GTIDS",
			"CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = %d, SOURCE_USER = 'repl', SOURCE_PASSWORD = 'repl', " +
				"GET_SOURCE_PUBLIC_KEY = 1",
			"START REPLICA",
			"SELECT COUNT(*) FROM performance_schema.replication_connection_status WHERE SERVICE_STATE = 'ON'",
			[]string{"STOP REPLICA", "RESET REPLICA ALL"},
		}
	}
	return replicationSQL{
		"RESET MASTER", "CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = %d, MASTER_USER = 'repl', MASTER_PASSWORD = 'repl'",
		"START SLAVE",
		"SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE STATE LIKE 'Waiting for master to send event%'",
		[]string{"STOP SLAVE", "RESET SLAVE ALL"},
	}
}

// ReplicationArgs returns the options of a server for Replicate. Each server needs another id.
func ReplicationArgs(id int) []string {
	return []string{"--log-bin=binlog", fmt.Sprint("--server-id=", id)}
}

// Replicate makes a server the replica of this one, and returns when they are connected. Both were started with ReplicationArgs. What
// exists before on either, such as their administrators, is not replicated.
func (s *Server) Replicate(ctx context.Context, replica *Server) error {
	q := s.replicationSQL()
	if err := s.execute(ctx, "CREATE USER repl@'%' IDENTIFIED BY 'repl'", "GRANT REPLICATION SLAVE ON *.* TO repl@'%'", q.reset); err != nil {
		return err
	}
	if err := replica.execute(ctx, fmt.Sprintf(q.change, s.Port), q.start); err != nil {
		return err
	}
	return replica.administer(func(db *sql.DB) error {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			var n int
			if err := db.QueryRowContext(ctx, q.running).Scan(&n); err != nil || n > 0 {
				return err
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("%s cannot reach its primary: %w", replica, ctx.Err())
			case <-tick.C:
			}
		}
	})
}

// Promote ends a replica's replication, so that it can replace its primary.
func (s *Server) Promote(ctx context.Context) error {
	return s.execute(ctx, s.replicationSQL().promote...)
}

// administer calls f with the administrator's connections.
func (s *Server) administer(f func(*sql.DB) error) error {
	db, err := s.Open(s.AdminUser, s.AdminPassword)
	if err != nil {
		return err
	}
	defer db.Close()
	return f(db)
}

// execute runs statements as the administrator.
func (s *Server) execute(ctx context.Context, statements ...string) error {
	return s.administer(func(db *sql.DB) error {
		for _, statement := range statements {
			if _, err := db.ExecContext(ctx, statement); err != nil {
				return fmt.Errorf("%s: %s: %w", s, statement, err)
			}
		}
		return nil
	})
}
