package steps

import (
	"errors"
	"maps"
	"slices"
	"sync"
	"testing"

	"go.temporal.io/sdk/temporal"

	endpoint "github.com/rotate-user/rotate-user/devstack/secretsmanager"
	"github.com/rotate-user/rotate-user/internal/grants"
	"github.com/rotate-user/rotate-user/internal/mysqld"
	"github.com/rotate-user/rotate-user/internal/mysqld/mysqldtest"
	"github.com/rotate-user/rotate-user/internal/secret"
	"github.com/rotate-user/rotate-user/rotation"
)

func TestAnOvertakenRotationChangesNothing(t *testing.T) {
	t.Parallel()
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		for i, done := range []int{1, 2, 3} { // the steps that the overtaken rotation has completed
			l := newLab(t, s)
			slow, err := l.clone()
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range steps[:done] {
				if err := l.step(name, &slow.Rotation); err != nil {
					t.Fatal(err)
				}
			}
			l.settle() // otherwise it would conclude that the slow one staged its version later
			l.input.Force = true
			l.input.Pair = []string{l.user, l.user + "_clone"}
			fast, err := l.clone()
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range steps[:2] {
				if err := l.step(name, &fast.Rotation); err != nil {
					t.Fatalf("%d: %s: %v", i, name, err)
				}
			}
			overtaken := func(name string) {
				t.Helper()
				err := l.step(name, &slow.Rotation)
				var app *temporal.ApplicationError
				if !errors.As(err, &app) || app.Type() != rotation.ErrorEdited {
					t.Errorf("%s of the overtaken rotation answered %v: want a refusal", name, err)
				}
			}
			for _, name := range steps[1:] {
				overtaken(name)
			}
			for _, name := range steps[2:] {
				if err := l.step(name, &fast.Rotation); err != nil {
					t.Fatalf("%d: %s: %v", i, name, err)
				}
			}
			overtaken(rotation.PromotePassword) // by a completed rotation
			l.mustLogIn(secret.Current, l.user+"_clone")
			l.mustLogIn(secret.Previous, l.user)
		}
	})
}

// A worker dies during a call, and the call takes effect late. By then another rotation has taken
// over.
func TestALateMoveOfAnOvertakenRotationPromotesNothing(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		// dying starts the promotion of a rotation whose worker, and with it its sessions, dies
		// during the call.
		dying := func(l *lab, r rotation.StepInput) (late gate, ended chan error) {
			ended = make(chan error, 1)
			late = l.stopAt(movesCurrent)
			go func() { ended <- l.step(rotation.PromotePassword, &r) }()
			<-late.reached
			for _, id := range l.sessionsOf("r" + l.user) {
				l.sql("KILL " + id)
			}
			return late, ended
		}
		t.Run("taken over by force", func(t *testing.T) {
			l := newLab(t, s)
			l.rotator()
			late, ended := dying(l, l.prepared())
			next := l.another()
			next.input.Force = true
			r := next.prepared()
			late.open()
			if err := <-ended; err == nil {
				t.Error("the overtaken rotation promoted its version")
			}
			l.mustLogIn(secret.Current, l.user)
			if err := next.step(rotation.PromotePassword, &r); err != nil {
				t.Fatal(err)
			}
			l.mustLogIn(secret.Current, l.user+"_clone")
			l.mustLogIn(secret.Previous, l.user)
		})
		t.Run("not seen by the other", func(t *testing.T) { // both began before either had staged anything
			l := newLab(t, s)
			l.rotator()
			next := l.another()
			r, err := next.clone()
			if err != nil {
				t.Fatal(err)
			}
			late, ended := dying(l, l.prepared())
			if err := next.step(rotation.StagePassword, &r.Rotation); err != nil {
				t.Fatal(err)
			}
			next.refused(rotation.SetPassword, &r.Rotation, rotation.ErrorEdited)
			late.open()
			<-ended
			l.mustLogIn(secret.Current, l.user+"_clone")
		})
		t.Run("while its worker lives", func(t *testing.T) {
			l := newLab(t, s)
			l.rotator()
			first := l.prepared()
			next := l.another()
			next.input.Force = true
			r, err := next.clone()
			if err != nil {
				t.Fatal(err)
			}
			late := l.stopAt(movesCurrent)
			ended := make(chan error, 1)
			go func() { ended <- l.step(rotation.PromotePassword, &first) }()
			select {
			case err := <-ended: // it noticed the takeover
				if err == nil {
					t.Error("it promoted what the next rotation had taken over")
				}
			case <-late.reached:
				t.Error("it was about to promote what the next rotation had taken over")
				late.open()
			}
			l.sm.Intercept(nil)
			for _, name := range steps {
				if err := next.step(name, &r.Rotation); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
			}
			l.mustLogIn(secret.Current, l.user+"_clone")
		})
	})
}

