package activities

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"go.temporal.io/sdk/activity"

	"github.com/rotate-user/rotate-user/internal/account"
	"github.com/rotate-user/rotate-user/internal/secret"
)

// Deletion is what the activities of one deletion agree on.
type Deletion struct {
	SecretID string `json:"SecretId"`
	// SecretARN tells the secret from a later one of its name. Deletions that an
	// earlier release began have none.
	SecretARN      string `json:"SecretARN,omitempty"`
	MasterSecretID string `json:"MasterSecretId"`
	Server         string `json:"Server"`
	// Accounts are those that the secret has evidence for: the account in use,
	// and the other one of the pair where AWSPREVIOUS or the workflow names it.
	Accounts             []account.Name `json:"Accounts"`
	RecoveryWindowInDays int            `json:"RecoveryWindowInDays"`
	// Definers are objects that need the accounts to exist, as far as the
	// administrator sees them. Their accounts stay locked, unless Force drops them.
	Definers []string `json:"Definers,omitempty"`
	Force    bool     `json:"Force,omitempty"`
}

// FindAccounts reads, before anything is changed, which accounts go with a
// secret, and refuses those that could not be locked and dropped.
// in.CloneUsername is the other one of the pair where the secret does not tell.
func (a *Activities) FindAccounts(ctx context.Context, in CloneUserInput) (result Deletion, err error) {
	t := a.begin(ctx)
	defer t.edge(ctx, &err)
	defer t.Secrets.Forget(in.SecretID)

	d, err := t.Secrets.Describe(ctx, in.SecretID)
	if err != nil {
		return Deletion{}, err
	}
	if !d.DeletedDate.IsZero() {
		return Deletion{}, refuse(ErrorDeleted, "secret %s is scheduled for deletion on %s already", d.Name, d.DeletedDate.UTC().Format(time.RFC3339))
	}
	if err := t.notOthers(ctx, in, d); err != nil {
		return Deletion{}, err
	}
	current, err := t.version(ctx, in.SecretID, d.Stages[secret.Current])
	if err != nil {
		return Deletion{}, err
	}
	master, err := t.master(ctx, in.MasterSecretID, current)
	if err != nil {
		return Deletion{}, err
	}
	login, err := t.login(ctx, current)
	if err != nil {
		return Deletion{}, err
	}
	result = Deletion{SecretID: in.SecretID, SecretARN: d.ARN, MasterSecretID: master.ARN, Server: master.Address(), Accounts: []account.Name{login.Account}}
	p := pair{Current: current.Username, CloneUsername: in.CloneUsername, Known: in.Pair}
	if previous := d.Stages[secret.Previous]; previous != "" {
		if p.Previous, err = t.user(ctx, in.SecretID, previous); err != nil {
			return Deletion{}, err
		}
	}
	other, owned, err := p.standby(d.Name)
	if err != nil {
		return Deletion{}, err
	}
	if !owned && p.Previous != "" && p.Previous != p.Current {
		return Deletion{}, refuse(ErrorUnknownPair, "AWSPREVIOUS of secret %s is for user %s: give it as CloneUsername if it goes with the secret, or take the label off", d.Name, p.Previous)
	}
	admin, err := t.admin(ctx, master)
	if err != nil {
		return Deletion{}, err
	}
	defer closeInto(&err, admin)
	if owned {
		names, err := admin.Exists(ctx, other)
		if err != nil {
			return Deletion{}, err
		}
		if standby := (account.Name{User: other, Host: login.Account.Host}); slices.Contains(names, standby) {
			result.Accounts = append(result.Accounts, standby)
		}
	}
	for _, name := range result.Accounts { // what is refused later finds the secret scheduled for deletion already
		if err := admin.MayDrop(ctx, name); err != nil {
			return Deletion{}, err
		}
	}
	definers, err := admin.Definers(ctx, result.Accounts...)
	if err != nil {
		return Deletion{}, err
	}
	result.Definers = lines(definers)
	return result, nil
}

