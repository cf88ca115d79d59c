package workflows

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/rotate-user/rotate-user/internal/account"
	"github.com/rotate-user/rotate-user/internal/plaintext"
	"github.com/rotate-user/rotate-user/rotation"
)

const (
	// restoredWithin bounds how long an account stays locked after its secret
	// was restored.
	restoredWithin = 5 * time.Minute
	looksPerRun    = 200
)

// DeleteUserWorkflow schedules a secret for deletion and locks its accounts.
// When the recovery window has passed it drops them; when the secret is
// restored meanwhile, it unlocks them: within minutes, or at once on the signal
// resume. Cancelled, it unlocks them only if the secret was restored by then. known is
// what other workflows know of the secret, nil if there are none.
func (Workflows) DeleteUserWorkflow(ctx workflow.Context, input rotation.DeleteUserInput, carried *rotation.DeletionState, known *rotation.DeletionKnown) (rotation.DeleteUserResult, error) {
	if carried == nil {
		if err := input.Validate(); err != nil {
			return rotation.DeleteUserResult{}, invalidInput(err)
		}
	}
	ctx = workflow.WithActivityOptions(ctx, stepOptions(input.ActivityTaskQueue, input.SecretID))
	if carried == nil {
		var err error
		if carried, err = begin(ctx, input, known); err != nil {
			return rotation.DeleteUserResult{}, err
		}
	}
	if err := workflow.SetQueryHandler(ctx, rotation.StatusQuery, func() (rotation.DeletionState, error) { return *carried, nil }); err != nil {
		return rotation.DeleteUserResult{}, err
	}
	resumed := workflow.GetSignalChannel(ctx, rotation.ResumeUpdate)
	fate := rotation.SecretScheduled
	for range looksPerRun {
		describe(carried, ctx, fate)
		if !carried.Locked && ctx.Err() == nil {
			err := workflow.ExecuteActivity(ctx, rotation.Activities.LockAccounts, carried.Deletion).Get(ctx, nil)
			carried.Locked = err == nil
			note(carried, ctx, err)
			describe(carried, ctx, fate)
		}
		resumed.ReceiveWithTimeout(ctx, restoredWithin, nil)
		if ctx.Err() != nil {
			return cancelled(carried, ctx)
		}
		if err := workflow.ExecuteActivity(ctx, rotation.Activities.LookAtSecret, carried.Deletion).Get(ctx, &fate); err != nil {
			note(carried, ctx, err)
			continue
		}
		if fate == rotation.SecretGone && carried.Deletion.Gone && workflow.Now(ctx).Before(carried.DeletionDate) {
			fate = rotation.SecretScheduled // its accounts have as long as if it were
		}
		if fate == rotation.SecretScheduled {
			if carried.Locked { // why they are not stays to be seen until they are
				note(carried, ctx, nil)
			}
			continue
		}
		describe(carried, ctx, fate)
		carried.Deletion.Locked = carried.Locked
		err := finish(ctx, fate, carried.Deletion)
		if err == nil {
			return rotation.DeleteUserResult{Fate: fate, Accounts: names(carried.Deletion)}, nil
		}
		note(carried, ctx, err)
	}
	return rotation.DeleteUserResult{}, workflow.NewContinueAsNewError(ctx, workflow.GetInfo(ctx).WorkflowType.Name, input, carried)
}

// cancelled ends a deletion that was cancelled. It leaves no account of a restored secret locked;
// nothing else would unlock it. The result and the status say what becomes of other accounts.
func cancelled(s *rotation.DeletionState, ctx workflow.Context) (rotation.DeleteUserResult, error) {
	if workflow.GetVersion(ctx, "a cancelled deletion looks at its secret", workflow.DefaultVersion, 1) == workflow.DefaultVersion {
		return rotation.DeleteUserResult{}, ctx.Err()
	}
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	var fate rotation.SecretFate
	result := rotation.DeleteUserResult{Accounts: names(s.Deletion)}
	err := workflow.ExecuteActivity(ctx, rotation.Activities.LookAtSecret, s.Deletion).Get(ctx, &fate)
	result.Fate = fate
	if err == nil && fate == rotation.SecretRestored {
		if err = finish(ctx, fate, s.Deletion); err == nil {
			return result, nil
		}
	}
	note(s, ctx, err)
	s.Cancelled = leftBehind(s, fate)
	result.Advice = s.Cancelled
	describe(s, ctx, fate)
	return result, temporal.NewCanceledError(result)
}

