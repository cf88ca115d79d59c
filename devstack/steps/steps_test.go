// Package steps tests the activities one by one, on real servers and through the real AWS SDK. A
// refused rotation changes nothing, a step that runs twice does no harm, and a rotation that was
// taken over changes nothing more.
package steps

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"

	"github.com/rotate-user/rotate-user/activities"
	endpoint "github.com/rotate-user/rotate-user/devstack/secretsmanager"
	"github.com/rotate-user/rotate-user/internal/account"
	"github.com/rotate-user/rotate-user/internal/grants"
	"github.com/rotate-user/rotate-user/internal/mysqld"
	"github.com/rotate-user/rotate-user/internal/mysqld/mysqldtest"
	"github.com/rotate-user/rotate-user/internal/secret"
	"github.com/rotate-user/rotate-user/rotation"
)

// More tests than processors run at once: those that are parallel mostly wait for the product to look again.
func TestMain(m *testing.M) {
	flag.Parse()
	if parallel := flag.Lookup("test.parallel"); parallel.Value.String() == strconv.Itoa(runtime.GOMAXPROCS(0)) {
		if err := parallel.Value.Set("4"); err != nil {
			panic(err)
		}
	}
	mysqldtest.Main(m)
}

// lag is the delay until a write to Secrets Manager can be read, in every lab.
var lag = flag.Duration("lag", 0, "let Secrets Manager's reads lag behind its writes by this time, as AWS's do")

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

func (l *lab) accounts(user string) []string {
	l.Helper()
	rows, err := l.admin.QueryContext(context.Background(), "SELECT CONCAT(QUOTE(User), '@', QUOTE(Host)) FROM mysql.user WHERE User = ?", user)
	if err != nil {
		l.Fatal(err)
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			l.Fatal(err)
		}
		all = append(all, name)
	}
	return all
}

func (l *lab) sql(statement string) {
	l.Helper()
	if _, err := l.admin.ExecContext(context.Background(), statement); err != nil {
		l.Fatalf("%s: %v", statement, err)
	}
}

func (l *lab) value(fields map[string]any) string {
	all := map[string]any{"engine": "mysql", "host": l.server.Host, "port": l.server.Port}
	for k, v := range fields {
		all[k] = v
		if v == nil {
			delete(all, k)
		}
	}
	text, err := json.Marshal(all)
	if err != nil {
		l.Fatal(err)
	}
	return string(text)
}

func (l *lab) create(name string, fields map[string]any) {
	l.Helper()
	if _, err := l.client.CreateSecret(l.Context(), &secretsmanager.CreateSecretInput{Name: &name, SecretString: aws.String(l.value(fields))}); err != nil {
		l.Fatal(err)
	}
}

// put stores a new value of the user's secret under the given labels, or under AWSCURRENT if there
// are none.
func (l *lab) put(fields map[string]any, labels ...string) {
	l.Helper()
	l.putText(l.value(fields), labels...)
}

func (l *lab) putText(text string, labels ...string) {
	l.Helper()
	if _, err := l.client.PutSecretValue(l.Context(), &secretsmanager.PutSecretValueInput{SecretId: aws.String("app"), SecretString: &text, VersionStages: labels}); err != nil {
		l.Fatal(err)
	}
}

// deny makes an operation fail from now on, as a policy would.
func (l *lab) deny(operation string) {
	l.sm.Intercept(func(c endpoint.Call) endpoint.Fault {
		if c.Operation == operation && !c.Done {
			return endpoint.Denied(c)
		}
		return endpoint.Fault{}
	})
}

