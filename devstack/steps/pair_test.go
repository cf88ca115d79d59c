package steps

import (
	"context"
	"errors"
	"maps"
	"strings"
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

func TestAStandbyWhosePasswordIsNotTheSecretsIsLeftAlone(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		l.input.Pair = []string{l.user, l.user + "_clone"}
		l.rotate()
		l.sql("ALTER USER " + l.user + "@'%' IDENTIFIED BY 'By.Hand-1'") // as the rotation of another secret would
		l.input.Force = false
		before := l.snapshot()
		for _, name := range []string{rotation.PlanRotation, rotation.CloneUser} {
			_, err := l.env.ExecuteActivity(name, l.input)
			var app *temporal.ApplicationError
			if !errors.As(err, &app) || app.Type() != grants.ForeignPassword || !app.NonRetryable() || !strings.Contains(app.Message(), "Force") {
				t.Errorf("%s answered %v: want that the password is not the secret's", name, err)
			}
		}
		if diff := cmp.Diff(before, l.snapshot()); diff != "" {
			t.Errorf("the refused rotation changed something:\n%s", diff)
		}
		l.input.Force = true
		l.rotate()
		l.mustLogIn(secret.Current, l.user)
		l.mustLogIn(secret.Previous, l.user+"_clone")
	})
}

// A value with the current credential was put by hand. The version with the standby's credential
// has no label any more.
func TestTheStandbyIsKnownByAnOldVersion(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		l.input.Pair = []string{l.user, l.user + "_clone"}
		r := l.rotate()
		v, err := l.client.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("app"), VersionId: &r.VersionID})
		if err != nil {
			t.Fatal(err)
		}
		l.putText(*v.SecretString)
		l.input.Force, l.input.Stored = false, nil
		l.rotate()
		l.mustLogIn(secret.Current, l.user)
		l.mustLogIn(secret.Previous, l.user+"_clone")
	})
}

// A first rotation failed halfway. Another workflow, which has no state, starts it again.
func TestAStandbyIsKnownToTheNextWorkflow(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		for done := range steps {
			l := newLab(t, s)
			r, err := l.clone()
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range steps[:done] {
				if err := l.step(name, &r.Rotation); err != nil {
					t.Fatal(err)
				}
			}
			l.settle() // otherwise a recent write of another workflow may be invisible, and the rotation is refused
			l.input = rotation.CloneUserInput{SecretID: "app", Mark: "another workflow", Force: done > 0}
			if _, err := l.env.ExecuteActivity(rotation.PlanRotation, l.input); err != nil {
				t.Errorf("after %v, a plan fails with %v", steps[:done], err)
			}
			l.rotate()
			l.mustLogIn(secret.Current, l.user+"_clone")
			l.mustLogIn(secret.Previous, l.user)
		}
	})
}

// A workflow's state about accounts on one server does not apply to accounts on another.
func TestAnAccountOfThatNameOnAnotherServerIsAStrangers(t *testing.T) {
	t.Parallel()
	servers := mysqldtest.Servers(t)
	for i, s := range servers {
		other := servers[(i+1)%len(servers)]
		l := newLab(t, s)
		l.input.Pair = []string{l.user, l.user + "_clone"}
		l.input.CloneUsername = l.user + "_clone"
		l.rotate()
		l.input.Server = l.rotate().Server

		admin, err := other.Open(other.AdminUser, other.AdminPassword)
		if err != nil {
			t.Fatal(err)
		}
		defer admin.Close()
		for user, password := range map[string]string{l.user: "First.Passw0rd", l.user + "_clone": "Not.Yours-1"} {
			if _, err := admin.ExecContext(t.Context(), "CREATE USER "+user+"@'%' IDENTIFIED BY '"+password+"'"); err != nil {
				t.Fatal(err)
			}
			defer func() { _, _ = admin.ExecContext(context.Background(), "DROP USER "+user+"@'%'") }()
		}
		there := map[string]any{"host": other.Host, "port": other.Port}
		edited := func(fields map[string]any) map[string]any { maps.Copy(fields, there); return fields }
		l.create("theirs", edited(map[string]any{"username": other.AdminUser, "password": other.AdminPassword}))
		l.put(edited(map[string]any{"username": l.user + "_clone", "password": "x", "masterarn": "theirs"}))
		l.put(edited(map[string]any{"username": l.user, "password": "First.Passw0rd", "masterarn": "theirs"}))
		for _, force := range []bool{false, true} {
			l.input.Force = force
			_, err = l.clone()
			var app *temporal.ApplicationError
			if want := grants.NotOurs; s != other && (!errors.As(err, &app) || app.Type() != want && app.Type() != rotation.ErrorTLS) {
				t.Errorf("force %t: CloneUser answered %v: want an error that the account there is not the secret's", force, err)
			}
		}
		theirs, err := other.Open(l.user+"_clone", "Not.Yours-1")
		if err != nil {
			t.Fatal(err)
		}
		defer theirs.Close()
		if err := theirs.PingContext(t.Context()); s != other && err != nil {
			t.Errorf("the account of that name on the other server no longer logs in: %v", err)
		}
	}
}

// The workflow that created a pair with another name has ended, and its state is lost. No third
// account is created next to the two.
func TestAPairOfAnotherNameIsAskedFor(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		unknown := l.input
		other := l.user + "_b"
		t.Cleanup(func() { l.sql("DROP USER " + other) })
		l.input.CloneUsername, l.input.Force = other, true
		for _, user := range []string{l.user, other} { // AWSPREVIOUS after the rotation
			l.rotate()
			l.settle()
			known := l.input
			known.Pair = []string{l.user, other}
			l.input = unknown
			before := l.snapshot()
			_, err := l.clone()
			var app *temporal.ApplicationError
			if !errors.As(err, &app) || app.Type() != rotation.ErrorUnknownPair || !app.NonRetryable() || !strings.Contains(app.Message(), "CloneUsername \""+user+"\"") {
				t.Errorf("CloneUser answered %v: want an error that asks whether %s is the other account", err, user)
			}
			if _, err := l.env.ExecuteActivity(rotation.PlanRotation, rotation.PlanRotationInput{CloneUserInput: l.input}); err == nil {
				t.Error("a plan succeeds although the rotation is refused")
			}
			if diff := cmp.Diff(before, l.snapshot()); diff != "" {
				t.Errorf("the refused rotation changed something:\n%s", diff)
			}
			l.input = known
		}
		l.input = unknown
		l.input.CloneUsername = l.user + "_clone"
		if r, err := l.clone(); err != nil || !r.Created {
			t.Errorf("with the derived name CloneUser answered %+v, %v: want a new account", r, err)
		}
	})
}
