package steps

import (
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	endpoint "github.com/rotate-user/rotate-user/devstack/secretsmanager"
	"github.com/rotate-user/rotate-user/internal/mysqld"
	"github.com/rotate-user/rotate-user/internal/mysqld/mysqldtest"
	"github.com/rotate-user/rotate-user/internal/secret"
	"github.com/rotate-user/rotate-user/rotation"
)

// during makes another actor act right before the nth call of an operation.
func (l *lab) during(operation string, n int32, act func()) {
	var calls atomic.Int32
	l.sm.Intercept(func(c endpoint.Call) endpoint.Fault {
		if c.Operation == operation && !c.Done && calls.Add(1) == n {
			act()
		}
		return endpoint.Fault{}
	})
}

// password returns the password in a version.
func (l *lab) password(versionID string) string {
	l.Helper()
	out, err := l.client.GetSecretValue(l.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("app"), VersionId: &versionID})
	if err != nil {
		l.Fatal(err)
	}
	c, err := secret.Parse([]byte(*out.SecretString))
	if err != nil {
		l.Fatal(err)
	}
	return c.Password
}

// broken returns a lab whose AWSCURRENT names the clone with a wrong password. An earlier version
// holds the right one.
func broken(t *testing.T, s *mysqld.Server) *lab {
	t.Helper()
	l := newLab(t, s)
	l.input.Pair = []string{l.user, l.user + "_clone"}
	l.rotate()
	l.input.PromotedVersionID = "" // otherwise an edit looks like a stale read for a few seconds
	l.put(map[string]any{"username": l.user + "_clone", "password": "Wrong.Passw0rd1", "masterarn": "master"})
	l.settle()
	if l.logsIn(secret.Current) {
		t.Fatal("AWSCURRENT logs in")
	}
	return l
}

// While a worker is about to move AWSCURRENT to a version that logs in, an operator repairs the
// secret or the account.
func TestARepairGivesWayToAPersons(t *testing.T) {
	right := func(l *lab) { // sets the password that AWSCURRENT holds
		l.sql("ALTER USER " + l.user + "_clone@'%' IDENTIFIED BY 'Wrong.Passw0rd1'")
	}
	put := func(l *lab) { // sets a third password and stores it
		l.sql("ALTER USER " + l.user + "_clone@'%' IDENTIFIED BY 'Third.Passw0rd1'")
		l.put(map[string]any{"username": l.user + "_clone", "password": "Third.Passw0rd1", "masterarn": "master"})
	}
	cases := []struct {
		name      string
		operation string
		n         int32
		act       func(*lab)
	}{
		{"the password, before the last look", "DescribeSecret", 2, right},
		{"the password, before the move", "UpdateSecretVersionStage", 1, right},
		{"the secret, before the move", "UpdateSecretVersionStage", 1, put},
	}
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				l := broken(t, s)
				l.during(c.operation, c.n, func() { c.act(l) })
				_, err := l.clone()
				l.sm.Intercept(nil)
				if !l.logsIn(secret.Current) {
					t.Errorf("AWSCURRENT does not log in after CloneUser answered %v", err)
				}
				l.settle()
				l.rotate()
				l.mustLogIn(secret.Current, l.user)
			})
		}
	})
}

// The responses of a repair are lost again and again, and with them what the worker did.
func TestARepairMayBeRepeated(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := broken(t, s)
		for range 3 {
			if _, err := l.another().clone(); err != nil {
				t.Errorf("CloneUser answered %v", err)
			}
			if !l.logsIn(secret.Current) {
				t.Error("AWSCURRENT does not log in")
			}
		}
		l.rotate()
		l.mustLogIn(secret.Current, l.user)
	})
}

// The credential is known to have leaked, and its password was changed. Right before the worker
// locks it out, an operator sets the password that AWSCURRENT holds.
func TestAPasswordThatIsRightAgainIsNotTakenAway(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		l.input.Pair = []string{l.user, l.user + "_clone"}
		r := l.rotate()
		l.settle()
		value := l.password(r.VersionID)
		l.sql("ALTER USER " + l.user + "_clone@'%' IDENTIFIED BY 'Mine.Now-1'")
		l.input.RevokePrevious = true
		l.during("DescribeSecret", 2, func() { l.sql("ALTER USER " + l.user + "_clone@'%' IDENTIFIED BY '" + value + "'") })
		_, err := l.clone()
		l.sm.Intercept(nil)
		wantEdited(t, rotation.CloneUser, err)
		l.mustLogIn(secret.Current, l.user+"_clone")
	})
}