// settle waits until every write can be read.
func (l *lab) settle() {
	l.Helper()
	if _, err := l.client.TagResource(l.Context(), &secretsmanager.TagResourceInput{SecretId: aws.String("app"), Tags: []types.Tag{}}); err != nil {
		l.Fatal(err)
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

// credential returns the credential under a label of the secret.
func (l *lab) credential(label string) secret.Credential {
	l.Helper()
	out, err := l.client.GetSecretValue(l.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("app"), VersionStage: &label})
	if err != nil {
		l.Fatal(err)
	}
	c, err := secret.Parse([]byte(*out.SecretString))
	if err != nil {
		l.Fatal(err)
	}
	return c
}

// mustLogIn checks that the credential under a label of the secret is the user's and logs in.
func (l *lab) mustLogIn(label, user string) {
	l.Helper()
	c := l.credential(label)
	if c.Username != user {
		l.Errorf("%s is for user %s: want %s", label, c.Username, user)
	}
	db, err := l.server.Open(c.Username, c.Password)
	if err != nil {
		l.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRowContext(l.Context(), "SELECT 1").Scan(new(int)); err != nil { // a ping proves less than a statement
		l.Errorf("%s does not log in: %v", label, err)
	}
}

// snapshot returns everything that a refused rotation must not change.
func (l *lab) snapshot() string {
	l.Helper()
	var all strings.Builder
	list, err := l.client.ListSecretVersionIds(l.Context(), &secretsmanager.ListSecretVersionIdsInput{SecretId: aws.String("app"), IncludeDeprecated: aws.Bool(true)})
	if err != nil {
		l.Fatal(err)
	}
	slices.SortFunc(list.Versions, func(a, b types.SecretVersionsListEntry) int { return strings.Compare(*a.VersionId, *b.VersionId) })
	for _, v := range list.Versions {
		slices.Sort(v.VersionStages)
		fmt.Fprintln(&all, *v.VersionId, v.VersionStages)
	}
	tables := []string{"user", "db", "tables_priv", "columns_priv", "procs_priv", "proxies_priv"}
	if l.server.Engine == mysqld.MariaDB {
		tables = append(tables, "global_priv", "roles_mapping")
	} else {
		tables = append(tables, "global_grants", "role_edges", "default_roles")
	}
	for _, table := range tables {
		rows, err := l.admin.QueryContext(l.Context(), "SELECT * FROM mysql."+table)
		if err != nil {
			l.Fatal(err)
		}
		columns, _ := rows.Columns()
		var lines []string
		for rows.Next() {
			values := make([]sql.NullString, len(columns))
			into := make([]any, len(columns))
			for i := range values {
				into[i] = &values[i]
			}
			if err := rows.Scan(into...); err != nil {
				l.Fatal(err)
			}
			lines = append(lines, fmt.Sprintf("%s %v", table, values))
		}
		rows.Close()
		slices.Sort(lines)
		all.WriteString(strings.Join(lines, "\n") + "\n")
	}
	return all.String()
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

func TestEveryStepMayRunTwice(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		for range 2 {
			if _, err := l.clone(); err != nil {
				t.Fatal(err)
			}
		}
		r, err := l.clone()
		if err != nil || r.Changed != 0 {
			t.Fatalf("a repeated CloneUser made %d changes, error %v", r.Changed, err)
		}
		for _, name := range steps {
			for range 2 {
				if err := l.step(name, &r.Rotation); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
			}
		}
		l.mustLogIn(secret.Current, l.user+"_clone")
		l.mustLogIn(secret.Previous, l.user)
		d, err := l.client.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: aws.String("app")})
		if err != nil || len(d.VersionIdsToStages) != 2 {
			t.Errorf("versions %v, error %v: want one current, one previous, and no label left behind", d.VersionIdsToStages, err)
		}
		l.input.EarlierVersionID, l.input.EarlierSHA256 = r.Rotation.VersionID, r.Rotation.ValueSHA256
		again, err := l.clone()
		if err != nil || !again.Promoted {
			t.Errorf("after the promotion CloneUser answered %+v, %v: want that it is done", again, err)
		}
	})
}

func TestALostAnswerIsNoFailure(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		for _, operation := range []string{"PutSecretValue", "UpdateSecretVersionStage"} {
			l := newLab(t, s)
			left := 1
			l.sm.Intercept(func(c endpoint.Call) endpoint.Fault {
				if c.Operation == operation && c.Done && left > 0 {
					left--
					return endpoint.Fault{Drop: true}
				}
				return endpoint.Fault{}
			})
			l.rotate()
			if left != 0 {
				t.Errorf("%s: no answer was lost", operation)
			}
			l.mustLogIn(secret.Current, l.user+"_clone")
			l.mustLogIn(secret.Previous, l.user)
		}
	})
}

