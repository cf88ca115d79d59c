package steps

import (
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"go.temporal.io/sdk/temporal"

	endpoint "github.com/rotate-user/rotate-user/devstack/secretsmanager"
	"github.com/rotate-user/rotate-user/internal/grants"
	"github.com/rotate-user/rotate-user/internal/mysqld"
	"github.com/rotate-user/rotate-user/internal/mysqld/mysqldtest"
	"github.com/rotate-user/rotate-user/internal/secret"
	"github.com/rotate-user/rotate-user/rotation"
)

func TestWhatAnotherActorDoesBeforeTheLastLookCounts(t *testing.T) {
	t.Parallel()
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		t.Run("a rollback before a revocation", func(t *testing.T) {
			t.Parallel()
			l := newLab(t, s)
			r := l.rotate()
			err := l.meanwhile(rotation.RevokePrevious, r, func() { l.move(secret.Current, r.VersionID, r.CurrentVersionID) })
			wantEdited(t, rotation.RevokePrevious, err)
			l.mustLogIn(secret.Current, l.user)
		})
		t.Run("a newer rotation before a late revocation", func(t *testing.T) {
			t.Parallel()
			l := newLab(t, s)
			l.input.Pair = []string{l.user, l.user + "_clone"}
			first := l.rotate()
			l.input.Force = true
			second := l.rotate()
			wantEdited(t, "RevokePrevious, late", l.step(rotation.RevokePrevious, &first))
			l.mustLogIn(secret.Current, second.Standby.User)
		})
		t.Run("an edit before a promotion", func(t *testing.T) {
			t.Parallel()
			l := newLab(t, s)
			r := l.prepared()
			err := l.meanwhile(rotation.PromotePassword, r, func() {
				l.put(map[string]any{"username": l.user, "password": "First.Passw0rd", "masterarn": "master", "edited": true})
			})
			wantEdited(t, rotation.PromotePassword, err)
			l.mustLogIn(secret.Current, l.user)
		})
		t.Run("a deletion before a password is set", func(t *testing.T) {
			t.Parallel()
			l := newLab(t, s)
			r, err := l.clone()
			if err != nil {
				t.Fatal(err)
			}
			if err := l.step(rotation.StagePassword, &r.Rotation); err != nil {
				t.Fatal(err)
			}
			err = l.meanwhile(rotation.SetPassword, r.Rotation, l.schedule)
			var app *temporal.ApplicationError
			if !errors.As(err, &app) || app.Type() != rotation.ErrorDeleted {
				t.Errorf("SetPassword answered %v: want a refusal", err)
			}
			if got := l.locked(); !slices.Contains(got, l.user+"_clone") {
				t.Errorf("locked are %v: want only the clone, which is not in use", got)
			}
		})
		t.Run("a restore before the accounts are locked", func(t *testing.T) {
			t.Parallel()
			l := newLab(t, s)
			l.rotate()
			d := l.deletion()
			l.activity(rotation.DeleteSecret, d)
			wantEdited(t, rotation.LockAccounts, l.meanwhile(rotation.LockAccounts, d, l.restore))
			l.mustLogIn(secret.Current, l.user+"_clone")
			l.mustLogIn(secret.Previous, l.user)
		})
		t.Run("a second deletion before the accounts are unlocked", func(t *testing.T) {
			t.Parallel()
			l := newLab(t, s)
			l.rotate()
			d := l.deletion()
			l.activity(rotation.DeleteSecret, d)
			l.activity(rotation.LockAccounts, d)
			l.restore()
			wantEdited(t, rotation.UnlockAccounts, l.meanwhile(rotation.UnlockAccounts, d, l.schedule))
			if got := l.locked(); len(got) != 2 {
				t.Errorf("locked are %v: want both", got)
			}
		})
		t.Run("a new secret before the accounts are dropped", func(t *testing.T) {
			t.Parallel()
			l := newLab(t, s)
			l.rotate()
			d := l.deletion()
			l.activity(rotation.DeleteSecret, d)
			l.activity(rotation.LockAccounts, d)
			l.forceDelete()
			d.Locked = true
			for _, name := range d.Accounts {
				l.sql("ALTER USER " + name.String() + " IDENTIFIED BY 'First.Passw0rd' ACCOUNT UNLOCK")
			}
			l.create("other", map[string]any{"username": l.user, "password": "First.Passw0rd", "masterarn": "master"})
			if _, err := l.env.ExecuteActivity(rotation.DropAccounts, d); err == nil || len(l.accounts(l.user)) != 1 {
				t.Errorf("DropAccounts answered %v, and the current account is %v", err, l.accounts(l.user))
			}
			l.create("app", map[string]any{"username": l.user, "password": "First.Passw0rd", "masterarn": "master"})
			for _, name := range []string{rotation.LockAccounts, rotation.UnlockAccounts, rotation.DropAccounts, rotation.DeleteSecret} {
				if _, err := l.env.ExecuteActivity(name, d); err == nil {
					t.Errorf("%s, repeated after the secret was created again, still acts", name)
				}
			}
			l.mustLogIn(secret.Current, l.user)
		})
		t.Run("a rotation before the secret is scheduled for deletion", func(t *testing.T) {
			t.Parallel()
			l := newLab(t, s)
			d := l.deletion()
			next := l.another()
			if _, err := next.clone(); err != nil { // this creates the standby
				t.Fatal(err)
			}
			_, err := l.env.ExecuteActivity(rotation.DeleteSecret, d)
			wantEdited(t, rotation.DeleteSecret, err)
			l.mustLogIn(secret.Current, l.user)
		})
		t.Run("a deletion before a standby is made", func(t *testing.T) {
			t.Parallel()
			l := newLab(t, s)
			var looks atomic.Int32
			l.sm.Intercept(func(c endpoint.Call) endpoint.Fault {
				if c.Operation == "DescribeSecret" && !c.Done && looks.Add(1) == 2 { // the call under the lock
					l.schedule()
				}
				return endpoint.Fault{}
			})
			_, err := l.clone()
			var app *temporal.ApplicationError
			if !errors.As(err, &app) || app.Type() != rotation.ErrorDeleted {
				t.Errorf("CloneUser answered %v: want a refusal", err)
			}
			if left := l.accounts(l.user + "_clone"); len(left) != 0 {
				t.Errorf("%v was created for a secret that is being deleted", left)
			}
		})
	})
}

