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

	endpoint "github.com/rotate-user/rotate-user/devstack/secretsmanager"
	"github.com/rotate-user/rotate-user/internal/grants"
	"github.com/rotate-user/rotate-user/internal/mysqld"
	"github.com/rotate-user/rotate-user/internal/mysqld/mysqldtest"
	"github.com/rotate-user/rotate-user/internal/secret"
	"github.com/rotate-user/rotate-user/rotation"
)

// leave starts a rotation and abandons it after some of the steps that follow CloneUser.
func (l *lab) leave(done int) rotation.StepInput {
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

// Whatever a rotation left behind, the secret can be deleted, together with its own accounts and no
// others.
func TestASecretCanBeDeletedInAnyState(t *testing.T) {
	cases := []struct {
		name    string
		arrange func(*lab)
		clone   bool // the other account is deleted with the secret
	}{
		{"a first rotation ended when the standby was made", func(l *lab) { l.leave(0) }, true},
		{"a first rotation ended when it had staged", func(l *lab) { l.leave(1) }, true},
		{"a first rotation ended when it had set the password", func(l *lab) { l.leave(2) }, true},
		{"a later rotation ended when it had staged", func(l *lab) { l.rotate(); l.leave(1) }, true},
		{"a later rotation ended when it had set the password", func(l *lab) { l.rotate(); l.leave(2) }, true},
		{"a later rotation revoked", func(l *lab) {
			l.rotate()
			r := l.rotate()
			if err := l.step(rotation.RevokePrevious, &r); err != nil {
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
				l.input = rotation.CloneUserInput{SecretID: "app"} // a deletion does not have the workflow's state
				d := l.deletion()
				l.activity(rotation.DeleteSecret, d)
				l.activity(rotation.LockAccounts, d)
				locked := l.locked()
				if !slices.Contains(locked, l.user) || slices.Contains(locked, l.user+"_clone") != c.clone {
					t.Errorf("locked are %v: want the clone among them: %t", locked, c.clone)
				}
				l.forceDelete()
				d.Locked = true
				l.activity(rotation.DropAccounts, d)
				if left := l.accounts(l.user + "_clone"); len(left) == 0 != c.clone {
					t.Errorf("left is %v: want that the clone was dropped: %t", left, c.clone)
				}
			})
		}
	})
}

// An editor who cannot read the passwords of other secrets makes AWSPREVIOUS name an account that
// is not the secret's.
func TestADeletionTouchesNoAccountThatTheSecretOnlyNames(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newOldLab(t, s)
		l.sql("CREATE USER " + l.user + "_clone@'%' IDENTIFIED BY 'Not.Yours-1'")
		l.put(map[string]any{"username": l.user + "_clone", "password": "Guessed-1", "masterarn": "master"})
		l.put(map[string]any{"username": l.user, "password": "First.Passw0rd", "masterarn": "master"})
		l.settle()
		_, err := l.env.ExecuteActivity(rotation.FindAccounts, l.input)
		var app *temporal.ApplicationError
		if !errors.As(err, &app) || app.Type() != rotation.ErrorUnknownPair || !strings.Contains(app.Message(), "CloneUsername") {
			t.Errorf("FindAccounts answered %v: want a refusal of type %s", err, rotation.ErrorUnknownPair)
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
			t.Errorf("by name, RotatedAs is %q", d.RotatedAs)
		}
		l.input.SecretID = l.deletion().SecretARN
		if d := l.deletion(); d.RotatedAs != "app" {
			t.Errorf("by ARN, RotatedAs is %q, want app", d.RotatedAs)
		}
	})
}

// The leftovers of a rotation do not block a deletion. A rotation that is running does.
func TestADeletionIsRefusedForARotationSinceItsAccountsWereFound(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newOldLab(t, s)
		l.rotate()
		l.leave(2)
		d := l.deletion()
		l.another().leave(1) // it takes over
		l.settle()
		_, err := l.env.ExecuteActivity(rotation.DeleteSecret, d)
		wantEdited(t, rotation.DeleteSecret, err)
		l.mustLogIn(secret.Current, l.user+"_clone")
	})
}

