package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.temporal.io/api/common/v1"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/failure/v1"
	"go.temporal.io/api/history/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/taskqueue/v1"
	"go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/converter"
	sdk "go.temporal.io/sdk/temporal"

	"github.com/rotate-user/rotate-user/internal/program"
	"github.com/rotate-user/rotate-user/rotation"
)

var update = flag.Bool("update", false, "write what the commands print to testdata")

// TestCommands compares what commands print, return and send to Temporal with golden files. This
// file and function are long because they are one table: each row is a command line and what the
// server answers.
func TestCommands(t *testing.T) {
	current := status(rotation.Rotating)
	current.Current = &rotation.Rotation{StartedAt: now.Add(-10 * time.Second), Steps: steps(3, false)}
	remembers := status(rotation.Scheduled)
	remembers.Digest, remembers.Rights, remembers.Stored = "3d8fe9a2", "1:FBPCVDZH", map[string]string{"app": "60ec3c7a"}
	undecided := failedRotation()
	undecided.Steps, undecided.ErrorType = steps(1, false), "Undecided"
	undecided.Error = "'app'@'%' was changed since the last rotation, while 'app_clone'@'%' is the current account: " +
		"it lost UPDATE on `shop`.*." +
		" Either run REVOKE UPDATE ON `shop`.* FROM 'app_clone'@'%', or run GRANT UPDATE ON `shop`.* TO 'app'@'%'; " +
		"`starter rotate --undo-drift` does the latter"
	paused, stopped := status(rotation.Paused, aRotation()), status(rotation.Stopped)
	paused.NextRotationDate, stopped.NextRotationDate = time.Time{}, time.Time{}
	left := status(rotation.Scheduled)
	left.SecretARN, left.Pair = "arn", &rotation.KnownPair{Usernames: []string{"app_clone", "app"}, Server: "db:3306",
		MasterSecretID: "shop/admin"}
	left.Left, left.Deleted = []rotation.KnownPair{{Usernames: []string{"old", "old_clone"},
		Server: "db1:3306"}}, &rotation.DeletedSecret{Gone: true}
	left.Warnings = []string{"secret shop/app is gone, and its accounts still log in", "the secret was edited"}
	held := paused
	held.Held = true
	since := status(rotation.Scheduled) // after a deletion that was cut off an hour ago
	since.LastRotatedDate = now.Add(-30 * time.Minute)
	revoked := aRotation()
	revoked.Revoked, revoked.Created, revoked.Warnings = true, true, []string{"the definer of view `shop`.`v` is 'app'@'%'"}
	tooSoon := refusal(rotation.ErrorMinimumOverlap, "secret shop/app was rotated at 2026-11-22 20:58 UTC: "+
		"rotating again is safe from 2026-11-22 21:58 UTC, or with Force")
	unreachable := refusal(rotation.ErrorUnreachable, "db.example.com:3306 does not answer")
	grace := status(rotation.Rotating)
	grace.Current, grace.PreviousUntil = &rotation.Rotation{StartedAt: now.Add(-10 * time.Second), VersionID: version, Username: "app_clone",
		Steps: steps(5, true)}, now.Add(20*time.Hour)
	setting := status(rotation.Rotating)
	setting.Current = &rotation.Rotation{StartedAt: now.Add(-10 * time.Second), VersionID: version, Username: "app", Steps: steps(3, false)}
	wasReset := status(rotation.Scheduled)
	wasReset.Reset = true
	deferred := status(rotation.Failed, failedRotation())
	deferred.Requested, deferred.RequestDue = &rotation.RotateRequest{Force: true, RevokePrevious: true}, now.Add(2*time.Minute)
	terminated := &history.HistoryEvent{Attributes: &history.HistoryEvent_WorkflowExecutionTerminatedEventAttributes{
		WorkflowExecutionTerminatedEventAttributes: &history.WorkflowExecutionTerminatedEventAttributes{Reason: "by mistake"}}}
	cutOff := refusal(runEnded, "Workflow Update failed because the Workflow completed before the Update completed.")
	plan := rotation.PlanRotationResult{Source: "'app'@'%'", Standby: "'app_clone'@'%'", Server: "db.example.com:3306"}
	changes := plan
	changes.Changes = []string{"grant INSERT on `shop`.* to 'app_clone'@'%'", "revoke DROP on `shop`.* from 'app_clone'@'%'"}
	changes.Statements = []string{"GRANT INSERT ON `shop`.* TO 'app_clone'@'%'", "REVOKE DROP ON `shop`.* FROM 'app_clone'@'%'"}
	changes.Drift, changes.InUse = changes.Changes[1:], []string{"3 from 10.0.0.7 (mysqldump)"}
	many := changes
	many.Changed, many.Drifted, many.Pages = 4, 2, 2
	more := many
	more.Changes, more.Statements, more.Drift = []string{"grant SELECT on `a`.* to 'app_clone'@'%'",
		"revoke SELECT on `b`.* from 'app_clone'@'%'"},
		[]string{"GRANT SELECT ON `a`.* TO 'app_clone'@'%'", "REVOKE SELECT ON `b`.* FROM 'app_clone'@'%'"},
		[]string{"revoke SELECT on `b`.* from 'app_clone'@'%'"}
	fewer := more
	fewer.Changed = 3
	create := plan
	create.Created, create.Changes = true, []string{"create 'app_clone'@'%', locked, like 'app'@'%'"}
	fleetChanges := rotation.PlanFleetResult{Total: 1000, Changing: 2, Plans: []rotation.PlannedRotation{
		{SecretID: "shop/app", Changed: 5, Changes: changes.Changes}, {SecretID: "shop/new", Created: true, Changed: 1, Changes: create.Changes}}}
	fleetRefused := fleetChanges
	fleetRefused.Failing = 2
	fleetRefused.Plans = append(fleetRefused.Plans[:1:1], rotation.PlannedRotation{SecretID: "shop/old",
		ErrorType: rotation.ErrorUnreachable, Error: "db.example.com:3306 does not answer"})

	fleetFrozen := rotation.PlanFleetResult{Total: 1000, Failing: 3}
	for _, id := range []string{"shop/late", "other/reader", "shop/app"} {
		p := rotation.PlannedRotation{SecretID: id, ErrorType: rotation.ErrorUnreachable, Error: "the server at db.example.com:3306 has not answered"}
		if id == "other/reader" {
			p.ErrorType, p.Error = rotation.ErrorMalformed, "secret other/reader has no field username"
		}
		fleetFrozen.Plans = append(fleetFrozen.Plans, p)
	}

	full := execution("rotate-user/shop/app", map[string]*common.Payload{
		"RotationStatus": payload("Failed"), "LastRotatedDate": payload(now.Add(-48 * time.Hour)),
		"NextRotationDate": payload(now.Add(90 * time.Second)), "DatabaseHost": payload("db.example.com:3306"),
	})
	due := execution("rotate-user/shop/due", map[string]*common.Payload{"RotationStatus": payload("Scheduled"),
		"NextRotationDate": payload(now.Add(-time.Second))})
	long := execution("rotate-user/arn:aws:secretsmanager:eu-west-1:123456789012:secret:"+strings.Repeat("long/", 80)+"name-AbCdEf",
		map[string]*common.Payload{
			"RotationStatus": payload("Paused"), "DatabaseHost": payload(strings.Repeat("x", 100) + ".eu-west-1.rds.amazonaws.com:3306")})
	open := execution("rotate-user/shop/open", map[string]*common.Payload{"RotationStatus": payload("Failed"),
		"NextRotationDate": payload(now.Add(90 * time.Second))})
	open.Memo = &common.Memo{Fields: map[string]*common.Payload{rotation.OpenAccountsMemo: payload("secret shop/open is gone, " +
		"and its accounts still log in\nthe secret was edited")}}
	sealed := execution("rotate-user/shop/app", map[string]*common.Payload{"RotationStatus": payload("Scheduled")})
	sealed.Memo = &common.Memo{Fields: map[string]*common.Payload{rotation.OpenAccountsMemo: {Metadata: map[string][]byte{"encoding": []byte("binary/encrypted")}}}}
	failed := execution("rotate-user/shop/failed", map[string]*common.Payload{
		"RotationStatus": payload("Failed"), "RotationError": payload("Locked"), "LastRotatedDate": payload(now.Add(-90 * 24 * time.Hour)),
		"NextRotationDate": payload(now.Add(90 * time.Second)), "DatabaseHost": payload("db.example.com:3306"),
	})
	late := execution("rotate-user/shop/late", map[string]*common.Payload{
		"RotationStatus": payload("Scheduled"), "LastRotatedDate": payload(now.Add(-31 * 24 * time.Hour)),
		"NextRotationDate": payload(now.Add(-24 * time.Hour)), "DatabaseHost": payload("db.example.org:3306"),
	})
	starting := execution("rotate-user/shop/starting", map[string]*common.Payload{
		"RotationStatus": payload("Scheduled"), "LastRotatedDate": payload(now.Add(-30 * 24 * time.Hour)),
		"NextRotationDate": payload(now.Add(-time.Second)), "DatabaseHost": payload("db.example.com:3307"),
	})
	never := execution("rotate-user/shop/never", map[string]*common.Payload{"RotationStatus": payload("Paused")})
	every := func() []*workflowservice.ListWorkflowExecutionsResponse {
		return []*workflowservice.ListWorkflowExecutionsResponse{{Executions: []*workflow.WorkflowExecutionInfo{starting, never, late, failed,
			execution("rotate-user/shop/silent", nil)}}}
	}
	bare, silent := execution("rotate-user/shop/bare", nil), execution("rotate-user/shop/silent", nil)
	page := func(token string, all ...*workflow.WorkflowExecutionInfo) *workflowservice.ListWorkflowExecutionsResponse {
		return &workflowservice.ListWorkflowExecutionsResponse{Executions: all, NextPageToken: []byte(token)}
	}
	expires := status(rotation.Scheduled)
	expires.PasswordExpires = now.Add(60 * 24 * time.Hour)
	known := func(s rotation.Status) map[string]rotation.Status {
		return map[string]rotation.Status{"shop/app": s}
	}

	tests := []struct {
		name string
		args string // split at spaces; _ stands for a space in an argument
		fake fake
	}{
		{"create", "create --secret-id shop/app --master-secret-id shop/admin --username app --grant SELECT_ON_*.* --grant " +
			"INSERT,_UPDATE_ON_shop.* --dbname shop",
			fake{results: map[string]any{rotation.CreateUserWorkflow: credential()}}},
		{"create-refused", "create --secret-id shop/app --master-secret-id shop/admin --username app",
			fake{results: map[string]any{rotation.CreateUserWorkflow: refusal("NotOurs", "'app'@'%' exists: choose another name")}}},
		{"validate", "validate --secret-id shop/app --task-queue other",
			fake{results: map[string]any{rotation.ValidateSecretWorkflow: credential()}}},
		{"validate-json", "validate --secret-id shop/app -o json", fake{results: map[string]any{rotation.ValidateSecretWorkflow: credential()}}},
		{"recover", "recover shop/app --clone-username app2",
			fake{results: map[string]any{rotation.RecoverSecretWorkflow: rotation.RecoverSecretResult{
				ValidateSecretResult: credential(), RefusedVersionID: "e18a4b4f-2f1a-4b0e-8a9d-3c3b0c0a1a11"}},
				statuses: known(status(rotation.Scheduled))}},
		{"recover-nothing", "recover --secret-id shop/app",
			fake{results: map[string]any{rotation.RecoverSecretWorkflow: rotation.RecoverSecretResult{ValidateSecretResult: credential()}}}},
		{"recover-proxy", "recover --secret-id shop/app",
			fake{results: map[string]any{rotation.RecoverSecretWorkflow: rotation.RecoverSecretResult{
				ValidateSecretResult: credential(), ProxySecret: "proxy/app"}}}},
		{"recover-proxy-fails", "recover --secret-id shop/app",
			fake{results: map[string]any{rotation.RecoverSecretWorkflow: rotation.RecoverSecretResult{
				ValidateSecretResult: credential(),
				Warnings:             []string{"the proxy may not know the password of app: secret proxy/app is scheduled for deletion"}}}}},
		{"recover-json", "recover --secret-id shop/app -o json",
			fake{results: map[string]any{rotation.RecoverSecretWorkflow: rotation.RecoverSecretResult{ValidateSecretResult: credential()}}}},
		{"plan-clean", "plan --secret-id shop/app", fake{results: map[string]any{rotation.PlanRotationWorkflow: plan}}},
		{"plan-change", "plan --secret-id shop/app", fake{results: map[string]any{rotation.PlanRotationWorkflow: changes},
			statuses: known(status(rotation.Scheduled))}},
		{"plan-knows-rights", "plan --secret-id shop/app",
			fake{results: map[string]any{rotation.PlanRotationWorkflow: plan}, statuses: known(remembers)}},
		{"plan-of-an-ended-rotation", "plan --secret-id shop/app",
			fake{results: map[string]any{rotation.PlanRotationWorkflow: plan}, statuses: known(remembers),
				described: ended(enums.WORKFLOW_EXECUTION_STATUS_TERMINATED)}},
		{"plan-create", "plan --secret-id shop/app --master-secret-id m", fake{results: map[string]any{rotation.PlanRotationWorkflow: create}}},
		{"plan-json", "plan --secret-id shop/app -o json", fake{results: map[string]any{rotation.PlanRotationWorkflow: changes}}},
		{"plan-many", "plan --secret-id shop/app", fake{results: map[string]any{rotation.PlanRotationWorkflow: many}}},
		{"plan-all", "plan --secret-id shop/app --all", fake{results: map[string]any{rotation.PlanRotationWorkflow: []any{many, more}}}},
		{"plan-changed-meanwhile", "plan --secret-id shop/app --all",
			fake{results: map[string]any{rotation.PlanRotationWorkflow: []any{many, fewer}}}},
		{"plan-no-worker", "plan --secret-id shop/app", fake{noQueries: context.DeadlineExceeded, noPoller: true,
			statuses: known(status(rotation.Scheduled))}},
		{"plan-refused", "plan --secret-id shop/app", fake{results: map[string]any{rotation.PlanRotationWorkflow: refusal("Locked",
			"'app'@'%' is locked: unlock it")}}},
		{"fleet-plan", "fleet plan", fake{results: map[string]any{rotation.PlanFleetWorkflow: rotation.PlanFleetResult{Total: 1000}}}},
		{"fleet-plan-changes", "fleet plan --query x --activity-task-queue inside",
			fake{results: map[string]any{rotation.PlanFleetWorkflow: fleetChanges}}},
		{"fleet-plan-refused", "fleet plan", fake{results: map[string]any{rotation.PlanFleetWorkflow: fleetRefused}}},
		{"fleet-plan-frozen", "fleet plan", fake{results: map[string]any{rotation.PlanFleetWorkflow: fleetFrozen}}},
		{"fleet-plan-json", "fleet plan -o json", fake{results: map[string]any{rotation.PlanFleetWorkflow: fleetRefused}}},
		{"fleet-plan-invalid", "fleet plan --query x", fake{results: map[string]any{rotation.PlanFleetWorkflow: refusal(rotation.ErrorInvalidInput, `Query "x": invalid query`)}}},
		{"plan-failed", "plan --secret-id shop/app", fake{results: map[string]any{rotation.PlanRotationWorkflow: unreachable}}},
		{"start", "start --secret-id shop/app --schedule-expression rate(12_hours) --duration 3h --minimum-overlap 0s --drain 30m " +
			"--require-drained --clone-username app2",
			fake{rotated: []any{aRotation()}, statuses: known(status(rotation.Scheduled, aRotation()))}},
		{"start-json", "start --secret-id shop/app -o json", fake{rotated: []any{aRotation()}, statuses: known(status(rotation.Scheduled))}},
		{"start-no-wait", "start --secret-id shop/app --no-wait", fake{}},
		{"start-later-warned", "start --secret-id shop/app --rotate-immediately=false",
			fake{statuses: known(warned(status(rotation.Scheduled))), busy: 1}},
		{"start-later", "start --secret-id shop/app --rotate-immediately=false", fake{statuses: known(status(rotation.Scheduled)), busy: 1}},
		{"start-later-refused", "start --secret-id shop/app --rotate-immediately=false",
			fake{statuses: known(status(rotation.Failed, failedRotation()))}},
		{"start-again", "start --secret-id shop/app --automatically-after-days 30 --master-secret-id shop/admin",
			fake{running: true, statuses: known(status(rotation.Scheduled))}},
		{"start-stopping-other-options", "start --secret-id shop/app --clone-username app2", fake{running: true, statuses: known(stopping())}},
		{"start-stopping", "start --secret-id shop/app", fake{running: true, statuses: known(stopping()), updated: status(rotation.Rotating)}},
		{"start-other-rules", "start --secret-id shop/app --automatically-after-days 7",
			fake{running: true, statuses: known(status(rotation.Scheduled))}},
		{"start-other-duration", "start --secret-id shop/app --duration 3h", fake{running: true, statuses: known(status(rotation.Scheduled))}},
		{"start-other-options", "start --secret-id shop/app --clone-username app2 --minimum-overlap 2h --drain 1h --require-drained " +
			"--activity-task-queue inside --duration 3h",
			fake{running: true, statuses: known(withInput(rotation.RotateUserInput{SecretID: "shop/app", MasterSecretID: "shop/admin",
				RotationRules: days30}))}},
		{"start-other-queue", "start --secret-id shop/app --task-queue other", fake{running: true, statuses: known(status(rotation.Scheduled)),
			described: &workflowservice.DescribeWorkflowExecutionResponse{
				WorkflowExecutionInfo: &workflow.WorkflowExecutionInfo{Status: enums.WORKFLOW_EXECUTION_STATUS_RUNNING},
				ExecutionConfig:       &workflow.WorkflowExecutionConfig{TaskQueue: &taskqueue.TaskQueue{Name: "rotate-user"}},
			}}},
		{"start-same-options", "start --secret-id shop/app --clone-username app --minimum-overlap 1h --drain 0s --automatically-after-days 30",
			fake{running: true, statuses: known(withInput(rotation.RotateUserInput{SecretID: "shop/app", MasterSecretID: "shop/admin",
				RotationRules: days30}))}},
		{"start-refused", "start --secret-id shop/app", fake{
			rotated:   []any{serviceerror.NewNotFound("workflow execution already completed")},
			described: ended(enums.WORKFLOW_EXECUTION_STATUS_FAILED),
			closed: &history.HistoryEvent{Attributes: &history.HistoryEvent_WorkflowExecutionFailedEventAttributes{
				WorkflowExecutionFailedEventAttributes: &history.WorkflowExecutionFailedEventAttributes{Failure: &failure.Failure{
					Message: "secret shop/app is rotated already by workflow rotate-user/arn:aws:x"}}}},
		}},
		{"start-later-ended", "start --secret-id shop/app --rotate-immediately=false", fake{
			noQueries: serviceerror.NewQueryFailed("unknown queryType status"), described: ended(enums.WORKFLOW_EXECUTION_STATUS_FAILED),
			closed: &history.HistoryEvent{Attributes: &history.HistoryEvent_WorkflowExecutionFailedEventAttributes{
				WorkflowExecutionFailedEventAttributes: &history.WorkflowExecutionFailedEventAttributes{Failure: &failure.Failure{
					Message: "secret shop/app is rotated already by workflow rotate-user/arn:aws:x"}}}},
		}},
		{"start-later-no-worker", "start --secret-id shop/app --rotate-immediately=false", fake{
			noQueries: context.DeadlineExceeded, noPoller: true,
			described: &workflowservice.DescribeWorkflowExecutionResponse{WorkflowExecutionInfo: &workflow.WorkflowExecutionInfo{Status: enums.WORKFLOW_EXECUTION_STATUS_RUNNING},
				PendingWorkflowTask: &workflow.PendingWorkflowTaskInfo{}},
		}},
		{"start-failed", "start --secret-id shop/app", fake{
			rotated:  []any{refusal("Locked", failedRotation().Error)},
			statuses: known(status(rotation.Failed, failedRotation())),
		}},
		{"start-other-master", "start --secret-id shop/app --master-secret-id other --no-wait",
			fake{running: true, statuses: known(status(rotation.Scheduled))}},
		{"rotate", "rotate --secret-id shop/app", fake{rotated: []any{aRotation()}, statuses: known(status(rotation.Scheduled, aRotation()))}},
		{"rotate-undo-drift", "rotate --secret-id shop/app --undo-drift",
			fake{rotated: []any{aRotation()}, statuses: known(status(rotation.Scheduled, aRotation()))}},
		{"rotate-undecided", "rotate --secret-id shop/app",
			fake{rotated: []any{refusal("Undecided", undecided.Error)}, statuses: known(status(rotation.Failed, undecided))}},
		{"rotate-json", "rotate --secret-id shop/app -o json", fake{rotated: []any{aRotation()}, statuses: known(status(rotation.Scheduled))}},
		{"rotate-revoke", "rotate --secret-id shop/app --force --revoke-previous --grace 1d",
			fake{rotated: []any{revoked}, statuses: known(status(rotation.Scheduled))}},
		{"rotate-refused", "rotate --secret-id shop/app", fake{rotated: []any{tooSoon},
			statuses: known(status(rotation.Scheduled, aRotation()))}},
		{"rotate-failed", "rotate --secret-id shop/app", fake{
			rotated:  []any{refusal("Locked", failedRotation().Error)},
			statuses: known(status(rotation.Failed, failedRotation())),
		}},
		{"start-gave-way", "start --secret-id shop/app", fake{
			rotated:  []any{refusal(rotation.ErrorRotatedElsewhere, gaveWay().Rotations[0].Error)},
			statuses: known(gaveWay()),
		}},
		{"status-gave-way", "status --secret-id shop/app",
			fake{statuses: known(gaveWay()), described: ended(enums.WORKFLOW_EXECUTION_STATUS_FAILED)}},
		{"rotate-just-rotated", "rotate --secret-id shop/app --force", fake{
			rotated:  []any{refusal(rotation.ErrorJustRotated, "a rotation has just ended"), aRotation()},
			statuses: known(status(rotation.Scheduled)),
		}},
		{"rotate-reset", "rotate --secret-id shop/app", fake{rotated: []any{cutOff, aRotation()},
			statuses: known(status(rotation.Scheduled, aRotation()))}},
		{"rotate-revoke-refused", "rotate --secret-id shop/app --force --revoke-previous",
			fake{rotated: []any{refusal("Locked", failedRotation().Error)}, statuses: known(deferred)}},
		{"status-deferred", "status --secret-id shop/app", fake{statuses: known(deferred)}},
		{"rotate-terminated", "rotate --secret-id shop/app", fake{rotated: []any{cutOff}, statuses: known(setting),
			described: ended(enums.WORKFLOW_EXECUTION_STATUS_TERMINATED), closed: terminated}},
		{"rotate-terminated-in-grace", "rotate --secret-id shop/app", fake{rotated: []any{cutOff}, statuses: known(grace),
			described: ended(enums.WORKFLOW_EXECUTION_STATUS_TERMINATED), closed: terminated}},
		{"rotate-cancelled", "rotate --secret-id shop/app",
			fake{rotated: []any{sdk.NewCanceledError()}, statuses: known(status(rotation.Stopped, aRotation())),
				described: ended(enums.WORKFLOW_EXECUTION_STATUS_CANCELED)}},
		{"start-after-grace", "start --secret-id shop/app", fake{rotated: []any{aRotation()}, statuses: known(grace),
			described: ended(enums.WORKFLOW_EXECUTION_STATUS_TERMINATED), closed: terminated}},
		{"start-terminated", "start --secret-id shop/app", fake{rotated: []any{cutOff}, statuses: known(setting),
			described: ended(enums.WORKFLOW_EXECUTION_STATUS_TERMINATED), closed: terminated}},
		{"status-grace", "status --secret-id shop/app", fake{statuses: known(grace)}},
		{"status-terminated-in-grace", "status --secret-id shop/app",
			fake{statuses: known(grace), described: ended(enums.WORKFLOW_EXECUTION_STATUS_TERMINATED), closed: terminated}},
		{"status-reset", "status --secret-id shop/app", fake{statuses: known(wasReset)}},
		{"list-grace", "list", fake{pages: []*workflowservice.ListWorkflowExecutionsResponse{page("",
			execution("rotate-user/shop/app", map[string]*common.Payload{
				"RotationStatus": payload("Rotating"), "LastRotatedDate": payload(now.Add(-48 * time.Hour)),
			}))}, statuses: known(grace)}},
		{"status", "status --secret-id shop/app", fake{statuses: known(status(rotation.Scheduled, aRotation(), revoked))}},
		{"status-expires", "status --secret-id shop/app", fake{statuses: known(expires)}},
		{"status-json", "status --secret-id shop/app -o json", fake{statuses: known(status(rotation.Scheduled))}},
		{"status-failed", "status --secret-id shop/app", fake{statuses: known(status(rotation.Failed, failedRotation(), aRotation()))}},
		{"status-rotating", "status --secret-id shop/app", fake{statuses: known(current)}},
		{"status-paused", "status --secret-id shop/app", fake{statuses: known(paused)}},
		{"status-none", "status --secret-id shop/app", fake{}},
		{"status-argument", "status shop/app", fake{statuses: known(status(rotation.Scheduled))}},
		{"status-retrying", "status --secret-id shop/app", fake{statuses: known(current), described: pending(failing())}},
		{"status-retrying-json", "status --secret-id shop/app -o json",
			fake{statuses: known(status(rotation.Rotating)), described: pending(failing())}},
		{"status-terminated", "status --secret-id shop/app", fake{
			statuses: known(status(rotation.Scheduled, aRotation())), described: ended(enums.WORKFLOW_EXECUTION_STATUS_TERMINATED),
			closed: &history.HistoryEvent{Attributes: &history.HistoryEvent_WorkflowExecutionTerminatedEventAttributes{
				WorkflowExecutionTerminatedEventAttributes: &history.WorkflowExecutionTerminatedEventAttributes{Reason: "clean up"}}},
		}},
		{"status-terminated-json", "status --secret-id shop/app -o json",
			fake{statuses: known(status(rotation.Scheduled)), described: ended(enums.WORKFLOW_EXECUTION_STATUS_TERMINATED)}},
		{"status-timed-out", "status --secret-id shop/app",
			fake{statuses: known(current), described: ended(enums.WORKFLOW_EXECUTION_STATUS_TIMED_OUT)}},
		{"status-cancelled", "status --secret-id shop/app",
			fake{statuses: known(status(rotation.Stopped)), described: ended(enums.WORKFLOW_EXECUTION_STATUS_CANCELED)}},
		{"status-stopped", "status --secret-id shop/app", fake{statuses: known(stopped),
			described: ended(enums.WORKFLOW_EXECUTION_STATUS_COMPLETED)}},
		{"status-failed-at-start", "status --secret-id shop/app", fake{
			noQueries: serviceerror.NewQueryFailed("unknown queryType status"), described: ended(enums.WORKFLOW_EXECUTION_STATUS_FAILED),
			closed: &history.HistoryEvent{Attributes: &history.HistoryEvent_WorkflowExecutionFailedEventAttributes{
				WorkflowExecutionFailedEventAttributes: &history.WorkflowExecutionFailedEventAttributes{Failure: &failure.Failure{Message: "Drain is 48h: must be at most 24h"}}}},
		}},
		{"status-encoded", "status --secret-id shop/app", fake{noQueries: fmt.Errorf("payload item 0: %w", converter.ErrEncodingIsNotSupported),
			statuses: known(status(rotation.Scheduled))}},
		{"status-no-worker", "status --secret-id shop/app", fake{
			noQueries: serviceerror.NewFailedPrecondition("no poller seen for task queue recently, worker may be down"), noPoller: true,
			described: &workflowservice.DescribeWorkflowExecutionResponse{WorkflowExecutionInfo: &workflow.WorkflowExecutionInfo{Status: enums.WORKFLOW_EXECUTION_STATUS_RUNNING},
				PendingWorkflowTask: &workflow.PendingWorkflowTaskInfo{}},
		}},
		{"pause-terminated", "pause --secret-id shop/app", fake{described: ended(enums.WORKFLOW_EXECUTION_STATUS_TERMINATED)}},
		{"rotate-arn", "rotate arn:aws:secretsmanager:eu-west-1:123456789012:secret:shop/app-AbCdEf",
			fake{statuses: known(status(rotation.Scheduled))}},
		{"rotate-none", "rotate shop/app", fake{}},
		{"pause", "pause --secret-id shop/app", fake{updated: paused}},
		{"resume", "resume --secret-id shop/app", fake{updated: status(rotation.Scheduled)}},
		{"reschedule", "reschedule --secret-id shop/app --automatically-after-days 30", fake{updated: status(rotation.Scheduled)}},
		{"stop", "stop --secret-id shop/app", fake{updated: stopped}},
		{"stop-none", "stop --secret-id shop/app", fake{}},
		{"list", "list", fake{
			pages:    []*workflowservice.ListWorkflowExecutionsResponse{page("more", silent, full), page("", execution("other/id", nil), bare)},
			statuses: map[string]rotation.Status{"shop/bare": status(rotation.Scheduled)},
		}},
		{"list-retrying", "list", fake{
			pages:     []*workflowservice.ListWorkflowExecutionsResponse{page("", due)},
			described: pending(failing()),
		}},
		{"list-long", "list", fake{pages: []*workflowservice.ListWorkflowExecutionsResponse{page("", long, full)}}},
		{"list-json", "list -o json", fake{pages: []*workflowservice.ListWorkflowExecutionsResponse{page("", full)}}},
		{"list-empty", "list", fake{}},
		{"list-empty-json", "list -o json", fake{}},
		{"list-failed", "list --status Failed", fake{
			pages:    []*workflowservice.ListWorkflowExecutionsResponse{page("", full, bare)},
			statuses: map[string]rotation.Status{"shop/bare": status(rotation.Scheduled)},
		}},
		{"list-failed-no-attributes", "list --status Failed", fake{
			pages:    []*workflowservice.ListWorkflowExecutionsResponse{page("", bare)},
			statuses: map[string]rotation.Status{"shop/bare": status(rotation.Failed)},
			listErr:  serviceerror.NewInvalidArgument("invalid query: RotationStatus"),
		}},
		{"list-wide", "list -o wide", fake{pages: every(), described: pending(failing())}},
		{"list-wide-all", "list -o wide --sort next-rotation", fake{pages: every()}},
		{"list-csv", "list -o csv --sort last-rotated", fake{pages: every()}},
		{"list-sort-error", "list --sort error -o csv", fake{pages: every()}},
		{"list-overdue", "list --overdue -o csv", fake{pages: every()}},
		{"list-host", "list --host db.example.com -o csv", fake{pages: every()}},
		{"list-host-port", "list --host db.example.com:3307 -o csv", fake{pages: every()}},
		{"list-error-type", "list --error-type Locked -o csv", fake{pages: every()}},
		{"list-error-type-of-a-retry", "list --error-type Unreachable --host db.example.org -o wide",
			fake{pages: every(), described: pending(failing())}},
		{"list-older-than", "list --older-than 60d -o csv", fake{pages: every()}},
		{"list-all-filters", "list --older-than 60d --overdue --status Failed --error-type Locked --host ::1", fake{pages: every()}},
		{"list-error-type-no-attributes", "list --error-type Locked -o wide", fake{
			pages:    []*workflowservice.ListWorkflowExecutionsResponse{page("", full)},
			statuses: known(status(rotation.Failed, failedRotation())),
			listErr:  serviceerror.NewInvalidArgument("invalid query: RotationError"),
		}},
		{"list-none-paused", "list --status Paused", fake{}},
		{"delete", "delete --secret-id shop/app --recovery-window-in-days 7", fake{busy: 1, deletion: rotation.DeletionState{
			DeletionDate: now.AddDate(0, 0, 7),
			Deletion: rotation.Deletion{Server: "db:3306",
				Accounts: []rotation.Account{{User: "app", Host: "%"}, {User: "app_clone", Host: "%"}}},
		}}},
		{"delete-definers", "delete --secret-id shop/app --force", fake{deletion: rotation.DeletionState{
			DeletionDate: now.AddDate(0, 0, 30),
			Deletion: rotation.Deletion{Server: "db:3306", Accounts: []rotation.Account{{User: "app", Host: "%"}}, Force: true,
				Definers: []string{"view shop.v of 'app'@'%'", "and 3 more"}},
		}}},
		{"delete-kept", "delete --secret-id shop/app", fake{deletion: rotation.DeletionState{
			DeletionDate: now.AddDate(0, 0, 30),
			Deletion: rotation.Deletion{Server: "db:3306", Accounts: []rotation.Account{{User: "app", Host: "%"}},
				Definers: []string{"view shop.v of 'app'@'%'"}},
		}}},
		{"delete-others", "delete --secret-id shop/app", fake{deletion: rotation.DeletionState{
			DeletionDate: now.AddDate(0, 0, 30),
			Deletion: rotation.Deletion{Server: "db:3306", Accounts: []rotation.Account{{User: "app", Host: "%"}},
				Others: []rotation.Account{{User: "app_clone", Host: "%"}}},
		}}},
		{"delete-failed", "delete --secret-id shop/app", fake{results: map[string]any{rotation.DeleteUserWorkflow: refusal("SecretsManager",
			"no such secret")}}},
		{"delete-not-locked", "delete --secret-id shop/app", fake{deletion: rotation.DeletionState{Error: "db:3306 does not answer"}}},
		{"delete-cut", "delete --secret-id shop/app", fake{cut: enums.WORKFLOW_EXECUTION_STATUS_CANCELED, statuses: known(held),
			deletion: rotation.DeletionState{
				DeletionDate: now.AddDate(0, 0, 30), Cancelled: "the deletion was cancelled",
				Deletion: rotation.Deletion{Server: "db:3306", Accounts: []rotation.Account{{User: "app", Host: "%"}}},
			}}},
		{"delete-known", "delete --secret-id shop/app", fake{statuses: known(left), deletion: rotation.DeletionState{
			DeletionDate: now.AddDate(0, 0, 30),
			Deletion: rotation.Deletion{Server: "db:3306", Accounts: []rotation.Account{{User: "app", Host: "%"}}, Gone: true,
				Others: []rotation.Account{{User: "old_clone", Host: "%"}}, Elsewhere: []string{"old, old_clone on db1:3306"}},
		}}},
		{"status-left", "status --secret-id shop/app", fake{statuses: known(left),
			results: map[string]any{rotation.LookAtSecretWorkflow: rotation.SecretGone}}},
		{"validate-known", "validate --secret-id shop/app",
			fake{statuses: known(left), results: map[string]any{rotation.ValidateSecretWorkflow: refusal(rotation.ErrorSecretGone,
				"secret shop/app is gone")}}},
		{"dismiss", "dismiss shop/app", fake{updated: status(rotation.Scheduled)}},
		{"list-open", "list", fake{pages: []*workflowservice.ListWorkflowExecutionsResponse{page("", open)}}},
		{"list-open-encoded", "list", fake{pages: []*workflowservice.ListWorkflowExecutionsResponse{page("", sealed)}, statuses: known(left)}},
		{"recover-cut", "recover --secret-id shop/app", fake{cut: enums.WORKFLOW_EXECUTION_STATUS_TERMINATED, statuses: known(held),
			deletion: rotation.DeletionState{DeletionDate: now.AddDate(0, 0, 30), Deletion: rotation.Deletion{Server: "db:3306"}},
			results: map[string]any{rotation.RecoverSecretWorkflow: rotation.RecoverSecretResult{
				ValidateSecretResult: credential(), Unlocked: []string{"'app_clone'@'%'", "'app'@'%'"}}}}},
		{"recover-rotated-since", "recover --secret-id shop/app", fake{cut: enums.WORKFLOW_EXECUTION_STATUS_TERMINATED, statuses: known(since),
			deletion: rotation.DeletionState{DeletionDate: now.AddDate(0, 0, 30), Deletion: rotation.Deletion{Server: "db:3306"}},
			results:  map[string]any{rotation.RecoverSecretWorkflow: refusal("AccessDenied", "log in as app: Account is locked")}}},
		{"recover-while-deleting", "recover --secret-id shop/app", fake{cut: enums.WORKFLOW_EXECUTION_STATUS_RUNNING, statuses: known(held),
			results: map[string]any{rotation.RecoverSecretWorkflow: rotation.RecoverSecretResult{ValidateSecretResult: credential()}}}},
		{"status-held-deleting", "status --secret-id shop/app", fake{statuses: known(held), cut: enums.WORKFLOW_EXECUTION_STATUS_RUNNING}},
		{"status-held", "status --secret-id shop/app", fake{statuses: known(held)}},
		{"status-held-cancelled", "status --secret-id shop/app", fake{statuses: known(held), cut: enums.WORKFLOW_EXECUTION_STATUS_CANCELED,
			deletion: rotation.DeletionState{DeletionDate: now.AddDate(0, 0, 30),
				Cancelled: "the deletion was cancelled: 'app'@'%' on db:3306 stay locked"}}},
		{"status-held-terminated", "status --secret-id shop/app", fake{statuses: known(held), cut: enums.WORKFLOW_EXECUTION_STATUS_TERMINATED,
			deletion: rotation.DeletionState{DeletionDate: now.AddDate(0, 0, 30)}}},
		{"delete-again", "delete --secret-id shop/app", fake{running: true}},

		{"usage-none", "status", fake{}},
		{"usage-two-secrets", "status --secret-id shop/app shop/other", fake{}},
		{"usage-days-unit", "start --secret-id shop/app --automatically-after-days 30d", fake{}},
		{"usage-command", "spin", fake{}},
		{"usage-flag", "status --secret shop/app", fake{}},
		{"usage-argument", "status --secret-id shop/app more", fake{}},
		{"usage-output", "list -o xml", fake{}},
		{"usage-secret", "start --secret-id shop_app", fake{}},
		{"usage-grant", "create --secret-id shop/app --master-secret-id shop/admin --username app --grant SELECT_ON_a.* --grant " +
			"SELECT_ON_*.*_IDENTIFIED_BY_'hunter2'", fake{}},
		{"usage-days", "start --secret-id shop/app --automatically-after-days 0", fake{}},
		{"usage-two-schedules", "start --secret-id shop/app --automatically-after-days 1 --schedule-expression rate(1_day)", fake{}},
		{"usage-schedule", "reschedule --secret-id shop/app --schedule-expression rate(1_hour)", fake{}},
		{"usage-no-schedule", "reschedule --secret-id shop/app", fake{}},
		{"usage-duration", "start --secret-id shop/app --drain 30", fake{}},
		{"usage-drain", "start --secret-id shop/app --require-drained", fake{}},
		{"usage-grace", "rotate --secret-id shop/app --grace 1h", fake{}},
		{"usage-long-grace", "rotate --secret-id shop/app --revoke-previous --grace 2d", fake{}},
		{"usage-status", "list --status Broken", fake{}},
		{"usage-host", "list --host x'y", fake{}},
		{"usage-error-type", "list --error-type No'", fake{}},
		{"usage-sort", "list --sort age", fake{}},
		{"usage-older-than", "list --older-than 60", fake{}},
		{"usage-status-wide", "status shop/app -o wide", fake{}},
		{"usage-window", "delete --secret-id shop/app --recovery-window-in-days 0", fake{}},
	}
	for i := range tests {
		test := &tests[i]
		t.Run(test.name, func(t *testing.T) {
			args := strings.Fields(test.args)
			for i := range args {
				args[i] = strings.ReplaceAll(args[i], "_", " ")
			}
			var out, errs bytes.Buffer
			a := newApp(&out, &errs)
			a.dial = func(context.Context) (temporal, converter.DataConverter, error) { return &test.fake, nil, nil }
			code := a.run(t.Context(), args)

			var got strings.Builder
			fmt.Fprintf(&got, "$ starter %s\n%s", strings.Join(args, " "), out.String())
			fmt.Fprintf(&got, "--- errors\n%s--- exit %d\n", errs.String(), code)
			for _, line := range test.fake.asked {
				fmt.Fprintf(&got, "> %s\n", line)
			}
			compare(t, filepath.Join("testdata", test.name+".golden"), got.String())
			if strings.HasPrefix(test.name, "usage-") != (code == program.WrongUsage) {
				t.Errorf("exit %d", code)
			}
		})
	}
}

func compare(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs, -want +got; -update rewrites it:\n%s", path, diff)
	}
}
