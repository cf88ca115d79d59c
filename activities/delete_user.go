package activities

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/go-sql-driver/mysql"
	"go.temporal.io/sdk/activity"

	"github.com/rotate-user/rotate-user/internal/account"
	"github.com/rotate-user/rotate-user/internal/grants"
	"github.com/rotate-user/rotate-user/internal/secret"
	"github.com/rotate-user/rotate-user/rotation"
)

// secretIDOf names the secret that was found, and no later one of its name.
func secretIDOf(d rotation.Deletion) string { return cmp.Or(d.SecretARN, d.SecretID) }

// knownPair is the pair that the rotation knows.
func knownPair(in rotation.FindAccountsInput) rotation.KnownPair {
	return rotation.KnownPair{Usernames: in.Pair, Server: in.Server, Stored: in.Stored}
}

// FindAccounts reads, before anything is changed, which accounts go with a
// secret. It refuses accounts that could not be locked and dropped and, without
// in.Force, accounts that are in use. A secret that something else has deleted
// is taken over, with what its rotation knows. in.CloneUsername is the other one of
// the pair where the secret does not tell.
func (a *Activities) FindAccounts(ctx context.Context, in rotation.FindAccountsInput) (result rotation.Deletion, err error) {
	t := a.begin(ctx)
	defer t.edge(ctx, &err)
	defer t.Secrets.Forget(in.SecretID)

	d, err := t.Secrets.Describe(ctx, in.SecretID)
	var missing *types.ResourceNotFoundException
	if err != nil && !errors.As(err, &missing) {
		return rotation.Deletion{}, err
	}
	if err != nil || !d.DeletedDate.IsZero() {
		return t.findDeleted(ctx, in, d, err)
	}
	if err := writable(d); err != nil {
		return rotation.Deletion{}, err
	}
	if err := cmp.Or(notReplicated(d), t.notOthers(ctx, in.CloneUserInput, d)); err != nil {
		return rotation.Deletion{}, err
	}
	current, err := t.version(ctx, in.SecretID, d.Stages[secret.Current])
	if err != nil {
		return rotation.Deletion{}, err
	}
	if current.MasterARN == "" {
		in.MasterSecretID = cmp.Or(in.MasterSecretID, in.MasterKnown)
	}
	master, err := t.master(ctx, in.MasterSecretID, t.given(in.MasterServer, in.Server), current)
	if err != nil {
		return rotation.Deletion{}, err
	}
	if in.Server != "" && in.Server != master.Address() || !slices.Contains(in.Pair, current.Username) {
		in.Left, in.Pair = append(in.Left, knownPair(in)), nil // the secret was edited since its last rotation
	}
	login, err := t.login(ctx, atMaster(current, master))
	locked := lockedOut(err)
	if locked {
		login.Account, err = t.behindLock(ctx, master, current, err)
	}
	if err != nil {
		return rotation.Deletion{}, err
	}
	result = rotation.Deletion{SecretID: in.SecretID, SecretARN: d.ARN, MasterSecretID: master.ARN, Server: master.Address(), Accounts: []grants.Name{login.Account},
		CurrentVersionID: current.ID, PendingVersionID: d.Stages[secret.Pending]}
	if locked && wasLockedBefore(in, login.Account) {
		result.LockedBefore = append(result.LockedBefore, login.Account)
	}
	p := pair{Current: current.Username, CloneUsername: in.CloneUsername, Known: in.Pair}
	if previous := d.Stages[secret.Previous]; previous != "" {
		if p.Previous, err = t.user(ctx, in.SecretID, previous); err != nil {
			return rotation.Deletion{}, err
		}
	}
	other, named, err := p.standby(d.Name)
	if err != nil {
		return rotation.Deletion{}, err
	}
	result.Users = []string{p.Current, other}
	for _, label := range []string{secret.Previous, secret.Pending} {
		id := d.Stages[label]
		if id == "" || named {
			continue
		}
		user, err := t.user(ctx, in.SecretID, id)
		if err != nil {
			return rotation.Deletion{}, err
		}
		if user != "" && !slices.Contains(result.Users, user) && !wasLeft(in, user, master.Address()) {
			return rotation.Deletion{}, refuse(rotation.ErrorUnknownPair, "%s of secret %s is for user %s: give it as CloneUsername if it goes with the secret, or take the label off", label, d.Name, user)
		}
	}
	admin, err := t.admin(ctx, master)
	if err != nil {
		return rotation.Deletion{}, err
	}
	defer closeInto(&err, admin)
	if id, err := t.canonicalID(ctx, in.SecretID, d); err != nil {
		return rotation.Deletion{}, err
	} else if id != in.SecretID {
		result.RotatedAs = id
	}
	stored, err := admin.Stored(ctx, other)
	if err != nil {
		return rotation.Deletion{}, err
	}
	for _, s := range stored {
		if s.Account.Host != login.Account.Host {
			continue
		}
		ours, err := t.ofPair(ctx, in.CloneUserInput, d, p, s)
		if err != nil {
			return rotation.Deletion{}, err
		}
		if ours {
			addAccount(&result, in, s)
		} else {
			result.Others = append(result.Others, s.Account)
		}
	}
	if err := t.addLeft(ctx, admin, in, &result); err != nil {
		return rotation.Deletion{}, err
	}
	err = t.mayBeDropped(ctx, admin, in, &result, login.Connection, d)
	return result, err
}