// A rotation takes over from another one, and the secret is edited right before the current
// credential is stored again.
func TestAnEditBeforeATakeoverStays(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		l.input.Pair = []string{l.user, l.user + "_clone"}
		l.rotate()
		l.put(map[string]any{"username": l.user, "password": "Half.Done1", "masterarn": "master"}, secret.Pending)
		l.settle()
		edited := map[string]any{"username": l.user, "password": "First.Passw0rd", "masterarn": "master", "edited": true}
		l.during("PutSecretValue", 1, func() { l.put(edited) })
		_, err := l.clone()
		l.sm.Intercept(nil)
		wantEdited(t, rotation.CloneUser, err)
		l.mustLogIn(secret.Current, l.user)
	})
}

func TestACurrentVersionThatDoesNotLogInGivesWayToOneThatDoes(t *testing.T) {
	t.Parallel()
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		l.input.Pair = []string{l.user, l.user + "_clone"}
		l.rotate()
		// After a takeover, the clone's password is in a version without a label.
		lost := l.prepared()
		good, err := l.client.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("app"), VersionId: &lost.VersionID})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.client.UpdateSecretVersionStage(t.Context(), &secretsmanager.UpdateSecretVersionStageInput{
			SecretId: aws.String("app"), VersionStage: aws.String(secret.Pending), RemoveFromVersionId: &lost.VersionID,
		}); err != nil {
			t.Fatal(err)
		}
		bad, err := secret.Parse([]byte(*good.SecretString))
		if err != nil {
			t.Fatal(err)
		}
		value, err := bad.With(bad.Username, "Gone.Passw0rd-1")
		if err != nil {
			t.Fatal(err)
		}
		l.putText(string(value))
		l.putText(string(value)) // so that AWSPREVIOUS does not log in either
		if _, err := l.env.ExecuteActivity(rotation.PlanRotation, l.input); err == nil || !strings.Contains(err.Error(), lost.VersionID) {
			t.Errorf("a plan fails with %v: want an error that names version %s, which logs in", err, lost.VersionID)
		}
		r, err := l.clone()
		if err != nil || !strings.Contains(strings.Join(r.Warnings, " "), lost.VersionID) {
			t.Fatalf("CloneUser answered %+v, %v: want AWSCURRENT on version %s", r, err, lost.VersionID)
		}
		l.mustLogIn(secret.Current, l.user)
		l.rotate()
		l.mustLogIn(secret.Current, l.user+"_clone")
	})
}

// The version that gets AWSCURRENT back logs in, and equals the current one in everything but the
// credential.
func TestARepairLooksPastVersionsThatDoNotFit(t *testing.T) {
	good := func(l *lab) map[string]any {
		return map[string]any{"username": l.user, "password": "Good.Passw0rd1", "masterarn": "master"}
	}
	for name, arrange := range map[string]func(l *lab){
		"another dbname": func(l *lab) {
			other := good(l)
			other["dbname"] = "other"
			l.put(other)
		},
		"a locked account": func(l *lab) {
			l.sql("CREATE USER " + l.user + "_clone@'%' IDENTIFIED BY 'Locked-1' ACCOUNT LOCK")
			l.put(map[string]any{"username": l.user + "_clone", "password": "Locked-1", "masterarn": "master"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
				l := newLab(t, s)
				l.sql("ALTER USER " + l.user + "@'%' IDENTIFIED BY 'Good.Passw0rd1'")
				l.put(good(l))
				arrange(l)
				wrong := good(l)
				wrong["password"] = "Wrong.Passw0rd1"
				l.put(wrong)
				if _, err := l.clone(); err == nil && !l.logsIn(secret.Current) {
					t.Error("the rotation began, and AWSCURRENT does not log in")
				}
				l.mustLogIn(secret.Current, l.user)
				out, err := l.client.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("app")})
				if err != nil || strings.Contains(*out.SecretString, "dbname") {
					t.Errorf("AWSCURRENT has got a dbname, or %v", err)
				}
			})
		})
	}
}

// The server stores the passwords of two versions, but one of the accounts is closed.
func TestARepairChoosesAnAccountThatIsOpen(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		for _, closes := range []string{"ACCOUNT LOCK", "PASSWORD EXPIRE"} {
			l := broken(t, s)
			l.sql("ALTER USER " + l.user + "_clone@'%' " + closes)
			if _, err := l.recover(); err != nil {
				t.Errorf("after %s: %v", closes, err)
			}
			l.mustLogIn(secret.Current, l.user)
		}
	})
}
