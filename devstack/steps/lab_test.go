package steps

import (
	"database/sql"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/google/uuid"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"

	"github.com/rotate-user/rotate-user/activities"
	endpoint "github.com/rotate-user/rotate-user/devstack/secretsmanager"
	"github.com/rotate-user/rotate-user/internal/account"
	"github.com/rotate-user/rotate-user/internal/mysqld"
	"github.com/rotate-user/rotate-user/internal/secret"
	"github.com/rotate-user/rotate-user/rotation"
)

// lab is one secret with its user and its master, and what is needed to rotate it.
type lab struct {
	*testing.T

	server     *mysqld.Server
	admin      *sql.DB
	dialer     *account.Dialer
	sm         *endpoint.Server
	activities *activities.Activities
	client     *secretsmanager.Client // for the test's own calls; without the lag
	env        *testsuite.TestActivityEnvironment
	user       string
	input      rotation.CloneUserInput
}

func newLab(t *testing.T, s *mysqld.Server) *lab {
	t.Helper()
	return newLabOf(t, s, endpoint.Options{Lag: *lag})
}

// newOldLab returns a lab in which everything was written an hour ago.
func newOldLab(t *testing.T, s *mysqld.Server) *lab {
	t.Helper()
	return newLabOf(t, s, endpoint.Options{Lag: *lag, Now: func() time.Time { return time.Now().Add(-time.Hour) }})
}

// redacted holds the options for a worker with activities.
var redacted = worker.Options{Interceptors: []interceptor.WorkerInterceptor{activities.Interceptor()}}

func newLabOf(t *testing.T, s *mysqld.Server, o endpoint.Options) *lab {
	t.Helper()
	o.Region, o.AccountID = "eu-west-1", "123456789012"
	sm, err := endpoint.New(o)
	if err != nil {
		t.Fatal(err)
	}
	serve := func(h http.Handler) *secretsmanager.Client {
		web := httptest.NewServer(h)
		t.Cleanup(web.Close)
		return secretsmanager.New(secretsmanager.Options{
			Region: "eu-west-1", BaseEndpoint: &web.URL, Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
		})
	}
	admin, err := s.Open(s.AdminUser, s.AdminPassword)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { admin.Close() })
	roots, err := s.RootCAs()
	if err != nil {
		t.Fatal(err)
	}
	dialer := &account.Dialer{RootCAs: roots}
	t.Cleanup(func() { dialer.Close() })
	l := &lab{dialer: dialer, T: t, server: s, admin: admin, sm: sm, client: serve(sm.WithoutLag()), user: "u" + strings.ReplaceAll(uuid.NewString(), "-", "")[:12]}
	var suite testsuite.WorkflowTestSuite
	l.env = suite.NewTestActivityEnvironment()
	l.activities = &activities.Activities{Secrets: secret.NewStore(serve(sm)), Accounts: dialer}
	l.env.SetWorkerOptions(redacted)
	l.env.RegisterActivity(l.activities)
	l.input = rotation.CloneUserInput{SecretID: "app", Mark: "workflow-" + l.user}

	l.sql("CREATE USER " + l.user + "@'%' IDENTIFIED BY 'First.Passw0rd'")
	l.sql("GRANT SELECT, INSERT ON *.* TO " + l.user + "@'%'")
	t.Cleanup(func() {
		for _, u := range []string{l.user, l.user + "_clone"} {
			rows := l.accounts(u)
			for _, name := range rows {
				l.sql("DROP USER " + name)
			}
		}
	})
	l.create("master", map[string]any{"username": s.AdminUser, "password": s.AdminPassword})
	l.create("app", map[string]any{"username": l.user, "password": "First.Passw0rd", "masterarn": "master"})
	return l
}

