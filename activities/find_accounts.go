package activities

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/rotate-user/rotate-user/internal/account"
	"github.com/rotate-user/rotate-user/internal/grants"
	"github.com/rotate-user/rotate-user/internal/secret"
	"github.com/rotate-user/rotate-user/rotation"
)

// FindAccounts finds which accounts belong to a secret before anything is changed. It refuses
// accounts that could not be locked and dropped and, without in.Force, accounts that are in use. If
// the secret has already been deleted by something else, it relies on what the secret's rotation
// knows. in.CloneUsername is the other account of the pair, for a secret that does not say.
func (a *Activities) FindAccounts(ctx context.Context, in rotation.FindAccountsInput) (result rotation.Deletion, err error) {
	defer a.Secrets.Forget(in.SecretID)

	d, err := a.Secrets.Describe(ctx, in.SecretID)
	if err != nil && !isMissing(err) {
		return rotation.Deletion{}, err
	}
	if err != nil || !d.DeletedDate.IsZero() {
		return a.findDeleted(ctx, in, d, err)
	}
	if err := writable(d); err != nil {
		return rotation.Deletion{}, err
	}
	if err := cmp.Or(notReplicated(d), a.notOthers(ctx, in.CloneUserInput, d)); err != nil {
		return rotation.Deletion{}, err
	}
	current, err := a.version(ctx, in.SecretID, d.Stages[secret.Current])
	if err != nil {
		return rotation.Deletion{}, err
	}
	if current.MasterARN == "" {
		in.MasterSecretID = cmp.Or(in.MasterSecretID, in.MasterKnown)
	}
	master, err := a.master(ctx, in.MasterSecretID, a.currentMaster, a.given(in.MasterServer, in.Server), current)
	if err != nil {
		return rotation.Deletion{}, err
	}
	if in.Server != "" && in.Server != master.Address() || !slices.Contains(in.Pair, current.Username) {
		in.Left, in.Pair = append(in.Left, knownPair(in)), nil // the secret was edited since its last rotation
	}
	login, locked, err := a.loginOrLocked(ctx, master, current)
	if err != nil {
		return rotation.Deletion{}, err
	}
	result = rotation.Deletion{
		SecretID: in.SecretID, SecretARN: d.ARN, MasterSecretID: master.ARN, Server: master.Address(), Accounts: []grants.Name{login.Account},
		CurrentVersionID: current.ID, PendingVersionID: d.Stages[secret.Pending],
	}
	if locked && wasLockedBefore(in, login.Account) {
		result.LockedBefore = append(result.LockedBefore, login.Account)
	}
	p, err := a.usersOf(ctx, in, d, current.Username, &result)
	if err != nil {
		return rotation.Deletion{}, err
	}
	err = a.findOnServer(ctx, in, d, p, login, master, &result)
	return result, err
}

// loginOrLocked logs in with the current version. If the account is locked, it returns the account
// that the login would have had, and locked is true.
func (a *Activities) loginOrLocked(ctx context.Context, master, current secret.Version) (login account.Login, locked bool, err error) {
	login, err = a.login(ctx, atMaster(current, master))
	if locked = lockedOut(err); locked {
		login.Account, err = a.behindLock(ctx, master, current, err)
	}
	return login, locked, err
}

// behindLock returns the account that a version would log in as if it were not locked, that is, for
// which the server stores the version's password. If there is none, it returns the error refused.
func (a *Activities) behindLock(ctx context.Context, master, v secret.Version, refused error) (n grants.Name, err error) {
	admin, err := a.admin(ctx, master)
	if err != nil {
		return n, err
	}
	defer closeInto(&err, admin)
	stored, err := admin.Stored(ctx, v.Username)
	if err != nil {
		return n, err
	}
	if len(stored) != 1 || !stored[0].Locked || !holds(v, stored...) {
		return n, refused
	}
	return stored[0].Account, nil
}

