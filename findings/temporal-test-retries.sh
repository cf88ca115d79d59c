#!/usr/bin/env bash
# Temporal's SDK for Go: in its test environment, unlimited retries end after ten attempts, pauses do not grow, and mocks never time out.
#
# Ran:       go.temporal.io/sdk v1.51.0, its package testsuite.
# Guess:     an activity without limits is tried until it succeeds, with pauses of 1, 2, 4 … 100 seconds, as on a server. An activity that is
#            mocked to take longer than its StartToCloseTimeout times out.
# Behaviour: it is tried ten times, once a second, and then its error is returned, however long ScheduleToCloseTimeout is. With
#            MaximumAttempts it is tried that often. BackoffCoefficient has no effect unless MaximumInterval is set. A mock with
#            After(10 minutes) succeeds after ten minutes under a StartToCloseTimeout of one, and under a HeartbeatTimeout of ten seconds.
# Matters:   a test says that a rotation gives up when the database is away for ten seconds, and one with a slow step says that it goes on
#            where a server would have retried it. Set MaximumInterval and MaximumAttempts in the policy under test, and return
#            temporal.NewTimeoutError from mocks instead of waiting.
set -euo pipefail

temp=$(mktemp -d)
trap 'chmod -R u+w "$temp"; rm -rf --one-file-system "$temp"' EXIT
cd "$temp"
cat >go.mod <<'MOD'
module finding

go 1.25

require (
	github.com/stretchr/testify v1.11.1
	go.temporal.io/sdk v1.51.0
)
MOD
cat >finding_test.go <<'GO'
package finding

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"
)

func step(context.Context) error { return nil }

// try runs one activity and describes its result. With takes it succeeds after that time, and otherwise on its 40th attempt.
func try(options workflow.ActivityOptions, takes time.Duration) string {
	env := (&testsuite.WorkflowTestSuite{}).NewTestWorkflowEnvironment()
	env.RegisterActivity(step)
	attempts := 0
	if takes > 0 {
		env.OnActivity(step, mock.Anything).After(takes).Return(nil)
	} else {
		env.OnActivity(step, mock.Anything).Return(func(context.Context) error {
			if attempts++; attempts < 40 {
				return errors.New("the database is away")
			}
			return nil
		})
	}
	run := func(ctx workflow.Context) (string, error) {
		began := workflow.Now(ctx)
		err := workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, options), step).Get(ctx, nil)
		return fmt.Sprintf("succeeded %t, after %v", err == nil, workflow.Now(ctx).Sub(began).Round(time.Second)), nil
	}
	env.RegisterWorkflow(run)
	env.ExecuteWorkflow(run)
	var result string
	if err := env.GetWorkflowResult(&result); err != nil {
		return err.Error()
	}
	if takes == 0 {
		result += fmt.Sprintf(" and %d attempts", attempts)
	}
	return result
}

func TestFinding(t *testing.T) {
	expect := func(text, got, want string) {
		fmt.Fprintf(os.Stderr, "%s: %s\n", text, got)
		if got != want {
			t.Errorf("%s: %s, not %s", text, got, want)
		}
	}
	policy := func(p temporal.RetryPolicy) workflow.ActivityOptions {
		return workflow.ActivityOptions{StartToCloseTimeout: time.Minute, RetryPolicy: &p}
	}
	expect("without a policy", try(workflow.ActivityOptions{StartToCloseTimeout: time.Minute}, 0), "succeeded false, after 9s and 10 attempts")
	expect("ScheduleToCloseTimeout of a day", try(workflow.ActivityOptions{ScheduleToCloseTimeout: 24 * time.Hour}, 0), "succeeded false, after 9s and 10 attempts")
	expect("BackoffCoefficient 2", try(policy(temporal.RetryPolicy{BackoffCoefficient: 2}), 0), "succeeded false, after 9s and 10 attempts")
	expect("MaximumAttempts 100", try(policy(temporal.RetryPolicy{BackoffCoefficient: 2, MaximumAttempts: 100}), 0), "succeeded true, after 39s and 40 attempts")
	expect("MaximumInterval 100s", try(policy(temporal.RetryPolicy{MaximumInterval: 100 * time.Second, MaximumAttempts: 100}), 0), "succeeded true, after 55m27s and 40 attempts")
	expect("a mock of 10 minutes under StartToCloseTimeout of 1", try(workflow.ActivityOptions{StartToCloseTimeout: time.Minute}, 10*time.Minute), "succeeded true, after 10m0s")
	expect("the same under HeartbeatTimeout of 10 seconds",
		try(workflow.ActivityOptions{StartToCloseTimeout: time.Hour, HeartbeatTimeout: 10 * time.Second}, 10*time.Minute), "succeeded true, after 10m0s")
}
GO
if ! GOWORK=off GOFLAGS=-mod=mod GOMODCACHE="$temp/modules" go test -count=1 -v ./... >test.log 2>&1; then
	cat test.log >&2
	echo "the behaviour has changed" >&2
	exit 1
fi
grep ', after ' test.log
echo "as described"
