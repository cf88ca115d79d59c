package main

import (
	"bytes"
	"context"
	"errors"
	"time"

	"go.temporal.io/api/common/v1"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/failure/v1"
	"go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/converter"
	sdk "go.temporal.io/sdk/temporal"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/rotate-user/rotate-user/rotation"
)

var (
	now     = time.Date(2026, 11, 22, 21, 0, 0, 0, time.UTC)
	days30  = rotation.RotationRules{AutomaticallyAfterDays: 30}
	version = "01a2050d-fca5-7499-8f50-befb933d58d0"
)

// steps returns the five steps, 100 milliseconds each. The last one has ended only if done is set.
func steps(n int, done bool) []rotation.Step {
	all := []rotation.Step{
		{Name: rotation.CloneUser, Text: "'app_clone'@'%' made equal to 'app'@'%' by 2 changes"},
		{Name: rotation.StagePassword, Text: "AWSPENDING is version " + version},
		{Name: rotation.SetPassword, Text: "password of 'app_clone'@'%' set"},
		{Name: rotation.TestPassword, Text: "version " + version + " logs in as 'app_clone'@'%'"},
		{Name: rotation.PromotePassword, Text: "AWSCURRENT is version " + version + ", user app_clone"},
	}[:n]
	t := now.Add(-10 * time.Second)
	for i := range all {
		all[i].StartedAt = t
		if t = t.Add(100 * time.Millisecond); i < n-1 || done {
			all[i].EndedAt = t
		} else {
			all[i].Text = ""
		}
	}
	return all
}

func aRotation() rotation.Rotation {
	return rotation.Rotation{
		VersionID: version, Username: "app_clone", PreviousUsername: "app", Steps: steps(5, true),
		StartedAt: now.Add(-10 * time.Second), EndedAt: now.Add(-9500 * time.Millisecond),
		Changes: []string{"grant INSERT on `shop`.* to 'app_clone'@'%'", "revoke DROP on `shop`.* from 'app_clone'@'%'"},
		Drift:   []string{"revoke DROP on `shop`.* from 'app_clone'@'%'"},
		InUse:   []string{"3 from 10.0.0.7 (mysqldump)"},
	}
}

func failedRotation() rotation.Rotation {
	return rotation.Rotation{
		VersionID: version, StartedAt: now.Add(-3 * time.Minute), EndedAt: now.Add(-2 * time.Minute), Steps: steps(3, false),
		Error: "'app'@'%' is locked: unlock it, or stop its rotation", ErrorType: "Locked",
	}
}

// stopping is the status of a workflow that was told to stop during a rotation.
func stopping() rotation.Status {
	s := status(rotation.Rotating)
	s.Stopping = true
	return s
}

// gaveWay is the status of a workflow that ended because another one rotates its secret.
func gaveWay() rotation.Status {
	r := failedRotation()
	r.Steps, r.ErrorType = steps(1, false), rotation.ErrorRotatedElsewhere
	r.Error = "secret shop/app is rotated by the workflow rotate-user/shop/app only: run `starter start --secret-id shop/app`"
	s := status(rotation.Failed, r)
	s.Username, s.StandbyUsername, s.LastRotatedDate = "", "", time.Time{}
	return s
}

func status(s rotation.RotationStatus, rotations ...rotation.Rotation) rotation.Status {
	return rotation.Status{
		SecretID: "shop/app", MasterSecretID: "shop/admin", RotationStatus: s, RotationRules: days30, DatabaseHost: "db.example.com:3306",
		Username: "app_clone", StandbyUsername: "app", LastRotatedDate: now.Add(-26 * time.Hour), NextRotationDate: now.Add(29 * 24 * time.Hour),
		Rotations: rotations,
	}
}

func warned(s rotation.Status) rotation.Status {
	s.Warnings = []string{"a rotation that revokes the previous credential would be refused: " +
		"administrator 'ops'@'%' lacks PROCESS on *.*, to see sessions"}
	return s
}

func withInput(in rotation.RotateUserInput) rotation.Status {
	overlap, immediately := rotation.Duration(time.Hour), true
	in.MinimumOverlap, in.RotateImmediately = &overlap, &immediately
	s := status(rotation.Scheduled)
	s.Input = &in
	return s
}

func refusal(kind, message string) error {
	return sdk.NewNonRetryableApplicationError(message, kind, nil)
}

func payload(value any) *common.Payload {
	p, err := converter.GetDefaultDataConverter().ToPayload(value)
	if err != nil {
		panic(err)
	}
	return p
}

func execution(id string, attributes map[string]*common.Payload) *workflow.WorkflowExecutionInfo {
	return &workflow.WorkflowExecutionInfo{
		Execution:        &common.WorkflowExecution{WorkflowId: id},
		SearchAttributes: &common.SearchAttributes{IndexedFields: attributes},
	}
}

func credential() rotation.ValidateSecretResult {
	return rotation.ValidateSecretResult{
		VersionID: version, Username: "app", Account: "'app'@'%'", Server: "db.example.com:3306", ServerVersion: "8.4.6", TLS: true,
	}
}

func newApp(out, errs *bytes.Buffer) *app {
	return &app{
		dial: func(context.Context) (temporal, converter.DataConverter, error) {
			return nil, nil, errors.New("there is no server in this test")
		},
		lookup: func(string) (string, bool) { return "", false },
		now:    func() time.Time { return now },
		out:    out, errors: errs,
		watchInterval: time.Hour, hintAfter: time.Hour, // what is printed meanwhile has its own tests
	}
}

// ended is a workflow that has ended.
func ended(status enums.WorkflowExecutionStatus) *workflowservice.DescribeWorkflowExecutionResponse {
	return &workflowservice.DescribeWorkflowExecutionResponse{WorkflowExecutionInfo: &workflow.WorkflowExecutionInfo{
		Status: status, CloseTime: timestamppb.New(now.Add(-3 * time.Hour)),
	}}
}

// pending is a running workflow with a step.
func pending(p *workflow.PendingActivityInfo) *workflowservice.DescribeWorkflowExecutionResponse {
	return &workflowservice.DescribeWorkflowExecutionResponse{
		WorkflowExecutionInfo: &workflow.WorkflowExecutionInfo{Status: enums.WORKFLOW_EXECUTION_STATUS_RUNNING},
		PendingActivities:     []*workflow.PendingActivityInfo{p},
	}
}

// failing is a step that has failed three times.
func failing() *workflow.PendingActivityInfo {
	return &workflow.PendingActivityInfo{
		ActivityType: &common.ActivityType{Name: rotation.CloneUser}, State: enums.PENDING_ACTIVITY_STATE_SCHEDULED, Attempt: 4,
		ScheduledTime: timestamppb.New(now.Add(4 * time.Second)),
		LastFailure: &failure.Failure{Message: "db.example.com:3306 does not answer\x1b[2J",
			FailureInfo: &failure.Failure_ApplicationFailureInfo{
				ApplicationFailureInfo: &failure.ApplicationFailureInfo{Type: rotation.ErrorUnreachable}}},
	}
}