// usersOf finds the pair and sets result.Users. It refuses a secret whose labels name a third user
// about which nothing else is known.
func (a *Activities) usersOf(
	ctx context.Context, in rotation.FindAccountsInput, d secret.Description, current string, result *rotation.Deletion,
) (p pair, err error) {
	p = pair{Current: current, CloneUsername: in.CloneUsername, Known: in.Pair}
	if previous := d.Stages[secret.Previous]; previous != "" {
		if p.Previous, err = a.user(ctx, in.SecretID, previous); err != nil {
			return p, err
		}
	}
	other, named, err := p.standby(d.Name)
	if err != nil {
		return p, err
	}
	result.Users = []string{p.Current, other}
	for _, label := range []string{secret.Previous, secret.Pending} {
		id := d.Stages[label]
		if id == "" || named {
			continue
		}
		user, err := a.user(ctx, in.SecretID, id)
		if err != nil {
			return p, err
		}
		if user != "" && !slices.Contains(result.Users, user) && !wasLeft(in, user, result.Server) {
			return p, refuse(rotation.ErrorUnknownPair, "%s of secret %s is for user %s:"+
				" give it as CloneUsername if it belongs to the secret, or remove the label", label, d.Name, user)
		}
	}
	return p, nil
}

// findOnServer adds the other account of the pair and those that the secret named earlier, and
// checks that all of them may be dropped.
func (a *Activities) findOnServer(
	ctx context.Context, in rotation.FindAccountsInput, d secret.Description, p pair, login account.Login, master secret.Version,
	result *rotation.Deletion,
) (err error) {
	admin, err := a.admin(ctx, master)
	if err != nil {
		return err
	}
	defer closeInto(&err, admin)
	if id, err := a.canonicalID(ctx, in.SecretID, d); err != nil {
		return err
	} else if id != in.SecretID {
		result.RotatedAs = id
	}
	stored, err := admin.Stored(ctx, result.Users[1])
	if err != nil {
		return err
	}
	for _, s := range stored {
		if s.Account.Host != login.Account.Host {
			continue
		}
		ours, err := a.ofPair(ctx, in.CloneUserInput, d, p, s)
		if err != nil {
			return err
		}
		if ours {
			addAccount(result, in, s)
		} else {
			result.Others = append(result.Others, s.Account)
		}
	}
	if err := a.addLeft(ctx, admin, in, result); err != nil {
		return err
	}
	return a.mayBeDropped(ctx, admin, in, result, login.Connection, d)
}

// ofPair reports whether there is the same evidence that a rotation requires that an account is the
// other one of the pair. It refuses an account for which there is only some evidence.
func (a *Activities) ofPair(ctx context.Context, in rotation.CloneUserInput, d secret.Description, p pair, other grants.Stored) (bool,
	error) {
	if other.Unset(pairMark(d.ARN)) {
		return true, nil
	}
	if p.ownedByWorkflow(other.Account.User) {
		if in.CloneUsername != "" || in.Stored[other.Account.User] == "" {
			return true, nil
		}
		_, known, err := a.recognize(ctx, in, d, other, true) // something else may have set another password since
		return known, err
	}
	labelled, known, err := a.recognize(ctx, in, d, other, true)
	if err != nil || known && labelled {
		return err == nil, err
	}
	if known || p.Previous == other.Account.User {
		return false, refuse(rotation.ErrorUnknownPair, "secret %s has or had a version for %s, "+
			"which alone does not prove that the account belongs to it:"+
			" give CloneUsername %q if it does; otherwise change its password and remove AWSPREVIOUS from the version that names it",
			d.Name, other.Account, other.Account.User)
	}
	return false, nil
}

// mayBeDropped refuses accounts that could not be locked and dropped and, without in.Force,
// accounts that are in use. It records which objects depend on them. own is a connection of ours as
// one of them, if any.
func (a *Activities) mayBeDropped(
	ctx context.Context, admin *account.Admin, in rotation.FindAccountsInput, result *rotation.Deletion, own uint64, d secret.Description,
) error {
	for _, name := range result.Accounts { // a later refusal would come after the secret is scheduled for deletion
		if err := admin.MayDrop(ctx, name); err != nil {
			return err
		}
	}
	definers, err := admin.Definers(ctx, result.Accounts...)
	if err != nil {
		return err
	}
	result.Definers = lines(definers)
	by, known, err := a.inUse(ctx, admin, *result, own, d.Is)
	if err != nil && !in.Force {
		return err
	}
	if len(by) > 0 && !in.Force {
		return refuse(rotation.ErrorInUse, "the accounts of secret %s, %s, are in use: %s. Stop what uses them, or delete with Force",
			d.Name, spell(result.Accounts), strings.Join(by, "; "))
	}
	result.InUse, result.InUseUnknown = by, !known
	return nil
}