func TestAnOvertakenRotationChangesNothing(t *testing.T) {
	t.Parallel()
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		for i, done := range []int{1, 2, 3} { // the steps that the overtaken rotation has completed
			l := newLab(t, s)
			slow, err := l.clone()
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range steps[:done] {
				if err := l.step(name, &slow.Rotation); err != nil {
					t.Fatal(err)
				}
			}
			l.settle() // otherwise it would conclude that the slow one staged its version later
			l.input.Force = true
			l.input.Pair = []string{l.user, l.user + "_clone"}
			fast, err := l.clone()
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range steps[:2] {
				if err := l.step(name, &fast.Rotation); err != nil {
					t.Fatalf("%d: %s: %v", i, name, err)
				}
			}
			overtaken := func(name string) {
				t.Helper()
				err := l.step(name, &slow.Rotation)
				var app *temporal.ApplicationError
				if !errors.As(err, &app) || app.Type() != rotation.ErrorEdited {
					t.Errorf("%s of the overtaken rotation answered %v: want a refusal", name, err)
				}
			}
			for _, name := range steps[1:] {
				overtaken(name)
			}
			for _, name := range steps[2:] {
				if err := l.step(name, &fast.Rotation); err != nil {
					t.Fatalf("%d: %s: %v", i, name, err)
				}
			}
			overtaken(rotation.PromotePassword) // by a completed rotation
			l.mustLogIn(secret.Current, l.user+"_clone")
			l.mustLogIn(secret.Previous, l.user)
		}
	})
}

func TestARollbackStopsTheRotation(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		first := l.rotate()
		r, err := l.clone()
		if err != nil {
			t.Fatal(err)
		}
		if err := l.step(rotation.StagePassword, &r.Rotation); err != nil {
			t.Fatal(err)
		}
		if _, err := l.client.UpdateSecretVersionStage(t.Context(), &secretsmanager.UpdateSecretVersionStageInput{
			SecretId: aws.String("app"), VersionStage: aws.String(secret.Current), RemoveFromVersionId: &first.VersionID, MoveToVersionId: &first.CurrentVersionID,
		}); err != nil {
			t.Fatal(err)
		}
		for name, r := range map[string]rotation.StepInput{rotation.SetPassword: r.Rotation, rotation.RevokePrevious: first} {
			err := l.step(name, &r)
			var app *temporal.ApplicationError
			if !errors.As(err, &app) || app.Type() != rotation.ErrorEdited {
				t.Errorf("%s answered %v: want a refusal, because the account is current again", name, err)
			}
		}
		l.mustLogIn(secret.Current, l.user)
	})
}

func TestARightThatAppearsBeforeTheTestIsNotPromoted(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		r, err := l.clone()
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range steps[:2] {
			if err := l.step(name, &r.Rotation); err != nil {
				t.Fatal(err)
			}
		}
		l.sql("GRANT DELETE ON *.* TO " + l.user + "_clone@'%'")
		err = l.step(rotation.TestPassword, &r.Rotation)
		var app *temporal.ApplicationError
		if !errors.As(err, &app) || app.Type() != rotation.ErrorDifferent || !strings.Contains(app.Message(), "DELETE") {
			t.Fatalf("TestPassword answered %v: want a refusal that names DELETE", err)
		}
		l.mustLogIn(secret.Current, l.user)
	})
}

func TestARotationCostsFewCalls(t *testing.T) {
	if *lag > 0 {
		return // stale reads are repeated
	}
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		l.rotate()
		l.rotate()
		l.input.Pair = []string{l.user, l.user + "_clone"}
		l.rotate()
		l.sm.ResetCalls()
		l.rotate()
		total, writes := 0, 0
		for operation, n := range l.sm.Calls() {
			total += n
			if operation == "PutSecretValue" || operation == "UpdateSecretVersionStage" {
				writes += n
			}
		}
		if total > 8 || writes > 3 {
			t.Errorf("calls %v: want at most 8, and 3 that write", l.sm.Calls())
		}
	})
}

