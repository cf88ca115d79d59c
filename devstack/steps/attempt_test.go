package steps

import (
	"testing"

	"github.com/rotate-user/rotate-user/internal/mysqld"
	"github.com/rotate-user/rotate-user/internal/mysqld/mysqldtest"
	"github.com/rotate-user/rotate-user/internal/secret"
	"github.com/rotate-user/rotate-user/rotation"
)

// The previous attempt staged a version and failed. The next one continues with that version, so
// that a late effect of the first attempt results in the same password.
func TestTheNextAttemptGoesOnWithWhatIsStaged(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		failed := func(t *testing.T) (*lab, rotation.StepInput) {
			l := newLab(t, s)
			r, err := l.clone()
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range steps[:2] {
				if err := l.step(name, &r.Rotation); err != nil {
					t.Fatal(err)
				}
			}
			l.input.EarlierVersionID, l.input.EarlierSHA256 = r.Rotation.VersionID, r.Rotation.ValueSHA256
			l.input.Pair = []string{l.user, l.user + "_clone"}
			return l, r.Rotation
		}
		t.Run("the same version", func(t *testing.T) {
			l, first := failed(t)
			again := l.rotate()
			if again.VersionID != first.VersionID {
				t.Errorf("the next attempt made version %s: want %s", again.VersionID, first.VersionID)
			}
			l.mustLogIn(secret.Current, l.user+"_clone")
			l.mustLogIn(secret.Previous, l.user)
		})
		t.Run("but not after an edit", func(t *testing.T) {
			l, first := failed(t)
			l.put(map[string]any{"username": l.user, "password": "First.Passw0rd", "masterarn": "master", "dbname": "mysql"})
			again := l.rotate()
			if again.VersionID == first.VersionID {
				t.Error("the next attempt promoted a version that lacks the edit")
			}
			l.mustLogIn(secret.Current, l.user+"_clone")
		})
	})
}

// The promotion took effect and its answer was lost; then another actor staged a version.
func TestAPromotedVersionEndsBesideAnotherStagedOne(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		r := l.rotate()
		l.put(map[string]any{"username": l.user, "password": "Another.1"}, "AWSPENDING")
		l.input.EarlierVersionID, l.input.EarlierSHA256 = r.VersionID, r.ValueSHA256
		again, err := l.clone()
		if err != nil || !again.Promoted {
			t.Fatalf("CloneUser answered %+v, %v: want it to know its version", again, err)
		}
		if err := l.step(rotation.PromotePassword, &again.Rotation); err != nil {
			t.Error(err)
		}
		l.mustLogIn(secret.Current, l.user+"_clone")
	})
}

// The label was moved by hand to a version that an attempt staged but never set.
func TestAVersionThatWasNeverSetIsNotPromotedAlready(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		l.input.Pair = []string{l.user, l.user + "_clone"}
		l.rotate()
		r, err := l.clone()
		if err != nil {
			t.Fatal(err)
		}
		if err := l.step(rotation.StagePassword, &r.Rotation); err != nil {
			t.Fatal(err)
		}
		l.input.EarlierVersionID, l.input.EarlierSHA256 = r.Rotation.VersionID, r.Rotation.ValueSHA256
		l.move(secret.Current, r.Rotation.CurrentVersionID, r.Rotation.VersionID)
		if again, err := l.clone(); again.Promoted {
			t.Errorf("CloneUser answered %+v, %v: want that this version was not promoted by a rotation", again, err)
		}
		if !l.logsIn(secret.Current) {
			t.Error("AWSCURRENT does not log in")
		}
	})
}

// After an attempt had set the password that it staged, AWSCURRENT was edited to a wrong one.
func TestARestoredVersionOfTheAttemptBeforeIsRotated(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		l.input.Pair = []string{l.user, l.user + "_clone"}
		l.rotate()
		r := l.prepared()
		l.input.EarlierVersionID, l.input.EarlierSHA256 = r.VersionID, r.ValueSHA256
		l.put(map[string]any{"username": l.user + "_clone", "password": "Wrong.Passw0rd1", "masterarn": "master"})
		again, err := l.clone()
		if err != nil || !again.Promoted && again.Rotation.Source.User == "" {
			t.Errorf("CloneUser answered %+v, %v: want a rotation from the version that logs in", again, err)
		}
		if !l.logsIn(secret.Current) {
			t.Error("AWSCURRENT does not log in")
		}
	})
}