// A first rotation, to an account that CloneUsername named, was cut off. The deletion is not told
// that name.
func TestADeletionAsksForAStandbyThatAWSPENDINGNames(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newOldLab(t, s)
		other := l.user + "_b"
		l.Cleanup(func() { l.sql("DROP USER IF EXISTS " + other + "@'%'") })
		l.input.CloneUsername = other
		l.leave(2)
		l.settle()
		l.input = rotation.CloneUserInput{SecretID: "app"}
		_, err := l.env.ExecuteActivity(rotation.FindAccounts, l.input)
		var app *temporal.ApplicationError
		if !errors.As(err, &app) || app.Type() != rotation.ErrorUnknownPair || !strings.Contains(app.Message(), other) {
			t.Errorf("FindAccounts answered %v: want that it asks for %s", err, other)
		}
		l.input.CloneUsername = other
		if d := l.deletion(); len(d.Accounts) != 2 {
			t.Errorf("with CloneUsername the accounts are %v", d.Accounts)
		}
	})
}

// A step of the creation is repeated late, after a deletion has locked the account.
func TestALateStoreSecretUnlocksNoAccount(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		name := grants.Name{User: l.user + "_clone", Host: "%"}
		in := rotation.CreateAccountInput{SecretID: "new", MasterSecretID: "master", Account: name, Grants: []string{"SELECT ON *.*"},
			VersionID: uuid.NewString()}
		l.activity(rotation.CreateAccount, in)
		l.activity(rotation.StoreSecret, in)
		l.settle()
		l.activity(rotation.StoreSecret, in)
		l.sql("ALTER USER " + name.String() + " ACCOUNT LOCK")
		_, err := l.env.ExecuteActivity(rotation.StoreSecret, in)
		var app *temporal.ApplicationError
		if !errors.As(err, &app) || app.Type() != grants.NotOurs || len(l.locked()) != 1 {
			t.Errorf("StoreSecret answered %v, and locked are %v: want that it refuses and unlocks nothing", err, l.locked())
		}
	})
}

// An account that was locked before the deletion was locked for another reason: its password may
// have leaked.
func TestARestoreUnlocksOnlyWhatTheDeletionLocked(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		l.rotate()
		l.sql("ALTER USER " + l.user + "@'%' ACCOUNT LOCK")
		d := l.deletion()
		l.activity(rotation.DeleteSecret, d)
		l.activity(rotation.LockAccounts, d)
		l.restore()
		l.settle()
		l.activity(rotation.UnlockAccounts, d)
		if locked := l.locked(); len(locked) != 1 || locked[0] != l.user {
			t.Errorf("locked are %v: want what was locked before", locked)
		}
		l.mustLogIn(secret.Current, l.user+"_clone")
	})
}

// The master secret was deleted and created again, under another ARN, which a running deletion
// cannot know.
func TestADeletionFindsAMasterSecretThatWasMadeAgain(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		d := l.deletion()
		l.activity(rotation.DeleteSecret, d)
		if _, err := l.client.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{
			SecretId: aws.String("master"), ForceDeleteWithoutRecovery: aws.Bool(true),
		}); err != nil {
			t.Fatal(err)
		}
		l.create("master", map[string]any{"username": s.AdminUser, "password": s.AdminPassword})
		l.activity(rotation.LockAccounts, d)
		if len(l.locked()) != 1 {
			t.Error("the account is not locked")
		}
	})
}

