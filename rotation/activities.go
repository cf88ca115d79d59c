package rotation

import (
	"context"
	"fmt"
	"time"

	"github.com/rotate-user/rotate-user/internal/plaintext"
)

// Activities has a method for each activity. Workflows refer to them by method expressions, as in
//
//	workflow.ExecuteActivity(ctx, rotation.Activities.ValidateSecret, in)
//
// so that the compiler checks names and inputs. Each activity may run twice, late, or be cut off anywhere.
type Activities interface {
	// The steps of a rotation, in their order. RevokePrevious follows only if the request asks for it.

	CloneUser(context.Context, CloneUserInput) (CloneUserResult, error)
	StagePassword(context.Context, StepInput) (StagePasswordResult, error)
	SetPassword(context.Context, StepInput) (SetPasswordResult, error)
	TestPassword(context.Context, StepInput) (TestPasswordResult, error)
	PromotePassword(context.Context, StepInput) (PromotePasswordResult, error)
	RevokePrevious(context.Context, StepInput) (RevokePreviousResult, error)

	// These write nothing.

	PlanRotation(context.Context, PlanRotationInput) (PlanRotationResult, error)
	ValidateSecret(context.Context, KnownSecret) (ValidateSecretResult, error)
	LookAtCurrent(context.Context, LookAtCurrentInput) (LookAtCurrentResult, error)

	// RecoverSecret moves AWSCURRENT back to a version that logs in.
	RecoverSecret(context.Context, RecoverSecretInput) (RecoverSecretResult, error)

	// The creation of a user.

	CreateAccount(context.Context, CreateAccountInput) error
	StoreSecret(context.Context, CreateAccountInput) error

	// The deletion of a user. DeleteSecret returns the date on which the secret will be gone.

	FindAccounts(context.Context, FindAccountsInput) (Deletion, error)
	DeleteSecret(context.Context, Deletion) (time.Time, error)
	LookAtSecret(context.Context, Deletion) (SecretFate, error)
	LockAccounts(context.Context, Deletion) error
	UnlockAccounts(context.Context, Deletion) error
	DropAccounts(context.Context, Deletion) error

	// What a fleet asks for, page by page.

	ListSecrets(context.Context, ListSecretsInput) (ListSecretsResult, error)
	ListRotations(context.Context, ListRotationsInput) (ListRotationsResult, error)
	LookAtRotations(context.Context, LookAtRotationsInput) (LookAtRotationsResult, error)
	PlanRotations(context.Context, PlanRotationsInput) (PlanRotationsResult, error)
}

// Done describes in a few words what the step has done.
func (r CloneUserResult) Done(CloneUserInput) string {
	standby, source := r.Rotation.Standby.String(), r.Rotation.Source.String()
	switch {
	case r.Promoted:
		return "version " + r.Rotation.VersionID + " is promoted already"
	case r.Created:
		return standby + " created, equal to " + source
	case r.Changed == 0:
		return standby + " is equal to " + source
	default:
		return fmt.Sprintf("%s made equal to %s by %s", standby, source, plaintext.Count(r.Changed, "change"))
	}
}

// Done describes in a few words what the step has done.
func (r StagePasswordResult) Done(in StepInput) string {
	return "AWSPENDING is version " + in.VersionID
}

// Done describes in a few words what the step has done.
func (r SetPasswordResult) Done(in StepInput) string {
	text := "password of " + in.Standby.String() + " set"
	if in.StandbyProxySecretID != "" {
		text += ", and stored in proxy secret " + in.StandbyProxySecretID
	}
	if r.SessionsEnded > 0 {
		text += ", " + plaintext.Count(r.SessionsEnded, "session") + " from before ended"
	}
	return text
}

// Done describes in a few words what the step has done.
func (r TestPasswordResult) Done(in StepInput) string {
	text := "version " + in.VersionID + " logs in as " + in.Standby.String()
	if in.Endpoint != "" {
		text += ", at " + in.Endpoint + " too"
	}
	if n := len(in.TestEndpoints); n > 0 {
		text += ", also on " + plaintext.Count(n, "test endpoint")
	}
	return text
}

// Done describes in a few words what the step has done.
func (r PromotePasswordResult) Done(in StepInput) string {
	return "AWSCURRENT is version " + in.VersionID + ", user " + in.Standby.User
}

// Done describes in a few words what the step has done.
func (r RevokePreviousResult) Done(in StepInput) string {
	if r.Dropped {
		return fmt.Sprintf("%s had been dropped, %d of its sessions were ended and none is left", in.Source, r.SessionsEnded)
	}
	return fmt.Sprintf("%s is locked, its password is gone, %d of its sessions were ended and none is left", in.Source, r.SessionsEnded)
}