// another returns a second worker with its own connections.
func (l *lab) another() *lab {
	l.Helper()
	roots, err := l.server.RootCAs()
	if err != nil {
		l.Fatal(err)
	}
	o := *l
	o.dialer = &account.Dialer{RootCAs: roots}
	l.Cleanup(func() { o.dialer.Close() })
	var suite testsuite.WorkflowTestSuite
	o.env = suite.NewTestActivityEnvironment()
	o.env.SetWorkerOptions(redacted)
	o.activities = &activities.Activities{Secrets: secret.NewStore(l.client), Accounts: o.dialer}
	o.env.RegisterActivity(o.activities)
	return &o
}

// activity runs an activity that must succeed.
func (l *lab) activity(name string, in any) {
	l.Helper()
	if _, err := l.env.ExecuteActivity(name, in); err != nil {
		l.Fatalf("%s: %v", name, err)
	}
}

func (l *lab) clone() (rotation.CloneUserResult, error) {
	value, err := l.env.ExecuteActivity(rotation.CloneUser, l.input)
	if err != nil {
		return rotation.CloneUserResult{}, err
	}
	var r rotation.CloneUserResult
	if err := value.Get(&r); err != nil {
		l.Fatal(err)
	}
	return r, nil
}

// step runs one step of a rotation, and records in r what the next steps need. It tidies at once after the last one.
func (l *lab) step(name string, r *rotation.StepInput) error {
	value, err := l.env.ExecuteActivity(name, *r)
	if err != nil {
		return err
	}
	var staged rotation.StagePasswordResult
	var set rotation.SetPasswordResult
	switch name {
	case rotation.StagePassword:
		if err := value.Get(&staged); err != nil {
			l.Fatal(err)
		}
		r.ValueSHA256 = staged.ValueSHA256
	case rotation.SetPassword:
		if err := value.Get(&set); err != nil {
			l.Fatal(err)
		}
		r.PasswordStored = set.PasswordStored
	case rotation.PromotePassword:
		l.activities.Secrets.TidyNow(l.Context())
	}
	return nil
}

var steps = []string{rotation.StagePassword, rotation.SetPassword, rotation.TestPassword, rotation.PromotePassword}

// rotate runs a whole rotation.
func (l *lab) rotate() rotation.StepInput {
	l.Helper()
	return l.rotated().Rotation
}

// rotated runs a whole rotation and returns the result of CloneUser.
func (l *lab) rotated() rotation.CloneUserResult {
	l.Helper()
	r, err := l.clone()
	if err != nil {
		l.Fatal(err)
	}
	for _, name := range steps {
		if err := l.step(name, &r.Rotation); err != nil {
			l.Fatalf("%s: %v", name, err)
		}
	}
	l.remember(r)
	return r
}

// remember passes on to the next rotation what a workflow would pass on after a promotion.
func (l *lab) remember(r rotation.CloneUserResult) {
	l.input.Force = true
	l.input.PromotedVersionID, l.input.PromotedAt = r.Rotation.VersionID, time.Now()
	if l.input.Stored == nil {
		l.input.Stored = map[string]string{}
	}
	l.input.Stored[r.Rotation.Standby.User] = r.Rotation.PasswordStored
}

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

// prepared returns a rotation that only has to be promoted.
func (l *lab) prepared() rotation.StepInput {
	l.Helper()
	return l.leave(3)
}

// refused runs a step and checks that it is refused with an error of this type.
func (l *lab) refused(name string, r *rotation.StepInput, kind string) {
	l.Helper()
	err := l.step(name, r)
	var app *temporal.ApplicationError
	if !errors.As(err, &app) || app.Type() != kind || !app.NonRetryable() {
		l.Errorf("%s answered %v: want a refusal of type %s", name, err, kind)
	}
}

func wantEdited(t *testing.T, what string, err error) {
	t.Helper()
	var app *temporal.ApplicationError
	if !errors.As(err, &app) || app.Type() != rotation.ErrorEdited {
		t.Errorf("%s answered %v: want a refusal, because something else has acted", what, err)
	}
}
