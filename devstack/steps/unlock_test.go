package steps

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"go.temporal.io/sdk/temporal"

	"github.com/rotate-user/rotate-user/internal/grants"
	"github.com/rotate-user/rotate-user/internal/mysqld"
	"github.com/rotate-user/rotate-user/internal/mysqld/mysqldtest"
	"github.com/rotate-user/rotate-user/internal/secret"
	"github.com/rotate-user/rotate-user/rotation"
)

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
