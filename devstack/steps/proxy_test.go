package steps

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"go.temporal.io/sdk/temporal"

	endpoint "github.com/rotate-user/rotate-user/devstack/secretsmanager"
	"github.com/rotate-user/rotate-user/internal/mysqld"
	"github.com/rotate-user/rotate-user/internal/mysqld/mysqldtest"
	"github.com/rotate-user/rotate-user/internal/secret"
	"github.com/rotate-user/rotate-user/rotation"
)

// newProxyLab returns a lab with a proxy that has one secret for each account of the pair.
func newProxyLab(t *testing.T, s *mysqld.Server) *lab {
	t.Helper()
	l := newOldLab(t, s)
	l.proxied("proxy-a", map[string]any{"username": l.user, "password": "First.Passw0rd", "note": "registered by the platform team"})
	l.proxied("proxy-b", map[string]any{"password": "not set yet", "username": l.user + "_clone", "ttl": 1.50})
	l.input.ProxySecretIDs = []string{"proxy-a", "proxy-b"}
	return l
}

// proxied creates a secret for a proxy. It names no server.
func (l *lab) proxied(name string, fields map[string]any) {
	l.Helper()
	all := map[string]any{"engine": nil, "host": nil, "port": nil}
	for key, value := range fields {
		all[key] = value
	}
	l.create(name, all)
}

// proxy returns the fields of a proxy's secret under a label.
func (l *lab) proxy(name, label string) (fields map[string]any) {
	l.Helper()
	out, err := l.client.GetSecretValue(l.Context(), &secretsmanager.GetSecretValueInput{SecretId: &name, VersionStage: &label})
	if err != nil {
		l.Fatal(err)
	}
	if err := json.Unmarshal([]byte(*out.SecretString), &fields); err != nil {
		l.Fatal(err)
	}
	return fields
}

// inStep checks that a proxy's secret holds the password that the user's secret has under a label,
// and that no label is left behind.
func (l *lab) inStep(name, label string) {
	l.Helper()
	c, got := l.credential(label), l.proxy(name, secret.Current)
	if got["username"] != c.Username || got["password"] != c.Password {
		l.Errorf("%s is for %v, with the password of %[4]s: %[3]t; want user %[5]s", name, got["username"], got["password"] == c.Password,
			label, c.Username)
	}
	d, err := l.client.DescribeSecret(l.Context(), &secretsmanager.DescribeSecretInput{SecretId: &name})
	if err != nil {
		l.Fatal(err)
	}
	for version, labels := range d.VersionIdsToStages {
		if slices.Contains(labels, secret.Pending) {
			l.Errorf("version %s of %s has the labels %v: want no AWSPENDING", version, name, labels)
		}
	}
}

func TestProxySecretsAreKeptInStep(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newProxyLab(t, s)
		names := []string{"proxy-a", "proxy-b"} // for the current account, and for the other one
		for range 3 {
			before := l.proxy(names[1], secret.Current)["password"]
			l.rotate()
			l.settle()
			slices.Reverse(names)
			l.inStep(names[0], secret.Current)
			l.inStep(names[1], secret.Previous)
			if got := l.proxy(names[0], secret.Previous)["password"]; got != before {
				t.Errorf("AWSPREVIOUS of %s is not what AWSCURRENT was", names[0])
			}
			l.input.Pair = []string{l.user, l.user + "_clone"}
		}
		if got := l.proxy("proxy-a", secret.Current)["note"]; got != "registered by the platform team" {
			t.Errorf("the note field is now %v", got)
		}
		value := l.proxy("proxy-b", secret.Current)
		if value["ttl"] != 1.5 || len(value) != 3 {
			t.Errorf("the fields are now %v", value)
		}

		// Repeated steps change nothing.
		r := l.leave(2)
		before := l.versions("proxy-a", "proxy-b")
		if err := l.step(rotation.SetPassword, &r); err != nil {
			t.Fatal(err)
		}
		if after := l.versions("proxy-a", "proxy-b"); after != before {
			t.Errorf("a repeated SetPassword left\n%s\nand before there was\n%s", after, before)
		}
	})
}

// versions lists the versions of secrets with their labels.
func (l *lab) versions(names ...string) string {
	l.Helper()
	var all strings.Builder
	for _, name := range names {
		d, err := l.client.DescribeSecret(l.Context(), &secretsmanager.DescribeSecretInput{SecretId: &name})
		if err != nil {
			l.Fatal(err)
		}
		fmt.Fprintln(&all, name, d.VersionIdsToStages)
	}
	return all.String()
}

// A worker dies at a call for a proxy's secret, or the response is lost: the next attempt completes
// the change.
func TestAProxySecretIsFinishedByTheNextTry(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		for _, operation := range []string{"PutSecretValue", "UpdateSecretVersionStage", "GetSecretValue"} {
			for _, done := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, carried out %t", operation, done), func(t *testing.T) {
					l := newProxyLab(t, s)
					r := l.leave(1)
					var calls atomic.Int64
					l.sm.Intercept(func(c endpoint.Call) endpoint.Fault {
						if c.Operation == operation && c.SecretID == "proxy-b" && c.Done == done {
							calls.Add(1)
							return endpoint.Denied(c)
						}
						return endpoint.Fault{}
					})
					err := l.step(rotation.SetPassword, &r)
					var app *temporal.ApplicationError
					if lost := done && operation == "UpdateSecretVersionStage"; calls.Load() == 0 ||
						!lost && (!errors.As(err, &app) || app.Type() != rotation.ErrorAccessDenied || !strings.Contains(app.Message(), "proxy-b")) {
						t.Errorf("SetPassword answered %v after %d such calls: want that access is denied", err, calls.Load())
					}
					l.sm.Intercept(nil)
					l.settle()
					l.mustLogIn(secret.Current, l.user)
					worker := l.another()
					for _, name := range steps[1:] {
						if err := worker.step(name, &r); err != nil {
							t.Fatalf("%s: %v", name, err)
						}
					}
					l.settle()
					l.inStep("proxy-b", secret.Current)
					l.inStep("proxy-a", secret.Previous)
				})
			}
		}
	})
}

