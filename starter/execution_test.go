package main

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/spf13/pflag"
	"go.temporal.io/api/activity/v1"
	"go.temporal.io/api/common/v1"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/failure/v1"
	"go.temporal.io/api/taskqueue/v1"
	"go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/rotate-user/rotate-user/internal/program"
	"github.com/rotate-user/rotate-user/rotation"
)

// stderr ends the command's wait as soon as the command has printed something.
type stderr struct {
	bytes.Buffer
	said context.CancelFunc
}

func (s *stderr) Write(p []byte) (int, error) {
	defer s.said()
	return s.Buffer.Write(p)
}

// TestWaiting checks what commands print while they wait: the failure of a step from the first
// attempt on, and what is missing if nothing happens.
func TestWaiting(t *testing.T) {
	noTask := func() *workflowservice.DescribeWorkflowExecutionResponse {
		return &workflowservice.DescribeWorkflowExecutionResponse{
			WorkflowExecutionInfo: &workflow.WorkflowExecutionInfo{Status: enums.WORKFLOW_EXECUTION_STATUS_RUNNING},
			ExecutionConfig:       &workflow.WorkflowExecutionConfig{TaskQueue: &taskqueue.TaskQueue{Name: "its-own"}},
			PendingWorkflowTask:   &workflow.PendingWorkflowTaskInfo{},
		}
	}
	once := failing()
	once.Attempt = 2
	waiting := &workflow.PendingActivityInfo{
		ActivityType: &common.ActivityType{Name: rotation.CloneUser}, State: enums.PENDING_ACTIVITY_STATE_SCHEDULED, Attempt: 1,
		ActivityOptions: &activity.ActivityOptions{TaskQueue: &taskqueue.TaskQueue{Name: "inside"}},
	}
	running := failing()
	running.LastFailure, running.State, running.LastStartedTime = nil, enums.PENDING_ACTIVITY_STATE_STARTED, timestamppb.New(now.Add(-time.Minute))
	const failed = "CloneUser has failed once and is retried at 2026-11-22 21:00 UTC (in 4 seconds): db.example.com:3306 does not answer"
	for _, test := range []struct {
		name, args, want string
		described        *workflowservice.DescribeWorkflowExecutionResponse
		noPoller         bool
	}{
		{"plan", "plan shop/app", failed, pending(once), false},
		{"validate", "validate shop/app", failed, pending(once), false},
		{"create", "create shop/app --master-secret-id m --username u", failed, pending(once), false},
		{"start", "start shop/app", failed, pending(once), false},
		{"start later", "start shop/app --rotate-immediately=false", failed, pending(once), false},
		{"rotate", "rotate shop/app", failed, pending(once), false},
		{"delete", "delete shop/app", failed, pending(once), false},
		{"three times", "plan shop/app", "CloneUser has failed 3 times", pending(failing()), false},
		{"no worker", "rotate shop/app", "no worker polls task queue its-own: start one", noTask(), true},
		{"a worker that fails", "rotate shop/app", "the worker on task queue its-own has not answered: see its log", noTask(), false},
		{"no worker for a step", "rotate shop/app", "CloneUser is waiting, and no worker polls task queue inside", pending(waiting), true},
		{"a step's turn", "rotate shop/app", "CloneUser is waiting for its turn", pending(waiting), false},
		{"a long step", "rotate shop/app", "CloneUser has been running since 2026-11-22 20:59 UTC (1 minute ago)", pending(running), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var out bytes.Buffer
			errs := &stderr{said: cancel}
			a := newApp(&out, &bytes.Buffer{})
			a.errors, a.watchInterval, a.hintAfter = errs, time.Millisecond, 5*time.Millisecond
			f := &fake{
				described: test.described, noPoller: test.noPoller, rotated: []any{endlessUpdate{}},
				statuses: map[string]rotation.Status{"shop/app": status(rotation.Scheduled)},
				deletion: rotation.DeletionState{}, busy: 1 << 30,
			}
			a.dial = func(context.Context) (temporal, converter.DataConverter, error) { return f, nil, nil }
			if code := a.run(ctx, strings.Fields(test.args)); code != program.Failed {
				t.Errorf("exit %d", code)
			}
			if !strings.Contains(errs.String(), test.want) {
				t.Errorf("printed %q, want %q", errs.String(), test.want)
			}
		})
	}
}

