package steps

import (
	"errors"
	"sync"
	"testing"
	"time"

	"go.temporal.io/sdk/temporal"

	endpoint "github.com/rotate-user/rotate-user/devstack/secretsmanager"
	"github.com/rotate-user/rotate-user/internal/mysqld"
	"github.com/rotate-user/rotate-user/internal/mysqld/mysqldtest"
	"github.com/rotate-user/rotate-user/internal/secret"
	"github.com/rotate-user/rotate-user/rotation"
)

// The worker reads the master secret of the last rotation early, before the user's secret names
// one. The result is used only if that is the named one.
func TestTheMasterSecretOfTheLastRotationIsOnlyAGuess(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		for name, c := range map[string]struct {
			known   string
			arrange func(*lab)
			refusal string
		}{
			"the same":                     {known: "master"},
			"one that is gone":             {known: "gone"},
			"one that may not be used":     {known: "other", arrange: func(l *lab) { l.activities.Masters = append(l.activities.Masters, "master") }},
			"one that holds no credential": {known: "empty", arrange: func(l *lab) { l.create("empty", map[string]any{"username": nil}) }},
			"the same, which is gone": {known: "absent", arrange: func(l *lab) {
				l.put(map[string]any{"username": l.user, "password": "First.Passw0rd", "masterarn": "absent"})
			}, refusal: rotation.ErrorSecretsManager},
			"the same, which may not be used": {known: "master",
				arrange: func(l *lab) { l.activities.Masters = append(l.activities.Masters, "another") }, refusal: rotation.ErrorMasterNotAllowed},
		} {
			t.Run(name, func(t *testing.T) {
				l := newLab(t, s)
				l.create("other", map[string]any{"username": "nobody", "password": "x"})
				if c.arrange != nil {
					c.arrange(l)
				}
				l.input.MasterKnown = c.known
				if c.refusal == "" {
					l.rotate()
					l.mustLogIn(secret.Current, l.user+"_clone")
					return
				}
				before := l.snapshot()
				_, err := l.clone()
				var app *temporal.ApplicationError
				if !errors.As(err, &app) || app.Type() != c.refusal {
					t.Errorf("CloneUser answered %v: want %s", err, c.refusal)
				}
				if after := l.snapshot(); after != before {
					t.Errorf("the refused rotation left\n%s\nand before there was\n%s", after, before)
				}
			})
		}
	})
}

// place is a point that can be reached several times.
type place struct {
	reached chan struct{}
	reach   func()
}

func newPlace() place {
	reached := make(chan struct{})
	return place{reached, sync.OnceFunc(func() { close(reached) })}
}

// A rotation reads its own secret and the master secret concurrently: each read waits here for the
// other.
func TestTheMasterSecretIsReadAtTheSameTime(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		l.input.MasterKnown = "master"
		own, master := newPlace(), newPlace()
		l.sm.Intercept(func(c endpoint.Call) endpoint.Fault {
			if c.Operation == "GetSecretValue" && !c.Done {
				mine, others := own, master
				if c.SecretID == "master" {
					mine, others = master, own
				}
				mine.reach()
				select {
				case <-others.reached:
				case <-time.After(time.Minute):
					t.Errorf("the read of %s does not overlap with the other one", c.SecretID)
				}
			}
			return endpoint.Fault{}
		})
		if _, err := l.clone(); err != nil {
			t.Fatal(err)
		}
	})
}
