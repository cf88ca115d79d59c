package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	sdktemporal "go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	endpoint "github.com/rotate-user/rotate-user/devstack/secretsmanager"
	"github.com/rotate-user/rotate-user/devstack/stack"
	"github.com/rotate-user/rotate-user/internal/mysqld"
	"github.com/rotate-user/rotate-user/rotation"
)

// testOperator makes the mistakes that operators make, and checks that the messages help.
func (e *e2e) testOperator(t *testing.T) {
	const id = "operator/app"
	says := func(t *testing.T, want int, words string, args ...string) {
		t.Helper()
		if out := e.starterExits(t, want, args...); !strings.Contains(out, words) {
			t.Errorf("starter %s does not say %q:\n%s", strings.Join(args, " "), words, out)
		}
	}
	e.create(t, id, "operator", "SELECT ON *.*")

	t.Run("rotate starts nothing", func(t *testing.T) {
		says(t, 1, "starter start --secret-id operator/misspelt", "rotate", "operator/misspelt")
		_, err := e.temporal.DescribeWorkflowExecution(t.Context(), rotation.RotateUserWorkflowID("operator/misspelt"), "")
		if gone := new(serviceerror.NotFound); !errors.As(err, &gone) {
			t.Errorf("a workflow was started: %v", err)
		}
	})
	t.Run("start of a misspelt secret", func(t *testing.T) {
		says(t, 1, "starter stop --secret-id operator/misspelt", "start", "operator/misspelt")
		e.starter(t, "stop", "operator/misspelt")
	})
	t.Run("the running workflow has other options", func(t *testing.T) {
		e.starter(t, "start", id)
		e.starter(t, "start", id, "--minimum-overlap", "1h", "--clone-username", "operator_clone")
		says(t, 1, "--drain: is 0s, requested 1h", "start", id, "--drain", "1h")
	})
	t.Run("a step is retried", func(t *testing.T) {
		e.Secrets.Intercept(func(c endpoint.Call) endpoint.Fault {
			if c.SecretID == id && c.Operation == "GetSecretValue" && !c.Done {
				return endpoint.Denied(c)
			}
			return endpoint.Fault{}
		})
		defer e.Secrets.Intercept(nil)
		says(t, 1, "AccessDenied", "validate", id)
		failed := 0
		e.Secrets.Intercept(func(c endpoint.Call) endpoint.Fault {
			if c.SecretID == id && c.Operation == "GetSecretValue" && !c.Done {
				if failed++; failed <= 9 { // three tries of three calls each
					return endpoint.Failed()
				}
			}
			return endpoint.Fault{}
		})
		says(t, 0, "ValidateSecret has failed", "validate", id)
	})
	t.Run("a workflow that refuses", func(t *testing.T) {
		const queue = "refusing"
		w := worker.New(e.temporal, queue, worker.Options{})
		w.RegisterWorkflowWithOptions(func(workflow.Context, rotation.RotateUserInput) (rotation.Status, error) {
			return rotation.Status{}, sdktemporal.NewNonRetryableApplicationError("already rotated by workflow rotate-user/the-first",
				"AlreadyRotated", nil)
		}, workflow.RegisterOptions{Name: rotation.RotateUserWorkflow})
		if err := w.Start(); err != nil {
			t.Fatal(err)
		}
		defer w.Stop()
		says(t, 1, "already rotated by workflow rotate-user/the-first", "start", "operator/second", "--task-queue", queue)
		says(t, 1, "already rotated by workflow rotate-user/the-first", "status", "operator/second")
	})
	t.Run("a terminated workflow", func(t *testing.T) {
		if err := e.temporal.TerminateWorkflow(t.Context(), rotation.RotateUserWorkflowID(id), "", "spring cleaning"); err != nil {
			t.Fatal(err)
		}
		says(t, 1, "was terminated", "status", id)
		says(t, 1, "spring cleaning", "pause", id)
	})
	t.Run("a workflow with a timeout", func(t *testing.T) {
		run, err := e.temporal.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{
			ID: rotation.RotateUserWorkflowID("operator/timeout"), TaskQueue: "nobody", WorkflowRunTimeout: time.Second,
		}, rotation.RotateUserWorkflow, map[string]string{"SecretId": "operator/timeout"})
		if err != nil {
			t.Fatal(err)
		}
		if err := run.Get(t.Context(), nil); err == nil {
			t.Fatal("the workflow has not timed out")
		}
		says(t, 1, "timed out", "status", "operator/timeout")
	})
	t.Run("an account that the worker cannot log in to", func(t *testing.T) {
		says(t, 1, "account 'elsewhere'@'10.99.0.1' and secret operator/elsewhere were created", "create", "operator/elsewhere",
			"--master-secret-id", stack.MasterSecret, "--username", "elsewhere", "--host", "10.99.0.1", "--grant", "SELECT ON *.*")
	})
	t.Run("two secrets of one user", func(t *testing.T) {
		const first, second = "operator/shared", "operator/shared-too"
		e.create(t, first, "shared", "SELECT ON *.*")
		value, err := e.Client.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String(first)})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.Client.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String(second),
			SecretString: value.SecretString}); err != nil {
			t.Fatal(err)
		}
		_, current, err := e.Read(t.Context(), first, "AWSCURRENT")
		if err != nil {
			t.Fatal(err)
		}
		e.starter(t, "start", first)
		says(t, 1, "The workflow rotate-user/operator/shared also rotates shared or shared_clone", "plan", second)
		says(t, 1, "The workflow rotate-user/operator/shared also rotates shared or shared_clone", "start", second)
		says(t, 1, "the workflow rotate-user/operator/shared rotates them for another secret", "delete", second)
		e.starter(t, "stop", first)
		e.starter(t, "stop", second)
		db, err := e.Open(current.Username, current.Password)
		if err != nil {
			t.Fatal(err)
		}
		if err := db.PingContext(t.Context()); err != nil {
			t.Fatal(err)
		}
		says(t, 1, "logged in: 1 from", "delete", second)
		e.starter(t, "validate", second)
		says(t, 0, "they were in use: logged in: 1 from", "delete", second, "--force")
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("a name too long for its clone", func(t *testing.T) {
		limit := 128
		if e.Engine == mysqld.MySQL {
			limit = 32
		}
		says(t, 1, fmt.Sprintf("at most %d characters", limit-6), "create", "operator/long", "--master-secret-id", stack.MasterSecret,
			"--username", strings.Repeat("x", limit-3))
	})
}
