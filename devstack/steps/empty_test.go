package steps

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/rotate-user/rotate-user/internal/mysqld"
	"github.com/rotate-user/rotate-user/internal/mysqld/mysqldtest"
	"github.com/rotate-user/rotate-user/internal/secret"
	"github.com/rotate-user/rotate-user/rotation"
)

// emptyPending leaves AWSPENDING on a version without a value, as RotateSecret does if AWS's function never ran.
func (l *lab) emptyPending() {
	l.Helper()
	if err := l.sm.EnableRotation("app"); err != nil {
		l.Fatal(err)
	}
	if _, err := l.client.RotateSecret(l.Context(), &secretsmanager.RotateSecretInput{SecretId: aws.String("app")}); err != nil {
		l.Fatal(err)
	}
	if _, err := l.client.CancelRotateSecret(l.Context(), &secretsmanager.CancelRotateSecretInput{SecretId: aws.String("app")}); err != nil {
		l.Fatal(err)
	}
	l.settle()
}

// A version without a value holds up nothing.
func TestAVersionWithoutAValueProvesNothing(t *testing.T) {
	t.Parallel()
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		t.Run("a recovery", func(t *testing.T) {
			t.Parallel()
			l := broken(t, s)
			l.emptyPending()
			if _, err := l.recover(); err != nil {
				t.Fatal(err)
			}
			l.mustLogIn(secret.Current, l.user+"_clone")
		})
		t.Run("a rotation that replaces the standby's password by force", func(t *testing.T) {
			t.Parallel()
			l := newLab(t, s)
			l.sql("CREATE USER " + l.user + "_clone@'%' IDENTIFIED BY 'By.Hand-1'")
			l.emptyPending()
			l.input.CloneUsername, l.input.Force = l.user+"_clone", true
			l.rotate()
			l.mustLogIn(secret.Current, l.user+"_clone")
			l.mustLogIn(secret.Previous, l.user)
		})
		t.Run("a deletion", func(t *testing.T) {
			t.Parallel()
			l := newOldLab(t, s)
			l.emptyPending()
			if d, err := l.finds(rotation.FindAccountsInput{CloneUserInput: l.input}); err != nil || len(d.Accounts) != 1 {
				t.Errorf("FindAccounts answered %v, %v: want the user's account", d.Accounts, err)
			}
		})
	})
}
