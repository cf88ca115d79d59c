package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"go.temporal.io/sdk/converter"

	endpoint "github.com/rotate-user/rotate-user/devstack/secretsmanager"
	"github.com/rotate-user/rotate-user/rotation"
)

// summary returns the summary that the Temporal UI shows of a workflow.
func (e *e2e) summary(t *testing.T, workflowID string) (text string) {
	t.Helper()
	d, err := e.temporal.DescribeWorkflowExecution(t.Context(), workflowID, "")
	if err != nil {
		t.Fatal(err)
	}
	payload := d.GetExecutionConfig().GetUserMetadata().GetSummary()
	if err := converter.GetDefaultDataConverter().FromPayload(payload, &text); err != nil {
		t.Fatal(err)
	}
	return text
}

// testFleet adopts secrets by a tag, and then by a file.
func (e *e2e) testFleet(t *testing.T) {
	const one, two = "fleet/one", "fleet/two"
	tag := func(secretID, value string) {
		t.Helper()
		if _, err := e.Client.TagResource(t.Context(), &secretsmanager.TagResourceInput{
			SecretId: aws.String(secretID), Tags: []types.Tag{{Key: aws.String(rotation.FleetTag), Value: aws.String(value)}},
		}); err != nil {
			t.Fatal(err)
		}
	}
	decode := func(out string, into any) {
		t.Helper()
		if err := json.Unmarshal([]byte(out), into); err != nil {
			t.Fatalf("%v:\n%s", err, out)
		}
	}
	sync := func(args ...string) (s rotation.FleetStatus) {
		t.Helper()
		decode(e.starter(t, append([]string{"fleet", "sync", "-o", "json"}, args...)...), &s)
		return s
	}
	status := func(secretID string) (s rotation.Status) {
		t.Helper()
		decode(e.starter(t, "status", secretID, "-o", "json"), &s)
		return s
	}
	e.create(t, one, "fleet1", "SELECT ON *.*")
	e.create(t, two, "fleet2", "SELECT ON *.*")
	if got := e.summary(t, rotation.CreateUserWorkflowID(two)); !strings.Contains(got, "create user fleet2") {
		t.Errorf("the Temporal UI shows the summary %q", got)
	}
	tag(one, "7d")
	tag(two, "cron 0 2 none any SUN any")
	e.create(t, "fleet/unreadable", "fleet3")
	tag("fleet/unreadable", "weekly")

	t.Run("a worker that may not list", func(t *testing.T) {
		e.Secrets.Intercept(func(c endpoint.Call) endpoint.Fault {
			if c.Operation == "ListSecrets" && !c.Done {
				return endpoint.Denied(c)
			}
			return endpoint.Fault{}
		})
		defer e.Secrets.Intercept(nil)
		if out := e.starterExits(t, 1, "fleet", "sync"); !strings.Contains(out, "allow the worker this call") ||
			!strings.Contains(out, "ListSecrets") {
			t.Errorf("the output does not name the missing permission:\n%s", out)
		}
	})

	s := sync("--over", "0s", "--time-zone", "Europe/Berlin")
	if p := s.LastPass; p == nil || p.Started != 2 || p.Failed != 1 || len(p.Problems) != 1 ||
		!strings.Contains(p.Problems[0], "fleet/unreadable") {
		t.Fatalf("first pass: %+v", s.LastPass)
	}
	waitFor(t, func() bool {
		return !status(one).LastRotatedDate.IsZero() && !status(two).LastRotatedDate.IsZero()
	})
	if got := status(two).Input.ScheduleText(); got != "cron(0 2 ? * SUN *) in Europe/Berlin" {
		t.Errorf("two is rotated %s", got)
	}
	if p := sync("--time-zone", "Europe/Berlin").LastPass; p.Unchanged != 2 || p.Started+p.Rescheduled+p.Stopped != 0 {
		t.Errorf("a second pass changes something: %+v", p)
	}
	tag(one, "14d")
	tag(two, "off")
	if p := sync("--time-zone", "Europe/Berlin").LastPass; p.Rescheduled != 1 || p.Stopped != 1 {
		t.Errorf("after a change of tags: %+v", p)
	}
	waitFor(t, func() bool { return status(one).RotationRules.AutomaticallyAfterDays == 14 })
	if out := e.starter(t, "fleet", "status"); !strings.Contains(out, "1 rescheduled, 1 stopped") {
		t.Errorf("its status:\n%s", out)
	}
	file := filepath.Join(t.TempDir(), "fleet.yaml")
	if err := os.WriteFile(file, []byte("Secrets:\n  - SecretId: "+one+"\n    RotationRules: {AutomaticallyAfterDays: 21}\n"),
		0o600); err != nil {
		t.Fatal(err)
	}
	if out := e.starterExits(t, 1, "fleet", "apply", "-f", file, "--prune"); !strings.Contains(out,
		"skip  "+one+"  declared by sync-fleet/rotate-user") || !strings.Contains(out, "0 to stop") {
		t.Errorf("a file changes what a tag declares:\n%s", out)
	}
	e.starter(t, "fleet", "stop")
	e.starterExits(t, 1, "fleet", "status")

	if err := os.WriteFile(file, []byte("Secrets:\n  - SecretId: "+one+"\n    RotationRules: {AutomaticallyAfterDays: 21}\n    TimeZone: "+
		"Europe/Berlin\n  - SecretId: "+two+"\n    Drain: 1h\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	e.starterExits(t, 3, "fleet", "apply", "-f", file, "--dry-run")
	if out := e.starter(t, "fleet", "apply", "-f", file, "--over", "7d"); !strings.Contains(out,
		"1 to start, 1 to change, 0 to restart, 0 to stop, 0 unchanged") || !strings.Contains(out, "2 changes made") {
		t.Errorf("apply:\n%s", out)
	}
	waitFor(t, func() bool {
		next := status(two).NextRotationDate
		return next.After(time.Now()) && next.Before(time.Now().Add(7*24*time.Hour))
	})
	if out := e.starter(t, "fleet", "apply", "-f", file); !strings.Contains(out, "2 unchanged") {
		t.Errorf("a second time:\n%s", out)
	}
	tag(one, "7d")
	if s := sync(); s.LastPass.Elsewhere != 2 || s.LastPass.Rescheduled+s.LastPass.Stopped+s.LastPass.Started != 0 {
		t.Errorf("tags change what a file declares: %+v", s.LastPass)
	}
	e.starter(t, "fleet", "stop")
	if out := e.starter(t, "fleet", "export"); !strings.Contains(out, "- SecretId: "+two) ||
		!strings.Contains(out, "AutomaticallyAfterDays: 21") {
		t.Errorf("export:\n%s", out)
	}
	if err := os.WriteFile(file, []byte("Secrets:\n  - SecretId: "+two+"\n    Drain: 2h\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := e.starter(t, "fleet", "apply", "-f", file); !strings.Contains(out, "1 to restart") {
		t.Errorf("restart:\n%s", out)
	}
	waitFor(t, func() bool { return status(two).Input.Drain.String() == "2h" })
	before := status(one).LastRotatedDate
	e.starterExits(t, 1, "fleet", "rotate", "--query", "DatabaseHorst = 'x'")
	// The worker is killed in the middle of the canary, and another one goes on.
	reached, letGo := e.heldUp(t, one)
	rotating := e.begin(t, "fleet", "rotate", "--query", "WorkflowId IN ('rotate-user/"+one+"', 'rotate-user/"+two+"')", "--force",
		"--canary", "1")
	<-reached
	if err := e.worker.Kill(); err != nil {
		t.Fatal(err)
	}
	letGo()
	var err error
	if e.worker, err = e.StartWorker(t.Context(), filepath.Join(e.bin, "worker"), "worker-fleet"); err != nil {
		t.Fatal(err)
	}
	if err := <-rotating.ended; err != nil {
		t.Error(err)
	}
	out := rotating.out.String()
	if !strings.Contains(out, "2 of 2 rotated, 0 failed, 0 skipped") || !status(one).LastRotatedDate.After(before) {
		t.Errorf("a rotation of the fleet:\n%s", out)
	}
	if out := e.starter(t, "fleet", "rotate", "--query", "WorkflowId = 'rotate-user/"+one+"'"); !strings.Contains(out,
		"0 of 1 rotated, 0 failed, 1 skipped") || !strings.Contains(out, "rotating again is safe from") {
		t.Errorf("another one too soon:\n%s", out)
	}
	if out := e.starter(t, "fleet", "rotate", "status"); !strings.Contains(out, "0 of 1 rotated") {
		t.Errorf("its status:\n%s", out)
	}
	e.starter(t, "stop", one)
	tag(one, "off")
	if s := sync(); s.LastPass.Rescheduled != 0 {
		t.Errorf("a tag changes what a file declares: %+v", s.LastPass)
	}
	e.starter(t, "stop", two)
	e.starter(t, "start", "--secret-id", two, "--rotate-immediately=false")
	tag(two, "9d")
	if s := sync(); s.LastPass.Rescheduled != 1 {
		t.Errorf("the tag does not take over what was started by hand: %+v", s.LastPass)
	}
	waitFor(t, func() bool { return status(two).RotationRules.AutomaticallyAfterDays == 9 })
	if s := sync(); s.LastPass.Unchanged != 1 {
		t.Errorf("a pass after it was taken over: %+v", s.LastPass)
	}
	if out := e.starter(t, "list", "-o", "json"); !strings.Contains(out, "\"DeclaredBy\": \"sync-fleet/rotate-user\"") {
		t.Errorf("the list does not say that the tag declares it:\n%s", out)
	}
	e.starter(t, "fleet", "stop")
	e.starter(t, "stop", two)
}