func TestAnOvertakenRotationLeavesProxySecretsAlone(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		for _, done := range []int{1, 2} { // the steps that the overtaken rotation has done
			l := newProxyLab(t, s)
			slow := l.leave(done)
			l.settle()
			store := secret.NewStore(l.client)
			stale, err := store.Login(t.Context(), "proxy-b")
			if err != nil {
				t.Fatal(err)
			}
			l.input.Force = true
			l.input.Pair = []string{l.user, l.user + "_clone"}
			fast := l.leave(2)
			before := l.versions("proxy-a", "proxy-b")
			var app *temporal.ApplicationError
			if err := l.step(rotation.SetPassword, &slow); !errors.As(err, &app) || app.Type() != rotation.ErrorEdited {
				t.Errorf("SetPassword of the overtaken rotation answered %v: want a refusal", err)
			}
			if after := l.versions("proxy-a", "proxy-b"); after != before {
				t.Errorf("the overtaken rotation left\n%s\nand before there was\n%s", after, before)
			}
			// Its late calls do not restore an old password either.
			if err := store.ReplaceLogin(t.Context(), "proxy-b", stale, "Late.Passw0rd-1", slow.VersionID); !errors.As(err,
				new(*secret.MovedError)) {
				t.Errorf("a late call answered %v: want that AWSCURRENT has moved", err)
			}
			for _, name := range steps[2:] {
				if err := l.step(name, &fast); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
			}
			l.settle()
			if got, want := l.proxy("proxy-b", secret.Current)["password"], l.credential(secret.Current).Password; got != want {
				t.Error("proxy-b is out of step")
			}
		}
	})
}

// A plan and a validation find a proxy's secret that is out of step, and a rotation corrects it.
func TestAProxySecretThatIsOutOfStepIsPutRight(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newProxyLab(t, s)
		validate := func() error {
			_, err := l.env.ExecuteActivity(rotation.ValidateSecret, rotation.KnownSecret{SecretID: "app", ProxySecretIDs: l.input.ProxySecretIDs})
			return err
		}
		if err := validate(); err != nil {
			t.Errorf("ValidateSecret: %v", err)
		}
		if _, err := l.client.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{
			SecretId: aws.String("proxy-a"), SecretString: aws.String(`{"username":"` + l.user + `","password":"of another day"}`),
		}); err != nil {
			t.Fatal(err)
		}
		l.refuses("ValidateSecret", validate(), rotation.ErrorProxySecret, "proxy-a does not hold the password")
		if plan := l.plan(1); !slices.ContainsFunc(plan.Warnings,
			func(w string) bool { return strings.Contains(w, "proxy-a does not hold the password") }) {
			t.Errorf("the plan warns %q: want a warning that names proxy-a", plan.Warnings)
		}
		l.rotate()
		l.settle()
		l.inStep("proxy-a", secret.Previous)
		l.inStep("proxy-b", secret.Current)
	})
}

// A recovery gives the current account's proxy secret the password that AWSCURRENT was moved to, and succeeds without it.
func TestARecoveryStoresThePasswordForTheProxy(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newProxyLab(t, s)
		first := l.labels()[secret.Current]
		for range 2 {
			l.rotate()
			l.settle()
			l.input.Pair = []string{l.user, l.user + "_clone"}
		}
		restored := func(want string) rotation.RecoverSecretResult {
			t.Helper()
			r, err := l.recover()
			if err != nil || r.VersionID != first || r.ProxySecret != want {
				t.Fatalf("RecoverSecret answered %+v, %v: want version %s, and proxy secret %q", r, err, first, want)
			}
			l.settle()
			l.mustLogIn(secret.Current, l.user)
			return r
		}
		last := l.labels()[secret.Current]
		l.sql("DROP USER " + l.user + "_clone@'%'") // the database as it was before the first rotation
		l.sql("ALTER USER " + l.user + "@'%' IDENTIFIED BY 'First.Passw0rd'")
		restored("proxy-a")
		l.inStep("proxy-a", secret.Current)
		before := l.versions("proxy-a", "proxy-b")
		restored("")
		if after := l.versions("proxy-a", "proxy-b"); after != before {
			t.Errorf("a recovery that had nothing to do left\n%s\nand before there was\n%s", after, before)
		}

		l.move(secret.Current, first, last)
		l.settle()
		l.delete("proxy-a")
		r := restored("")
		if len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "proxy-a is scheduled for deletion") {
			t.Errorf("the warnings are %q: want one of proxy-a", r.Warnings)
		}
	})
}

// delete schedules the deletion of a secret.
func (l *lab) delete(name string) {
	l.Helper()
	if _, err := l.client.DeleteSecret(l.Context(), &secretsmanager.DeleteSecretInput{SecretId: &name}); err != nil {
		l.Fatal(err)
	}
}

func TestARotationWithoutProxySecretsAsksForNone(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newProxyLab(t, s)
		l.input.ProxySecretIDs = nil
		l.sm.Intercept(func(c endpoint.Call) endpoint.Fault {
			if strings.HasPrefix(c.SecretID, "proxy-") {
				t.Errorf("%s for %s", c.Operation, c.SecretID)
			}
			return endpoint.Fault{}
		})
		l.rotate()
	})
}
