package main

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"go.temporal.io/sdk/client"
	sdktemporal "go.temporal.io/sdk/temporal"

	"github.com/rotate-user/rotate-user/rotation"
)

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