func TestAStagedVersionThatWasAbandonedIsTakenOver(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		l.put(map[string]any{"username": l.user + "_clone", "password": "Half.Done1"}, "AWSPENDING")
		l.input.Force = true
		l.rotate()
		l.mustLogIn(secret.Current, l.user+"_clone")
		l.mustLogIn(secret.Previous, l.user)
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

// The promotion took effect and its answer was lost; then another actor staged a version.
func TestAPromotedVersionEndsBesideAnotherStagedOne(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		r := l.rotate()
		l.put(map[string]any{"username": l.user, "password": "Another.1"}, "AWSPENDING")
		l.input.EarlierVersionID, l.input.EarlierSHA256 = r.VersionID, r.ValueSHA256
		again, err := l.clone()
		if err != nil || !again.Promoted {
			t.Fatalf("CloneUser answered %+v, %v: want it to know its version", again, err)
		}
		if err := l.step(rotation.PromotePassword, &again.Rotation); err != nil {
			t.Error(err)
		}
		l.mustLogIn(secret.Current, l.user+"_clone")
	})
}

func TestADeletedSecretsAccountIsNotUnlocked(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		r, err := l.clone()
		if err != nil {
			t.Fatal(err)
		}
		if err := l.step(rotation.StagePassword, &r.Rotation); err != nil {
			t.Fatal(err)
		}
		if _, err := l.client.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{SecretId: aws.String("app")}); err != nil {
			t.Fatal(err)
		}
		err = l.step(rotation.SetPassword, &r.Rotation)
		var app *temporal.ApplicationError
		if !errors.As(err, &app) || app.Type() != rotation.ErrorDeleted {
			t.Errorf("SetPassword answered %v: want a refusal", err)
		}
	})
}

func TestThePasswordPolicyOfTheServer(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		var refused, met []string // settings
		if s.Engine == mysqld.MySQL {
			l.sql("INSTALL COMPONENT 'file://component_validate_password'")
			t.Cleanup(func() { l.sql("UNINSTALL COMPONENT 'file://component_validate_password'") })
			refused = []string{"SET GLOBAL validate_password.length = 300"}
			met = []string{"SET GLOBAL validate_password.length = 60", "SET GLOBAL validate_password.special_char_count = 9"}
		} else {
			l.sql("INSTALL SONAME 'simple_password_check'")
			t.Cleanup(func() {
				l.sql("UNINSTALL SONAME 'simple_password_check'")
				l.sql("SET GLOBAL strict_password_validation = ON")
			})
			met = []string{"SET GLOBAL strict_password_validation = OFF", "SET GLOBAL simple_password_check_minimal_length = 60", "SET GLOBAL simple_password_check_other_characters = 9"}
		}
		for _, statement := range refused {
			l.sql(statement)
		}
		before := l.snapshot()
		for _, name := range []string{rotation.PlanRotation, rotation.CloneUser} {
			_, err := l.env.ExecuteActivity(name, l.input)
			var app *temporal.ApplicationError
			if !errors.As(err, &app) || app.Type() != grants.PasswordPolicy || !app.NonRetryable() {
				t.Errorf("%s answered %v: want a refusal for the password policy", name, err)
			}
		}
		if diff := cmp.Diff(before, l.snapshot()); diff != "" {
			t.Errorf("the refused rotation changed something:\n%s", diff)
		}

		for _, statement := range met {
			l.sql(statement)
		}
		if err := l.dialer.Close(); err != nil { // its connections still have the old settings
			t.Fatal(err)
		}
		l.rotate()
		out, err := l.client.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("app")})
		if err != nil {
			t.Fatal(err)
		}
		c, err := secret.Parse([]byte(*out.SecretString))
		if err != nil {
			t.Fatal(err)
		}
		special := 0
		for _, r := range c.Password {
			if strings.ContainsRune("-._", r) {
				special++
			}
		}
		if len(c.Password) < 60 || special < 9 {
			t.Errorf("a password of %d characters, %d of them special: want 60 and 9", len(c.Password), special)
		}
	})
}

func TestUnknownFieldsSurvive(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		l.put(map[string]any{"username": l.user, "password": "First.Passw0rd", "masterarn": "master", "custom": map[string]any{"a": []int{1, 2}}})
		l.rotate()
		out, err := l.client.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("app")})
		if err != nil || !strings.Contains(*out.SecretString, `"custom":{"a":[1,2]}`) {
			t.Errorf("the custom field did not survive, error %v", err)
		}
	})
}

