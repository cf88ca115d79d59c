package steps

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.temporal.io/sdk/temporal"

	"github.com/rotate-user/rotate-user/internal/grants"
	"github.com/rotate-user/rotate-user/internal/mysqld"
	"github.com/rotate-user/rotate-user/internal/mysqld/mysqldtest"
	"github.com/rotate-user/rotate-user/rotation"
)

func TestADeletionIsRefusedBeforeTheSecretIsScheduled(t *testing.T) {
	cases := []struct {
		name    string
		engine  string
		arrange func(*lab)
		kind    string
		says    string
	}{
		{"its own master", "", func(l *lab) {
			l.put(map[string]any{"username": l.server.AdminUser, "password": l.server.AdminPassword, "masterarn": "app"})
		}, rotation.ErrorNoMaster, "its own master"},
		{"the administrator's", "", func(l *lab) {
			for range 2 { // after one put, AWSPREVIOUS is still another user's
				l.put(map[string]any{"username": l.server.AdminUser, "password": l.server.AdminPassword, "masterarn": "master"})
			}
		}, grants.Administrator, "another administrator"},
		{"the server's", "", func(l *lab) {
			l.sql("CREATE USER 'mysql." + l.user + "'@'%' IDENTIFIED BY 'First.Passw0rd'")
			l.Cleanup(func() { l.sql("DROP USER 'mysql." + l.user + "'@'%'") })
			for range 2 {
				l.put(map[string]any{"username": "mysql." + l.user, "password": "First.Passw0rd", "masterarn": "master"})
			}
		}, grants.ServerAccount, "must not be changed"},
		{"a read-only server", "", func(l *lab) {
			l.sql("SET GLOBAL read_only = ON")
			l.Cleanup(func() { l.sql("SET GLOBAL read_only = OFF") })
		}, grants.ReadOnly, "read_only"},
		{"an administrator without the rights", "", func(l *lab) {
			l.put(map[string]any{"username": l.user, "password": "First.Passw0rd", "masterarn": l.administrator()})
		}, grants.MissingRight, "CREATE USER"},
		{"the other account is a definer", "mysql", func(l *lab) {
			l.put(map[string]any{"username": l.user, "password": "First.Passw0rd"})
			l.input.MasterSecretID = "master"
			l.rotate()
			l.input.MasterSecretID = l.administrator("CREATE USER ON *.*", "EXECUTE ON "+l.definer()+".*")
		}, grants.MissingRight, "ALLOW_NONEXISTENT_DEFINER"},
	}
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		for _, c := range cases {
			if c.engine != "" && c.engine != s.Engine {
				continue
			}
			t.Run(c.name, func(t *testing.T) {
				l := newLab(t, s)
				c.arrange(l)
				before := l.snapshot()
				_, err := l.env.ExecuteActivity(rotation.FindAccounts, l.input)
				var app *temporal.ApplicationError
				if !errors.As(err, &app) || app.Type() != c.kind || !strings.Contains(app.Message(), c.says) {
					t.Errorf("FindAccounts answered %v: want a refusal of type %s that says %q", err, c.kind, c.says)
				}
				if diff := cmp.Diff(before, l.snapshot()); diff != "" {
					t.Errorf("the refused deletion changed something:\n%s", diff)
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