// DeleteSecret schedules the secret for deletion and answers when it will be gone.
func (a *Activities) DeleteSecret(ctx context.Context, in Deletion) (deletionDate time.Time, err error) {
	t := a.begin(ctx)
	defer t.edge(ctx, &err)
	deletionDate, err = t.Secrets.Delete(ctx, in.SecretID, in.RecoveryWindowInDays)
	if err == nil {
		activity.GetLogger(ctx).Warn("secret scheduled for deletion", "secret", in.SecretID, "date", deletionDate)
	}
	return deletionDate, err
}

// SecretFate is what has become of a secret that was scheduled for deletion.
type SecretFate string

// The fates of a secret.
const (
	SecretScheduled SecretFate = "Scheduled"
	SecretRestored  SecretFate = "Restored"
	SecretGone      SecretFate = "Gone"
)

// LookAtSecret says whether a secret is still scheduled for deletion. It is gone
// where its name is another secret's by now.
func (a *Activities) LookAtSecret(ctx context.Context, in Deletion) (fate SecretFate, err error) {
	t := a.begin(ctx)
	defer t.edge(ctx, &err)
	d, err := t.Secrets.Describe(ctx, in.SecretID)
	var missing *types.ResourceNotFoundException
	switch {
	case errors.As(err, &missing):
		return SecretGone, nil
	case err != nil:
		return "", err
	case in.SecretARN != "" && d.ARN != in.SecretARN:
		return SecretGone, t.notReused(ctx, in)
	case d.DeletedDate.IsZero():
		return SecretRestored, nil
	default:
		return SecretScheduled, nil
	}
}

// notReused refuses to take a secret for gone when the one that has its name now
// is for one of its accounts: they would be dropped while they are in use.
func (t *attempt) notReused(ctx context.Context, in Deletion) error {
	defer t.Secrets.Forget(in.SecretID)
	v, err := t.labelled(ctx, in.SecretID, secret.Current)
	var field *secret.FieldError
	if errors.As(err, &field) { // it holds no credential
		return nil
	}
	if err != nil {
		return err
	}
	if i := slices.IndexFunc(in.Accounts, func(n account.Name) bool { return n.User == v.Username }); i >= 0 && v.Address() == in.Server {
		return refuse(ErrorSecretExists, "a new secret %s is for the account %s of the one that was deleted, and it would be dropped: let the secret name another user, or cancel this deletion and ALTER USER %[2]s ACCOUNT UNLOCK", v.Name, in.Accounts[i])
	}
	return nil
}

// LockAccounts locks the accounts of a deletion, as many of them as it can.
func (a *Activities) LockAccounts(ctx context.Context, in Deletion) error {
	return a.each(ctx, in, "locked", (*account.Admin).Lock)
}

// UnlockAccounts unlocks them again, as many as it can.
func (a *Activities) UnlockAccounts(ctx context.Context, in Deletion) error {
	return a.each(ctx, in, "unlocked", (*account.Admin).Unlock)
}

// DropAccounts drops them, as many as it can. Without Force it keeps the definers
// of objects, which break without them.
func (a *Activities) DropAccounts(ctx context.Context, in Deletion) error {
	return a.each(ctx, in, "dropped", func(admin *account.Admin, ctx context.Context, n account.Name, fence func(context.Context) error) error {
		if !in.Force {
			fence = admin.KeepDefiner(n, fence)
		}
		return admin.Drop(ctx, n, fence)
	})
}

func (a *Activities) each(ctx context.Context, in Deletion, done string, do func(*account.Admin, context.Context, account.Name, func(context.Context) error) error) (err error) {
	t := a.begin(ctx)
	defer t.edge(ctx, &err)
	defer t.Secrets.Forget(in.MasterSecretID)
	admin, master, err := t.adminOf(ctx, in.MasterSecretID)
	if err != nil {
		return err
	}
	defer closeInto(&err, admin)
	if master.Address() != in.Server {
		return refuse(ErrorOtherServer, "master secret %s is for %s now, and the accounts of secret %s are on %s", master.Name, master.Address(), in.SecretID, in.Server)
	}
	var failed []error
	for _, name := range in.Accounts {
		if err := do(admin, ctx, name, nil); err != nil {
			failed = append(failed, err)
			continue
		}
		activity.GetLogger(ctx).Warn("account "+done, "secret", in.SecretID, "account", name.String())
	}
	return errors.Join(failed...)
}