// administrator creates an administrator with few rights, and its secret.
func (l *lab) administrator(grants ...string) string {
	l.Helper()
	name := "a" + l.user
	l.sql("CREATE USER " + name + "@'%' IDENTIFIED BY 'Admin.Passw0rd'")
	l.Cleanup(func() { l.sql("DROP USER " + name + "@'%'") })
	for _, g := range append(grants, "SELECT ON mysql.*") {
		l.sql("GRANT " + g + " TO " + name + "@'%'")
	}
	l.create(name, map[string]any{"username": name, "password": "Admin.Passw0rd"})
	return name
}

// definer makes the user the definer of a procedure, in a schema with the user's name.
func (l *lab) definer() (schema string) {
	l.Helper()
	l.sql("CREATE DATABASE " + l.user)
	l.Cleanup(func() { l.sql("DROP DATABASE " + l.user) })
	l.sql("CREATE DEFINER=" + l.user + "@'%' PROCEDURE " + l.user + ".pay() SELECT 1")
	return l.user
}

// activity runs an activity that must succeed.
func (l *lab) activity(name string, in any) {
	l.Helper()
	if _, err := l.env.ExecuteActivity(name, in); err != nil {
		l.Fatalf("%s: %v", name, err)
	}
}

// forceDelete deletes the secret without a recovery window.
func (l *lab) forceDelete() {
	l.Helper()
	if _, err := l.client.DeleteSecret(l.Context(), &secretsmanager.DeleteSecretInput{SecretId: aws.String("app"), ForceDeleteWithoutRecovery: aws.Bool(true)}); err != nil {
		l.Fatal(err)
	}
}

// restore cancels the deletion of the secret.
func (l *lab) restore() {
	l.Helper()
	if _, err := l.client.RestoreSecret(l.Context(), &secretsmanager.RestoreSecretInput{SecretId: aws.String("app")}); err != nil {
		l.Fatal(err)
	}
}

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

// locked lists the locked accounts of the pair.
func (l *lab) locked() []string {
	l.Helper()
	var all []string
	for _, user := range []string{l.user, l.user + "_clone"} {
		var definition string
		if len(l.accounts(user)) == 0 {
			continue
		}
		if err := l.admin.QueryRowContext(l.Context(), "SHOW CREATE USER "+user+"@'%'").Scan(&definition); err != nil {
			l.Fatal(err)
		}
		if strings.Contains(definition, "ACCOUNT LOCK") {
			all = append(all, user)
		}
	}
	return all
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

// Objects need the account that is their definer. It stays locked until they have another definer,
// or the deletion is forced.
func TestADefinerIsNotDropped(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		schema := l.definer()
		l.sql("GRANT EXECUTE ON " + schema + ".* TO " + l.user)
		d := l.deletion()
		if len(d.Definers) != 1 || !strings.Contains(d.Definers[0], schema+".pay") {
			t.Errorf("the deletion names %q: want the procedure", d.Definers)
		}
		l.activity(rotation.DeleteSecret, d)
		l.activity(rotation.LockAccounts, d)
		l.forceDelete()
		drop := func(d rotation.Deletion) error { _, err := l.env.ExecuteActivity(rotation.DropAccounts, d); return err }
		err := drop(d)
		var app *temporal.ApplicationError
		if !errors.As(err, &app) || app.Type() != grants.Definer || !app.NonRetryable() || !strings.Contains(app.Message(), schema+".pay") ||
			!strings.Contains(app.Message(), "another definer") {
			t.Errorf("the drop is answered by %v", err)
		}
		if got := l.locked(); !slices.Contains(got, l.user) {
			t.Errorf("locked are %v: want the definer among them", got)
		}
		l.sql("CALL " + schema + ".pay()") // as its definer, which is locked
		l.sql("DROP PROCEDURE " + schema + ".pay")
		l.sql("CREATE DEFINER=" + l.user + "@'%' VIEW " + schema + ".v AS SELECT 1 AS one")
		if err := drop(d); err == nil || !strings.Contains(err.Error(), "view "+schema+".v") {
			t.Errorf("the drop of a view's definer is answered by %v", err)
		}
		d.Force = true
		if err := drop(d); err != nil {
			t.Errorf("a forced drop: %v", err)
		}
		if got := l.accounts(l.user); len(got) != 0 {
			t.Errorf("%v is left", got)
		}
		d.Force = false
		if err := drop(d); err != nil {
			t.Errorf("when the account is gone: %v", err)
		}
	})
}

