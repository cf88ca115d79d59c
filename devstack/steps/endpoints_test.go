package steps

import (
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/temporal"

	"github.com/rotate-user/rotate-user/internal/account"
	"github.com/rotate-user/rotate-user/internal/grants"
	"github.com/rotate-user/rotate-user/internal/mysqld"
	"github.com/rotate-user/rotate-user/internal/mysqld/mysqldtest"
	"github.com/rotate-user/rotate-user/rotation"
)

// held checks that a step waits for a replica, and that the error names it.
func (l *lab) held(err error, by string) {
	l.Helper()
	var app *temporal.ApplicationError
	if !errors.As(err, &app) || app.Type() != grants.NodeBehind || app.NonRetryable() || !strings.Contains(app.Message(), by) {
		l.Fatalf("the step answered %v: want that it waits for %s", err, by)
	}
}

// trust makes the lab's worker trust the certificates of these servers.
func (l *lab) trust(servers ...*mysqld.Server) {
	l.Helper()
	l.dialer.RootCAs = x509.NewCertPool()
	for _, s := range servers {
		pem, err := os.ReadFile(s.CAFile)
		if err != nil {
			l.Fatal(err)
		}
		l.dialer.RootCAs.AppendCertsFromPEM(pem)
	}
}

// on returns a function that runs a statement on a server as its administrator.
func on(t *testing.T, s *mysqld.Server) func(statement string) {
	t.Helper()
	db, err := s.Open(s.AdminUser, s.AdminPassword)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return func(statement string) {
		t.Helper()
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// accepts logs in on a server with what a label of the secret holds.
func (l *lab) accepts(s *mysqld.Server, label string) error {
	c := l.credential(label)
	_, err := l.dialer.Login(l.Context(), account.Endpoint{Host: s.Host, Port: s.Port, TLS: true}, c.Username, c.Password)
	return err
}

// eventually repeats do until it succeeds.
func eventually(t *testing.T, do func() error) {
	t.Helper()
	tooLong := time.After(10 * time.Minute) // only a failure takes so long
	for {
		err := do()
		if err == nil {
			return
		}
		select {
		case <-tooLong:
			t.Fatal(err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// replicaDelay is the configured delay of a replica, in seconds. The test removes it once a rotation reports that it is waiting
// for that replica, unless wholeDelay is set.
const replicaDelay = 30

var wholeDelay = flag.Bool("whole-delay", false, "wait until a replica with a delay of 30 seconds catches up by itself")

// replicaSQL holds the statements that control a replica of one engine.
type replicaSQL struct{ stop, start, filter, noFilter, delay, end, begin, promote string }

func statementsOf(engine string) replicaSQL {
	if engine == mysqld.MySQL {
		return replicaSQL{
			"STOP REPLICA SQL_THREAD", "START REPLICA SQL_THREAD", "CHANGE REPLICATION FILTER REPLICATE_WILD_IGNORE_TABLE = ('mysql.%')",
			"CHANGE REPLICATION FILTER REPLICATE_WILD_IGNORE_TABLE = ()", "CHANGE REPLICATION SOURCE TO SOURCE_DELAY = %d", "STOP REPLICA", "START REPLICA", "RESET REPLICA ALL",
		}
	}
	return replicaSQL{
		"STOP SLAVE SQL_THREAD", "START SLAVE SQL_THREAD", "SET GLOBAL replicate_wild_ignore_table = 'mysql.%'",
		"SET GLOBAL replicate_wild_ignore_table = ''", "CHANGE MASTER TO MASTER_DELAY = %d", "STOP SLAVE", "START SLAVE", "RESET SLAVE ALL",
	}
}

// A replica that has not applied the new password, or never will, holds the promotion, whether it
// is a test endpoint or the address in the secret. Before the first write, the rotation checks that
// the replica accepts the current credential.
func TestAReplicaHoldsThePromotion(t *testing.T) {
	for _, program := range mysqldtest.Programs(t) {
		t.Run(program.Engine, func(t *testing.T) {
			t.Parallel()
			primary, replica := mysqldtest.Replicated(t, program, nil, nil, nil)
			sql := statementsOf(program.Engine)
			at, master := fmt.Sprintf("%s:%d", replica.Host, replica.Port), fmt.Sprintf("%s:%d", primary.Host, primary.Port)
			for _, way := range []struct {
				name   string
				choose func(*lab)
			}{
				{"as a test endpoint", func(l *lab) { l.input.TestEndpoints = []string{at} }},
				{"as the address in the secret", func(l *lab) {
					l.put(map[string]any{"username": l.user, "password": "First.Passw0rd", "port": replica.Port, "masterarn": "master"})
				}},
			} {
				t.Run(way.name, func(t *testing.T) {
					l, on := newOldLab(t, primary), on(t, replica)
					l.trust(primary, replica)
					way.choose(l)
					eventually(t, func() error { return l.accepts(replica, "AWSCURRENT") })

					on(sql.stop)
					r := l.leave(2)
					if r.Server != master {
						t.Errorf("the accounts are on %s: want the master's server %s", r.Server, master)
					}
					l.held(l.step(rotation.TestPassword, &r), at)
					if err := l.accepts(replica, "AWSCURRENT"); err != nil {
						t.Errorf("the replica stopped accepting AWSCURRENT: %v", err)
					}
					on(sql.end)
					on(fmt.Sprintf(sql.delay, replicaDelay))
					on(sql.begin)
					l.held(l.step(rotation.TestPassword, &r), at)
					if !*wholeDelay {
						on(sql.end)
						on(fmt.Sprintf(sql.delay, 0))
						on(sql.begin)
					}
					eventually(t, func() error { return l.step(rotation.TestPassword, &r) })
					if err := l.step(rotation.PromotePassword, &r); err != nil {
						t.Fatal(err)
					}
					l.settle()
					if err := l.accepts(replica, "AWSCURRENT"); err != nil {
						t.Errorf("want the replica to accept AWSCURRENT: %v", err)
					}

					on(sql.end)
					on(fmt.Sprintf(sql.delay, 0))
					on(sql.filter)
					on(sql.begin)
					l.input.Force = true
					l.input.Pair = []string{l.user, l.user + "_clone"}
					r = l.leave(2)
					l.held(l.step(rotation.TestPassword, &r), "a replication filter")
					if err := l.accepts(replica, "AWSCURRENT"); err != nil {
						t.Errorf("the replica stopped accepting AWSCURRENT: %v", err)
					}
					on(sql.stop)
					on(sql.noFilter)
					on(sql.start)
				})
			}
		})
	}
}

func TestAnEndpointThatIsNotThereIsFoundBeforeTheFirstWrite(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		for name, choose := range map[string]func(*lab){
			"as a test endpoint": func(l *lab) { l.input.TestEndpoints = []string{l.address(), "127.0.0.1:1"} },
			"as the address in the secret": func(l *lab) {
				l.put(map[string]any{"username": l.user, "password": "First.Passw0rd", "port": 1, "masterarn": "master"})
			},
		} {
			t.Run(name, func(t *testing.T) {
				l := newOldLab(t, s)
				choose(l)
				before := l.snapshot()
				for _, step := range []string{rotation.PlanRotation, rotation.CloneUser} {
					_, err := l.env.ExecuteActivity(step, l.input)
					var app *temporal.ApplicationError
					if !errors.As(err, &app) || app.Type() != rotation.ErrorUnreachable || app.NonRetryable() || !strings.Contains(app.Message(), "127.0.0.1:1") {
						t.Errorf("%s answered %v: want that it is unreachable, and retried", step, err)
					}
				}
				if after := l.snapshot(); after != before {
					t.Errorf("the step left\n%s\nand before there was\n%s", after, before)
				}
			})
		}
	})
}

// A recovery and a deletion work on the accounts, which are on the master's server, whatever
// answers at the secret's address.
func TestTheSecretsOwnAddressHoldsUpNoRecoveryAndNoDeletion(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newOldLab(t, s)
		l.put(map[string]any{"username": l.user, "password": "Of.An0therDay-1", "port": 1, "masterarn": "master"})
		lost := l.labels()["AWSCURRENT"]
		l.put(map[string]any{"username": l.user, "password": "First.Passw0rd", "port": 1, "masterarn": "master"})
		good := l.labels()["AWSCURRENT"]
		l.move("AWSCURRENT", good, lost)
		l.settle()

		r, err := l.recover()
		if err != nil || r.VersionID != good || r.RefusedVersionID != lost {
			t.Errorf("RecoverSecret answered %+v, %v: want version %s", r, err, good)
		}
		d := l.deletion()
		if want := fmt.Sprintf("%s:%d", s.Host, s.Port); d.Server != want || len(d.Accounts) != 1 || d.Accounts[0].User != l.user {
			t.Errorf("FindAccounts found %v on %s: want %s on %s", d.Accounts, d.Server, l.user, want)
		}
		l.schedule()
		l.activity(rotation.LockAccounts, d)
		if locked := l.locked(); len(locked) != 1 {
			t.Errorf("locked are %q: want the account", locked)
		}
	})
}
