package workflows

import (
	"fmt"
	"slices"
	"strings"

	"go.temporal.io/sdk/workflow"

	"github.com/rotate-user/rotate-user/internal/plaintext"
	"github.com/rotate-user/rotate-user/rotation"
)

// This file is about accounts that still log in, with all their rights, although no secret is for them any longer: the secret was
// deleted by something other than DeleteUserWorkflow, or it was edited to be for another user.

// keptLeft is how many earlier pairs of a secret are kept.
const keptLeft = 10

// keepLeftPairs keeps the pair that the secret was for before, if that was another one, and forgets accounts that are gone or in
// use again.
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
		workflow.GetLogger(ctx).Warn("the secret is for another user than before", "secret", r.input.SecretID, "before", before.Usernames,
			"now", now.Usernames)
	}
	r.Left = left[max(0, len(left)-keptLeft):]
}

// seen records what has become of the secret, and reports whether that is new. Without a pair, no account stays open.
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

// openAccounts returns a line for each account that still logs in although no secret is for it. It returns nothing while a
// deletion of the secret holds the rotation.
func (r *rotator) openAccounts() (all []string) {
	if r.Held {
		return nil
	}
	if d := r.Deleted; d != nil && len(r.Usernames) == 2 {
		state := "is scheduled for deletion"
		if d.Gone {
			state = "is gone"
		}
		all = append(all, plaintext.Line(fmt.Sprintf("secret %s %s, as seen at %s, and its accounts %s on %s still log in: "+
			"`starter delete --secret-id %[1]s` locks them, and drops them with the secret",
			r.input.SecretID, state, clock(d.NoticedAt), strings.Join(r.Usernames, " and "), r.DatabaseHost)))
	}
	for _, p := range r.Left {
		all = append(all, r.openPair(p))
	}
	return all
}

// openPair returns the line for a pair that the secret was for before.
func (r *rotator) openPair(p rotation.KnownPair) string {
	return plaintext.Line(fmt.Sprintf("the secret was edited to be for another user, and %s on %s, which it was for until %s, "+
		"still log in: drop them if they are not in use,"+
		" or have `starter delete` drop them with the secret; `starter dismiss --secret-id %s` ends this warning",
		strings.Join(p.Usernames, " and "), p.Server, clock(p.LeftAt), r.input.SecretID))
}

// LookAtSecretWorkflow returns what has become of a secret, without reading it, and tells the workflow that rotates it if that is
// new. The argument known is what that workflow knows.
func (Workflows) LookAtSecretWorkflow(ctx workflow.Context, input rotation.ValidateSecretInput,
	known *rotation.State) (fate rotation.SecretFate, err error) {
	if err := input.Validate(); err != nil {
		return fate, invalidInput(err)
	}
	o := stepOptions(input.ActivityTaskQueue, input.SecretID)
	o.ScheduleToCloseTimeout = rotation.LookPatience // the answer is only a hint
	ctx = workflow.WithActivityOptions(ctx, o)
	if err := workflow.ExecuteActivity(ctx, rotation.Activities.LookAtSecret, rotation.Deletion{SecretID: input.SecretID}).Get(ctx,
		&fate); err != nil {
		return fate, err
	}
	tellSeen(ctx, input.SecretID, known, fate)
	return fate, nil
}
