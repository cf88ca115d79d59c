package steps

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/google/go-cmp/cmp"
	"go.temporal.io/sdk/temporal"

	endpoint "github.com/rotate-user/rotate-user/devstack/secretsmanager"
	"github.com/rotate-user/rotate-user/internal/grants"
	"github.com/rotate-user/rotate-user/internal/mysqld"
	"github.com/rotate-user/rotate-user/internal/mysqld/mysqldtest"
	"github.com/rotate-user/rotate-user/internal/secret"
	"github.com/rotate-user/rotate-user/rotation"
)

// deny makes an operation fail from now on, as a policy would.
func (l *lab) deny(operation string) {
	l.sm.Intercept(func(c endpoint.Call) endpoint.Fault {
		if c.Operation == operation && !c.Done {
			return endpoint.Denied(c)
		}
		return endpoint.Fault{}
	})
}

func TestARefusedRotationLeavesEverythingAsItWas(t *testing.T) {
	good := func(l *lab) map[string]any {
		return map[string]any{"username": l.user, "password": "First.Passw0rd", "masterarn": "master"}
	}
	with := func(l *lab, key string, value any) map[string]any {
		all := good(l)
		all[key] = value
		return all
	}
	cases := []struct {
		name    string
		arrange func(*lab)
		kind    string
		says    string
	}{
		{"no such secret", func(l *lab) { l.input.SecretID = "nope" }, rotation.ErrorSecretsManager, "check the name"},
		{"no master is named", func(l *lab) { l.put(with(l, "masterarn", nil)) }, rotation.ErrorNoMaster, "MasterSecretId"},
		{"two masters are named", func(l *lab) {
			l.create("other", map[string]any{"username": l.server.AdminUser, "password": l.server.AdminPassword})
			l.input.MasterSecretID = "other"
		}, rotation.ErrorNoMaster, "masterarn"},
		{"no such master", func(l *lab) { l.put(with(l, "masterarn", "nope")) }, rotation.ErrorSecretsManager, "master secret"},
		{"no JSON", func(l *lab) { l.putText("First.Passw0rd") }, rotation.ErrorMalformed, "JSON"},
		{"a port that is none", func(l *lab) { l.put(with(l, "port", "3306x")) }, rotation.ErrorMalformed, `"port"`},
		{"an unknown engine", func(l *lab) { l.put(with(l, "engine", "postgres")) }, rotation.ErrorMalformed, `"engine"`},
		{"no password", func(l *lab) { l.put(with(l, "password", nil)) }, rotation.ErrorMalformed, `"password"`},
		{"a password that does not log in", func(l *lab) { l.sql("ALTER USER " + l.user + "@'%' IDENTIFIED BY 'Another.Passw0rd1'") }, grants.WrongPassword, "store the right one"},
		{"a master that does not log in", func(l *lab) {
			l.create("bad", map[string]any{"username": l.server.AdminUser, "password": "Wrong.Passw0rd"})
			l.put(with(l, "masterarn", "bad"))
		}, rotation.ErrorAccessDenied, "administrator"},
		{"Secrets Manager rotates it", func(l *lab) {
			if err := l.sm.EnableRotation("app"); err != nil {
				l.Fatal(err)
			}
		}, rotation.ErrorOtherRotator, "cancel-rotate-secret"},
		{"another actor has staged a version", func(l *lab) { l.put(good(l), "AWSPENDING") }, rotation.ErrorOtherRotator, "taken over"},
		{"no right to stage", func(l *lab) { l.deny("PutSecretValue") }, rotation.ErrorAccessDenied, "IAM policy"},
		{"no right to promote", func(l *lab) { l.deny("UpdateSecretVersionStage") }, rotation.ErrorAccessDenied, "IAM policy"},
		{"a replica", func(l *lab) {
			if err := l.sm.MakeReadOnly("app", "us-east-1", ""); err != nil {
				l.Fatal(err)
			}
		}, rotation.ErrorReadOnlySecret, "primary arn:aws:secretsmanager:us-east-1:123456789012:secret:app-"},
		{"managed by another service", func(l *lab) {
			if err := l.sm.MakeReadOnly("app", "", "rds"); err != nil {
				l.Fatal(err)
			}
		}, rotation.ErrorReadOnlySecret, "managed by the AWS service rds"},
		{"a value that would grow too large", func(l *lab) { l.put(with(l, "notes", strings.Repeat("x", 65_200))) }, rotation.ErrorMalformed, "shorten"},
		{"scheduled for deletion", func(l *lab) {
			if _, err := l.client.DeleteSecret(l.Context(), &secretsmanager.DeleteSecretInput{SecretId: aws.String("app")}); err != nil {
				l.Fatal(err)
			}
		}, rotation.ErrorDeleted, "restore"},
		{"the clone's name is taken", func(l *lab) { l.sql("CREATE USER " + l.user + "_clone@'%' IDENTIFIED BY 'Some.Passw0rd1'") }, "NotOurs", "CloneUsername"},
		{"the previous version names a stranger", func(l *lab) {
			l.put(with(l, "username", "billing"))
			l.put(good(l))
			l.sql("CREATE USER " + l.user + "_clone@'%' IDENTIFIED BY 'Some.Passw0rd1'")
		}, "NotOurs", "CloneUsername"},
		{"a clone by name, and nothing says of whom", func(l *lab) {
			l.sql("CREATE USER " + l.user + "_clone@'%' IDENTIFIED BY 'Some.Passw0rd1'")
			l.put(map[string]any{"username": l.user + "_clone", "password": "Some.Passw0rd1", "masterarn": "master"})
			l.put(map[string]any{"username": l.user + "_clone", "password": "Some.Passw0rd1", "masterarn": "master"})
		}, rotation.ErrorUnknownPair, "CloneUsername"},
		{"the user is on several hosts", func(l *lab) { l.sql("CREATE USER " + l.user + "@'10.%' IDENTIFIED BY 'Some.Passw0rd1'") }, "AmbiguousHost", "10.%"},
		{"the previous credential is still young", func(l *lab) {
			l.rotate()
			l.input.Force, l.input.MinimumOverlapSeconds = false, 3600
		}, rotation.ErrorMinimumOverlap, "safe from"},
		{"the standby was locked", func(l *lab) {
			l.rotate()
			l.input.Force = false
			l.sql("ALTER USER " + l.user + "@'%' ACCOUNT LOCK")
		}, "StandbyLocked", "rotate with Force"},
	}
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				l := newLab(t, s)
				c.arrange(l)
				before := l.snapshot()
				for _, name := range []string{rotation.PlanRotation, rotation.CloneUser} {
					if name == rotation.PlanRotation && c.kind == rotation.ErrorMinimumOverlap {
						continue // a plan does not check the overlap
					}
					_, err := l.env.ExecuteActivity(name, l.input)
					var app *temporal.ApplicationError
					if !errors.As(err, &app) || app.Type() != c.kind || !app.NonRetryable() || !strings.Contains(app.Message(), c.says) {
						t.Fatalf("%s answered %v: want a refusal of type %s that says %q", name, err, c.kind, c.says)
					}
					for _, value := range l.sm.Values() {
						if parsed, err := secret.Parse([]byte(value)); err == nil && strings.Contains(app.Message(), parsed.Password) {
							t.Errorf("%q shows a password", app.Message())
						}
					}
				}
				if diff := cmp.Diff(before, l.snapshot()); diff != "" {
					t.Errorf("the refused rotation changed something:\n%s", diff)
				}
			})
		}
	})
}