// leftBehind says how a deletion that was cancelled leaves the accounts, and which commands change that.
func leftBehind(s *rotation.DeletionState, fate rotation.SecretFate) string {
	d := s.Deletion
	state := "stay locked"
	if !s.Locked {
		state = "may be locked"
	}
	text := fmt.Sprintf("the deletion was cancelled: %s on %s %s, and the rotation of secret %s stays held", strings.Join(names(d), ", "), d.Server, state, d.SecretID)
	unlock := "starter recover --secret-id " + d.SecretID
	drop := "starter delete --secret-id " + d.SecretID
	restore := "aws secretsmanager restore-secret --secret-id " + d.SecretID
	switch fate {
	case rotation.SecretGone:
		text += fmt.Sprintf(". The secret is gone. To drop the accounts, run `%s`", drop)
	case rotation.SecretScheduled:
		text += fmt.Sprintf(". To keep them, run `%s` before %s, and then `%s`; to have them dropped with the secret, run `%s`", restore, clock(s.DeletionDate), unlock, drop)
	default:
		text += fmt.Sprintf(". Whether the secret is still scheduled for deletion, or its accounts could not be unlocked: %s. To unlock them, run `%s` once it is restored; to drop them with it, run `%s`", s.Error, unlock, drop)
	}
	return plaintext.Line(text)
}

// note keeps how a step went, for those who watch.
func note(s *rotation.DeletionState, ctx workflow.Context, err error) {
	if s.Error = ""; err != nil {
		s.Error, _ = explain(err)
		workflow.GetLogger(ctx).Error("a step of the deletion failed; tried again later", "secret", s.Deletion.SecretID, "error", err)
	}
}

// describe is what someone reads who opens the run in the Temporal UI.
func describe(s *rotation.DeletionState, ctx workflow.Context, fate rotation.SecretFate) {
	locked := "locked"
	if !s.Locked {
		locked = "not locked yet"
	}
	secret := plaintext.Code(s.Deletion.SecretID)
	text := fmt.Sprintf("Secret %s is scheduled for deletion on %s; its accounts are %s. They are dropped then, or unlocked when it is restored.",
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
		text += fmt.Sprintf("\n\nIn use when they were locked by force: %s", plaintext.Code(strings.Join(s.Deletion.InUse, "; ")))
	}
	if s.Deletion.InUseUnknown {
		text += "\n\nWho was logged in as them is unknown: the administrator may not look."
	}
	if len(s.Deletion.Others) > 0 {
		text += fmt.Sprintf("\n\nLeft alone, as nothing shows that they go with the secret: %s", plaintext.Code(strings.Join(spell(s.Deletion.Others), ", ")))
	}
	if len(s.Deletion.Elsewhere) > 0 {
		text += fmt.Sprintf("\n\nLeft alone, as they are on other servers: %s", plaintext.Code(strings.Join(s.Deletion.Elsewhere, "; ")))
	}
	switch {
	case s.Cancelled != "":
		text = fmt.Sprintf("**Cancelled**: secret %s\n\n%s", secret, plaintext.Code(s.Cancelled))
	case s.Error != "":
		text += fmt.Sprintf("\n\n**failed**, and tried again every five minutes: %s", plaintext.Code(s.Error))
	}
	setDetails(ctx, text)
}

// begin takes up an earlier deletion, or begins one.
func begin(ctx workflow.Context, input rotation.DeleteUserInput, known *rotation.DeletionKnown) (*rotation.DeletionState, error) {
	find := rotation.FindAccountsInput{CloneUserInput: rotation.CloneUserInput{
		SecretID: input.SecretID, MasterSecretID: input.MasterSecretID, CloneUsername: input.CloneUsername, Force: input.Force,
	}, RecoveryWindowInDays: input.Window()}
	if known == nil {
		return deleteSecret(ctx, input, find)
	}
	find.Held, find.SecretARN, find.Left = known.Held, known.SecretARN, known.Left
	if p := known.Pair; p != nil {
		find.Pair, find.Server, find.Stored, find.MasterKnown = p.Usernames, p.Server, p.Stored, p.MasterSecretID
	}
	if known.Earlier == nil {
		return deleteSecret(ctx, input, find)
	}
	state := *known.Earlier
	state.Deletion.Force = input.Force
	state.Error, state.Cancelled = "", ""
	if a, b := known.SecretARN, state.Deletion.SecretARN; a != "" && b != "" && a != b {
		return deleteLater(ctx, input, find, state.Deletion)
	}
	// By its name alone: one that has the name by now is the one to delete.
	var fate rotation.SecretFate
	if err := workflow.ExecuteActivity(ctx, rotation.Activities.LookAtSecret, rotation.Deletion{SecretID: state.Deletion.SecretID}).Get(ctx, &fate); err != nil {
		return nil, err
	}
	if fate == rotation.SecretRestored { // it is another deletion, of accounts that may be locked still
		find.Held, find.LockedBefore = true, state.Deletion.LockedBefore
		return deleteLater(ctx, input, find, state.Deletion)
	}
	tell(ctx, input.SecretID, rotation.PauseUpdate, state.Deletion)
	return &state, nil
}

