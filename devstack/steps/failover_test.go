package steps

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/go-sql-driver/mysql"
	"go.temporal.io/sdk/temporal"

	"github.com/rotate-user/rotate-user/internal/mysqld"
	"github.com/rotate-user/rotate-user/internal/mysqld/mysqldtest"
	"github.com/rotate-user/rotate-user/internal/secret"
	"github.com/rotate-user/rotate-user/rotation"
)

// standIn is the address of a primary that its replica can replace. Both servers have the same
// administrator. Unless it is super, it lacks the rights that no managed service grants.
type standIn struct {
	*mysqld.Forwarder

	server, primary, replica *mysqld.Server
	lab                      *lab
}

func newStandIn(t *testing.T, program mysqld.Program, super bool) standIn {
	t.Helper()
	const user, password = "boss", "Boss.Passw0rd-1"
	statements := []string{"CREATE USER boss@'%' IDENTIFIED BY '" + password + "'", "GRANT ALL ON *.* TO boss@'%' WITH GRANT OPTION"}
	switch {
	case super:
	case program.Engine == mysqld.MySQL:
		statements = append(statements, "REVOKE SUPER, CONNECTION_ADMIN ON *.* FROM boss@'%'")
	default:
		statements = append(statements, "REVOKE SUPER, READ_ONLY ADMIN ON *.* FROM boss@'%'")
	}
	primary, replica := mysqldtest.Replicated(t, program, nil, nil, func(primary, replica *sql.DB) {
		for _, db := range []*sql.DB{primary, replica} {
			for _, statement := range statements {
				if _, err := db.ExecContext(t.Context(), statement); err != nil {
					t.Fatalf("%s: %v", statement, err)
				}
			}
		}
	})
	f, err := mysqld.NewForwarder(primary)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	var roots []byte
	for _, s := range []*mysqld.Server{primary, replica} {
		pem, err := os.ReadFile(s.CAFile)
		if err != nil {
			t.Fatal(err)
		}
		roots = append(roots, pem...)
	}
	front := f.As(primary)
	front.AdminUser, front.AdminPassword, front.CAFile = user, password, filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(front.CAFile, roots, 0o600); err != nil {
		t.Fatal(err)
	}
	return standIn{f, front, primary, replica, newOldLab(t, front)}
}

// noSuchUser lists the errors of SHOW CREATE USER for an account that a replica does not have yet.
var noSuchUser = []uint16{1133, 1141, 1396, 3162}

// standby returns the definition of the standby on a server.
func (s standIn) standby(t *testing.T, db *sql.DB) (definition string) {
	t.Helper()
	err := db.QueryRowContext(t.Context(), "SHOW CREATE USER "+s.lab.user+"_clone@'%'").Scan(&definition)
	if e, ok := errors.AsType[*mysql.MySQLError](err); err != nil && (!ok || !slices.Contains(noSuchUser, e.Number)) {
		t.Fatal(err)
	}
	return definition
}

// catchUp waits until the replica has the same definition of the standby as the primary.
func (s standIn) catchUp(t *testing.T) {
	t.Helper()
	db, err := s.replica.Open("boss", s.server.AdminPassword)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	eventually(t, func() error {
		if was, is := s.standby(t, s.lab.admin), s.standby(t, db); was != is {
			return fmt.Errorf("the replica has %q: want %q", is, was)
		}
		return nil
	})
}

