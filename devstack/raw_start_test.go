package main

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"go.temporal.io/sdk/client"
	sdktemporal "go.temporal.io/sdk/temporal"

	"github.com/rotate-user/rotate-user/rotation"
)

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
