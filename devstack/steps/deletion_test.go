package steps

import (
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/google/uuid"
	"go.temporal.io/sdk/temporal"

	"github.com/rotate-user/rotate-user/activities"
	endpoint "github.com/rotate-user/rotate-user/devstack/secretsmanager"
	"github.com/rotate-user/rotate-user/internal/account"
	"github.com/rotate-user/rotate-user/internal/mysqld"
	"github.com/rotate-user/rotate-user/internal/mysqld/mysqldtest"
	"github.com/rotate-user/rotate-user/internal/secret"
)

// leave begins a rotation and leaves it after some of the steps that follow CloneUser.
func (l *lab) leave(done int) activities.Rotation {
	l.Helper()
	r, err := l.clone()
	if err != nil {
		l.Fatal(err)
	}
	for _, name := range steps[:done] {
		if err := l.step(name, &r.Rotation); err != nil {
			l.Fatalf("%s: %v", name, err)
		}
	}
	return r.Rotation
}

// Whatever a rotation left behind, the secret can be deleted, with every account that is the secret's and no other.
func TestASecretCanBeDeletedInAnyState(t *testing.T) {
	cases := []struct {
		name    string
		arrange func(*lab)
		clone   bool // the other account goes with the secret
	}{
		{"a first rotation ended when the standby was made", func(l *lab) { l.leave(0) }, true},
		{"a first rotation ended when it had staged", func(l *lab) { l.leave(1) }, true},
		{"a first rotation ended when it had set the password", func(l *lab) { l.leave(2) }, true},
		{"a later rotation ended when it had staged", func(l *lab) { l.rotate(); l.leave(1) }, true},
		{"a later rotation ended when it had set the password", func(l *lab) { l.rotate(); l.leave(2) }, true},
		{"a later rotation revoked", func(l *lab) {
			l.rotate()
			r := l.rotate()
			if err := l.step("RevokePrevious", &r); err != nil {
				l.Fatal(err)
			}
		}, true},
		{"a stranger has the name of the standby", func(l *lab) {
			l.sql("CREATE USER " + l.user + "_clone@'%' IDENTIFIED BY 'Not.Yours-1'")
		}, false},
	}
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				l := newOldLab(t, s)
				c.arrange(l)
				l.input = activities.CloneUserInput{SecretID: "app"} // a deletion knows nothing of the workflow
				d := l.deletion()
				l.activity("DeleteSecret", d)
				l.activity("LockAccounts", d)
				locked := l.locked()
				if !slices.Contains(locked, l.user) || slices.Contains(locked, l.user+"_clone") != c.clone {
					t.Errorf("locked are %v: want the clone among them: %t", locked, c.clone)
				}
				l.forceDelete()
				d.Locked = true
				l.activity("DropAccounts", d)
				if left := l.accounts(l.user + "_clone"); len(left) == 0 != c.clone {
					t.Errorf("left is %v: want that the clone was dropped: %t", left, c.clone)
				}
			})
		}
	})
}

// Whoever may edit the secret, but not read the passwords of others, has AWSPREVIOUS name an account that is not the secret's.
func TestADeletionTouchesNoAccountThatTheSecretOnlyNames(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newOldLab(t, s)
		l.sql("CREATE USER " + l.user + "_clone@'%' IDENTIFIED BY 'Not.Yours-1'")
		l.put(map[string]any{"username": l.user + "_clone", "password": "Guessed-1", "masterarn": "master"})
		l.put(map[string]any{"username": l.user, "password": "First.Passw0rd", "masterarn": "master"})
		l.settle()
		_, err := l.env.ExecuteActivity("FindAccounts", l.input)
		var app *temporal.ApplicationError
		if !errors.As(err, &app) || app.Type() != activities.ErrorUnknownPair || !strings.Contains(app.Message(), "CloneUsername") {
			t.Errorf("FindAccounts answered %v: want a refusal of type %s", err, activities.ErrorUnknownPair)
		}
		l.input.CloneUsername = l.user + "_clone"
		if d := l.deletion(); len(d.Accounts) != 2 {
			t.Errorf("with CloneUsername the accounts are %v", d.Accounts)
		}
	})
}

func TestADeletionByARNKnowsHowTheRotationSpellsTheSecret(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		if d := l.deletion(); d.RotatedAs != "" {
			t.Errorf("by name it is rotated as %q", d.RotatedAs)
		}
		l.input.SecretID = l.deletion().SecretARN
		if d := l.deletion(); d.RotatedAs != "app" {
			t.Errorf("by ARN it is rotated as %q: want app", d.RotatedAs)
		}
	})
}