// mayBeDropped refuses accounts that could not be locked and dropped and, without in.Force, accounts that are in use. It notes
// what needs them to exist. own is a connection of ours as one of them, if there is any.
func (t *attempt) mayBeDropped(ctx context.Context, admin *account.Admin, in rotation.FindAccountsInput, result *rotation.Deletion, own uint64, d secret.Description) error {
	for _, name := range result.Accounts { // what is refused later finds the secret scheduled for deletion already
		if err := admin.MayDrop(ctx, name); err != nil {
			return err
		}
	}
	definers, err := admin.Definers(ctx, result.Accounts...)
	if err != nil {
		return err
	}
	result.Definers = lines(definers)
	by, known, err := t.inUse(ctx, admin, *result, own, d.Is)
	if err != nil && !in.Force {
		return err
	}
	if len(by) > 0 && !in.Force {
		return refuse(rotation.ErrorInUse, "the accounts of secret %s, %s, are in use: %s. Stop what uses them first, or delete with Force", d.Name, spell(result.Accounts), strings.Join(by, "; "))
	}
	result.InUse, result.InUseUnknown = by, !known
	return nil
}

// findDeleted finds the accounts of a secret that something else has scheduled for deletion, or that is gone, which
// missing says: its values cannot be read. Its rotation knows the pair, the server and the master secret.
func (t *attempt) findDeleted(ctx context.Context, in rotation.FindAccountsInput, d secret.Description, missing error) (result rotation.Deletion, err error) {
	masterID := cmp.Or(in.MasterSecretID, in.MasterKnown)
	switch {
	case len(in.Pair) != 2 && missing != nil:
		return rotation.Deletion{}, fmt.Errorf("no rotation of secret %s runs that would know its accounts: %w", in.SecretID, missing)
	case len(in.Pair) != 2:
		return rotation.Deletion{}, refuse(rotation.ErrorDeleted, "secret %s is scheduled for deletion on %s already, and no rotation of it runs that knows its accounts: to have them dropped with it, run `aws secretsmanager restore-secret --secret-id %[1]s`, and delete it again", d.Name, d.DeletedDate.UTC().Format(time.RFC3339))
	case masterID == "":
		return rotation.Deletion{}, refuse(rotation.ErrorNoMaster, "secret %s can no longer be read, and its rotation does not know which master secret it names: give MasterSecretId (--master-secret-id)", in.SecretID)
	}
	admin, master, err := t.adminOf(ctx, masterID, t.given(in.MasterServer, in.Server))
	if err != nil {
		return rotation.Deletion{}, err
	}
	defer closeInto(&err, admin)
	if master.Address() != in.Server {
		return rotation.Deletion{}, refuse(rotation.ErrorOtherServer, "master secret %s is for %s, and %s: give the master secret of that server", master.Name, master.Address(), accountsOf(knownPair(in)))
	}
	result = rotation.Deletion{
		SecretID: in.SecretID, SecretARN: cmp.Or(d.ARN, in.SecretARN), MasterSecretID: master.ARN, Server: in.Server, Users: in.Pair,
		ScheduledFor: d.DeletedDate, Gone: missing != nil, Stored: map[string]string{},
	}
	if result.Gone {
		result.ScheduledFor = time.Now().AddDate(0, 0, in.RecoveryWindowInDays)
	}
	stored, err := admin.Stored(ctx, in.Pair...)
	if err != nil {
		return rotation.Deletion{}, err
	}
	hosts := map[string]bool{} // where an account of the pair has the password that the rotation has set
	for _, s := range stored {
		if hasSet(knownPair(in), s) {
			hosts[s.Account.Host] = true
			result.Stored[s.Account.String()] = s.Digest()
		}
	}
	for _, s := range stored {
		known := in.Stored[s.Account.User] != ""
		switch {
		case hasSet(knownPair(in), s), s.Unset(pairMark(result.SecretARN)), !known && hosts[s.Account.Host]:
			addAccount(&result, in, s)
		default:
			result.Others = append(result.Others, s.Account)
		}
	}
	if len(result.Accounts) == 0 {
		return rotation.Deletion{}, refuse(rotation.ErrorUnknownPair, "secret %s can no longer be read, and no account of %s has the password that its rotation set: if they are not in use, DROP USER them by hand", in.SecretID, accountsOf(knownPair(in)))
	}
	if err := t.addLeft(ctx, admin, in, &result); err != nil {
		return rotation.Deletion{}, err
	}
	err = t.mayBeDropped(ctx, admin, in, &result, 0, secret.Description{ARN: result.SecretARN, Name: in.SecretID})
	return result, err
}