// A worker dies while it stores the current credential again to take over. Its put takes effect
// after later rotations.
func TestALateReissueTakesNothingBack(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		l.rotator()
		l.put(map[string]any{"username": l.user + "_clone", "password": "Half.Done1", "masterarn": "r" + l.user}, secret.Pending)
		l.input.Force = true
		next := l.another()
		late := l.stopAt(func(c endpoint.Call) bool {
			return c.Operation == "PutSecretValue" && !slices.Contains(c.Stages, secret.Pending)
		})
		ended := make(chan error, 1)
		go func() { _, err := l.clone(); ended <- err }()
		select {
		case <-late.reached:
		case err := <-ended:
			t.Fatalf("CloneUser took over without a put: %v", err)
		}
		for _, id := range l.sessionsOf("r" + l.user) {
			l.sql("KILL " + id)
		}
		next.rotate()
		next.rotate()
		late.open()
		<-ended
		l.mustLogIn(secret.Current, l.user)
	})
}

func TestAStagedVersionThatWasAbandonedIsTakenOver(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		l.put(map[string]any{"username": l.user + "_clone", "password": "Half.Done1"}, "AWSPENDING")
		l.input.Force = true
		l.rotate()
		l.mustLogIn(secret.Current, l.user+"_clone")
		l.mustLogIn(secret.Previous, l.user)
	})
}

// CloneUser is repeated while sessions of the standby drain. It takes over only once.
func TestOneTakeoverIsEnough(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		l.input.Pair = []string{l.user, l.user + "_clone"}
		l.rotate()
		l.put(map[string]any{"username": l.user, "password": "Half.Done1", "masterarn": "master"}, secret.Pending)
		first, err := l.clone()
		if err != nil || !first.Reissued {
			t.Fatalf("CloneUser answered %+v, %v: want AWSCURRENT to be stored again", first, err)
		}
		l.settle()
		l.input.PromotedVersionID = first.Rotation.CurrentVersionID
		l.input.ReissuedVersionID, l.input.TakenOver = first.Rotation.CurrentVersionID, first.Rotation.PendingVersionID
		again, err := l.clone()
		if err != nil || again.Reissued || again.Rotation.CurrentVersionID != first.Rotation.CurrentVersionID {
			t.Fatalf("CloneUser answered %+v, %v: want nothing more to be stored", again, err)
		}
		l.rotate()
		l.mustLogIn(secret.Current, l.user)
		l.mustLogIn(secret.Previous, l.user+"_clone")
	})
}

func TestTwoRotationsNeverShareAnID(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		one, err := l.clone()
		if err != nil {
			t.Fatal(err)
		}
		two, err := l.clone()
		if err != nil {
			t.Fatal(err)
		}
		if one.Rotation.VersionID == two.Rotation.VersionID {
			t.Errorf("both are %s", one.Rotation.VersionID)
		}
	})
}

// Two workers rotate one secret at the same time, each with Force, again and again.
func TestTwoRotatorsAtOnce(t *testing.T) {
	t.Parallel()
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		l.input.Pair = []string{l.user, l.user + "_clone"}
		l.rotate()
		second := l.another()
		second.input.Stored = maps.Clone(l.input.Stored)
		promoted := 0
		for range 2 {
			var both sync.WaitGroup
			errs := make([]error, 2)
			for i, worker := range []*lab{l, second} {
				both.Go(func() {
					r, err := worker.clone()
					for _, name := range steps {
						if err == nil {
							err = worker.step(name, &r.Rotation)
						}
					}
					if errs[i] = err; err == nil {
						worker.remember(r)
					}
				})
			}
			both.Wait()
			for _, err := range errs {
				var refused *temporal.ApplicationError
				switch {
				case err == nil:
					promoted++
				case !errors.As(err, &refused) || !slices.Contains([]string{rotation.ErrorEdited, rotation.ErrorDifferent, grants.ForeignPassword, grants.Busy}, refused.Type()):
					t.Errorf("want a rotation, or a refusal because of the other one: %v", err)
				}
			}
			if !l.logsIn(secret.Current) {
				t.Fatalf("AWSCURRENT does not log in after %v", errs)
			}
		}
		if promoted == 0 {
			t.Error("neither of them ever rotated")
		}
		l.rotate()
	})
}
