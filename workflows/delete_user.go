package workflows

import (
	"slices"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/rotate-user/rotate-user/rotation"
)

const (
	// restoredWithin is the longest time that an account stays locked after its secret was restored.
	restoredWithin = 5 * time.Minute

	looksPerRun = 200
)

// DeleteUserWorkflow schedules a secret for deletion and locks its accounts. When the recovery window has passed, it drops them. If
// the secret is restored before that, it unlocks them: within five minutes, or at once on the signal resume. If it is cancelled,
// it unlocks them only if the secret has been restored by then. The argument known is what other workflows know of the secret, nil
// if there are none.
func (Workflows) DeleteUserWorkflow(ctx workflow.Context, input rotation.DeleteUserInput, carried *rotation.DeletionState,
	known *rotation.DeletionKnown) (rotation.DeleteUserResult, error) {
	if carried == nil {
		if err := input.Validate(); err != nil {
			return rotation.DeleteUserResult{}, invalidInput(err)
		}
	}
	ctx = workflow.WithActivityOptions(ctx, stepOptions(input.ActivityTaskQueue, input.SecretID))
	if carried == nil {
		var err error
		if carried, err = beginDeletion(ctx, input, known); err != nil {
			return rotation.DeleteUserResult{}, err
		}
	}
	s := &deletion{DeletionState: *carried, fate: rotation.SecretScheduled}
	if err := workflow.SetQueryHandler(ctx, rotation.StatusQuery,
		func() (rotation.DeletionState, error) { return s.DeletionState, nil }); err != nil {
		return rotation.DeleteUserResult{}, err
	}
	resumed := workflow.GetSignalChannel(ctx, rotation.ResumeUpdate)
	for range looksPerRun {
		s.lock(ctx)
		resumed.ReceiveWithTimeout(ctx, restoredWithin, nil)
		if ctx.Err() != nil {
			return s.cancelled(ctx)
		}
		fate, err := s.look(ctx)
		if err != nil {
			s.note(ctx, err)
			continue
		}
		if fate == rotation.SecretScheduled {
			if s.Locked { // otherwise the error of the lock stays visible
				s.note(ctx, nil)
			}
			continue
		}
		s.describe(ctx, fate)
		s.Deletion.Locked = s.Locked
		if err = finish(ctx, fate, s.Deletion); err == nil {
			return rotation.DeleteUserResult{Fate: fate, Accounts: accountNames(s.Deletion.Accounts)}, nil
		}
		s.note(ctx, err)
	}
	return rotation.DeleteUserResult{}, workflow.NewContinueAsNewError(ctx, workflow.GetInfo(ctx).WorkflowType.Name, input, &s.DeletionState)
}

// beginDeletion resumes an earlier deletion, or starts a new one.
func beginDeletion(ctx workflow.Context, input rotation.DeleteUserInput, known *rotation.DeletionKnown) (*rotation.DeletionState, error) {
	find := rotation.FindAccountsInput{CloneUserInput: rotation.CloneUserInput{
		SecretID: input.SecretID, MasterSecretID: input.MasterSecretID, MasterServer: input.MasterServer, CloneUsername: input.CloneUsername,
		Force: input.Force,
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
	// Only by its name: the secret that has the name now is the one to delete.
	var fate rotation.SecretFate
	if err := workflow.ExecuteActivity(ctx, rotation.Activities.LookAtSecret, rotation.Deletion{SecretID: state.Deletion.SecretID}).Get(ctx,
		&fate); err != nil {
		return nil, err
	}
	if fate == rotation.SecretRestored { // this is another deletion, of accounts that may still be locked
		find.Held, find.LockedBefore = true, state.Deletion.LockedBefore
		return deleteLater(ctx, input, find, state.Deletion)
	}
	tell(ctx, input.SecretID, rotation.PauseUpdate, state.Deletion)
	return &state, nil
}

// deleteLater is deleteSecret after a deletion that was cut off, of the same secret or of an earlier one of its name. It names the
// accounts of that deletion that are not found now, because nothing else would say that they may be locked.
func deleteLater(ctx workflow.Context, input rotation.DeleteUserInput, find rotation.FindAccountsInput,
	earlier rotation.Deletion) (*rotation.DeletionState, error) {
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

// deleteSecret finds the accounts while the secret can still be read. They are locked only when no client can read it any
// longer. A deletion that is refused because of its accounts leaves the rotation alone: an operator may have paused it.
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

func accountNames(accounts []rotation.Account) []string {
	var all []string
	for _, n := range accounts {
		all = append(all, n.String())
	}
	return all
}
