package account

import (
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/rotate-user/rotate-user/internal/grants"
	"github.com/rotate-user/rotate-user/internal/mysqld"
	"github.com/rotate-user/rotate-user/internal/mysqld/mysqldtest"
)

// adminOf opens an administrator's session on a server that belongs to the test.
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

func TestReplicaIsRefused(t *testing.T) {
	for _, program := range mysqldtest.Programs(t) {
		t.Run(program.Engine, func(t *testing.T) {
			exec := func(db *sql.DB, statements ...string) {
				for _, s := range statements {
					if _, err := db.ExecContext(t.Context(), s); err != nil {
						t.Fatalf("%s: %v", s, err)
					}
				}
			}
			var onReplica *sql.DB
			primary, replica := mysqldtest.Replicated(t, program, []string{"--binlog-do-db=shop"}, nil, func(primary, replica *sql.DB) {
				onReplica = replica
				exec(primary, "CREATE USER app@'%' IDENTIFIED BY 'old'")
				exec(replica, "CREATE USER app@'%' IDENTIFIED BY 'old'", "CREATE USER limited@localhost IDENTIFIED BY 'limited'",
					"GRANT SELECT, CREATE USER, RELOAD, PROCESS ON *.* TO limited@localhost WITH GRANT OPTION")
			})
			stop := "STOP SLAVE"
			if program.Engine == mysqld.MySQL {
				stop = "STOP REPLICA"
			}

			p := grants.Pair{Source: grants.Name{User: "app", Host: "%"}, Standby: "app_clone", Mark: "m"}
			admin := adminOf(t, replica, replica.AdminUser, replica.AdminPassword)
			from := fmt.Sprintf("127.0.0.1:%d", primary.Port)
			for _, name := range []string{"plan", "rotation"} {
				var err error
				if name == "plan" {
					_, err = admin.Plan(t.Context(), p)
				} else {
					_, err = admin.Sync(t.Context(), p)
				}
				refused, ok := errors.AsType[*grants.Refusal](err)
				if !ok || refused.Reason != grants.Replica || refused.Retry || !strings.Contains(refused.Message, from) {
					t.Errorf("%s of a replica: %v; want it refused with the name of %s", name, err, from)
				}
			}
			if names, err := admin.Exists(t.Context(), "app_clone"); err != nil || len(names) != 0 {
				t.Errorf("accounts %v, %v: want no standby", names, err)
			}

			warned := func(admin *Admin, p grants.Pair, says string) {
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
			warned(adminOf(t, replica, "limited", "limited"), p, "whether the server replicates from another one is unknown: GRANT REPLICA")
			exec(onReplica, stop)
			warned(admin, p, from)
			exec(onReplica, "SET GLOBAL read_only = ON")
			reader := adminOf(t, replica, replica.AdminUser, replica.AdminPassword)
			if _, err := reader.Plan(t.Context(), p); err == nil || !strings.Contains(err.Error(), "only on the writer") ||
				!strings.Contains(err.Error(), from) {
				t.Errorf("plan on a read-only server: %v; want it refused with the name of %s", err, from)
			}

			onPrimary := adminOf(t, primary, primary.AdminUser, primary.AdminPassword)
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
