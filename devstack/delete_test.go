package main

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/rotate-user/rotate-user/devstack/stack"
	"github.com/rotate-user/rotate-user/rotation"
)

func (e *e2e) testDelete(t *testing.T) {
	var both []stack.Credential
	for _, label := range []string{"AWSCURRENT", "AWSPREVIOUS"} {
		_, c, err := e.Read(t.Context(), userSecret, label)
		if err != nil {
			t.Fatal(err)
		}
		both = append(both, c)
	}
	e.starter(t, "delete", "--secret-id", userSecret, "--recovery-window-in-days", "7")
	d, err := e.Client.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: aws.String(userSecret)})
	if err != nil {
		t.Fatal(err)
	}
	if d.DeletedDate == nil {
		t.Error("the secret is not scheduled for deletion")
	}
	if out := e.starter(t, "status", "--secret-id", userSecret); !strings.Contains(out, "Paused") {
		t.Errorf("the rotation is not paused while its secret is scheduled for deletion:\n%s", out)
	}
	admin := e.admin(t)
	for _, c := range both {
		db, err := e.Open(c.Username, c.Password)
		if err != nil {
			t.Fatal(err)
		}
		if err := db.PingContext(t.Context()); err == nil || !strings.Contains(err.Error(), "locked") {
			t.Errorf("want %s to be locked: %v", c.Username, err)
		}
		db.Close()
		var accounts int
		if err := admin.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM mysql.user WHERE User = ?", c.Username).Scan(&accounts); err != nil {
			t.Fatal(err)
		}
		if accounts != 1 {
			t.Errorf("before the end of the recovery window, %d accounts of %s exist", accounts, c.Username)
		}
	}

	// Restoring the secret unlocks its accounts.
	if _, err := e.Client.RestoreSecret(t.Context(), &secretsmanager.RestoreSecretInput{SecretId: aws.String(userSecret)}); err != nil {
		t.Fatal(err)
	}
	id := rotation.DeleteUserWorkflowID(userSecret)
	if err := e.temporal.SignalWorkflow(t.Context(), id, "", rotation.ResumeUpdate, nil); err != nil {
		t.Fatal(err)
	}
	var result rotation.DeleteUserResult
	if err := e.temporal.GetWorkflow(t.Context(), id, "").Get(t.Context(), &result); err != nil {
		t.Fatal(err)
	}
	if result.Fate != rotation.SecretRestored || len(result.Accounts) != 2 {
		t.Errorf("the deletion ended with %+v", result)
	}
	if out := e.starter(t, "status", "--secret-id", userSecret); strings.Contains(out, "Paused") {
		t.Errorf("after the secret was restored, the rotation is still paused:\n%s", out)
	}
	for _, c := range both {
		db, err := e.Open(c.Username, c.Password)
		if err != nil {
			t.Fatal(err)
		}
		if err := db.PingContext(t.Context()); err != nil {
			t.Errorf("%s does not log in after the secret was restored: %v", c.Username, err)
		}
		db.Close()
	}
}