func TestARollbackStopsTheRotation(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		first := l.rotate()
		r, err := l.clone()
		if err != nil {
			t.Fatal(err)
		}
		if err := l.step(rotation.StagePassword, &r.Rotation); err != nil {
			t.Fatal(err)
		}
		if _, err := l.client.UpdateSecretVersionStage(t.Context(), &secretsmanager.UpdateSecretVersionStageInput{
			SecretId: aws.String("app"), VersionStage: aws.String(secret.Current), RemoveFromVersionId: &first.VersionID, MoveToVersionId: &first.CurrentVersionID,
		}); err != nil {
			t.Fatal(err)
		}
		for name, r := range map[string]rotation.StepInput{rotation.SetPassword: r.Rotation, rotation.RevokePrevious: first} {
			err := l.step(name, &r)
			var app *temporal.ApplicationError
			if !errors.As(err, &app) || app.Type() != rotation.ErrorEdited {
				t.Errorf("%s answered %v: want a refusal, because the account is current again", name, err)
			}
		}
		l.mustLogIn(secret.Current, l.user)
	})
}

func TestARightThatAppearsBeforeTheTestIsNotPromoted(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
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
		l.sql("GRANT DELETE ON *.* TO " + l.user + "_clone@'%'")
		err = l.step(rotation.TestPassword, &r.Rotation)
		var app *temporal.ApplicationError
		if !errors.As(err, &app) || app.Type() != rotation.ErrorDifferent || !strings.Contains(app.Message(), "DELETE") {
			t.Fatalf("TestPassword answered %v: want a refusal that names DELETE", err)
		}
		l.mustLogIn(secret.Current, l.user)
	})
}

// The standby's password is changed after the test and before the promotion, by hand or for another
// secret.
func TestAPasswordThatWasChangedAfterTheTestIsNotPromoted(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		r := l.prepared()
		l.sql("ALTER USER " + l.user + "_clone@'%' IDENTIFIED BY 'By.Hand-1'")
		l.refused(rotation.PromotePassword, &r, rotation.ErrorEdited)
		l.mustLogIn(secret.Current, l.user)
	})
}

// Logins fail after the test, because of an administrator.
func TestAnAccountThatWasClosedAfterTheTestIsNotPromoted(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		for _, closes := range []string{"ACCOUNT LOCK", "PASSWORD EXPIRE"} {
			l := newLab(t, s)
			r := l.prepared()
			l.sql("ALTER USER " + l.user + "_clone@'%' " + closes)
			l.refused(rotation.PromotePassword, &r, rotation.ErrorEdited)
			l.mustLogIn(secret.Current, l.user)
		}
	})
}

// An administrator locks the standby after the first step, because its credential has leaked. Its sessions may be a thief's, so
// nothing makes it the current account.
func TestAStandbyThatWasLockedMeanwhileStaysLocked(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		l.input.Pair = []string{l.user, l.user + "_clone"}
		l.rotate()
		for _, done := range []int{1, 2} { // the steps that come before the lock
			r := l.leave(done)
			l.sql("ALTER USER " + l.user + "@'%' ACCOUNT LOCK")
			l.refused(rotation.SetPassword, &r, grants.StandbyLocked)
			if got := l.locked(); !slices.Contains(got, l.user) {
				t.Errorf("after %s, locked are %v: want %s", steps[done-1], got, l.user)
			}
			l.mustLogIn(secret.Current, l.user+"_clone")
			l.sql("ALTER USER " + l.user + "@'%' ACCOUNT UNLOCK")
		}
	})
}

func TestADeletedSecretsAccountIsNotUnlocked(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		r, err := l.clone()
		if err != nil {
			t.Fatal(err)
		}
		if err := l.step(rotation.StagePassword, &r.Rotation); err != nil {
			t.Fatal(err)
		}
		if _, err := l.client.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{SecretId: aws.String("app")}); err != nil {
			t.Fatal(err)
		}
		err = l.step(rotation.SetPassword, &r.Rotation)
		var app *temporal.ApplicationError
		if !errors.As(err, &app) || app.Type() != rotation.ErrorDeleted {
			t.Errorf("SetPassword answered %v: want a refusal", err)
		}
	})
}
