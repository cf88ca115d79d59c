package main

import (
	"context"
	"database/sql"
	"path/filepath"
	"strings"
	"testing"

	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/client"

	"github.com/rotate-user/rotate-user/devstack/stack"
	"github.com/rotate-user/rotate-user/internal/mysqld"
	"github.com/rotate-user/rotate-user/internal/mysqld/mysqldtest"
)

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
