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
	"go.temporal.io/sdk/temporal"

	endpoint "github.com/rotate-user/rotate-user/devstack/secretsmanager"
	"github.com/rotate-user/rotate-user/internal/grants"
	"github.com/rotate-user/rotate-user/internal/mysqld"
	"github.com/rotate-user/rotate-user/internal/mysqld/mysqldtest"
	"github.com/rotate-user/rotate-user/internal/secret"
	"github.com/rotate-user/rotate-user/rotation"
)

// deletion runs FindAccounts for the lab's secret.
func (l *lab) deletion() rotation.Deletion {
	l.Helper()
	l.settle() // the deletion cannot see a write that has only just been made
	d, err := l.finds(rotation.FindAccountsInput{CloneUserInput: l.input})
	if err != nil {
		l.Fatal(err)
	}
	d.RecoveryWindowInDays = 7
	return d
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

func TestADeletionDoesWhatItCanWithEachAccount(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		l.rotate()
		d := l.deletion()
		both := []grants.Name{{User: l.user + "_clone", Host: "%"}, {User: l.user, Host: "%"}}
		if !slices.Equal(d.Accounts, both) {
			t.Fatalf("found %v: want %v", d.Accounts, both)
		}
		l.activity(rotation.DeleteSecret, d)
		refused := d
		refused.Accounts = append([]grants.Name{{User: "root", Host: "localhost"}}, both...)
		_, err := l.env.ExecuteActivity(rotation.LockAccounts, refused)
		if err == nil || !strings.Contains(err.Error(), "'root'@'localhost'") {
			t.Errorf("locking root too is answered by %v", err)
		}
		if got := l.locked(); len(got) != 2 {
			t.Errorf("locked are %v: want both, whatever became of root", got)
		}
		l.sql("DROP USER " + both[0].String())
		for _, step := range []string{rotation.LockAccounts, rotation.UnlockAccounts} {
			if step == rotation.UnlockAccounts {
				l.restore()
			}
			if _, err := l.env.ExecuteActivity(step, d); err != nil {
				t.Errorf("%s after an account was dropped: %v", step, err)
			}
		}
		if got := l.locked(); len(got) != 0 {
			t.Errorf("locked are %v after the unlock", got)
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

func TestASecretMadeAnewIsNotTheOneThatWasDeleted(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		d := l.deletion()
		look := func(d rotation.Deletion) (fate rotation.SecretFate, err error) {
			value, err := l.env.ExecuteActivity(rotation.LookAtSecret, d)
			if err == nil {
				err = value.Get(&fate)
			}
			return fate, err
		}
		remake := func(fields map[string]any) {
			l.forceDelete()
			l.create("app", fields)
		}
		if fate, err := look(d); err != nil || fate != rotation.SecretRestored {
			t.Errorf("the secret itself is %s, %v", fate, err)
		}
		remake(map[string]any{"username": "another", "password": "Some.Passw0rd1"})
		if fate, err := look(d); err != nil || fate != rotation.SecretGone {
			t.Errorf("after another was made the secret is %s, %v: want that it is gone", fate, err)
		}
		older := d
		older.SecretARN = ""
		if fate, err := look(older); err != nil || fate != rotation.SecretRestored {
			t.Errorf("for a deletion that an earlier release started, the secret is %s, %v: want it unchanged", fate, err)
		}
		remake(map[string]any{"username": l.user, "password": "First.Passw0rd", "masterarn": "master"})
		fate, err := look(d)
		var app *temporal.ApplicationError
		if !errors.As(err, &app) || app.Type() != rotation.ErrorSecretExists || !strings.Contains(app.Message(), "ACCOUNT UNLOCK") {
			t.Errorf("a new secret of the same user makes it %s, %v: want a refusal, or a user in use is dropped", fate, err)
		}
	})
}