// deleteLater is deleteSecret after a deletion that was cut, of the same secret or of one that had its name. Accounts of that
// one which are not found now are named, as nothing else would tell that they may be locked.
func deleteLater(ctx workflow.Context, input rotation.DeleteUserInput, find rotation.FindAccountsInput, earlier rotation.Deletion) (*rotation.DeletionState, error) {
	state, err := deleteSecret(ctx, input, find)
	if err != nil || state.Deletion.Server != earlier.Server {
		return state, err
	}
	for _, n := range earlier.Accounts {
		if !slices.Contains(slices.Concat(state.Deletion.Accounts, state.Deletion.Others), n) {
			state.Deletion.Others = append(state.Deletion.Others, n)
		}
	}
	return state, nil
}

// deleteSecret finds the accounts while the secret can still be read. They are
// locked only once no client can read it any more. A deletion that is refused
// for its accounts leaves the rotation alone: somebody may have paused it.
func deleteSecret(ctx workflow.Context, input rotation.DeleteUserInput, find rotation.FindAccountsInput) (*rotation.DeletionState, error) {
	version := workflow.GetVersion(ctx, "accounts are found before the pause", workflow.DefaultVersion, 2)
	pauseFirst := version == workflow.DefaultVersion
	if pauseFirst {
		tell(ctx, input.SecretID, rotation.PauseUpdate, rotation.Deletion{})
	}
	state := &rotation.DeletionState{}
	err := workflow.ExecuteActivity(ctx, rotation.Activities.FindAccounts, find).Get(ctx, &state.Deletion)
	if err != nil && !pauseFirst {
		return nil, err
	}
	if version > 1 { // a cancellation between the pause and the deletion would leave the rotation held
		ctx, _ = workflow.NewDisconnectedContext(ctx)
	}
	if !pauseFirst {
		tell(ctx, input.SecretID, rotation.PauseUpdate, state.Deletion)
	}
	if err == nil {
		state.Deletion.RecoveryWindowInDays, state.Deletion.Force = input.Window(), input.Force
		if !state.Deletion.ScheduledFor.IsZero() {
			state.DeletionDate = state.Deletion.ScheduledFor
			return state, nil
		}
		err = workflow.ExecuteActivity(ctx, rotation.Activities.DeleteSecret, state.Deletion).Get(ctx, &state.DeletionDate)
	}
	if err != nil {
		tell(ctx, input.SecretID, rotation.ResumeUpdate, state.Deletion)
		return nil, err
	}
	return state, nil
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

// tell sends a signal to the rotation of the secret. There may be none.
func tell(ctx workflow.Context, secretID, message string, d rotation.Deletion) {
	var sender any
	if d.SecretARN != "" { // one that an earlier release began has paused the rotation as a person does
		sender = rotation.Sender{Deletion: true, SentAt: workflow.Now(ctx)}
	}
	if err := workflow.SignalExternalWorkflow(ctx, rotation.RotateUserWorkflowID(cmp.Or(d.RotatedAs, secretID)), "", message, sender).Get(ctx, nil); err != nil {
		workflow.GetLogger(ctx).Info("no rotation to tell", "secret", secretID, "signal", message)
	}
}

// letGo lets a rotation go on that a deletion holds which no longer runs.
func releaseRotation(ctx workflow.Context, secretID string) {
	sender := rotation.Sender{Deletion: true, SentAt: workflow.Now(ctx)}
	if err := workflow.SignalExternalWorkflow(ctx, rotation.RotateUserWorkflowID(secretID), "", rotation.ResumeUpdate, sender).Get(ctx, nil); err != nil {
		workflow.GetLogger(ctx).Info("no rotation to let go", "secret", secretID)
	}
}

func names(d rotation.Deletion) []string { return spell(d.Accounts) }

func spell(accounts []account.Name) []string {
	var all []string
	for _, n := range accounts {
		all = append(all, n.String())
	}
	return all
}