func TestTheDropOfADefinerNamesTheRight(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		if s.Engine != mysqld.MySQL {
			return // MariaDB drops a definer like any other account
		}
		l := newLab(t, s)
		l.definer()
		// This administrator cannot see the procedure, so the refusal comes from the drop itself.
		l.put(map[string]any{"username": l.user, "password": "First.Passw0rd", "masterarn": l.administrator("CREATE USER ON *.*")})
		d := l.deletion()
		l.forceDelete()
		_, err := l.env.ExecuteActivity(rotation.DropAccounts, d)
		var app *temporal.ApplicationError
		if !errors.As(err, &app) || app.Type() != rotation.ErrorAccessDenied || !app.NonRetryable() ||
			!strings.Contains(app.Message(), "definer account in a stored routine") || !strings.Contains(app.Message(), "ALLOW_NONEXISTENT_DEFINER") {
			t.Errorf("the drop is answered by %v", err)
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

func TestCreateLeavesNothingBehindWhereTheSecretMayNotBeMade(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		name := grants.Name{User: l.user + "_clone", Host: "%"} // a name that the lab cleans up
		in := rotation.CreateAccountInput{SecretID: "new", MasterSecretID: "master", Account: name, Grants: []string{"SELECT ON *.*"}, VersionID: uuid.NewString()}
		l.sm.Intercept(func(c endpoint.Call) endpoint.Fault {
			if c.Operation == "CreateSecret" && !c.Done {
				return endpoint.Denied(c)
			}
			return endpoint.Fault{}
		})
		if _, err := l.env.ExecuteActivity(rotation.CreateAccount, in); err != nil {
			t.Fatal(err)
		}
		if _, err := l.env.ExecuteActivity(rotation.StoreSecret, in); err == nil {
			t.Fatal("a secret was created against the policy")
		}
		if left := l.accounts(name.User); len(left) != 0 {
			t.Errorf("%v was left behind with an unknown password", left)
		}
		l.sm.Intercept(nil)
		in.VersionID = uuid.NewString()
		for _, step := range []string{rotation.CreateAccount, rotation.CreateAccount, rotation.StoreSecret, rotation.StoreSecret, rotation.CreateAccount} {
			if _, err := l.env.ExecuteActivity(step, in); err != nil {
				t.Fatalf("%s: %v", step, err)
			}
		}
		if _, err := l.env.ExecuteActivity(rotation.ValidateSecret, rotation.KnownSecret{SecretID: "new"}); err != nil {
			t.Error(err)
		}
	})
}

// A creation was cut off between the secret and the account's password, and another workflow starts
// it again.
func TestACreationThatWasCutOffNamesTheWayOut(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		name := grants.Name{User: l.user + "_clone", Host: "%"} // a name that the lab cleans up
		in := rotation.CreateAccountInput{SecretID: "new", MasterSecretID: "master", Account: name, Grants: []string{"SELECT ON *.*"}, VersionID: uuid.NewString()}
		l.activity(rotation.CreateAccount, in)
		if _, err := l.client.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("new"), ClientRequestToken: &in.VersionID, SecretString: aws.String("{}")}); err != nil {
			t.Fatal(err)
		}
		in.VersionID = uuid.NewString()
		_, err := l.env.ExecuteActivity(rotation.CreateAccount, in)
		var app *temporal.ApplicationError
		if !errors.As(err, &app) || app.Type() != rotation.ErrorSecretExists || !strings.Contains(app.Message(), "--force-delete-without-recovery") {
			t.Fatalf("CreateAccount answered %v: want the way out", err)
		}
		if _, err := l.client.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{SecretId: aws.String("new"), ForceDeleteWithoutRecovery: aws.Bool(true)}); err != nil {
			t.Fatal(err)
		}
		for _, step := range []string{rotation.CreateAccount, rotation.StoreSecret} {
			if _, err := l.env.ExecuteActivity(step, in); err != nil {
				t.Fatalf("%s: %v", step, err)
			}
		}
		if _, err := l.env.ExecuteActivity(rotation.ValidateSecret, rotation.KnownSecret{SecretID: "new"}); err != nil {
			t.Error(err)
		}
	})
}
