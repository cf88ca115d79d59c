package steps

import (
	"crypto/x509"
	"errors"
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

// held tests that a step waits for a replica, and says for which.
func (l *lab) held(err error, by string) {
	l.Helper()
	var app *temporal.ApplicationError
	if !errors.As(err, &app) || app.Type() != grants.NodeBehind || app.NonRetryable() || !strings.Contains(app.Message(), by) {
		l.Fatalf("the step answered %v: want that it waits for %s", err, by)
	}
}

// A replica that has not applied the new password, or never will, holds the promotion, and is asked before the first write
// whether it accepts the credential in use.
func TestTestEndpointsHoldThePromotion(t *testing.T) {
	for _, program := range mysqldtest.Programs(t) {
		t.Run(program.Engine, func(t *testing.T) {
			t.Parallel()
			primary, replica := mysqldtest.Replicated(t, program, nil, nil, nil)
			l := newOldLab(t, primary)
			l.dialer.RootCAs = x509.NewCertPool()
			for _, s := range []*mysqld.Server{primary, replica} {
				pem, err := os.ReadFile(s.CAFile)
				if err != nil {
					t.Fatal(err)
				}
				l.dialer.RootCAs.AppendCertsFromPEM(pem)
			}
			db, err := replica.Open(replica.AdminUser, replica.AdminPassword)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			on := func(statement string) {
				t.Helper()
				if _, err := db.ExecContext(t.Context(), statement); err != nil {
					t.Fatalf("%s: %v", statement, err)
				}
			}
			stop, start, filter := "STOP SLAVE SQL_THREAD", "START SLAVE SQL_THREAD", "SET GLOBAL replicate_wild_ignore_table = 'mysql.%'"
			if program.Engine == mysqld.MySQL {
				stop, start, filter = "STOP REPLICA SQL_THREAD", "START REPLICA SQL_THREAD", "CHANGE REPLICATION FILTER REPLICATE_WILD_IGNORE_TABLE = ('mysql.%')"
			}
			accepts := func(label string) error {
				c := l.credential(label)
				_, err := l.dialer.Login(t.Context(), account.Endpoint{Host: replica.Host, Port: replica.Port, TLS: true}, c.Username, c.Password)
				return err
			}
			eventually := func(do func() error) {
				t.Helper()
				tooLong := time.After(time.Minute)
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
			eventually(func() error { return accepts("AWSCURRENT") })
			at := fmt.Sprintf("%s:%d", replica.Host, replica.Port)

			before := l.snapshot()
			l.input.TestEndpoints = []string{at, "127.0.0.1:1"}
			var app *temporal.ApplicationError
			if _, err := l.clone(); !errors.As(err, &app) || app.Type() != rotation.ErrorUnreachable || app.NonRetryable() || !strings.Contains(app.Message(), "127.0.0.1:1") {
				t.Errorf("with an endpoint that is not there CloneUser answered %v: want that it is unreachable, and tried again", err)
			}
			if after := l.snapshot(); after != before {
				t.Errorf("it left\n%s\nand before there was\n%s", after, before)
			}

			l.input.TestEndpoints = []string{at}
			r := l.leave(0)
			on(stop)
			for _, step := range []string{rotation.StagePassword, rotation.SetPassword} {
				if err := l.step(step, &r); err != nil {
					t.Fatal(err)
				}
			}
			l.held(l.step(rotation.TestPassword, &r), at)
			on(start)
			eventually(func() error { return l.step(rotation.TestPassword, &r) })
			if err := l.step(rotation.PromotePassword, &r); err != nil {
				t.Fatal(err)
			}
			l.settle()
			if err := accepts("AWSCURRENT"); err != nil {
				t.Errorf("the replica was to accept AWSCURRENT: %v", err)
			}

			on(stop)
			on(filter)
			on(start)
			l.input.Force = true
			l.input.Pair = []string{l.user, l.user + "_clone"}
			r = l.leave(2)
			l.held(l.step(rotation.TestPassword, &r), "a replication filter")
			if err := accepts("AWSCURRENT"); err != nil {
				t.Errorf("the replica was to accept AWSCURRENT still: %v", err)
			}
		})
	}
}
