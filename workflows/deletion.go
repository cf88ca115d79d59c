package workflows

import (
	"fmt"
	"strings"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/rotate-user/rotate-user/internal/plaintext"
	"github.com/rotate-user/rotate-user/rotation"
)

// deletion is one run of DeleteUserWorkflow.
type deletion struct {
	rotation.DeletionState

	// fate is what the last look has found.
	fate rotation.SecretFate
}

// lock locks the accounts, unless that is done.
func (s *deletion) lock(ctx workflow.Context) {
	s.describe(ctx, s.fate)
	if s.Locked || ctx.Err() != nil {
		return
	}
	err := workflow.ExecuteActivity(ctx, rotation.Activities.LockAccounts, s.Deletion).Get(ctx, nil)
	s.Locked = err == nil
	s.note(ctx, err)
	s.describe(ctx, s.fate)
}

// look finds out what has become of the secret. The accounts of a secret that was gone at the start are kept for as long as if
// it were scheduled for deletion.
func (s *deletion) look(ctx workflow.Context) (rotation.SecretFate, error) {
	if err := workflow.ExecuteActivity(ctx, rotation.Activities.LookAtSecret, s.Deletion).Get(ctx, &s.fate); err != nil {
		return "", err
	}
	if s.fate == rotation.SecretGone && s.Deletion.Gone && workflow.Now(ctx).Before(s.DeletionDate) {
		s.fate = rotation.SecretScheduled
	}
	return s.fate, nil
}

// cancelled ends a deletion that was cancelled. It unlocks the accounts of a restored secret, because nothing else would. The
// result and the status say what happens to other accounts.
func (s *deletion) cancelled(ctx workflow.Context) (rotation.DeleteUserResult, error) {
	if workflow.GetVersion(ctx, "a cancelled deletion looks at its secret", workflow.DefaultVersion, 1) == workflow.DefaultVersion {
		return rotation.DeleteUserResult{}, ctx.Err()
	}
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	var fate rotation.SecretFate
	result := rotation.DeleteUserResult{Accounts: accountNames(s.Deletion.Accounts)}
	err := workflow.ExecuteActivity(ctx, rotation.Activities.LookAtSecret, s.Deletion).Get(ctx, &fate)
	result.Fate = fate
	if err == nil && fate == rotation.SecretRestored {
		if err = finish(ctx, fate, s.Deletion); err == nil {
			return result, nil
		}
	}
	s.note(ctx, err)
	s.Cancelled = s.leftBehind(fate)
	result.Advice = s.Cancelled
	s.describe(ctx, fate)
	return result, temporal.NewCanceledError(result)
}

// leftBehind describes how a cancelled deletion leaves the accounts, and which commands change that.
func (s *deletion) leftBehind(fate rotation.SecretFate) string {
	d := s.Deletion
	state := "stay locked"
	if !s.Locked {
		state = "may be locked"
	}
	text := fmt.Sprintf("the deletion was cancelled: %s on %s %s, and the rotation of secret %s stays held",
		strings.Join(accountNames(d.Accounts), ", "), d.Server, state, d.SecretID)
	unlock := "starter recover --secret-id " + d.SecretID
	drop := "starter delete --secret-id " + d.SecretID
	restore := "aws secretsmanager restore-secret --secret-id " + d.SecretID
	switch fate {
	case rotation.SecretGone:
		text += fmt.Sprintf(". The secret is gone. To drop the accounts, run `%s`", drop)
	case rotation.SecretScheduled:
		text += fmt.Sprintf(". To keep them, run `%s` before %s, and then `%s`; to have them dropped with the secret, run `%s`", restore,
			clock(s.DeletionDate), unlock, drop)
	default:
		text += fmt.Sprintf(". Whether the secret is still scheduled for deletion, or its accounts could not be unlocked: "+
			"%s. To unlock them, run `%s` once it is restored; to drop them with it, run `%s`", s.Error, unlock, drop)
	}
	return plaintext.Line(text)
}

// note records for the status how a step went.
func (s *deletion) note(ctx workflow.Context, err error) {
	if s.Error = ""; err != nil {
		s.Error, _ = explain(err)
		workflow.GetLogger(ctx).Error("a step of the deletion failed and is retried", "secret", s.Deletion.SecretID, "error", err)
	}
}

// describe sets what the Temporal UI shows of the run.
func (s *deletion) describe(ctx workflow.Context, fate rotation.SecretFate) {
	locked := "locked"
	if !s.Locked {
		locked = "not locked yet"
	}
	secret := plaintext.Code(s.Deletion.SecretID)
	text := fmt.Sprintf("Secret %s is scheduled for deletion on %s; its accounts are %s. They are dropped then, "+
		"or unlocked when it is restored.",
		secret, clock(s.DeletionDate), locked)
	if s.Deletion.Gone {
		text = fmt.Sprintf("Secret %s is gone; its accounts are %s, and are dropped on %s.", secret, locked, clock(s.DeletionDate))
	}
	switch fate {
	case rotation.SecretGone:
		text = fmt.Sprintf("Secret %s is gone; its accounts are being dropped.", secret)
	case rotation.SecretRestored:
		text = fmt.Sprintf("Secret %s was restored; its accounts are being unlocked.", secret)
	}
	if n := len(s.Deletion.Definers); n > 0 && fate != rotation.SecretRestored {
		verb := "Accounts stay locked, rather than being dropped, as long as they are the definers of"
		if s.Deletion.Force {
			verb = "These break when their definers are dropped"
		}
		text += fmt.Sprintf("\n\n%s: %s", verb, plaintext.Code(strings.Join(s.Deletion.Definers, ", ")))
	}
	if n := len(s.Deletion.InUse); n > 0 && fate != rotation.SecretRestored {
		text += fmt.Sprintf("\n\nIn use when they were locked, with Force: %s", plaintext.Code(strings.Join(s.Deletion.InUse, "; ")))
	}
	if s.Deletion.InUseUnknown {
		text += "\n\nWhether they were in use is unknown: the administrator cannot list sessions."
	}
	if len(s.Deletion.Others) > 0 {
		text += fmt.Sprintf("\n\nLeft alone, because nothing shows that they belong to the secret: %s",
			plaintext.Code(strings.Join(accountNames(s.Deletion.Others), ", ")))
	}
	if len(s.Deletion.Elsewhere) > 0 {
		text += fmt.Sprintf("\n\nLeft alone, because they are on other servers: %s", plaintext.Code(strings.Join(s.Deletion.Elsewhere, "; ")))
	}
	switch {
	case s.Cancelled != "":
		text = fmt.Sprintf("**Cancelled**: secret %s\n\n%s", secret, plaintext.Code(s.Cancelled))
	case s.Error != "":
		text += fmt.Sprintf("\n\n**failed**, and retried every five minutes: %s", plaintext.Code(s.Error))
	}
	setDetails(ctx, text)
}

func finish(ctx workflow.Context, fate rotation.SecretFate, d rotation.Deletion) error {
	activity, message := rotation.Activities.DropAccounts, rotation.StopUpdate
	if fate == rotation.SecretRestored {
		activity, message = rotation.Activities.UnlockAccounts, rotation.ResumeUpdate
	}
	if err := workflow.ExecuteActivity(ctx, activity, d).Get(ctx, nil); err != nil {
		return err
	}
	tell(ctx, d.SecretID, message, d)
	return nil
}