// addAccount notes an account that goes with the secret.
func addAccount(d *rotation.Deletion, in rotation.FindAccountsInput, s grants.Stored) {
	d.Accounts = append(d.Accounts, s.Account)
	if s.Locked && (wasLockedBefore(in, s.Account) || s.Unset(pairMark(d.SecretARN))) {
		d.LockedBefore = append(d.LockedBefore, s.Account)
	}
}

// addLeft adds the accounts of pairs that the secret was for before. Whoever may edit a secret can name any account in
// it, so that only those count whose password is still the one that the rotation has set, or none.
func (t *attempt) addLeft(ctx context.Context, admin *account.Admin, in rotation.FindAccountsInput, d *rotation.Deletion) error {
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

// wasLeft reports whether a user is of a pair that the secret was for before.
func wasLeft(in rotation.FindAccountsInput, user, server string) bool {
	return slices.ContainsFunc(in.Left, func(p rotation.KnownPair) bool { return p.Server == server && slices.Contains(p.Usernames, user) })
}

// spell names accounts for people.
func spell(names []grants.Name) string {
	var all []string
	for _, n := range names {
		all = append(all, n.String())
	}
	return strings.Join(all, " and ")
}

// wasLockedBefore reports whether an account that is found locked was locked by something else than a
// deletion of the secret.
func wasLockedBefore(in rotation.FindAccountsInput, n grants.Name) bool {
	return !in.Held || slices.Contains(in.LockedBefore, n)
}

// lockedOut reports whether a login was refused because its account is locked.
func lockedOut(err error) bool {
	server, ok := errors.AsType[*mysql.MySQLError](err)
	return ok && (server.Number == 3118 || server.Number == 4151)
}

// behindLock finds the account that a version would log in as if it were not locked: the server stores the
// version's password for it. Its error is refused if there is none.
func (t *attempt) behindLock(ctx context.Context, master, v secret.Version, refused error) (n grants.Name, err error) {
	admin, err := t.admin(ctx, master)
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

// ofPair reports whether there is evidence that an account is the other one of the
// pair: the same that a rotation goes by. One that may be is refused.
func (t *attempt) ofPair(ctx context.Context, in rotation.CloneUserInput, d secret.Description, p pair, other grants.Stored) (bool, error) {
	if other.Unset(pairMark(d.ARN)) {
		return true, nil
	}
	if p.ownedByWorkflow(other.Account.User) {
		if in.CloneUsername != "" || in.Stored[other.Account.User] == "" {
			return true, nil
		}
		_, known, err := t.recognise(ctx, in, d, other, true) // something else may have set another password since
		return known, err
	}
	labelled, known, err := t.recognise(ctx, in, d, other, true)
	if err != nil || known && labelled {
		return err == nil, err
	}
	if known || p.Previous == other.Account.User {
		return false, refuse(rotation.ErrorUnknownPair, "secret %s has or had a version for %s, which alone does not show that this account goes with the secret: give CloneUsername %q if it does;"+
			" if it does not, change its password and take AWSPREVIOUS off the version that names it", d.Name, other.Account, other.Account.User)
	}
	return false, nil
}

// DeleteSecret schedules the secret for deletion and answers when it will be
// gone. Its error is of type ErrorEdited where the secret or its accounts are not
// as they were found: a rotation has been at work since.
//
// A rotation looks whether its secret is scheduled under the lock that is held
// here: none makes or unlocks an account from then on.
func (a *Activities) DeleteSecret(ctx context.Context, in rotation.Deletion) (deletionDate time.Time, err error) {
	t := a.begin(ctx)
	defer t.edge(ctx, &err)

	remove := func(ctx context.Context) error {
		deletionDate, err = t.Secrets.Delete(ctx, secretIDOf(in), in.RecoveryWindowInDays)
		return err
	}
	if len(in.Users) != 2 { // found by an earlier release
		err = remove(ctx)
	} else {
		err = t.onServer(ctx, in, func(admin *account.Admin) error {
			return admin.Locked(ctx, in.Users[0], in.Users[1], func(ctx context.Context) error {
				if err := t.asFound(ctx, admin, in); err != nil {
					return err
				}
				return remove(ctx)
			})
		})
	}
	if err == nil {
		activity.GetLogger(ctx).Warn("secret scheduled for deletion", "secret", in.SecretID, "date", deletionDate)
	}
	return deletionDate, err
}

// asFound makes sure that no rotation has been at work since the accounts were
// found.
func (t *attempt) asFound(ctx context.Context, admin *account.Admin, in rotation.Deletion) error {
	d, err := t.Secrets.Describe(ctx, secretIDOf(in))
	if err != nil {
		return err
	}
	if !d.DeletedDate.IsZero() { // by an earlier try
		return nil
	}
	stored, err := admin.Stored(ctx, in.Users...)
	if err != nil {
		return err
	}
	for _, s := range stored {
		if !slices.Contains(slices.Concat(in.Accounts, in.Others), s.Account) && s.Account.Host == in.Accounts[0].Host {
			return refuse(rotation.ErrorEdited, "account %s was made after the accounts of secret %s were found: delete it again", s.Account, in.SecretID)
		}
	}
	pending := d.Stages[secret.Pending]
	if d.Stages[secret.Current] != in.CurrentVersionID || !slices.Contains([]string{"", in.CurrentVersionID, in.PendingVersionID}, pending) {
		return refuse(rotation.ErrorEdited, "secret %s was rotated or edited after its accounts were found: delete it again", in.SecretID)
	}
	return nil
}

func fateWords(f rotation.SecretFate) string {
	switch f {
	case rotation.SecretScheduled:
		return "scheduled for deletion"
	case rotation.SecretRestored:
		return "not scheduled for deletion"
	default:
		return "gone"
	}
}

// LookAtSecret reports whether a secret is still scheduled for deletion. It is
// gone where its name is another secret's by now.
func (a *Activities) LookAtSecret(ctx context.Context, in rotation.Deletion) (fate rotation.SecretFate, err error) {
	t := a.begin(ctx)
	defer t.edge(ctx, &err)
	return t.fate(ctx, in, "")
}

// fate looks again for some seconds where the answer is another than likely,
// unless that is empty: it may be from before our own write.
func (t *attempt) fate(ctx context.Context, in rotation.Deletion, likely rotation.SecretFate) (rotation.SecretFate, error) {
	d, err := t.Secrets.DescribeUntil(ctx, in.SecretID, func(d secret.Description) bool {
		return likely == "" || in.SecretARN != "" && d.ARN != in.SecretARN || d.DeletedDate.IsZero() == (likely == rotation.SecretRestored)
	})
	var missing *types.ResourceNotFoundException
	switch {
	case errors.As(err, &missing):
		return rotation.SecretGone, nil
	case err != nil:
		return "", err
	case in.SecretARN != "" && d.ARN != in.SecretARN, in.SecretARN == "" && in.Gone:
		return rotation.SecretGone, t.notReused(ctx, in)
	case d.DeletedDate.IsZero():
		return rotation.SecretRestored, nil
	default:
		return rotation.SecretScheduled, nil
	}
}

// notReused refuses to take a secret for gone when the one that has its name now
// is for one of its accounts: they would be dropped while they are in use.
func (t *attempt) notReused(ctx context.Context, in rotation.Deletion) error {
	defer t.Secrets.Forget(in.SecretID)
	v, err := t.labelled(ctx, in.SecretID, secret.Current)
	var field *secret.FieldError
	if errors.As(err, &field) { // it holds no credential
		return nil
	}
	if err != nil {
		return err
	}
	// Its host can be a reader or a proxy of the same server, unless its master secret is surely another one.
	sameServer := v.Address() == in.Server || !strings.HasPrefix(v.MasterARN, "arn:") || secret.Version{ARN: in.MasterSecretID}.Is(v.MasterARN)
	if i := slices.IndexFunc(in.Accounts, func(n grants.Name) bool { return n.User == v.Username }); i >= 0 && sameServer {
		return refuse(rotation.ErrorSecretExists, "a new secret %s is for the account %s of the one that was deleted, and it would be dropped: let the secret name another user, or cancel this deletion and ALTER USER %[2]s ACCOUNT UNLOCK", v.Name, in.Accounts[i])
	}
	return nil
}

// LockAccounts locks the accounts of a deletion, as many of them as it can,
// while the secret is scheduled for deletion.
func (a *Activities) LockAccounts(ctx context.Context, in rotation.Deletion) error {
	only := rotation.SecretScheduled
	if in.Gone {
		only = rotation.SecretGone
	}
	return a.each(ctx, in, "locked", (*account.Admin).Lock, only)
}

// UnlockAccounts unlocks them again, as many as it can, while the secret is not
// scheduled for deletion. One that was locked before stays so: its password may
// have leaked.
func (a *Activities) UnlockAccounts(ctx context.Context, in rotation.Deletion) error {
	in.Accounts = in.LockedForIt()
	return a.each(ctx, in, "unlocked", (*account.Admin).Unlock, rotation.SecretRestored)
}

// DropAccounts drops them, as many as it can, when the secret is gone. One that
// was locked for the deletion and is not any more belongs to something else by now.
// Without Force the definers of objects are kept, which break without them.
func (a *Activities) DropAccounts(ctx context.Context, in rotation.Deletion) error {
	return a.each(ctx, in, "dropped", func(admin *account.Admin, ctx context.Context, n grants.Name, fence func(context.Context) error) error {
		if !in.Force {
			fence = admin.KeepDefiner(n, fence)
		}
		if in.Locked {
			return admin.DropLocked(ctx, n, fence)
		}
		return admin.Drop(ctx, n, fence)
	}, rotation.SecretGone)
}

// each changes every account of a deletion, and looks at the secret under the
// account's lock, right before: a late or repeated step changes nothing that is
// in use again.
func (a *Activities) each(ctx context.Context, in rotation.Deletion, done string, do func(*account.Admin, context.Context, grants.Name, func(context.Context) error) error, only rotation.SecretFate) (err error) {
	t := a.begin(ctx)
	defer t.edge(ctx, &err)
	still := func(ctx context.Context) error {
		fate, err := t.fate(ctx, in, only)
		if err == nil && fate != only {
			err = refuse(rotation.ErrorEdited, "secret %s is %s: its accounts are not %s", in.SecretID, fateWords(fate), done)
		}
		return err
	}
	return t.onServer(ctx, in, func(admin *account.Admin) error {
		var failed []error
		for _, name := range in.Accounts {
			fence := func(ctx context.Context) error {
				if err := sameAccount(in, ctx, admin, name); err != nil {
					return err
				}
				return still(ctx)
			}
			if err := do(admin, ctx, name, fence); err != nil {
				failed = append(failed, err)
				continue
			}
			activity.GetLogger(ctx).Warn("account "+done, "secret", in.SecretID, "account", name.String())
		}
		return errors.Join(failed...)
	})
}

// sameAccount refuses an account that is not the one that was found, as far as that is known.
func sameAccount(d rotation.Deletion, ctx context.Context, admin *account.Admin, n grants.Name) error {
	digest := d.Stored[n.String()]
	if digest == "" {
		return nil
	}
	stored, err := admin.Stored(ctx, n.User)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(stored, func(s grants.Stored) bool { return s.Account == n && s.Digest() != digest }) {
		return refuse(rotation.ErrorEdited, "%s has another password than the rotation of secret %s has set, as if something else used it: it is left alone; cancel this deletion, and DROP USER by hand what is not in use", n, d.SecretID)
	}
	return nil
}

// onServer opens a session of the administrator where the accounts of a deletion are.
func (t *attempt) onServer(ctx context.Context, in rotation.Deletion, do func(*account.Admin) error) (err error) {
	defer t.Secrets.Forget(in.MasterSecretID)
	admin, master, err := t.adminOf(ctx, in.MasterSecretID, at(in.Server))
	var missing *types.ResourceNotFoundException
	if n := len(in.MasterSecretID) - len("-xxxxxx"); errors.As(err, &missing) && n > 0 && strings.HasPrefix(in.MasterSecretID, "arn:") {
		again := in.MasterSecretID[:n] // one that was made since under the same name has another suffix
		defer t.Secrets.Forget(again)
		admin, master, err = t.adminOf(ctx, again, at(in.Server))
	}
	if err != nil {
		return err
	}
	defer closeInto(&err, admin)
	if master.Address() != in.Server {
		return refuse(rotation.ErrorOtherServer, "master secret %s is for %s now, and the accounts of secret %s are on %s: let it name that server until this deletion has ended, or cancel the deletion and drop them by hand",
			master.Name, master.Address(), in.SecretID, in.Server)
	}
	return do(admin)
}
