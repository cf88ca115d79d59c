package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/spf13/cobra"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"
	"go.temporal.io/sdk/workflow"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/rotate-user/rotate-user/devstack/stack"
	"github.com/rotate-user/rotate-user/rotation"
)

func newRecordCommand() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "record",
		Short: "Record histories of every kind, for the replay tests",
		Long: `Record the histories that the worker and the starter of this checkout write, one file for each shape that a later worker may
find under way: <shape>.<commit>.json. Files that are there already stay as they are.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c := newConsole(cmd.OutOrStdout())
			return run(cmd.Context(), c, stack.Options{}, func(ctx context.Context, r running) error {
				root, err := stack.Repository(ctx)
				if err != nil {
					return err
				}
				commit, err := exec.CommandContext(ctx, "git", "-C", root, "rev-parse", "--short", "HEAD").Output()
				if err != nil {
					return fmt.Errorf("git rev-parse: %w", err)
				}
				if out == "" {
					out = filepath.Join(root, "workflows", "testdata")
				}
				temporal, err := client.Dial(client.Options{HostPort: r.Temporal.Address(),
					Logger: sdklog.NewStructuredLogger(slog.New(slog.DiscardHandler))})
				if err != nil {
					return err
				}
				defer temporal.Close()
				if err := os.MkdirAll(out, 0o755); err != nil {
					return err
				}
				rec := &recorder{ctx: ctx, running: r, console: c, temporal: temporal, out: out, release: strings.TrimSpace(string(commit))}
				rec.record()
				return rec.err
			})
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "directory for the files (default: workflows/testdata)")
	return cmd
}

// recorder takes one secret through its life and saves the histories. After an error, it does
// nothing more.
type recorder struct {
	running
	console
	ctx      context.Context
	temporal client.Client
	out      string
	release  string
	err      error

	starterFails bool // the starter is expected to
}

const (
	rotationID = "rotate-user/" + userSecret
	creationID = "create-user/" + userSecret
	deletionID = "delete-user/" + userSecret
)

func (r *recorder) record() {
	r.starter("create", "--master-secret-id", stack.MasterSecret, "--username", userName, "--grant", userGrant)
	r.save("created", creationID, "")

	r.starter("start", "--rotate-immediately=false")
	r.save("sleeping-first", rotationID, "")
	r.starter("stop")
	r.starter("start")
	first := r.firstRun()
	r.save("rotated", rotationID, first)
	r.saveCuts(first)
	r.save("sleeping", rotationID, "")
	r.starterEnding("rotated-by-update", "rotate", "--force")
	r.starterEnding("rescheduled", "reschedule", "--automatically-after-days", "10")

	r.starterEnding("pausing", "pause")
	r.save("paused", rotationID, "")
	r.starterEnding("resumed", "resume")

	r.execute("ALTER USER " + userName + "@'%' ACCOUNT LOCK")
	r.starterFails = true
	r.starterEnding("failed", "rotate", "--force")
	r.starterFails = false
	r.save("sleeping-failed", rotationID, "")
	r.execute("ALTER USER " + userName + "@'%' ACCOUNT UNLOCK")
	r.starterEnding("tried-again", "rotate", "--force")
	r.starterEnding("revoked", "rotate", "--force", "--revoke-previous")
	r.starterEnding("stopped", "stop")
	r.recordInZone()
	r.recordFleet()

	r.starter("delete", "--recovery-window-in-days", "7")
	r.save("deletion-waiting", deletionID, "")
}

// recordInZone makes a first run wait for a date that it computes in a time zone.
func (r *recorder) recordInZone() {
	if r.err != nil {
		return
	}
	nothing := rotation.Duration(0)
	run, err := r.temporal.ExecuteWorkflow(r.ctx, client.StartWorkflowOptions{ID: rotationID, TaskQueue: rotation.TaskQueue},
		rotation.RotateUserWorkflow,
		rotation.RotateUserInput{
			SecretID: userSecret, TimeZone: "Europe/Berlin", Blackout: []string{"2020-12-24/2021-01-02"}, MinimumOverlap: &nothing,
			FirstRotationWithin: rotation.Duration(5 * time.Second),
		})
	if err != nil {
		r.err = err
		return
	}
	first := run.GetRunID()
	var next *workflow.ContinueAsNewError
	if err := run.GetWithOptions(r.ctx, nil, client.WorkflowRunGetOptions{DisableFollowingRuns: true}); !errors.As(err, &next) {
		r.err = fmt.Errorf("the rotation in a zone did not continue as new: %w", err)
		return
	}
	r.save("rotated-in-zone", rotationID, first)
}

// recordFleet syncs a fleet with one secret, and rotates it.
func (r *recorder) recordFleet() {
	if r.err != nil {
		return
	}
	if _, r.err = r.Client.TagResource(r.ctx, &secretsmanager.TagResourceInput{
		SecretId: aws.String(userSecret), Tags: []types.Tag{{Key: aws.String(rotation.FleetTag), Value: aws.String("30d")}},
	}); r.err != nil {
		return
	}
	fleet := func(args ...string) {
		if r.err != nil {
			return
		}
		if out, err := r.starterCommand(r.ctx, append([]string{"fleet"}, args...)...).CombinedOutput(); err != nil {
			r.err = fmt.Errorf("starter fleet %s: %w\n%s", strings.Join(args, " "), err, out)
		}
	}
	r.starter("stop")
	fleet("sync")
	syncID := rotation.SyncFleetWorkflowID(rotation.TaskQueue, rotation.FleetTag)
	first := r.describe(syncID, "").GetWorkflowExecutionInfo().GetFirstRunId()
	r.save("fleet-synced", syncID, first)
	r.save("fleet-sleeping", syncID, "")
	fleet("stop")
	fleet("rotate", "--force")
	r.save("fleet-rotated", rotation.RotateFleetWorkflowID(rotation.TaskQueue), "")
}

// starter runs the starter for the secret.
func (r *recorder) starter(command string, args ...string) {
	if r.err != nil {
		return
	}
	cmd := r.starterCommand(r.ctx, append([]string{command, "--secret-id", userSecret}, args...)...)
	switch out, err := cmd.CombinedOutput(); {
	case err != nil && !r.starterFails:
		r.err = fmt.Errorf("starter %s: %w\n%s", command, err, out)
	case err == nil && r.starterFails:
		r.err = fmt.Errorf("starter %s did not fail:\n%s", command, out)
	}
}

// starterEnding saves the run that the command ends.
func (r *recorder) starterEnding(shape, command string, args ...string) {
	run := r.describe(rotationID, "").GetWorkflowExecutionInfo().GetExecution().GetRunId()
	r.starter(command, args...)
	r.save(shape, rotationID, run)
}

// firstRun returns the first run in the chain of the current one.
func (r *recorder) firstRun() string {
	return r.describe(rotationID, "").GetWorkflowExecutionInfo().GetFirstRunId()
}

// describe returns the description of a run, by default the current one, once its worker has
// nothing to do for it.
func (r *recorder) describe(workflowID, runID string) *workflowservice.DescribeWorkflowExecutionResponse {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for r.err == nil {
		d, err := r.temporal.DescribeWorkflowExecution(r.ctx, workflowID, runID)
		if err != nil {
			r.err = err
			return nil
		}
		// A new run may wait a second for its first task.
		begun := d.GetWorkflowExecutionInfo().GetHistoryLength() > 3
		if begun && d.GetPendingWorkflowTask() == nil && len(d.GetPendingActivities()) == 0 {
			return d
		}
		<-tick.C
	}
	return nil
}

// save writes the history of a run, by default the current one, once the worker has nothing to do
// for it.
func (r *recorder) save(shape, workflowID, runID string) {
	r.describe(workflowID, runID)
	r.write(shape, r.history(workflowID, runID))
}

func (r *recorder) history(workflowID, runID string) []*historypb.HistoryEvent {
	if r.err != nil {
		return nil
	}
	var events []*historypb.HistoryEvent
	it := r.temporal.GetWorkflowHistory(r.ctx, workflowID, runID, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for it.HasNext() {
		event, err := it.Next()
		if err != nil {
			r.err = err
			return nil
		}
		events = append(events, event)
	}
	return events
}

// saveCuts writes, for each step of a rotation, the history up to the point where a worker has been
// given that step and has not finished it. A running step has no event yet.
func (r *recorder) saveCuts(runID string) {
	events := r.history(rotationID, runID)
	for i, event := range events {
		step := event.GetActivityTaskScheduledEventAttributes()
		if step == nil {
			continue
		}
		// The commands of one workflow task are written together.
		end := i + 1
		for end < len(events) && isCommand(events[end].GetEventType()) {
			end++
		}
		r.write("cut-"+step.GetActivityType().GetName(), events[:end])
	}
}

func isCommand(t enumspb.EventType) bool {
	switch t {
	case enumspb.EVENT_TYPE_TIMER_STARTED, enumspb.EVENT_TYPE_MARKER_RECORDED, enumspb.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES,
		enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED, enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED:
		return true
	default:
		return false
	}
}

// identity matches the writer of an event, which is a process on this machine.
var identity = regexp.MustCompile(`"identity":\s*"[^"]*"`)