// TestHostileNames checks that results, errors and JSON escape names from outside before they reach
// a terminal.
func TestHostileNames(t *testing.T) {
	const evil = "x\x1b[2J\u009b31m\r\nDone.\u202e\ttab"
	r := aRotation()
	r.Username, r.PreviousUsername, r.Changes, r.InUse, r.Warnings = evil, evil, []string{evil}, []string{evil}, []string{evil}
	for i := range r.Steps {
		r.Steps[i].Text = evil
	}
	failed := failedRotation()
	failed.Error, failed.ErrorType = evil, evil
	s := status(rotation.Failed, failed, r)
	s.Username, s.StandbyUsername, s.DatabaseHost, s.MasterSecretID = evil, evil, evil, evil
	plan := rotation.PlanRotationResult{Source: evil, Standby: evil, Server: evil, Changes: []string{evil}, Statements: []string{evil},
		Drift: []string{evil}}
	retried := failing()
	retried.LastFailure = &failure.Failure{Message: evil}
	for _, args := range []string{
		"rotate shop/app", "status shop/app", "plan shop/app", "validate shop/app", "list",
		"rotate shop/app -o json", "status shop/app -o json", "plan shop/app -o json", "list -o json",
		"create shop/app --master-secret-id m --username u",
	} {
		t.Run(args, func(t *testing.T) {
			var out, errs bytes.Buffer
			a := newApp(&out, &errs)
			f := &fake{
				rotated: []any{r}, statuses: map[string]rotation.Status{"shop/app": s}, described: pending(retried),
				results: map[string]any{
					rotation.PlanRotationWorkflow: plan, rotation.ValidateSecretWorkflow: rotation.ValidateSecretResult{Account: evil, Server: evil,
						ServerVersion: evil},
					rotation.CreateUserWorkflow: refusal("NotOurs", evil),
				},
				pages: []*workflowservice.ListWorkflowExecutionsResponse{{Executions: []*workflow.WorkflowExecutionInfo{
					execution("rotate-user/"+evil, map[string]*common.Payload{"RotationStatus": payload("Retrying"), "DatabaseHost": payload(evil)}),
				}}},
			}
			a.dial = func(context.Context) (temporal, converter.DataConverter, error) { return f, nil, nil }
			a.run(t.Context(), strings.Fields(args))
			shown := out.String() + errs.String()
			if strings.ContainsFunc(shown, func(r rune) bool { return r != '\n' && !unicode.IsGraphic(r) }) {
				t.Errorf("%q", shown)
			}
			if strings.Contains(shown, "\nDone.") || !strings.Contains(shown, "Done.") {
				t.Errorf("a name starts a line of its own, or is missing: %q", shown)
			}
			if strings.HasSuffix(args, "json") && !json.Valid(out.Bytes()) {
				t.Errorf("no JSON: %s", out.String())
			}
			if args == "rotate shop/app -o json" {
				var back rotation.Rotation
				if err := json.Unmarshal(out.Bytes(), &back); err != nil || back.Username != evil {
					t.Errorf("the name is %q, %v", back.Username, err)
				}
			}
		})
	}
}

// TestStartComparesEveryOption checks that start does not silently ignore an option if the secret
// is already rotated. A new option needs a value here and a comparison in options.
func TestStartComparesEveryOption(t *testing.T) {
	values := map[string]string{
		"master-secret-id": "other", "master-host": "other", "master-port": "3307", "master-engine": "mariadb", "clone-username": "other",
		"automatically-after-days": "7", "schedule-expression": "rate(12 hours)", "duration": "2h",
		"time-zone": "Europe/Berlin", "blackout": "Fri 16:00 - Mon 08:00",
		"minimum-overlap": "2h", "drain": "2h", "require-drained": "true", "require-all-nodes": "true", "test-endpoints": "reader:3306",
		"proxy-secret-ids": "a,b", "activity-task-queue": "other",
		"task-queue": "", "secret-id": "", "no-wait": "", "rotate-immediately": "", // not part of the rotation, or relevant only when it starts
	}
	var out, errs bytes.Buffer
	start := newApp(&out, &errs).startCommand()
	start.Flags().VisitAll(func(flag *pflag.Flag) {
		value, ok := values[flag.Name]
		if !ok {
			t.Errorf("this test does not know --%s", flag.Name)
		}
		if value == "" {
			return
		}
		args := []string{"start", "shop/app", "--" + flag.Name + "=" + value}
		if flag.Name == "require-drained" {
			args = append(args, "--drain=1h")
		}
		if strings.HasPrefix(flag.Name, "master-") && flag.Name != "master-secret-id" {
			args = append(args, "--master-host=other", "--master-port=3307", "--master-engine=mariadb")
		}
		var out, errs bytes.Buffer
		a := newApp(&out, &errs)
		running := withInput(rotation.RotateUserInput{SecretID: "shop/app", MasterSecretID: "shop/admin", RotationRules: days30,
			Drain: rotation.Duration(time.Hour)})
		f := &fake{running: true, statuses: map[string]rotation.Status{"shop/app": running}}
		a.dial = func(context.Context) (temporal, converter.DataConverter, error) { return f, nil, nil }
		if code := a.run(t.Context(), args); code != program.Failed || !strings.Contains(errs.String(), "with other options") ||
			!strings.Contains(errs.String(), value) {
			t.Errorf("--%s: exit %d: %s%s", flag.Name, code, out.String(), errs.String())
		}
	})
}
