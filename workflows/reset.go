package workflows

import (
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/rotate-user/rotate-user/rotation"
)

// wasReset is the warning of a run whose secret has moved on since the point to which the run was reset.
const wasReset = "this run was reset, and AWSCURRENT is another version than it knew"

// catchUp takes the current user and the date from the secret if AWSCURRENT is another version than the one that a reset run
// knows, and reports whether it is. The argument when tells its callers apart: what was recorded before the point of the reset is
// replayed, without this look.
func (r *rotator) catchUp(ctx workflow.Context, when string) bool {
	// The SDK's replayer cannot tell a reset run from the original one. In a replay, the recorded history decides.
	if !r.reset && !workflow.IsReplaying(ctx) {
		return false
	}
	if workflow.GetVersion(ctx, "a run that was reset looks at the secret "+when, workflow.DefaultVersion, 1) == workflow.DefaultVersion {
		return false
	}
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	var current rotation.LookAtCurrentResult
	in := rotation.LookAtCurrentInput{SecretID: r.input.SecretID, PromotedVersionID: r.PromotedVersionID}
	if err := workflow.ExecuteActivity(r.options(ctx, rotation.LookAtCurrent, quickTries), rotation.Activities.LookAtCurrent, in).Get(ctx,
		&current); err != nil {
		workflow.GetLogger(ctx).Warn("a run that was reset could not look at its secret", "secret", r.input.SecretID, "error", err)
		return false
	}
	// A run that never promoted anything knows only the version from which its rotation began.
	moved := r.began != "" && current.VersionID != r.began
	if current.VersionID == r.PromotedVersionID || r.PromotedVersionID == "" && !current.Ours && !moved {
		return false
	}
	r.LastRotatedDate, r.SeenUsername, r.PasswordExpires = current.Since, current.Username, time.Time{}
	r.Digest, r.Rights = "", ""
	if len(r.Usernames) == 2 && r.Usernames[1] == current.Username {
		r.Usernames = []string{r.Usernames[1], r.Usernames[0]}
	}
	return true
}