// The response to the call was lost, and the secret does not show its effect yet.
func TestADeletionWhoseAnswerWasLostGoesOn(t *testing.T) {
	t.Parallel()
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLabOf(t, s, endpoint.Options{Lag: 2 * time.Second}) // longer than the SDK waits before it repeats the call
		d := l.deletion()
		var lost atomic.Bool
		l.sm.Intercept(func(c endpoint.Call) endpoint.Fault {
			return endpoint.Fault{Drop: c.Operation == rotation.DeleteSecret && c.Done && lost.CompareAndSwap(false, true)}
		})
		l.activity(rotation.DeleteSecret, d)
		out, err := l.client.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: aws.String("app")})
		if err != nil || out.DeletedDate == nil {
			t.Errorf("the secret is not scheduled for deletion: %v", err)
		}
	})
}

// cut leaves the state of a deletion that was terminated after it had locked the accounts, and
// restores the secret.
func (l *lab) cut() rotation.Deletion {
	l.Helper()
	d := l.deletion()
	l.activity(rotation.DeleteSecret, d)
	l.activity(rotation.LockAccounts, d)
	l.restore()
	l.settle()
	return d
}

// A deletion was terminated, and the secret restored: both accounts are locked, and no workflow is
// left that would unlock them.
func TestARecoveryUnlocksWhatADeletionLeftLocked(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		recovers := func(l *lab, in rotation.RecoverSecretInput) (r rotation.RecoverSecretResult, err error) {
			in.CloneUserInput = l.input
			value, err := l.env.ExecuteActivity(rotation.RecoverSecret, in)
			if err == nil {
				err = value.Get(&r)
			}
			return r, err
		}
		t.Run("locked by a known deletion", func(t *testing.T) {
			t.Parallel()
			l := newLab(t, s)
			l.rotate()
			d := l.cut()
			r, err := recovers(l, rotation.RecoverSecretInput{Locked: d.Accounts})
			if err != nil || len(r.Unlocked) != 2 || len(l.locked()) != 0 {
				t.Errorf("RecoverSecret answered %+v, %v, and locked are %v: want none", r, err, l.locked())
			}
			l.mustLogIn(secret.Current, l.user+"_clone")
			l.mustLogIn(secret.Previous, l.user)
			if r, err := recovers(l, rotation.RecoverSecretInput{Locked: d.Accounts}); err != nil || len(r.Unlocked) != 0 {
				t.Errorf("again RecoverSecret answered %+v, %v", r, err)
			}
		})
		t.Run("known from the rotation's state", func(t *testing.T) {
			t.Parallel()
			l := newLab(t, s)
			l.rotate()
			l.cut()
			r, err := recovers(l, rotation.RecoverSecretInput{Held: true})
			if err != nil || len(r.Unlocked) != 1 {
				t.Errorf("RecoverSecret answered %+v, %v: want that the account in use is unlocked", r, err)
			}
			l.mustLogIn(secret.Current, l.user+"_clone")
		})
		t.Run("locked by hand since", func(t *testing.T) {
			t.Parallel()
			l := newLab(t, s)
			l.rotate()
			l.sql("ALTER USER " + l.user + "@'%' ACCOUNT LOCK")
			if _, err := recovers(l, rotation.RecoverSecretInput{Held: true, Locked: []grants.Name{{User: l.user, Host: "%"}}}); err != nil ||
				len(l.locked()) != 1 {
				t.Errorf("RecoverSecret answered %v, and locked are %v: want what was locked by hand, while AWSCURRENT logs in", err, l.locked())
			}
		})
		t.Run("locked before the deletion", func(t *testing.T) {
			t.Parallel()
			l := newLab(t, s)
			l.rotate()
			current := grants.Name{User: l.user + "_clone", Host: "%"}
			l.sql("ALTER USER " + current.String() + " ACCOUNT LOCK") // its password has leaked
			d := l.cut()
			if _, err := recovers(l, rotation.RecoverSecretInput{Held: true, Locked: d.LockedForIt(), LockedBefore: d.LockedBefore}); err == nil ||
				!slices.Equal(l.locked(), []string{current.User}) {
				t.Errorf("RecoverSecret answered %v, and locked are %v: want that %s stays locked", err, l.locked(), current)
			}
		})
		t.Run("not known", func(t *testing.T) {
			t.Parallel()
			l := newLab(t, s)
			l.cut()
			_, err := recovers(l, rotation.RecoverSecretInput{})
			var app *temporal.ApplicationError
			if !errors.As(err, &app) || !strings.Contains(app.Message(), "ACCOUNT UNLOCK") || len(l.locked()) != 1 {
				t.Errorf("RecoverSecret answered %v, and locked are %v: want that it names the statement", err, l.locked())
			}
		})
		t.Run("another password", func(t *testing.T) {
			t.Parallel()
			l := newLab(t, s)
			d := l.cut()
			l.sql("ALTER USER " + l.user + "@'%' IDENTIFIED BY 'Another.Us3r'")
			if _, err := recovers(l, rotation.RecoverSecretInput{Held: true, Locked: d.Accounts}); err == nil || len(l.locked()) != 1 {
				t.Errorf("RecoverSecret answered %v, and locked are %v: want that what has another password stays locked", err, l.locked())
			}
		})
		t.Run("scheduled again", func(t *testing.T) {
			t.Parallel()
			l := newLab(t, s)
			d := l.cut()
			l.activity(rotation.DeleteSecret, l.deletion())
			_, err := recovers(l, rotation.RecoverSecretInput{Held: true, Locked: d.Accounts})
			var app *temporal.ApplicationError
			if !errors.As(err, &app) || app.Type() != rotation.ErrorDeleted || len(l.locked()) != 1 {
				t.Errorf("RecoverSecret answered %v, and locked are %v", err, l.locked())
			}
		})
	})
}

