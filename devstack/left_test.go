package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	sdktemporal "go.temporal.io/sdk/temporal"

	"github.com/rotate-user/rotate-user/devstack/stack"
	"github.com/rotate-user/rotate-user/rotation"
)

// testLeft interrupts deletions, deletes and edits secrets from outside, and checks that no account
// is forgotten.
func (e *e2e) testLeft(t *testing.T) {
	says := func(t *testing.T, want int, words string, args ...string) {
		t.Helper()
		if out := e.starterExits(t, want, args...); !strings.Contains(out, words) {
			t.Errorf("starter %s does not say %q:\n%s", strings.Join(args, " "), words, out)
		}
	}
	rotated := func(t *testing.T, id, user string) {
		t.Helper()
		e.create(t, id, user, "SELECT ON *.*")
		e.starter(t, "start", id)
		e.starter(t, "rotate", id, "--force")
	}
	restore := func(t *testing.T, id string) {
		t.Helper()
		if _, err := e.Client.RestoreSecret(t.Context(), &secretsmanager.RestoreSecretInput{SecretId: &id}); err != nil {
			t.Fatal(err)
		}
	}
	remove := func(t *testing.T, id string, now bool) {
		t.Helper()
		in := &secretsmanager.DeleteSecretInput{SecretId: &id}
		if now {
			in.ForceDeleteWithoutRecovery = &now
		}
		if _, err := e.Client.DeleteSecret(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	logsIn := func(t *testing.T, id string, want bool) {
		t.Helper()
		for _, label := range []string{"AWSCURRENT", "AWSPREVIOUS"} {
			_, c, err := e.Read(t.Context(), id, label)
			if err != nil {
				t.Fatal(err)
			}
			db, err := e.Open(c.Username, c.Password)
			if err != nil {
				t.Fatal(err)
			}
			if err := db.PingContext(t.Context()); (err == nil) != want {
				t.Errorf("%s of secret %s, user %s: want a login: %t, got %v", label, id, c.Username, want, err)
			}
			db.Close()
		}
	}
	accounts := func(t *testing.T, user string) (open, locked int) {
		t.Helper()
		for _, name := range []string{user, user + "_clone"} {
			var definition string
			if err := e.admin(t).QueryRowContext(t.Context(), "SHOW CREATE USER '"+name+"'@'%'").Scan(&definition); err != nil {
				continue
			}
			if strings.Contains(definition, "ACCOUNT LOCK") {
				locked++
			} else {
				open++
			}
		}
		return open, locked
	}

	t.Run("a deletion is terminated, and the secret restored", func(t *testing.T) {
		const id = "left/terminated"
		rotated(t, id, "terminated")
		e.starter(t, "delete", id)
		if err := e.temporal.TerminateWorkflow(t.Context(), rotation.DeleteUserWorkflowID(id), "", "by mistake"); err != nil {
			t.Fatal(err)
		}
		says(t, 0, "starter recover --secret-id "+id, "status", id)
		says(t, 1, "scheduled for deletion", "recover", id)
		restore(t, id)
		says(t, 1, "ACCOUNT UNLOCK", "validate", id)
		says(t, 0, "which a deletion had left locked", "recover", id)
		logsIn(t, id, true)
		if out := e.starter(t, "status", id); strings.Contains(out, "Paused") {
			t.Errorf("the rotation is still on hold:\n%s", out)
		}
		e.starter(t, "rotate", id, "--force")
		logsIn(t, id, true)
	})
	t.Run("a deletion is cancelled", func(t *testing.T) {
		const id = "left/cancelled"
		rotated(t, id, "cancelled")
		e.starter(t, "delete", id)
		cancel := func() error {
			if err := e.temporal.CancelWorkflow(t.Context(), rotation.DeleteUserWorkflowID(id), ""); err != nil {
				t.Fatal(err)
			}
			return e.temporal.GetWorkflow(t.Context(), rotation.DeleteUserWorkflowID(id), "").Get(t.Context(), nil)
		}
		var cancelled *sdktemporal.CanceledError
		var result rotation.DeleteUserResult
		if err := cancel(); !errors.As(err, &cancelled) || cancelled.Details(&result) != nil ||
			!strings.Contains(result.Advice, "starter recover") {
			t.Errorf("cancelled, the deletion ended with %v, %+v", err, result)
		}
		says(t, 0, "the deletion was cancelled", "status", id)
		e.starter(t, "delete", id) // resumes it
		restore(t, id)
		if err := cancel(); err != nil {
			t.Errorf("cancelled after the restore, the deletion ended with %v", err)
		}
		logsIn(t, id, true)
		if out := e.starter(t, "status", id); strings.Contains(out, "Paused") {
			t.Errorf("the rotation is still on hold:\n%s", out)
		}
	})
	t.Run("a secret is deleted in the console", func(t *testing.T) {
		const id = "left/console"
		rotated(t, id, "console")
		remove(t, id, false)
		says(t, 0, "still log in: `starter delete --secret-id "+id, "status", id)
		waitFor(t, func() bool { return strings.Contains(e.starter(t, "list"), id+" is scheduled for deletion") })
		says(t, 1, "console_clone", "validate", id)
		says(t, 0, "is locked", "delete", id)
		if open, locked := accounts(t, "console"); open != 0 || locked != 2 {
			t.Errorf("%d accounts are unlocked, %d locked", open, locked)
		}
		restore(t, id)
		if err := e.temporal.SignalWorkflow(t.Context(), rotation.DeleteUserWorkflowID(id), "", rotation.ResumeUpdate, nil); err != nil {
			t.Fatal(err)
		}
		if err := e.temporal.GetWorkflow(t.Context(), rotation.DeleteUserWorkflowID(id), "").Get(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		logsIn(t, id, true)
		if out := e.starter(t, "status", id); strings.Contains(out, "still log in") {
			t.Errorf("the status still warns:\n%s", out)
		}
	})
	t.Run("a secret is gone", func(t *testing.T) {
		const id = "left/gone"
		rotated(t, id, "gone")
		remove(t, id, true)
		says(t, 1, "left/gone is gone", "plan", id)
		says(t, 0, "secret left/gone is gone", "status", id)
		says(t, 1, "check the name", "plan", "left/misspelt", "--master-secret-id", stack.MasterSecret)
		says(t, 1, "no running rotation knows the accounts of secret left/misspelt", "delete", "left/misspelt")
		says(t, 0, "Secret left/gone is gone", "delete", id)
		if open, locked := accounts(t, "gone"); open != 0 || locked != 2 {
			t.Errorf("%d accounts are unlocked, %d locked", open, locked)
		}
	})
	t.Run("a secret is edited", func(t *testing.T) {
		const id = "left/edited"
		rotated(t, id, "before")
		e.create(t, "left/other", "after", "SELECT ON *.*")
		out, err := e.Client.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("left/other")})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.Client.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: aws.String(id), SecretString: out.SecretString}); err != nil {
			t.Fatal(err)
		}
		remove(t, "left/other", true)
		says(t, 0, "the secret was edited to be for another user, and before and before_clone", "rotate", id, "--force")
		says(t, 0, "before and before_clone", "status", id)
		waitFor(t, func() bool { return strings.Contains(e.starter(t, "list"), "before and before_clone") })
		says(t, 0, "'before_clone'@'%' on ", "delete", id)
		for _, user := range []string{"before", "after"} {
			if open, locked := accounts(t, user); open != 0 || locked != 2 {
				t.Errorf("of %s, %d accounts are unlocked, %d locked", user, open, locked)
			}
		}
	})
}