// goOn runs the steps of a rotation from the given one on, and retries as Temporal would.
func (l *lab) goOn(from int, r *rotation.StepInput) (err error) {
	for _, name := range steps[from:] {
		for range 10 {
			err = l.step(name, r)
			var app *temporal.ApplicationError
			if err == nil || errors.As(err, &app) && app.NonRetryable() {
				break
			}
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// A server takes over in the middle of a rotation, with or without the rotation's latest change. A
// credential that it refuses is never promoted.
func TestAServerTakesOverDuringARotation(t *testing.T) {
	t.Parallel()
	cases := []struct {
		done int  // steps
		lost bool // what the last of them changed
		kept bool // sessions on the primary from before, which takes no writes any more
	}{{2, false, false}, {2, true, false}, {3, true, false}, {2, true, true}, {3, true, true}}
	for _, program := range mysqldtest.Programs(t) {
		for _, c := range cases {
			t.Run(fmt.Sprintf("%s after %s, lost %t, sessions kept %t", program.Engine, steps[c.done-1], c.lost, c.kept), func(t *testing.T) {
				s := newStandIn(t, program, false)
				l, sql, on, onPrimary := s.lab, statementsOf(program.Engine), on(t, s.replica), on(t, s.primary)
				r := l.leave(1)
				s.catchUp(t)
				if c.lost {
					on(sql.stop)
				}
				for _, name := range steps[1:c.done] {
					if err := l.step(name, &r); err != nil {
						t.Fatalf("%s: %v", name, err)
					}
				}
				if !c.lost {
					s.catchUp(t)
				}
				on(sql.end)
				on(sql.promote)
				s.LeadTo(s.replica)
				if c.kept {
					onPrimary("SET GLOBAL read_only = ON")
				} else {
					s.Cut()
				}

				err := l.goOn(c.done, &r)
				s.Cut()
				if failed := err != nil; failed != c.lost {
					t.Errorf("the rotation answered %v: want an error only if a change was lost", err)
				}
				l.settle()
				if err := l.accepts(s.server, secret.Current); err != nil {
					t.Errorf("AWSCURRENT: %v", err)
				}
				l.input.Force = true
				r = l.leave(0)
				if err := l.goOn(0, &r); err != nil {
					t.Errorf("the next rotation: %v", err)
				}
				l.settle()
				if err := l.accepts(s.server, secret.Current); err != nil {
					t.Errorf("AWSCURRENT after the next rotation: %v", err)
				}
			})
		}
	}
}

// When a server stops accepting writes, the steps that write wait, and nothing else changes.
func TestAServerBecomesReadOnlyDuringARotation(t *testing.T) {
	t.Parallel()
	for _, program := range mysqldtest.Programs(t) {
		t.Run(program.Engine, func(t *testing.T) {
			s := newStandIn(t, program, false)
			l, on := s.lab, on(t, s.primary)
			for done := range steps {
				r := l.leave(done)
				on("SET GLOBAL read_only = ON")
				// The server refuses the statement, unless the step looks at the setting again before.
				switch err := l.step(steps[done], &r); {
				case err == nil && steps[done] == rotation.SetPassword:
					t.Error("SetPassword changed a password on a server that is read only")
				case err != nil:
					if !takesNoWrites(err) {
						t.Errorf("%s answered %v: want that it waits until the server takes writes", steps[done], err)
					}
				}
				l.settle()
				if err := l.accepts(s.server, secret.Current); err != nil {
					t.Errorf("AWSCURRENT: %v", err)
				}
				on("SET GLOBAL read_only = OFF")
				if err := l.goOn(done, &r); err != nil {
					t.Errorf("once the server takes writes again: %v", err)
				}
				l.settle()
				l.input.Force = true
				l.input.Pair = []string{l.user, l.user + "_clone"}
				eventually(t, func() error { // a step may reuse the setting that another one has read in the last second
					_, err := l.clone()
					return err
				})
			}
		})
	}
}

// takesNoWrites reports whether a step waits for a server that takes writes.
func takesNoWrites(err error) bool {
	var app *temporal.ApplicationError
	return errors.As(err, &app) && app.Type() == rotation.ErrorReadOnly && !app.NonRetryable()
}

// read_only does not stop an administrator with SUPER, but what such an administrator changes on a server that is about to be
// replaced is lost. So the steps that change accounts wait.
func TestAnAdministratorThatReadOnlyDoesNotStopWaits(t *testing.T) {
	t.Parallel()
	for _, program := range mysqldtest.Programs(t) {
		t.Run(program.Engine, func(t *testing.T) {
			s := newStandIn(t, program, true)
			l, on := s.lab, on(t, s.primary)
			waits := func(name string, step func() error) {
				t.Helper()
				on("SET GLOBAL read_only = ON")
				if err := step(); !takesNoWrites(err) {
					t.Errorf("%s answered %v: want that it waits until the server takes writes", name, err)
				}
				l.sql("ALTER USER " + l.user + "@'%' WITH MAX_QUERIES_PER_HOUR 0") // which read_only does not stop
				on("SET GLOBAL read_only = OFF")
				l.settle()
				if err := l.accepts(s.server, secret.Current); err != nil {
					t.Errorf("AWSCURRENT: %v", err)
				}
			}
			waits(rotation.CloneUser, func() error { _, err := l.clone(); return err })
			r := l.leave(1)
			waits(rotation.SetPassword, func() error { return l.step(rotation.SetPassword, &r) })
			if err := l.goOn(1, &r); err != nil {
				t.Error(err)
			}
			waits(rotation.RevokePrevious, func() error { return l.step(rotation.RevokePrevious, &r) })
			l.mustLogIn(secret.Previous, r.Source.User)
			if err := l.step(rotation.RevokePrevious, &r); err != nil {
				t.Error(err)
			}
			if err := l.accepts(s.server, secret.Previous); err == nil {
				t.Error("AWSPREVIOUS still logs in")
			}
		})
	}
}