// A deletion that was cut off can be resumed, although the accounts that it had found by a login
// are now locked.
func TestADeletionIsTakenUpAgainWithItsAccountsLocked(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newOldLab(t, s)
		l.rotate()
		l.cut()
		finds := func(in rotation.FindAccountsInput) (d rotation.Deletion, err error) {
			in.CloneUserInput = l.input
			value, err := l.env.ExecuteActivity(rotation.FindAccounts, in)
			if err == nil {
				err = value.Get(&d)
			}
			return d, err
		}
		// It is not known what locked them, so they stay locked when the secret is restored.
		if d, err := finds(rotation.FindAccountsInput{}); err != nil || len(d.Accounts) != 2 || len(d.LockedBefore) != 2 {
			t.Errorf("FindAccounts answered %+v, %v: want both accounts, locked before", d, err)
		}
		d, err := finds(rotation.FindAccountsInput{Held: true})
		if err != nil || len(d.Accounts) != 2 || len(d.LockedBefore) != 0 {
			t.Fatalf("FindAccounts answered %+v, %v: want both accounts, locked by the deletion before", d, err)
		}
		before := []grants.Name{{User: l.user, Host: "%"}}
		if d, err := finds(rotation.FindAccountsInput{Held: true, LockedBefore: before}); err != nil || !slices.Equal(d.LockedBefore, before) {
			t.Errorf("FindAccounts answered %+v, %v: want %v locked before", d, err, before)
		}
		d.RecoveryWindowInDays = 7
		l.activity(rotation.DeleteSecret, d)
		l.activity(rotation.LockAccounts, d)
		l.restore()
		l.settle()
		l.activity(rotation.UnlockAccounts, d)
		l.mustLogIn(secret.Current, l.user+"_clone")

		// A locked account with a password that is not the secret's is not the secret's account.
		l.sql("ALTER USER " + l.user + "_clone@'%' IDENTIFIED BY 'Another.Us3r' ACCOUNT LOCK")
		if d, err := finds(rotation.FindAccountsInput{Held: true}); err == nil {
			t.Errorf("FindAccounts answered %+v for an account with another password", d)
		}
	})
}