// write writes one file. It replaces everything that identifies this machine and does not matter
// for a replay.
func (r *recorder) write(shape string, events []*historypb.HistoryEvent) {
	if r.err != nil {
		return
	}
	text, err := protojson.Marshal(&historypb.History{Events: events})
	if err != nil {
		r.err = err
		return
	}
	host, err := os.Hostname()
	if err != nil {
		r.err = err
		return
	}
	text = identity.ReplaceAll(text, []byte(`"identity":"recorded"`))
	text = bytes.ReplaceAll(text, []byte(`"`+host+`:`), []byte(`"recorded:`)) // sticky task queues
	var indented bytes.Buffer
	if err := json.Indent(&indented, text, "", " "); err != nil {
		r.err = err
		return
	}
	indented.WriteByte('\n')
	path := filepath.Join(r.out, shape+"."+r.release+".json")
	if r.err = os.WriteFile(path, indented.Bytes(), 0o644); r.err == nil {
		r.check(true, fmt.Sprintf("%-18s %3d events  %s", shape, len(events), filepath.Base(path)))
	}
}

// execute runs a statement as the administrator.
func (r *recorder) execute(statement string) {
	if r.err != nil {
		return
	}
	_, master, err := r.Read(r.ctx, stack.MasterSecret, "AWSCURRENT")
	if err != nil {
		r.err = err
		return
	}
	db, err := r.Open(master.Username, master.Password)
	if err != nil {
		r.err = err
		return
	}
	defer db.Close()
	_, r.err = db.ExecContext(r.ctx, statement)
}