// Whatever refuses the rotation of a leaked credential is checked before its account loses
// anything.
func TestARefusedRotationScramblesNothing(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		l.input.Pair = []string{l.user, l.user + "_clone"}
		l.rotate()
		l.sql("ALTER USER " + l.user + "_clone@'%' IDENTIFIED BY 'Changed-1'")
		l.sql("CREATE USER " + l.user + "@'10.%'")
		l.input.RevokePrevious = true
		before := l.snapshot()
		_, err := l.clone()
		var app *temporal.ApplicationError
		if !errors.As(err, &app) || app.Type() != grants.OtherHost {
			t.Errorf("CloneUser answered %v: want that the standby has a second account", err)
		}
		if diff := cmp.Diff(before, l.snapshot()); diff != "" {
			t.Errorf("the refused rotation changed something:\n%s", diff)
		}
	})
}

func TestAUsersSecretMayNotAskForLessThanItsMaster(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		l.put(map[string]any{"username": l.user, "password": "First.Passw0rd", "masterarn": "master", "ssl": false})
		for _, name := range []string{rotation.PlanRotation, rotation.CloneUser, rotation.FindAccounts} {
			_, err := l.env.ExecuteActivity(name, l.input)
			var app *temporal.ApplicationError
			if !errors.As(err, &app) || app.Type() != rotation.ErrorTLS || !app.NonRetryable() || !strings.Contains(app.Message(), `"ssl": false`) {
				t.Errorf("%s answered %v: want a refusal for ssl", name, err)
			}
		}
	})
}

func TestTheOverlapCountsFromWhenTheLabelMoved(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		l.input.Pair = []string{l.user, l.user + "_clone"}
		first := l.rotate()
		l.input.Force, l.input.MinimumOverlapSeconds = false, 3600
		tooSoon := func(want bool, when string) {
			t.Helper()
			_, err := l.clone()
			var app *temporal.ApplicationError
			if got := errors.As(err, &app) && app.Type() == rotation.ErrorMinimumOverlap; got != want {
				t.Errorf("%s: CloneUser answered %v: want that it is too soon: %t", when, err, want)
			}
		}
		tooSoon(true, "after the promotion")
		l.input.PromotedAt = time.Now().Add(-2 * time.Hour) // although the version was created later
		tooSoon(false, "two hours after the promotion")
		if _, err := l.client.UpdateSecretVersionStage(t.Context(), &secretsmanager.UpdateSecretVersionStageInput{
			SecretId: aws.String("app"), VersionStage: aws.String(secret.Current), RemoveFromVersionId: &first.VersionID, MoveToVersionId: &first.CurrentVersionID,
		}); err != nil {
			t.Fatal(err)
		}
		tooSoon(true, "after the label was moved by hand")
	})
}

func TestALimitOfTheAccountIsNoWrongPassword(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		l.rotate()
		l.sql("ALTER USER " + l.user + "_clone@'%' WITH MAX_USER_CONNECTIONS 1")
		out, err := l.client.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("app")})
		if err != nil {
			t.Fatal(err)
		}
		c, err := secret.Parse([]byte(*out.SecretString))
		if err != nil {
			t.Fatal(err)
		}
		busy, err := s.Open(c.Username, c.Password)
		if err != nil {
			t.Fatal(err)
		}
		defer busy.Close()
		conn, err := busy.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		l.rotate()
		l.mustLogIn(secret.Current, l.user)
	})
}

func TestAPreviousVersionThatHoldsNoCredentialRefusesNothing(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		l.putText("changeme")
		l.put(map[string]any{"username": l.user, "password": "First.Passw0rd", "masterarn": "master"})
		l.rotate()
		l.mustLogIn(secret.Current, l.user+"_clone")
	})
}
