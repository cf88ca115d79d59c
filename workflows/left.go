package workflows

import (
	"fmt"
	"slices"
	"strings"

	"go.temporal.io/sdk/workflow"

	"github.com/rotate-user/rotate-user/internal/plaintext"
	"github.com/rotate-user/rotate-user/rotation"
)

// What follows is about accounts that stay open, with all their rights, though no secret is for them any more: the secret was
// deleted by something else than DeleteUserWorkflow, or edited to be for another user.

// keptLeft is how many pairs are kept that a secret was for before.
const keptLeft = 10

// keepLeftPairs keeps the pair that the secret was for before, if that is another one than it is for now, and drops from those that
// are kept whatever is gone or in use again.
func (r *rotator) keepLeftPairs(ctx workflow.Context, before rotation.KnownPair, clone rotation.CloneUserResult) {
	now := r.pair()
	before.LeftAt = workflow.Now(ctx)
	var left []rotation.KnownPair
	for _, p := range append(slices.Clone(r.Left), before) {
		if p.Server == "" {
			p.Server = now.Server
		}
		stored := map[string]string{}
		p.Usernames = slices.DeleteFunc(slices.Clone(p.Usernames), func(user string) bool {
			return p.Server == now.Server && (slices.Contains(now.Usernames, user) || slices.Contains(clone.LeftGone, user))
		})
		for _, user := range p.Usernames {
			if digest := p.Stored[user]; digest != "" {
				stored[user] = digest
			}
		}
		if p.Stored = stored; len(p.Usernames) > 0 {
			left = append(left, p)
		}
	}
	if n := len(left); n > 0 && left[n-1].LeftAt.Equal(before.LeftAt) {
		r.current.Warnings = append([]string{r.openPair(left[n-1])}, r.current.Warnings...)
		workflow.GetLogger(ctx).Warn("the secret is for another user than before", "secret", r.input.SecretID, "before", before.Usernames, "now", now.Usernames)
	}
	r.Left = left[max(0, len(left)-keptLeft):]
}

// seen notes what has become of the secret, and reports whether that is news. Without a pair there is nothing that stays open.
func (r *rotator) seen(ctx workflow.Context, fate rotation.SecretFate) (news bool) {
	switch fate {
	case rotation.SecretRestored:
		news = r.Deleted != nil
		r.Deleted = nil
	case rotation.SecretScheduled, rotation.SecretGone:
		gone := fate == rotation.SecretGone
		news = len(r.Usernames) == 2 && (r.Deleted == nil || r.Deleted.Gone != gone)
		if news {
			r.Deleted = &rotation.DeletedSecret{NoticedAt: workflow.Now(ctx), Gone: gone}
		}
	}
	return news
}

// openAccounts says which accounts are still open, a line each; none while a deletion of the secret holds the rotation.
func (r *rotator) openAccounts() (all []string) {
	if r.Held {
		return nil
	}
	if d := r.Deleted; d != nil && len(r.Usernames) == 2 {
		state := "is scheduled for deletion"
		if d.Gone {
			state = "is gone"
		}
		all = append(all, plaintext.Line(fmt.Sprintf("secret %s %s, as seen at %s, and its accounts %s on %s still log in: `starter delete --secret-id %[1]s` locks them, and drops them with the secret",
			r.input.SecretID, state, clock(d.NoticedAt), strings.Join(r.Usernames, " and "), r.DatabaseHost)))
	}
	for _, p := range r.Left {
		all = append(all, r.openPair(p))
	}
	return all
}

// openPair says that a pair is still open which the secret was for before.
func (r *rotator) openPair(p rotation.KnownPair) string {
	return plaintext.Line(fmt.Sprintf("the secret was edited to be for another user, and %s on %s, which it was for until %s, still log in: drop them if they are not in use,"+
		" or have `starter delete` drop them with the secret; `starter dismiss --secret-id %s` ends this warning", strings.Join(p.Usernames, " and "), p.Server, clock(p.LeftAt), r.input.SecretID))
}

// tellFate tells the rotation of a secret what a step of another workflow has found of the secret.
func tellFate(ctx workflow.Context, secretID string, known *rotation.State, err error) {
	fate := fateOf(err)
	if err == nil {
		fate = rotation.SecretRestored
	}
	tellSeen(ctx, secretID, known, fate)
}

// tellSeen tells the rotation of a secret what has become of the secret, if that is news to it.
func tellSeen(ctx workflow.Context, secretID string, known *rotation.State, fate rotation.SecretFate) {
	if known == nil || len(known.Usernames) == 0 || fate == "" {
		return
	}
	if d := known.Deleted; d == nil && fate == rotation.SecretRestored || d != nil && fate == map[bool]rotation.SecretFate{true: rotation.SecretGone, false: rotation.SecretScheduled}[d.Gone] {
		return
	}
	if workflow.GetVersion(ctx, "the rotation is told of its secret", workflow.DefaultVersion, 1) == workflow.DefaultVersion {
		return
	}
	if err := workflow.SignalExternalWorkflow(ctx, rotation.RotateUserWorkflowID(secretID), "", rotation.SecretSeenSignal, rotation.SecretSeen{Fate: fate}).Get(ctx, nil); err != nil {
		workflow.GetLogger(ctx).Info("no rotation to tell", "secret", secretID, "signal", rotation.SecretSeenSignal)
	}
}

// LookAtSecretWorkflow reports what has become of a secret, without reading it, and tells the workflow that rotates it if that
// is news: known is what that one knows.
func (Workflows) LookAtSecretWorkflow(ctx workflow.Context, input rotation.ValidateSecretInput, known *rotation.State) (fate rotation.SecretFate, err error) {
	if err := input.Validate(); err != nil {
		return fate, invalidInput(err)
	}
	o := stepOptions(input.ActivityTaskQueue, input.SecretID)
	o.ScheduleToCloseTimeout = rotation.LookPatience // whoever asks for it can do without
	ctx = workflow.WithActivityOptions(ctx, o)
	if err := workflow.ExecuteActivity(ctx, rotation.Activities.LookAtSecret, rotation.Deletion{SecretID: input.SecretID}).Get(ctx, &fate); err != nil {
		return fate, err
	}
	tellSeen(ctx, input.SecretID, known, fate)
	return fate, nil
}
