package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/google/go-cmp/cmp"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	sdktemporal "go.temporal.io/sdk/temporal"
	"google.golang.org/protobuf/proto"

	"github.com/rotate-user/rotate-user/devstack/stack"
	"github.com/rotate-user/rotate-user/internal/mysqld"
	"github.com/rotate-user/rotate-user/internal/mysqld/mysqldtest"
	"github.com/rotate-user/rotate-user/rotation"
)

// binaries are the worker and the starter, built once.
var binaries = sync.OnceValues(func() (string, error) {
	root, err := stack.Repository(context.Background())
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "rotate-user-test-")
	if err != nil {
		return "", err
	}
	cleanups = append(cleanups, func() error { return os.RemoveAll(dir) })
	return stack.Build(context.Background(), root, dir)
})

var cleanups []func() error

// More tests than processors run at once, because they mostly wait.
func TestMain(m *testing.M) {
	flag.Parse()
	if parallel := flag.Lookup("test.parallel"); runtime.GOMAXPROCS(0) < 4 && parallel.Value.String() == parallel.DefValue {
		if err := parallel.Value.Set("4"); err != nil {
			panic(err)
		}
	}
	code := m.Run()
	for _, clean := range cleanups {
		if err := clean(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// e2e is a stack with its worker and a Temporal client.
type e2e struct {
	running
	temporal client.Client
	dataDir  string
}

// TestEndToEnd runs the worker and the starter as separate processes, against every database
// server.
func TestEndToEnd(t *testing.T) {
	t.Parallel()
	mysqldtest.EachProgram(t, func(t *testing.T, p mysqld.Program) {
		e := startE2E(t, p)
		t.Run("tutorial", e.testTutorial)
		t.Run("raw start", e.testRawStart)
		t.Run("wrong inputs", e.testWrongInputs)
		t.Run("second rotator", e.testSecondRotator)
		t.Run("twelve rotations", e.testTwelveRotations)
		t.Run("cost", e.testCost)
		t.Run("leak", e.testLeak)
		t.Run("operator", e.testOperator)
		t.Run("disturbed", e.testDisturbed)
		t.Run("left", e.testLeft)
		t.Run("fleet", e.testFleet)
		t.Run("delete", e.testDelete)
		t.Run("sixty days", e.testSixtyDays)                    // after the others: it replaces the worker
		t.Run("no password anywhere", e.testNoPasswordAnywhere) // last: it searches what the others left behind
	})
}

func startE2E(t *testing.T, p mysqld.Program) *e2e {
	t.Helper()
	bin, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	e := &e2e{dataDir: t.TempDir()}
	// Log every statement verbatim, so that the search for passwords sees it.
	args := []string{"--general-log=1", "--general-log-file=general.log"}
	if p.Engine == mysqld.MySQL {
		args = append(args, "--log-raw=1")
	}
	s, err := stack.Start(t.Context(), stack.Options{Dir: t.TempDir(), DataDir: e.dataDir, Mysqld: p.Engine, MySQLArgs: args})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	e.running = running{Stack: s, bin: bin}
	if e.worker, err = s.StartWorker(t.Context(), filepath.Join(bin, "worker"), "worker"); err != nil {
		t.Fatal(err)
	}
	e.temporal = dial(t, s.Temporal.Address())
	return e
}

// starter runs the starter and returns what it printed.
func (e *e2e) starter(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := e.starterCommand(ctx, args...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("starter %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// starterExits runs the starter, checks its exit code, and returns what it printed.
func (e *e2e) starterExits(t *testing.T, want int, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := e.starterCommand(ctx, args...)
	out, err := cmd.CombinedOutput()
	if got := cmd.ProcessState.ExitCode(); got != want {
		t.Fatalf("starter %s: exit code %d, want %d, %v\n%s", strings.Join(args, " "), got, want, err, out)
	}
	return string(out)
}

func (e *e2e) create(t *testing.T, secretID, user string, grants ...string) {
	t.Helper()
	args := []string{"create", "--secret-id", secretID, "--master-secret-id", stack.MasterSecret, "--username", user}
	for _, g := range grants {
		args = append(args, "--grant", g)
	}
	e.starter(t, args...)
}

func (e *e2e) testTutorial(t *testing.T) {
	tut := &tutorial{running: e.running, console: newConsole(t.Output())}
	if err := tut.walk(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{userName, cloneName, userName}, tut.users); diff != "" {
		t.Errorf("users of AWSCURRENT (-want +got):\n%s", diff)
	}
}

// TestTutorialGoesOn stops everything after the tutorial, and starts it again with the kept state.
func TestTutorialGoesOn(t *testing.T) {
	t.Parallel()
	bin, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	o := stack.Options{Dir: t.TempDir(), DataDir: t.TempDir(), Mysqld: mysqldtest.Programs(t)[0].Engine, MySQLPort: freePort(t)}
	for _, want := range [][]string{
		{userName, cloneName, userName},
		{userName, userName, cloneName},
	} {
		s, err := stack.Start(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		r := running{Stack: s, bin: bin}
		if r.worker, err = s.StartWorker(t.Context(), filepath.Join(bin, "worker"), "worker"); err != nil {
			t.Fatal(errors.Join(err, s.Stop()))
		}
		tut := &tutorial{running: r, console: newConsole(t.Output())}
		err = tut.walk(t.Context())
		if err := errors.Join(err, s.Stop()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, tut.users); diff != "" {
			t.Errorf("users of AWSCURRENT (-want +got):\n%s", diff)
		}
	}
}

func (e *e2e) testRawStart(t *testing.T) {
	e.create(t, "raw/secret", "rawuser", "SELECT ON *.*")
	run := e.startRaw(t, "rotate-user/raw/secret", `{"SecretId":"raw/secret"}`)
	handle, err := e.temporal.UpdateWorkflow(t.Context(), client.UpdateWorkflowOptions{
		WorkflowID: run.GetID(), UpdateName: "rotate", Args: []any{json.RawMessage(`{"Force":true}`)},
		WaitForStage: client.WorkflowUpdateStageCompleted,
	})
	if err != nil {
		t.Fatal(err)
	}
	// The first rotation is running. A request to rotate waits for it and returns its result.
	var rotation struct{ Username, PreviousUsername string }
	if err := handle.Get(t.Context(), &rotation); err != nil {
		t.Fatal(err)
	}
	if _, c, err := e.Read(t.Context(), "raw/secret", "AWSCURRENT"); err != nil || c.Username != "rawuser_clone" {
		t.Errorf("AWSCURRENT is %s after %+v (%v)", c.Username, rotation, err)
	}
	e.starter(t, "stop", "--secret-id", "raw/secret")
}

func (e *e2e) startRaw(t *testing.T, id, input string) client.WorkflowRun {
	t.Helper()
	run, err := e.temporal.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: id, TaskQueue: "rotate-user"},
		rotation.RotateUserWorkflow, json.RawMessage(input))
	if err != nil {
		t.Fatal(err)
	}
	return run
}

func (e *e2e) testWrongInputs(t *testing.T) {
	for _, test := range []struct{ input, names string }{
		{`{"SecretID":"x"}`, "SecretID"},
		{`{"SecretId":"x","Secret":"y"}`, "Secret"},
		{`{"SecretId":"x","AutomaticallyAfterDays":30}`, "AutomaticallyAfterDays"},
		{`{"SecretId":"x","RotationRules":{"AutomaticallyAfterDays":"30d"}}`, "AutomaticallyAfterDays"},
		{`{"SecretId":"x","RotationRules":{"AutomaticallyAfterDays":0}}`, "AutomaticallyAfterDays"},
		{`{"SecretId":"x","RotationRules":{"AutomaticallyAfterDays":1001}}`, "AutomaticallyAfterDays"},
		{`{"SecretId":"x","RotationRules":{"AutomaticallyAfterDays":30,"ScheduleExpression":"rate(10 days)"}}`, "ScheduleExpression"},
		{`{"SecretId":"x","RotationRules":{"ScheduleExpression":"rate(3 hours)"}}`, "ScheduleExpression"},
		{`{"SecretId":"x","RotationRules":{"ScheduleExpression":"cron(0 0 * * *)"}}`, "ScheduleExpression"},
		{`{"SecretId":"x","RotationRules":{"Duration":"3 hours"}}`, "Duration"},
		{`{"SecretId":""}`, "SecretId"},
		{`{}`, "SecretId"},
		{`{"SecretId":7}`, "SecretId"},
		{`{"SecretId":"a secret"}`, "SecretId"},
		{`{"SecretId":"x","MasterSecretId":"x"}`, "MasterSecretId"},
		{`{"SecretId":"x","MinimumOverlap":3600}`, "MinimumOverlap"},
		{`{"SecretId":"x","RequireDrained":true}`, "RequireDrained"},
		{`{"SecretId":"x","RotateImmediately":"no"}`, "RotateImmediately"},
		{`"MyTestDatabaseUserSecret"`, "JSON object"},
		{`["MyTestDatabaseUserSecret"]`, "JSON object"},
		{`null`, "JSON object"},
	} {
		t.Run(test.input, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			err := e.startRaw(t, "rotate-user/wrong", test.input).Get(ctx, nil)
			var refusal *sdktemporal.ApplicationError
			if !errors.As(err, &refusal) || refusal.Type() != "InvalidInput" || !strings.Contains(refusal.Message(), test.names) {
				t.Errorf("want a refusal that names %s: %v", test.names, err)
			}
		})
	}
}

func (e *e2e) testTwelveRotations(t *testing.T) {
	const secretID, user = "twelve/rotations", "twelve"
	e.create(t, secretID, user, "SELECT ON *.*", "INSERT, UPDATE ON shop.*")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan stack.Logins, 1)
	seen := make(chan string, 100)
	go func() { ended <- e.UseSecret(ctx, secretID, func(user string) { seen <- user }) }()
	want := []string{user}
	await := func() { // otherwise the next step could finish before the client reads the secret
		t.Helper()
		select {
		case got := <-seen:
			if got != want[len(want)-1] {
				t.Fatalf("the client logs in as %s, want %s", got, want[len(want)-1])
			}
		case logins := <-ended:
			t.Fatalf("the client stopped: %v", logins.First)
		case <-time.After(patience):
			t.Fatalf("the client never logs in as %s", want[len(want)-1])
		}
	}
	await()
	e.starter(t, "start", "--secret-id", secretID, "--rotate-immediately=false")
	for i := range 12 {
		e.starter(t, "rotate", "--secret-id", secretID, "--force")
		want = append(want, user+[]string{"_clone", ""}[i%2])
		_, c, err := e.Read(t.Context(), secretID, "AWSCURRENT")
		if err != nil {
			t.Fatal(err)
		}
		if c.Username != want[i+1] {
			t.Fatalf("rotation %d: AWSCURRENT is %s, want %s", i+1, c.Username, want[i+1])
		}
		await()
	}
	stop()
	logins := <-ended
	if logins.Failed > 0 {
		t.Errorf("%d of %d logins failed: %v", logins.Failed, logins.Done+logins.Failed, logins.First)
	}
	if diff := cmp.Diff(want, logins.Users); diff != "" {
		t.Errorf("the client did not use every credential in turn (-want +got):\n%s", diff)
	}
}

func (e *e2e) testCost(t *testing.T) {
	const secretID = "twelve/rotations"
	admin := e.admin(t)
	before := e.currentRun(t, secretID)
	connections := statusValue(t, admin, "Connections")
	e.Secrets.ResetCalls()

	e.starter(t, "rotate", "--secret-id", secretID, "--force")

	calls := 0
	for _, n := range e.Secrets.Calls() {
		calls += n
	}
	limits := []struct {
		what     string
		got, max int
	}{
		{"Secrets Manager calls", calls, 11},
		{"MySQL connections", statusValue(t, admin, "Connections") - connections, 5},
		{"history events of a rotation", len(e.history(t, secretID, before)), 45},
		{"history events while asleep", len(e.history(t, secretID, e.currentRun(t, secretID))), 8},
	}
	for _, l := range limits {
		t.Logf("%s: %d", l.what, l.got)
		if l.got > l.max || l.got == 0 && l.what != "MySQL connections" {
			t.Errorf("%s: got %d, want at most %d", l.what, l.got, l.max)
		}
	}
	t.Log(e.Secrets.Calls())
}

// admin is one connection, opened before the test counts connections.
func (e *e2e) admin(t *testing.T) *sql.DB {
	t.Helper()
	_, master, err := e.Read(t.Context(), stack.MasterSecret, "AWSCURRENT")
	if err != nil {
		t.Fatal(err)
	}
	db, err := e.Open(master.Username, master.Password)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	db.SetMaxOpenConns(1)
	if err := db.PingContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	return db
}

func statusValue(t *testing.T, db *sql.DB, name string) int {
	t.Helper()
	var value int
	if err := db.QueryRowContext(t.Context(), "SHOW GLOBAL STATUS LIKE '"+name+"'").Scan(&name, &value); err != nil {
		t.Fatal(err)
	}
	return value
}

func (e *e2e) currentRun(t *testing.T, secretID string) string {
	t.Helper()
	d, err := e.temporal.DescribeWorkflowExecution(t.Context(), "rotate-user/"+secretID, "")
	if err != nil {
		t.Fatal(err)
	}
	return d.GetWorkflowExecutionInfo().GetExecution().GetRunId()
}

func (e *e2e) history(t *testing.T, secretID, runID string) []*historypb.HistoryEvent {
	t.Helper()
	return history(t, e.temporal, "rotate-user/"+secretID, runID)
}

func history(t *testing.T, c client.Client, workflowID, runID string) []*historypb.HistoryEvent {
	t.Helper()
	var events []*historypb.HistoryEvent
	for it := c.GetWorkflowHistory(t.Context(), workflowID, runID, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT); it.HasNext(); {
		event, err := it.Next()
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, event)
	}
	return events
}

func (e *e2e) testDelete(t *testing.T) {
	var both []stack.Credential
	for _, label := range []string{"AWSCURRENT", "AWSPREVIOUS"} {
		_, c, err := e.Read(t.Context(), userSecret, label)
		if err != nil {
			t.Fatal(err)
		}
		both = append(both, c)
	}
	e.starter(t, "delete", "--secret-id", userSecret, "--recovery-window-in-days", "7")
	d, err := e.Client.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: aws.String(userSecret)})
	if err != nil {
		t.Fatal(err)
	}
	if d.DeletedDate == nil {
		t.Error("the secret is not scheduled for deletion")
	}
	if out := e.starter(t, "status", "--secret-id", userSecret); !strings.Contains(out, "Paused") {
		t.Errorf("the rotation is not paused while its secret is scheduled for deletion:\n%s", out)
	}
	admin := e.admin(t)
	for _, c := range both {
		db, err := e.Open(c.Username, c.Password)
		if err != nil {
			t.Fatal(err)
		}
		if err := db.PingContext(t.Context()); err == nil || !strings.Contains(err.Error(), "locked") {
			t.Errorf("want %s to be locked: %v", c.Username, err)
		}
		db.Close()
		var accounts int
		if err := admin.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM mysql.user WHERE User = ?", c.Username).Scan(&accounts); err != nil {
			t.Fatal(err)
		}
		if accounts != 1 {
			t.Errorf("before the end of the recovery window, %d accounts of %s exist", accounts, c.Username)
		}
	}

	// Restoring the secret unlocks its accounts.
	if _, err := e.Client.RestoreSecret(t.Context(), &secretsmanager.RestoreSecretInput{SecretId: aws.String(userSecret)}); err != nil {
		t.Fatal(err)
	}
	id := rotation.DeleteUserWorkflowID(userSecret)
	if err := e.temporal.SignalWorkflow(t.Context(), id, "", rotation.ResumeUpdate, nil); err != nil {
		t.Fatal(err)
	}
	var result rotation.DeleteUserResult
	if err := e.temporal.GetWorkflow(t.Context(), id, "").Get(t.Context(), &result); err != nil {
		t.Fatal(err)
	}
	if result.Fate != rotation.SecretRestored || len(result.Accounts) != 2 {
		t.Errorf("the deletion ended with %+v", result)
	}
	if out := e.starter(t, "status", "--secret-id", userSecret); strings.Contains(out, "Paused") {
		t.Errorf("after the secret was restored, the rotation is still paused:\n%s", out)
	}
	for _, c := range both {
		db, err := e.Open(c.Username, c.Password)
		if err != nil {
			t.Fatal(err)
		}
		if err := db.PingContext(t.Context()); err != nil {
			t.Errorf("%s does not log in after the secret was restored: %v", c.Username, err)
		}
		db.Close()
	}
}

