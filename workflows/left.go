package workflows

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/rotate-user/rotate-user/activities"
	"github.com/rotate-user/rotate-user/internal/plaintext"
)

// What follows is about accounts that stay open, with all their rights, though no secret is for them any more: the secret was
// deleted by something else than DeleteUserWorkflow, or edited to be for another user.

// keptLeft is how many pairs are kept that a secret was for before.
const keptLeft = 10

// pair is the pair that the rotation knows; it has no user names before the first rotation has looked.
func (r *rotator) pair() activities.KnownPair {
	return activities.KnownPair{Usernames: r.Usernames, Server: r.DatabaseHost, MasterSecretID: cmp.Or(r.MasterKnown, r.input.MasterSecretID), Stored: r.Stored}
}

// leave keeps the pair that the secret was for before, if that is another one than it is for now, and drops from those that
// are kept whatever is gone or in use again.
func (r *rotator) leave(ctx workflow.Context, before activities.KnownPair, clone activities.CloneUserResult) {
	now := r.pair()
	before.LeftAt = workflow.Now(ctx)
	var left []activities.KnownPair
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

// fateOf is what an error of a step says of the secret; empty if it says nothing.
func fateOf(err error) activities.SecretFate {
	var app *temporal.ApplicationError
	if !errors.As(err, &app) {
		return ""
	}
	switch app.Type() {
	case activities.ErrorDeleted:
		return activities.SecretScheduled
	case activities.ErrorSecretGone:
		return activities.SecretGone
	default:
		return ""
	}
}

// seen notes what has become of the secret, and reports whether that is news. Without a pair there is nothing that stays open.
func (r *rotator) seen(ctx workflow.Context, fate activities.SecretFate) (news bool) {
	switch fate {
	case activities.SecretRestored:
		news = r.Deleted != nil
		r.Deleted = nil
	case activities.SecretScheduled, activities.SecretGone:
		gone := fate == activities.SecretGone
		news = len(r.Usernames) == 2 && (r.Deleted == nil || r.Deleted.Gone != gone)
		if news {
			r.Deleted = &DeletedSecret{NoticedAt: workflow.Now(ctx), Gone: gone}
		}
	}
	return news
}

// open says which accounts are still open, a line each; none while a deletion of the secret holds the rotation.
func (r *rotator) open() (all []string) {
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
func (r *rotator) openPair(p activities.KnownPair) string {
	return plaintext.Line(fmt.Sprintf("the secret was edited to be for another user, and %s on %s, which it was for until %s, still log in: drop them if they are not in use,"+
		" or have `starter delete` drop them with the secret; `starter dismiss --secret-id %s` ends this warning", strings.Join(p.Usernames, " and "), p.Server, clock(p.LeftAt), r.input.SecretID))
}

// OpenAccountsMemo is the key of a rotation's memo that says which accounts are still open though no secret is for them; empty
// or missing for none.
const OpenAccountsMemo = "OpenAccounts"

// showOpen tells visibility which accounts are still open, if that has changed.
func (r *rotator) showOpen(ctx workflow.Context) {
	text := cut(strings.Join(r.open(), "\n"), 2000)
	if text == r.OpenAccounts {
		return
	}
	if workflow.GetVersion(ctx, "visibility is told of open accounts", workflow.DefaultVersion, 1) == workflow.DefaultVersion {
		return
	}
	if err := workflow.UpsertMemo(ctx, map[string]any{OpenAccountsMemo: text}); err != nil {
		workflow.GetLogger(ctx).Warn("the memo is left alone", "error", err)
		return
	}
	r.OpenAccounts = text
}

// tellFate tells the rotation of a secret what a step of another workflow has found of the secret.
func tellFate(ctx workflow.Context, secretID string, known *State, err error) {
	fate := fateOf(err)
	if err == nil {
		fate = activities.SecretRestored
	}
	tellSeen(ctx, secretID, known, fate)
}

// tellSeen tells the rotation of a secret what has become of the secret, if that is news to it.
func tellSeen(ctx workflow.Context, secretID string, known *State, fate activities.SecretFate) {
	if known == nil || len(known.Usernames) == 0 || fate == "" {
		return
	}
	if d := known.Deleted; d == nil && fate == activities.SecretRestored || d != nil && fate == map[bool]activities.SecretFate{true: activities.SecretGone, false: activities.SecretScheduled}[d.Gone] {
		return
	}
	if workflow.GetVersion(ctx, "the rotation is told of its secret", workflow.DefaultVersion, 1) == workflow.DefaultVersion {
		return
	}
	if err := workflow.SignalExternalWorkflow(ctx, RotateUserWorkflowID(secretID), "", SecretSeenSignal, SecretSeen{Fate: fate}).Get(ctx, nil); err != nil {
		workflow.GetLogger(ctx).Info("no rotation to tell", "secret", secretID, "signal", SecretSeenSignal)
	}
}

// LookAtSecretWorkflow reports what has become of a secret, without reading it, and tells the workflow that rotates it if that
// is news: known is what that one knows.
func (Workflows) LookAtSecretWorkflow(ctx workflow.Context, input ValidateSecretInput, known *State) (fate activities.SecretFate, err error) {
	if err := input.Validate(); err != nil {
		return fate, invalidInput(err)
	}
	o := stepOptions(input.ActivityTaskQueue, input.SecretID)
	o.ScheduleToCloseTimeout = LookPatience // whoever asks for it can do without
	ctx = workflow.WithActivityOptions(ctx, o)
	if err := workflow.ExecuteActivity(ctx, "LookAtSecret", activities.Deletion{SecretID: input.SecretID}).Get(ctx, &fate); err != nil {
		return fate, err
	}
	tellSeen(ctx, input.SecretID, known, fate)
	return fate, nil
}

// LookPatience is how long LookAtSecretWorkflow tries.
const LookPatience = 5 * time.Second

// UnmarshalJSON keeps what is wrong for validate.
func (s *SecretSeen) UnmarshalJSON(data []byte) error {
	type plain SecretSeen
	return s.typed.decode(data, (*plain)(s))
}

func (s SecretSeen) validate() error {
	if s.typed.err != nil {
		return invalidInput(s.typed.err)
	}
	if !slices.Contains([]activities.SecretFate{activities.SecretScheduled, activities.SecretRestored, activities.SecretGone}, s.Fate) {
		return invalidInput(fmt.Errorf("Fate is %q: Scheduled, Restored or Gone", s.Fate))
	}
	return nil
}
