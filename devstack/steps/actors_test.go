package steps

import (
	"errors"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"go.temporal.io/sdk/temporal"

	"github.com/rotate-user/rotate-user/activities"
	"github.com/rotate-user/rotate-user/internal/mysqld"
	"github.com/rotate-user/rotate-user/internal/mysqld/mysqldtest"
	"github.com/rotate-user/rotate-user/internal/secret"
)

// putUnder stores a value of the user's secret under a version id that the caller chooses.
func (l *lab) putUnder(id string, fields map[string]any, labels ...string) {
	l.Helper()
	if _, err := l.client.PutSecretValue(l.Context(), &secretsmanager.PutSecretValueInput{
		SecretId: aws.String("app"), ClientRequestToken: &id, SecretString: aws.String(l.value(fields)), VersionStages: labels,
	}); err != nil {
		l.Fatal(err)
	}
}

// refused takes a step and wants it to be refused with an error of this type.
func (l *lab) refused(name string, r *activities.Rotation, kind string) {
	l.Helper()
	err := l.step(name, r)
	var app *temporal.ApplicationError
	if !errors.As(err, &app) || app.Type() != kind || !app.NonRetryable() {
		l.Errorf("%s answered %v: want a refusal of type %s", name, err, kind)
	}
}

// An editor who may put versions, but not read them, learns a rotation's id from Temporal.
func TestAVersionThatAnEditorPutUnderTheRotationsIDIsNeverUsed(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		chosen := func(l *lab) map[string]any {
			return map[string]any{"username": l.user + "_clone", "password": "Chosen.Passw0rd1", "masterarn": "master"}
		}
		t.Run("before it is staged", func(t *testing.T) {
			l := newLab(t, s)
			r, err := l.clone()
			if err != nil {
				t.Fatal(err)
			}
			l.putUnder(r.Rotation.VersionID, chosen(l), secret.Pending)
			l.refused("StagePassword", &r.Rotation, activities.ErrorTaken)
			for _, name := range []string{"SetPassword", "TestPassword"} {
				l.refused(name, &r.Rotation, activities.ErrorEdited)
			}
			l.mustLogIn(secret.Current, l.user)
		})
		t.Run("as the current version", func(t *testing.T) {
			l := newLab(t, s)
			r, err := l.clone()
			if err != nil {
				t.Fatal(err)
			}
			l.putUnder(r.Rotation.VersionID, chosen(l), secret.Current)
			l.input.EarlierVersionID, l.input.EarlierSHA256 = r.Rotation.VersionID, strings.Repeat("0", 64)
			if again, err := l.clone(); err == nil || again.Promoted {
				t.Errorf("CloneUser answered %+v, %v: want that this version was not promoted by a rotation", again, err)
			}
		})
		t.Run("for another address", func(t *testing.T) {
			l := newLab(t, s)
			r, err := l.clone()
			if err != nil {
				t.Fatal(err)
			}
			if err := l.step("StagePassword", &r.Rotation); err != nil {
				t.Fatal(err)
			}
			r.Rotation.ValueSHA256 = strings.Repeat("0", 64)
			l.refused("SetPassword", &r.Rotation, activities.ErrorEdited)
		})
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

// The attempt before has staged a version and failed: the next one goes on with it, so that whatever the first one still does
// late comes to the same password.
func TestTheNextAttemptGoesOnWithWhatIsStaged(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		failed := func(t *testing.T) (*lab, activities.Rotation) {
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