// testLeak plans a rotation, revokes a leaked credential, and starts over with a workflow that has
// no state.
func (e *e2e) testLeak(t *testing.T) {
	const id = "LeakedSecret"
	e.create(t, id, "leaked", "SELECT ON *.*")
	e.starterExits(t, 3, "plan", "--secret-id", id)
	e.starter(t, "start", "--secret-id", id)
	_, leaked, err := e.Read(t.Context(), id, "AWSCURRENT")
	if err != nil {
		t.Fatal(err)
	}
	e.starterExits(t, 1, "rotate", "--secret-id", id) // within the overlap
	e.starter(t, "rotate", "--secret-id", id, "--force", "--revoke-previous")
	db, err := e.Open(leaked.Username, leaked.Password)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if db.PingContext(t.Context()) == nil {
		t.Error("the leaked credential still logs in after it was revoked")
	}
	e.starterExits(t, 0, "plan", "--secret-id", id)
	e.starter(t, "stop", "--secret-id", id)
	e.starter(t, "start", "--secret-id", id, "--rotate-immediately=false")
	e.starter(t, "rotate", "--secret-id", id, "--force")
	e.starter(t, "validate", "--secret-id", id)
}

// testNoPasswordAnywhere searches everything that the test wrote for every password that ever
// existed.
func (e *e2e) testNoPasswordAnywhere(t *testing.T) {
	var passwords [][]byte
	for _, value := range e.Secrets.Values() {
		var c stack.Credential
		if err := json.Unmarshal([]byte(value), &c); err != nil || c.Password == "" {
			t.Fatal("a secret without a password")
		}
		passwords = append(passwords, []byte(c.Password))
	}
	if len(passwords) < 18 {
		t.Errorf("only %d passwords to look for", len(passwords))
	}
	seen := map[string]bool{}
	search := func(kind, where string, content []byte) {
		seen[kind] = seen[kind] || bytes.Contains(content, []byte(cloneName))
		for _, p := range passwords {
			if bytes.Contains(content, p) {
				t.Errorf("%s contains a password", where)
			}
		}
	}

	list, err := e.temporal.ListWorkflow(t.Context(), &workflowservice.ListWorkflowExecutionsRequest{PageSize: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for _, execution := range list.GetExecutions() {
		id, run := execution.GetExecution().GetWorkflowId(), execution.GetExecution().GetRunId()
		search("visibility", "visibility of "+id, marshal(t, execution))
		d, err := e.temporal.DescribeWorkflowExecution(t.Context(), id, run)
		if err != nil {
			t.Fatal(err)
		}
		search("description", "description of "+id, marshal(t, d))
		for _, event := range history(t, e.temporal, id, run) {
			search("history", fmt.Sprintf("history of %s, event %d", id, event.GetEventId()), marshal(t, event))
		}
	}

	res, err := http.Get(e.worker.MetricsURL)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	metrics, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	search("metrics", "the worker's metrics", metrics)

	for _, dir := range []string{e.Dir, e.dataDir} {
		err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || !entry.Type().IsRegular() {
				return err
			}
			switch name := entry.Name(); name {
			case "secrets.json", "admin-password":
				return nil // where passwords belong
			default:
				content, err := os.ReadFile(path)
				if errors.Is(err, fs.ErrNotExist) { // the servers are running
					return nil
				}
				search(name, path, content)
				return err
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	// The search can only find what it reads.
	for _, kind := range []string{"history", "general.log", "worker.log", "temporal-1.32.db"} {
		if !seen[kind] && !seen[kind+"-wal"] {
			t.Errorf("%s does not name %s: was it searched?", kind, cloneName)
		}
	}
	t.Logf("searched for %d passwords", len(passwords))
}

func marshal(t *testing.T, m proto.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// testSecondRotator starts more rotations of one secret: under other spellings of its name, and
// from another namespace.
func (e *e2e) testSecondRotator(t *testing.T) {
	const id, user = "second/rotator", "second"
	e.create(t, id, user, "SELECT ON *.*")
	d, err := e.Client.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: aws.String(id)})
	if err != nil {
		t.Fatal(err)
	}
	refused := func(workflowID, secretID, says string) {
		t.Helper()
		run, err := e.temporal.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: workflowID, TaskQueue: rotation.TaskQueue},
			rotation.RotateUserWorkflow, rotation.RotateUserInput{SecretID: secretID})
		if err != nil {
			t.Fatal(err)
		}
		err = run.Get(t.Context(), nil)
		var app *sdktemporal.ApplicationError
		if !errors.As(err, &app) || app.Type() != rotation.ErrorRotatedElsewhere || !strings.Contains(app.Message(), says) {
			t.Errorf("%s of secret %s ended with %v: want a refusal that says %q", workflowID, secretID, err, says)
		}
	}
	own := rotation.RotateUserWorkflowID(id)
	for _, spelling := range []string{*d.ARN, (*d.ARN)[:len(*d.ARN)-7]} {
		refused(rotation.RotateUserWorkflowID(spelling), spelling, own)
	}
	refused("my-own-id", id, own)
	if d, err = e.Client.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: aws.String(id)}); err != nil ||
		len(d.VersionIdsToStages) != 1 {
		t.Errorf("a refused rotation left labels %v, error %v", d.VersionIdsToStages, err)
	}

	// The version was staged last by a rotation in another namespace.
	var current string
	for version := range d.VersionIdsToStages {
		current = version
	}
	if _, err := e.Client.UpdateSecretVersionStage(t.Context(), &secretsmanager.UpdateSecretVersionStageInput{
		SecretId: aws.String(id), VersionStage: aws.String("rotate-user:elsewhere/" + own), MoveToVersionId: &current,
	}); err != nil {
		t.Fatal(err)
	}
	refused(own, id, "in namespace elsewhere")
	if _, err := e.Client.UpdateSecretVersionStage(t.Context(), &secretsmanager.UpdateSecretVersionStageInput{
		SecretId: aws.String(id), VersionStage: aws.String("rotate-user:elsewhere/" + own), RemoveFromVersionId: &current,
	}); err != nil {
		t.Fatal(err)
	}
	// A rotation in this namespace with another workflow ID, and no worker to run its steps.
	label := func(workflowID string) {
		t.Helper()
		if _, err := e.Client.UpdateSecretVersionStage(t.Context(), &secretsmanager.UpdateSecretVersionStageInput{
			SecretId: aws.String(id), VersionStage: aws.String("rotate-user:default/" + workflowID), MoveToVersionId: &current,
		}); err != nil {
			t.Fatal(err)
		}
	}
	run := func(secretID string) client.WorkflowRun {
		t.Helper()
		run, err := e.temporal.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: "my-own-id", TaskQueue: rotation.TaskQueue},
			rotation.RotateUserWorkflow, rotation.RotateUserInput{SecretID: secretID, ActivityTaskQueue: "nobody"})
		if err != nil {
			t.Fatal(err)
		}
		return run
	}
	end := func(run client.WorkflowRun) {
		t.Helper()
		if err := e.temporal.TerminateWorkflow(t.Context(), run.GetID(), run.GetRunID(), "the test ends it"); err != nil {
			t.Fatal(err)
		}
	}
	label("my-own-id")
	second := run(*d.ARN)
	refused(own, id, "my-own-id already")
	end(second)
	// A rotation that no longer runs does not block, and neither does the label of another secret's
	// rotation, which only an editor can have set.
	second = run("another/secret")
	defer end(second)
	e.starter(t, "start", id)
	if d, err = e.Client.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: aws.String(id)}); err != nil {
		t.Fatal(err)
	}
	var labels []string
	for _, stages := range d.VersionIdsToStages {
		labels = append(labels, stages...)
	}
	if !slices.Contains(labels, "rotate-user:default/"+own) {
		t.Errorf("labels %v: want one that names %s", labels, own)
	}
	e.starter(t, "stop", id)
}
