package workflows_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/rotate-user/rotate-user/rotation"
	"github.com/rotate-user/rotate-user/workflows"
)

// shapes are the kinds of history that must always be present: each is a state in which a newly
// deployed worker may find a workflow. Recorded histories are kept; docs/development.md says how to
// record new ones.
var shapes = []string{
	"sleeping", "rotated", "rotated-by-update", "failed", "paused", "stopped",
	"cut-CloneUser", "cut-StagePassword", "cut-SetPassword", "cut-TestPassword", "cut-PromotePassword",
	"tried-again", "revoked", "rescheduled", "created", "deletion-waiting",
	"rotated-in-zone", "fleet-synced", "fleet-sleeping", "fleet-rotated",
}

func histories(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, shape := range shapes {
		found := false
		for _, file := range files {
			found = found || strings.HasPrefix(filepath.Base(file), shape+".")
		}
		if !found {
			t.Errorf("no history of the shape %s under testdata", shape)
		}
	}
	return files
}

// newReplayer returns a replayer that does not mistake a busy machine for a deadlock.
func newReplayer(t *testing.T) worker.WorkflowReplayer {
	t.Helper()
	r, err := worker.NewWorkflowReplayerWithOptions(worker.WorkflowReplayerOptions{DisableDeadlockDetection: true})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestEveryRecordedHistoryReplays(t *testing.T) {
	t.Parallel()
	for _, file := range histories(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			replayer := newReplayer(t)
			workflows.Register(replayer, workflows.Workflows{})
			if err := replayer.ReplayWorkflowHistoryFromJSONFile(nil, file); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestOtherRulesForAZoneReplay replays a first run that waited for a date in its zone, on a worker
// that has other rules for that zone, and with a blackout that covers the time at which the run
// woke up. The replay must use what the run recorded.
func TestOtherRulesForAZoneReplay(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/rotated-in-zone.*json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no history of a rotation in a zone: %v", err)
	}
	for _, file := range files {
		text, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = text.Close() }()
		history, err := client.HistoryFromJSON(text, client.HistoryJSONOptions{})
		if err != nil {
			t.Fatal(err)
		}
		started := history.GetEvents()[0]
		day := started.GetEventTime().AsTime().Format(time.DateOnly)
		payload := started.GetWorkflowExecutionStartedEventAttributes().GetInput().GetPayloads()[0]
		payload.Data = bytes.Replace(payload.GetData(), []byte(`"2020-12-24/2021-01-02"`), []byte(`"`+day+`","2099-01-01"`), 1)
		payload.Data = bytes.Replace(payload.GetData(), []byte("Europe/Berlin"), []byte("Atlantic/Reykjavik"), 1)
		replayer := newReplayer(t)
		workflows.Register(replayer, workflows.Workflows{})
		if err := replayer.ReplayWorkflowHistory(nil, history); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// A release that did not write open accounts to the memo could also meet secrets that something
// else had deleted.
func TestAFailureForADeletedSecretReplays(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/failed.*json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no history of a failed rotation: %v", err)
	}
	for _, file := range files {
		text, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = text.Close() }()
		history, err := client.HistoryFromJSON(text, client.HistoryJSONOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range history.GetEvents() {
			if info := e.GetActivityTaskFailedEventAttributes().GetFailure().GetApplicationFailureInfo(); info != nil {
				info.Type = rotation.ErrorDeleted
			}
		}
		replayer := newReplayer(t)
		workflows.Register(replayer, workflows.Workflows{})
		if err := replayer.ReplayWorkflowHistory(nil, history); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// TestABrokenWorkflowFailsTheReplay shows that the check works: a replay of a sleeping history must
// notice an extra command before the timer.
func TestABrokenWorkflowFailsTheReplay(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/sleeping.*json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no history of a sleeping run: %v", err)
	}
	replayer := newReplayer(t)
	replayer.RegisterWorkflowWithOptions(func(ctx workflow.Context, input rotation.RotateUserInput,
		carried *rotation.State) (rotation.Status, error) {
		if err := workflow.UpsertMemo(ctx, map[string]any{"broken": true}); err != nil {
			return rotation.Status{}, err
		}
		return workflows.Workflows{}.RotateUserWorkflow(ctx, input, carried)
	}, workflow.RegisterOptions{Name: rotation.RotateUserWorkflow})
	if err := replayer.ReplayWorkflowHistoryFromJSONFile(nil, files[0]); err == nil {
		t.Error("a workflow with another first command was replayed without an error")
	}
}
