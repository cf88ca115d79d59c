package steps

import (
	"errors"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/google/go-cmp/cmp"
	"go.temporal.io/sdk/temporal"

	"github.com/rotate-user/rotate-user/internal/grants"
	"github.com/rotate-user/rotate-user/internal/mysqld"
	"github.com/rotate-user/rotate-user/internal/mysqld/mysqldtest"
	"github.com/rotate-user/rotate-user/internal/secret"
	"github.com/rotate-user/rotate-user/rotation"
)

// recover runs RecoverSecret.
func (l *lab) recover() (r rotation.RecoverSecretResult, err error) {
	l.Helper()
	value, err := l.env.ExecuteActivity(rotation.RecoverSecret, l.input)
	if err == nil {
		err = value.Get(&r)
	}
	return r, err
}

func TestRecover(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		current := func(want string) string {
			t.Helper()
			r, err := l.recover()
			if err != nil || r.RefusedVersionID != want {
				t.Fatalf("RecoverSecret answered %+v, %v: want that version %q was refused", r, err, want)
			}
			return r.VersionID
		}
		first := current("")

		// An edit is reverted.
		l.put(map[string]any{"username": l.user, "password": "Wrong.Passw0rd1", "masterarn": "master"})
		wrong := l.labels()[secret.Current]
		if got := current(wrong); got != first {
			t.Errorf("AWSCURRENT is version %s: want %s", got, first)
		}
		l.mustLogIn(secret.Current, l.user)
		l.settle()
		current("")

		// The database is restored to its state before the first rotation. The version with that
		// password has no label any more.
		l.rotate()
		l.input.Pair = []string{l.user, l.user + "_clone"}
		l.rotate()
		l.rotate()
		l.settle()
		last := l.labels()[secret.Current]
		l.sql("DROP USER " + l.user + "_clone@'%'")
		l.sql("ALTER USER " + l.user + "@'%' IDENTIFIED BY 'First.Passw0rd'")
		if got := current(last); got != first {
			t.Errorf("AWSCURRENT is version %s: want %s", got, first)
		}
		l.mustLogIn(secret.Current, l.user)

		// The password is in no version.
		l.settle()
		l.sql("ALTER USER " + l.user + "@'%' IDENTIFIED BY 'Nobody.Kn0ws'")
		before := l.snapshot()
		_, err := l.recover()
		var app *temporal.ApplicationError
		if !errors.As(err, &app) || app.Type() != grants.WrongPassword || !app.NonRetryable() {
			t.Errorf("RecoverSecret answered %v: want that no version logs in", err)
		}
		if diff := cmp.Diff(before, l.snapshot()); diff != "" {
			t.Errorf("a recovery that found nothing changed something:\n%s", diff)
		}
	})
}

// labels maps each label of the secret to its version.
func (l *lab) labels() map[string]string {
	l.Helper()
	d, err := l.client.DescribeSecret(l.Context(), &secretsmanager.DescribeSecretInput{SecretId: aws.String("app")})
	if err != nil {
		l.Fatal(err)
	}
	labels := map[string]string{}
	for version, all := range d.VersionIdsToStages {
		for _, label := range all {
			labels[label] = version
		}
	}
	return labels
}
