package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/rotate-user/rotate-user/internal/plaintext"
	"github.com/rotate-user/rotate-user/rotation"
)

func (a *app) deleteCommand() *cobra.Command {
	var input rotation.DeleteUserInput
	cmd := &cobra.Command{
		Use:   "delete",
		Short: "Delete a secret and its users, with a recovery window",
		Long: `Schedule a secret for deletion and lock its accounts. From then on no client of the secret can log in. Open sessions continue. The
worker drops the accounts when the recovery window has passed. If you restore the secret before that, it unlocks them and resumes the
rotation.

The command waits until the accounts are locked. If they cannot be locked yet, it fails and says why, and the worker retries every
five minutes.

The command also works for a secret that something else has deleted, and resumes a deletion that was cancelled or terminated. It
includes the accounts that the secret named before it was edited.`,
		Example: `  starter delete --secret-id MyTestDatabaseUserSecret --recovery-window-in-days 7`,
	}
	secretFlag(cmd, &input.SecretID)
	flags := cmd.Flags()
	flags.StringVar(&input.MasterSecretID, "master-secret-id", "",
		"name or ARN of the master secret (default: \"masterarn\" in the user's secret)")
	masterServerFlags(flags, &input.MasterServer)
	input.RecoveryWindowInDays = 30
	flags.Var((*days)(&input.RecoveryWindowInDays), "recovery-window-in-days", "number of days in which the secret can be restored, 7 to 30")
	flags.StringVar(&input.CloneUsername, "clone-username", "", "user name of the other account of the pair (default: <user>_clone)")
	flags.BoolVar(&input.Force, "force", false, "lock the accounts even if another rotation uses them or sessions are open, "+
		"and drop them even if they are the definers of views, triggers, routines or events")
	activityQueueFlag(cmd, &input.ActivityTaskQueue)
	check := func() error {
		if input.RecoveryWindowInDays == 0 {
			return fmt.Errorf("--recovery-window-in-days is 0: must be 7 to 30")
		}
		return input.Validate()
	}
	return a.action(cmd, check, func(ctx context.Context) error { return a.delete(ctx, input) })
}

// delete starts a deletion and waits until the accounts are locked, or until it knows why they are not.
func (a *app) delete(ctx context.Context, input rotation.DeleteUserInput) error {
	id := rotation.DeleteUserWorkflowID(input.SecretID)
	status, err := a.lastStatus(ctx, input.SecretID)
	if err != nil {
		return err
	}
	if status.Pair == nil { // from a worker of an earlier release
		input.CloneUsername = cmp.Or(input.CloneUsername, status.StandbyUsername)
	}
	options := a.startOptions(id, "delete secret "+input.SecretID+" and its accounts")
	options.WorkflowExecutionErrorWhenAlreadyStarted = true
	args := []any{input}
	known := rotation.DeletionKnown{SecretARN: status.SecretARN, Pair: status.Pair, Left: status.Left}
	if _, ended := a.hasEnded(ctx, input.SecretID); !ended {
		known.Held = status.Held
	}
	known.Earlier, _ = a.unfinishedDeletion(ctx, input.SecretID)
	if known.Held || known.Pair != nil || known.Earlier != nil {
		args = append(args, nil, known)
	}
	run, err := a.temporal.ExecuteWorkflow(ctx, options, rotation.DeleteUserWorkflow, args...)
	if isRunning(err) {
		return advise("To keep it, run: aws secretsmanager restore-secret --secret-id "+input.SecretID, "secret %s is already being deleted",
			input.SecretID)
	}
	if err != nil {
		return err
	}
	defer a.watch(ctx, id, a.say)()
	ended := make(chan error, 1)
	go func() { ended <- run.Get(ctx, nil) }()
	for {
		select {
		case err := <-ended:
			return err
		case <-time.After(pollInterval):
		}
		switch state := a.deletion(ctx, id); {
		case state.Locked:
			return a.print(deletionView{input.SecretID, id, state, a.now()})
		case state.Error != "":
			return advise("The worker retries every five minutes; see workflow "+id+".",
				"secret %s is scheduled for deletion, and its accounts are not locked yet: %s", input.SecretID, state.Error)
		}
	}
}

// deletionView is the result of delete: the accounts are locked.
type deletionView struct {
	secretID, workflowID string
	state                rotation.DeletionState
	now                  time.Time
}

func (v deletionView) value() any {
	return struct {
		SecretID   string `json:"SecretId"`
		WorkflowID string `json:"WorkflowId"`
		rotation.DeletionState
	}{v.secretID, v.workflowID, v.state}
}

func (v deletionView) text(w io.Writer) {
	d := v.state.Deletion
	if d.Gone {
		fmt.Fprintf(w, "Secret %s is gone.\n\n", v.secretID)
	} else {
		fmt.Fprintf(w, "Secret %s is scheduled for deletion.\n\n", v.secretID)
	}
	for _, n := range d.Accounts {
		fmt.Fprintf(w, "  %s on %s is locked\n", plaintext.Line(n.String()), d.Server)
	}
	for _, n := range d.Others {
		fmt.Fprintf(w, "  %s stays unchanged: nothing shows that it belongs to the secret\n", plaintext.Line(n.String()))
	}
	for _, line := range d.Elsewhere {
		fmt.Fprintf(w, "  %s stay unchanged: they are on another server\n", plaintext.Line(line))
	}
	for _, by := range d.InUse {
		fmt.Fprintf(w, "  they were in use: %s\n", plaintext.Line(by))
	}
	if d.InUseUnknown {
		fmt.Fprint(w, "  whether sessions are open is unknown: the administrator lacks PROCESS\n")
	}
	if definers := d.Definers; len(definers) > 0 {
		if d.Force {
			fmt.Fprint(w, "\nThese objects will break, because their definer is dropped:\n")
		} else {
			fmt.Fprint(w, "\nThe definer of these objects stays locked, and is not dropped until they have another definer:\n")
		}
		for _, d := range definers {
			fmt.Fprintf(w, "  %s\n", plaintext.Line(d))
		}
	}
	fmt.Fprint(w, "\nNo client of the secret can log in any longer. Open sessions continue.\n")
	if d.Gone {
		fmt.Fprintf(w, "The accounts are dropped at %s. To keep them, cancel workflow %s before then, and run ALTER USER … ACCOUNT UNLOCK.\n",
			date(v.state.DeletionDate, v.now), v.workflowID)
		return
	}
	fmt.Fprintf(w, "The accounts are dropped when the recovery window ends, %s.\nTo keep the secret, run: "+
		"aws secretsmanager restore-secret --secret-id %s\n",
		date(v.state.DeletionDate, v.now), v.secretID)
}