// What a rotation left behind does not refuse a deletion; one that is at work does.
func TestADeletionIsRefusedForARotationSinceItsAccountsWereFound(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newOldLab(t, s)
		l.rotate()
		l.leave(2)
		d := l.deletion()
		l.another().leave(1) // it takes over
		l.settle()
		_, err := l.env.ExecuteActivity("DeleteSecret", d)
		wantEdited(t, "DeleteSecret", err)
		l.mustLogIn(secret.Current, l.user+"_clone")
	})
}

// A first rotation to an account that CloneUsername named was cut off, and the deletion is not told its name.
func TestADeletionAsksForAStandbyThatAWSPENDINGNames(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newOldLab(t, s)
		other := l.user + "_b"
		l.Cleanup(func() { l.sql("DROP USER IF EXISTS " + other + "@'%'") })
		l.input.CloneUsername = other
		l.leave(2)
		l.settle()
		l.input = activities.CloneUserInput{SecretID: "app"}
		_, err := l.env.ExecuteActivity("FindAccounts", l.input)
		var app *temporal.ApplicationError
		if !errors.As(err, &app) || app.Type() != activities.ErrorUnknownPair || !strings.Contains(app.Message(), other) {
			t.Errorf("FindAccounts answered %v: want that it asks for %s", err, other)
		}
		l.input.CloneUsername = other
		if d := l.deletion(); len(d.Accounts) != 2 {
			t.Errorf("with CloneUsername the accounts are %v", d.Accounts)
		}
	})
}

// A step of the creation is repeated late, when a deletion has locked the account.
func TestALateStoreSecretUnlocksNoAccount(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		name := account.Name{User: l.user + "_clone", Host: "%"}
		in := activities.CreateUserInput{SecretID: "new", MasterSecretID: "master", Account: name, Grants: []string{"SELECT ON *.*"}, VersionID: uuid.NewString()}
		l.activity("CreateAccount", in)
		l.activity("StoreSecret", in)
		l.settle()
		l.activity("StoreSecret", in)
		l.sql("ALTER USER " + name.String() + " ACCOUNT LOCK")
		_, err := l.env.ExecuteActivity("StoreSecret", in)
		var app *temporal.ApplicationError
		if !errors.As(err, &app) || app.Type() != account.NotOurs || len(l.locked()) != 1 {
			t.Errorf("StoreSecret answered %v, and locked are %v: want that it refuses and unlocks nothing", err, l.locked())
		}
	})
}

// An account that was locked before the deletion was locked for another reason: what it had may have leaked.
func TestARestoreUnlocksOnlyWhatTheDeletionLocked(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		l.rotate()
		l.sql("ALTER USER " + l.user + "@'%' ACCOUNT LOCK")
		d := l.deletion()
		l.activity("DeleteSecret", d)
		l.activity("LockAccounts", d)
		l.restore()
		l.settle()
		l.activity("UnlockAccounts", d)
		if locked := l.locked(); len(locked) != 1 || locked[0] != l.user {
			t.Errorf("locked are %v: want what was locked before", locked)
		}
		l.mustLogIn(secret.Current, l.user+"_clone")
	})
}

// The master secret was deleted and made again, under another ARN: a deletion under way cannot be told of it.
func TestADeletionFindsAMasterSecretThatWasMadeAgain(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		d := l.deletion()
		l.activity("DeleteSecret", d)
		if _, err := l.client.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{
			SecretId: aws.String("master"), ForceDeleteWithoutRecovery: aws.Bool(true),
		}); err != nil {
			t.Fatal(err)
		}
		l.create("master", map[string]any{"username": s.AdminUser, "password": s.AdminPassword})
		l.activity("LockAccounts", d)
		if len(l.locked()) != 1 {
			t.Error("the account is not locked")
		}
	})
}

// The answer to the call was lost, and the secret does not show yet what it did.
func TestADeletionWhoseAnswerWasLostGoesOn(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLabOf(t, s, endpoint.Options{Lag: 2 * time.Second}) // longer than the SDK waits before it repeats the call
		d := l.deletion()
		var lost atomic.Bool
		l.sm.Intercept(func(c endpoint.Call) endpoint.Fault {
			return endpoint.Fault{Drop: c.Operation == "DeleteSecret" && c.Done && lost.CompareAndSwap(false, true)}
		})
		l.activity("DeleteSecret", d)
		out, err := l.client.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: aws.String("app")})
		if err != nil || out.DeletedDate == nil {
			t.Errorf("the secret is not scheduled for deletion: %v", err)
		}
	})
}
