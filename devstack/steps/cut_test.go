package steps

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"

	"go.temporal.io/sdk/temporal"

	endpoint "github.com/rotate-user/rotate-user/devstack/secretsmanager"
	"github.com/rotate-user/rotate-user/internal/mysqld"
	"github.com/rotate-user/rotate-user/internal/mysqld/mysqldtest"
	"github.com/rotate-user/rotate-user/internal/secret"
	"github.com/rotate-user/rotate-user/rotation"
)

// cut is the point at which a worker dies: its nth write to Secrets Manager or to the database.
// With n = 0 it does not die.
type cut struct {
	where string
	n     int
}

const (
	beforeCall     = "before call"
	afterCall      = "after call" // it took effect, and the response is lost
	afterStatement = "after statement"
)

func (c cut) String() string { return fmt.Sprint(c.where, " ", c.n) }

// lost runs a rotation by a workflow that has no state, and whose own state is lost. Its worker
// dies at the cut. lost returns the error of the step in which the worker died.
func (l *lab) lost(at cut, cloneUsername string) error {
	l.Helper()
	l.settle()
	worker := l.another()
	worker.input = rotation.CloneUserInput{SecretID: "app", Mark: "a workflow that was lost", CloneUsername: cloneUsername}
	var calls atomic.Int32
	var dead atomic.Bool
	switch {
	case at.n == 0:
	case at.where == afterStatement: // limits the changes that the administrator can make
		l.sql(fmt.Sprintf("ALTER USER r%s@'%%' WITH MAX_UPDATES_PER_HOUR %d", l.user, at.n))
		defer l.sql("ALTER USER r" + l.user + "@'%' WITH MAX_UPDATES_PER_HOUR 0")
	default:
		l.sm.Intercept(func(c endpoint.Call) endpoint.Fault {
			write := slices.Contains([]string{"PutSecretValue", "UpdateSecretVersionStage"}, c.Operation)
			if dead.Load() || write && c.Done == (at.where == afterCall) && calls.Add(1) == int32(at.n) {
				dead.Store(true)
				return endpoint.Denied(c)
			}
			return endpoint.Fault{}
		})
		defer l.sm.Intercept(nil)
	}
	r, err := worker.clone()
	for _, name := range steps {
		if err == nil {
			err = worker.step(name, &r.Rotation)
		}
	}
	return err
}

// A rotation is cut off at any point, and its workflow's state is lost. The next workflow completes
// it from what it finds, or is refused for lack of evidence of the pair, and the message names the
// field to set.
func TestARotationThatWasCutOffAndForgottenIsGoneOnWith(t *testing.T) {
	t.Parallel()
	scenarios := []struct {
		name    string
		arrange func(*lab)
	}{
		{"the first", func(*lab) {}},
		{"the second", func(l *lab) { l.rotate() }},
		{"the third", func(l *lab) { l.rotate(); l.rotate() }},
		{"after a revocation", func(l *lab) {
			r := l.rotate()
			if err := l.step(rotation.RevokePrevious, &r); err != nil {
				l.Fatal(err)
			}
		}},
		{"taking over another one", func(l *lab) {
			l.rotate()
			l.put(map[string]any{"username": l.user, "password": "Half.Done1", "masterarn": "r" + l.user}, secret.Pending)
		}},
	}
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		for _, c := range scenarios {
			for _, where := range []string{beforeCall, afterCall, afterStatement} {
				t.Run(c.name+", "+where, func(t *testing.T) {
					t.Parallel()
					for at := (cut{where, 1}); ; at.n++ {
						l := newOldLab(t, s)
						l.rotator()
						c.arrange(l)
						if where == afterStatement { // so that the rotation has more to do than to set a password
							l.sql("GRANT DELETE ON *.* TO " + l.user + "@'%'")
						}
						if l.lost(at, "") == nil {
							if at.n < 2 {
								t.Errorf("a rotation was not cut %s", at)
							}
							return
						}
						if !l.logsIn(secret.Current) {
							t.Errorf("cut %s: AWSCURRENT does not log in", at)
						}
						err := l.lost(cut{}, "")
						var app *temporal.ApplicationError
						takenOver := at == cut{afterCall, 4} || at == cut{beforeCall, 5} // and AWSPREVIOUS is not back yet
						if takenOver && errors.As(err, &app) && app.Type() == rotation.ErrorUnknownPair {
							err = l.lost(cut{}, l.user+"_clone")
						}
						if err != nil {
							t.Errorf("cut %s: the next rotation was refused: %v", at, err)
						}
						if !l.logsIn(secret.Current) || !l.logsIn(secret.Previous) {
							t.Errorf("cut %s: AWSCURRENT or AWSPREVIOUS does not log in after the next rotation", at)
						}
					}
				})
			}
		}
	})
}
