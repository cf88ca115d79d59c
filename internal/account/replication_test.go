package account

import (
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/rotate-user/rotate-user/internal/mysqld"
	"github.com/rotate-user/rotate-user/internal/mysqld/mysqldtest"
)

// adminOf opens an administrator's session on a server of the test's own.
func adminOf(t *testing.T, s *mysqld.Server, user, password string) *Admin {
	t.Helper()
	roots, err := s.RootCAs()
	if err != nil {
		t.Fatal(err)
	}
	dialer := &Dialer{RootCAs: roots}
	t.Cleanup(func() { dialer.Close() })
	admin, err := dialer.Admin(t.Context(), Endpoint{Host: s.Host, Port: s.Port, TLS: true}, user, password)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { admin.Close() })
	return admin
}

func TestAReplicaIsRefused(t *testing.T) {
	for _, program := range mysqldtest.Programs(t) {
		t.Run(program.Engine, func(t *testing.T) {
			servers := make([]member, 2)
			for i := range servers {
				args := []string{"--log-bin=binlog", fmt.Sprint("--server-id=", i+1)}
				if i == 0 {
					args = append(args, "--binlog-do-db=shop")
				}
				s, err := program.Start(t.Context(), mysqld.Options{Args: args})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { s.Stop() })
				var db *sql.DB
				if db, err = s.Open(s.AdminUser, s.AdminPassword); err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { db.Close() })
				servers[i] = member{s, db}
			}
			primary, replica := servers[0], servers[1]
			if program.Engine == mysqld.MySQL { // or the replica would get the primary's administrator
				primary.exec(t, "RESET BINARY LOGS AND GTIDS")
			}
			primary.exec(t, "CREATE USER app@'%' IDENTIFIED BY 'old'", "CREATE USER repl@'%' IDENTIFIED BY 'repl'", "GRANT REPLICATION SLAVE ON *.* TO repl@'%'")
			replica.exec(t, "CREATE USER app@'%' IDENTIFIED BY 'old'", "CREATE USER limited@localhost IDENTIFIED BY 'limited'",
				"GRANT SELECT, CREATE USER, RELOAD, PROCESS ON *.* TO limited@localhost WITH GRANT OPTION")
			change, running := "CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = %d, MASTER_USER = 'repl', MASTER_PASSWORD = 'repl'",
				"SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE STATE LIKE 'Waiting for master to send event%'"
			stop := "STOP SLAVE"
			if program.Engine == mysqld.MySQL {
				change, running = "CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = %d, SOURCE_USER = 'repl', SOURCE_PASSWORD = 'repl', GET_SOURCE_PUBLIC_KEY = 1",
					"SELECT COUNT(*) FROM performance_schema.replication_connection_status WHERE SERVICE_STATE = 'ON'"
				stop = "STOP REPLICA"
			}
			replica.exec(t, fmt.Sprintf(change, primary.Port), strings.Replace(stop, "STOP", "START", 1))
			if err := replica.until(t.Context(), running); err != nil {
				t.Fatal(err)
			}

			p := Pair{Source: Name{"app", "%"}, Standby: "app_clone", Mark: "m"}
			admin := adminOf(t, replica.Server, replica.AdminUser, replica.AdminPassword)
			from := fmt.Sprintf("127.0.0.1:%d", primary.Port)
			for _, name := range []string{"plan", "rotation"} {
				var err error
				if name == "plan" {
					_, err = admin.Plan(t.Context(), p)
				} else {
					_, err = admin.Sync(t.Context(), p)
				}
				refused, ok := errors.AsType[*Refusal](err)
				if !ok || refused.Reason != Replica || refused.Retry || !strings.Contains(refused.Message, from) {
					t.Errorf("%s of a replica: %v; want it refused with the name of %s", name, err, from)
				}
			}
			if names, err := admin.Exists(t.Context(), "app_clone"); err != nil || len(names) != 0 {
				t.Errorf("accounts %v, %v: want no standby", names, err)
			}

			warned := func(admin *Admin, p Pair, says string) {
				t.Helper()
				plan, err := admin.Plan(t.Context(), p)
				if err != nil {
					t.Fatal(err)
				}
				if all := strings.Join(plan.Warnings, "; "); !strings.Contains(all, says) {
					t.Errorf("warnings are %q: want one with %q", plan.Warnings, says)
				}
			}
			forced := p
			forced.Force = true
			warned(admin, forced, from)
			warned(adminOf(t, replica.Server, "limited", "limited"), p, "whether the server replicates from another one is unknown: GRANT REPLICA")
			replica.exec(t, stop)
			warned(admin, p, from)
			replica.exec(t, "SET GLOBAL read_only = ON")
			reader := adminOf(t, replica.Server, replica.AdminUser, replica.AdminPassword)
			if _, err := reader.Plan(t.Context(), p); err == nil || !strings.Contains(err.Error(), "the writer only") || !strings.Contains(err.Error(), from) {
				t.Errorf("plan of a server that takes no writes: %v; want it refused with the name of %s", err, from)
			}

			onPrimary := adminOf(t, primary.Server, primary.AdminUser, primary.AdminPassword)
			plan, err := onPrimary.Plan(t.Context(), p)
			if err != nil {
				t.Fatal(err)
			}
			if lost := strings.Contains(strings.Join(plan.Warnings, "; "), "binlog_do_db is shop"); lost != (program.Engine == mysqld.MariaDB) {
				t.Errorf("warnings on the primary are %q", plan.Warnings)
			}
		})
	}
}
