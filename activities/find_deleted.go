package activities

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rotate-user/rotate-user/internal/account"
	"github.com/rotate-user/rotate-user/internal/grants"
	"github.com/rotate-user/rotate-user/internal/secret"
	"github.com/rotate-user/rotate-user/rotation"
)

// findDeleted finds the accounts of a secret whose values can no longer be read, either because
// something else has scheduled it for deletion or, if missing is not nil, because it no longer
// exists. The secret's rotation knows the pair, the server and the master secret.
func (a *Activities) findDeleted(
	ctx context.Context, in rotation.FindAccountsInput, d secret.Description, missing error,
) (result rotation.Deletion, err error) {
	masterID := cmp.Or(in.MasterSecretID, in.MasterKnown)
	switch {
	case len(in.Pair) != 2 && missing != nil:
		return rotation.Deletion{}, fmt.Errorf("no running rotation knows the accounts of secret %s: %w", in.SecretID, missing)
	case len(in.Pair) != 2:
		return rotation.Deletion{}, refuse(rotation.ErrorDeleted,
			"secret %s is already scheduled for deletion on %s, and no running rotation knows its accounts:"+
				" to drop them with it, run `aws secretsmanager restore-secret --secret-id %[1]s` and delete it again", d.Name, utc(d.DeletedDate))
	case masterID == "":
		return rotation.Deletion{}, refuse(rotation.ErrorNoMaster,
			"secret %s can no longer be read, and its rotation does not know its master secret:"+
				" give MasterSecretId (--master-secret-id)", in.SecretID)
	}
	admin, master, err := a.adminOf(ctx, masterID, a.given(in.MasterServer, in.Server))
	if err != nil {
		return rotation.Deletion{}, err
	}
	defer closeInto(&err, admin)
	if master.Address() != in.Server {
		return rotation.Deletion{}, refuse(rotation.ErrorOtherServer,
			"master secret %s is for %s, but secret %s had %s: give the master secret of that server",
			master.Name, master.Address(), in.SecretID, accountsOf(knownPair(in)))
	}
	result = rotation.Deletion{
		SecretID: in.SecretID, SecretARN: cmp.Or(d.ARN, in.SecretARN), MasterSecretID: master.ARN, Server: in.Server, Users: in.Pair,
		ScheduledFor: d.DeletedDate, Gone: missing != nil, Stored: map[string]string{},
	}
	if result.Gone {
		result.ScheduledFor = time.Now().AddDate(0, 0, in.RecoveryWindowInDays)
	}
	if err := a.addKnown(ctx, admin, in, &result); err != nil {
		return rotation.Deletion{}, err
	}
	if err := a.addLeft(ctx, admin, in, &result); err != nil {
		return rotation.Deletion{}, err
	}
	err = a.mayBeDropped(ctx, admin, in, &result, 0, secret.Description{ARN: result.SecretARN, Name: in.SecretID})
	return result, err
}

// knownPair returns the pair that the rotation knows.
func knownPair(in rotation.FindAccountsInput) rotation.KnownPair {
	return rotation.KnownPair{Usernames: in.Pair, Server: in.Server, Stored: in.Stored}
}

// addKnown adds the accounts of the pair that still have the password that the rotation set.
func (a *Activities) addKnown(ctx context.Context, admin *account.Admin, in rotation.FindAccountsInput, result *rotation.Deletion) error {
	stored, err := admin.Stored(ctx, in.Pair...)
	if err != nil {
		return err
	}
	hosts := map[string]bool{} // of the accounts of the pair that have a password of the rotation
	for _, s := range stored {
		if hasSet(knownPair(in), s) {
			hosts[s.Account.Host] = true
			result.Stored[s.Account.String()] = s.Digest()
		}
	}
	for _, s := range stored {
		known := in.Stored[s.Account.User] != ""
		if hasSet(knownPair(in), s) || s.Unset(pairMark(result.SecretARN)) || !known && hosts[s.Account.Host] {
			addAccount(result, in, s)
		} else {
			result.Others = append(result.Others, s.Account)
		}
	}
	if len(result.Accounts) == 0 {
		return refuse(rotation.ErrorUnknownPair, "secret %s can no longer be read, and none of %s has the password that its rotation set:"+
			" if nothing uses them, run DROP USER by hand", in.SecretID, accountsOf(knownPair(in)))
	}
	return nil
}

// addAccount adds an account that belongs to the secret.
func addAccount(d *rotation.Deletion, in rotation.FindAccountsInput, s grants.Stored) {
	d.Accounts = append(d.Accounts, s.Account)
	if s.Locked && (wasLockedBefore(in, s.Account) || s.Unset(pairMark(d.SecretARN))) {
		d.LockedBefore = append(d.LockedBefore, s.Account)
	}
}

// addLeft adds the accounts of pairs that the secret named earlier. Anyone who can edit a secret
// can name any account in it, so an account counts only if it has no password, or still has the one
// that the rotation set.
func (a *Activities) addLeft(ctx context.Context, admin *account.Admin, in rotation.FindAccountsInput, d *rotation.Deletion) error {
	for _, p := range in.Left {
		if len(p.Usernames) == 0 {
			continue
		}
		if p.Server != d.Server {
			d.Elsewhere = lines(append(d.Elsewhere, strings.Join(p.Usernames, ", ")+" on "+p.Server))
			continue
		}
		stored, err := admin.Stored(ctx, p.Usernames...)
		if err != nil {
			return err
		}
		for _, s := range stored {
			switch {
			case slices.Contains(slices.Concat(d.Accounts, d.Others), s.Account), slices.Contains(d.Users, s.Account.User):
			case hasSet(p, s), s.Unset(pairMark(d.SecretARN)):
				addAccount(d, in, s)
			default:
				d.Others = append(d.Others, s.Account)
			}
		}
	}
	return nil
}

// wasLeft reports whether a user belongs to a pair that the secret named earlier.
func wasLeft(in rotation.FindAccountsInput, user, server string) bool {
	return slices.ContainsFunc(in.Left, func(p rotation.KnownPair) bool { return p.Server == server && slices.Contains(p.Usernames, user) })
}

// wasLockedBefore reports whether something other than a deletion of the secret locked an account.
func wasLockedBefore(in rotation.FindAccountsInput, n grants.Name) bool {
	return !in.Held || slices.Contains(in.LockedBefore, n)
}
