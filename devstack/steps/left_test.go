package steps

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"go.temporal.io/sdk/temporal"

	"github.com/rotate-user/rotate-user/internal/grants"
	"github.com/rotate-user/rotate-user/internal/mysqld"
	"github.com/rotate-user/rotate-user/internal/mysqld/mysqldtest"
	"github.com/rotate-user/rotate-user/rotation"
)

// known is what the lab's rotation knows about its accounts.
func (l *lab) known() rotation.FindAccountsInput {
	l.Helper()
	arn := ""
	if d, err := l.client.DescribeSecret(l.Context(), &secretsmanager.DescribeSecretInput{SecretId: aws.String("app")}); err == nil {
		arn = aws.ToString(d.ARN)
	}
	in := rotation.FindAccountsInput{CloneUserInput: rotation.CloneUserInput{SecretID: "app", MasterKnown: "master"}, SecretARN: arn, RecoveryWindowInDays: 7}
	in.Pair, in.Server, in.Stored = []string{l.user, l.user + "_clone"}, l.address(), maps.Clone(l.input.Stored)
	return in
}

func (l *lab) address() string {
	return l.credential("AWSCURRENT").Address()
}

// finds runs FindAccounts.
func (l *lab) finds(in rotation.FindAccountsInput) (d rotation.Deletion, err error) {
	l.Helper()
	value, err := l.env.ExecuteActivity(rotation.FindAccounts, in)
	var app *temporal.ApplicationError
	// A busy server lists our own login for a moment after it has ended.
	for end := time.Now().Add(10 * time.Second); errors.As(err, &app) && app.Type() == rotation.ErrorInUse && time.Now().Before(end); {
		value, err = l.env.ExecuteActivity(rotation.FindAccounts, in)
	}
	if err == nil {
		err = value.Get(&d)
	}
	return d, err
}

func (l *lab) refuses(what string, err error, kind, says string) {
	l.Helper()
	var app *temporal.ApplicationError
	if !errors.As(err, &app) || app.Type() != kind || !strings.Contains(app.Message(), says) {
		l.Errorf("%s: %v: want a refusal of type %s that says %q", what, err, kind, says)
	}
}

// scheduled deletes the secret as something other than this tool would.
func (l *lab) scheduled() {
	l.Helper()
	if _, err := l.client.DeleteSecret(l.Context(), &secretsmanager.DeleteSecretInput{SecretId: aws.String("app"), RecoveryWindowInDays: aws.Int64(7)}); err != nil {
		l.Fatal(err)
	}
}

// A secret that something else deleted can be handed to a deletion: it locks the accounts, and
// drops them once the secret is gone.
func TestADeletedSecretIsTakenOver(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		for _, gone := range []bool{false, true} {
			name := map[bool]string{false: "scheduled", true: "gone"}[gone]
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				l := newOldLab(t, s)
				l.rotate()
				in := l.known()
				if gone {
					l.forceDelete()
				} else {
					l.scheduled()
				}
				d, err := l.finds(in)
				if err != nil || len(d.Accounts) != 2 || len(d.LockedBefore) != 0 || len(d.Others) != 0 || d.Gone != gone || d.ScheduledFor.Before(time.Now().AddDate(0, 0, 6)) {
					t.Fatalf("FindAccounts answered %+v, %v: want both accounts", d, err)
				}
				l.activity(rotation.LockAccounts, d)
				if locked := l.locked(); len(locked) != 2 {
					t.Errorf("locked are %v", locked)
				}
				// A second deletion takes over after the first one was terminated.
				in.Held = true
				if d, err := l.finds(in); err != nil || len(d.Accounts) != 2 || len(d.LockedBefore) != 0 {
					t.Errorf("FindAccounts answered %+v, %v: want both accounts, locked by a deletion", d, err)
				}
				if !gone {
					l.restore()
					l.settle()
					l.activity(rotation.UnlockAccounts, d)
					l.mustLogIn("AWSCURRENT", l.user+"_clone")
					l.scheduled()
					l.activity(rotation.LockAccounts, d)
					l.restore()
					l.forceDelete()
				}
				d.Locked = true
				l.activity(rotation.DropAccounts, d)
				if left := append(l.accounts(l.user), l.accounts(l.user+"_clone")...); len(left) != 0 {
					t.Errorf("left are %v", left)
				}
			})
		}
	})
}

// The deletion of a secret that is gone is still running, or runs again after a reset or after it
// first failed to lock the accounts. Meanwhile a secret with another name has a new account with
// the old name.
func TestADeletionLeavesALaterAccountOfTheNameAlone(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newOldLab(t, s)
		l.rotate()
		l.rotate() // the rotation has set both passwords
		in := l.known()
		l.forceDelete()
		d, err := l.finds(in)
		if err != nil || len(d.Accounts) != 2 {
			t.Fatalf("FindAccounts answered %+v, %v: want both accounts", d, err)
		}
		l.sql("DROP USER " + l.user + "@'%'")
		l.sql("CREATE USER " + l.user + "@'%' IDENTIFIED BY 'An0ther.Secrets'")
		_, err = l.env.ExecuteActivity(rotation.LockAccounts, d)
		l.refuses(rotation.LockAccounts, err, rotation.ErrorEdited, "no longer has the password")
		if locked := l.locked(); !slices.Equal(locked, []string{l.user + "_clone"}) {
			t.Errorf("locked are %v: want only the account that was found", locked)
		}
		_, err = l.env.ExecuteActivity(rotation.DropAccounts, d)
		l.refuses(rotation.DropAccounts, err, rotation.ErrorEdited, "no longer has the password")
		if len(l.accounts(l.user)) != 1 || len(l.accounts(l.user+"_clone")) != 0 {
			t.Errorf("left are %v and %v: want only the new account", l.accounts(l.user), l.accounts(l.user+"_clone"))
		}
	})
}

// For a secret that cannot be read, only the rotation's state counts as evidence.
func TestADeletedSecretIsTakenOverOnEvidenceOnly(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newOldLab(t, s)
		l.rotate()
		l.rotate()
		in := l.known()
		l.scheduled()
		clone := grants.Name{User: l.user + "_clone", Host: "%"}

		nothing := in
		nothing.Pair = nil
		_, err := l.finds(nothing)
		l.refuses("without a rotation", err, rotation.ErrorDeleted, "no running rotation knows its accounts")
		nothing.SecretID = "misspelt"
		_, err = l.finds(nothing)
		l.refuses("misspelt", err, rotation.ErrorSecretsManager, "check the name")
		other := in
		other.Server = "elsewhere:3306"
		_, err = l.finds(other)
		l.refuses("on another server", err, rotation.ErrorOtherServer, "elsewhere:3306")
		master := in
		master.MasterKnown = ""
		_, err = l.finds(master)
		l.refuses("without a master secret", err, rotation.ErrorNoMaster, "--master-secret-id")

		l.sql("ALTER USER " + clone.String() + " IDENTIFIED BY 'Another.S3cret'")
		if d, err := l.finds(in); err != nil || !slices.Equal(d.Others, []grants.Name{clone}) || len(d.Accounts) != 1 {
			t.Errorf("FindAccounts answered %+v, %v: want %s left alone, whose password is another one", d, err, clone)
		}
		l.sql("ALTER USER " + l.user + "@'%' IDENTIFIED BY 'Another.S3cret'")
		_, err = l.finds(in)
		l.refuses("with other passwords", err, rotation.ErrorUnknownPair, "DROP USER")
	})
}

// The pair that the secret held before it was edited is deleted with it, and no other account.
func TestADeletionIncludesThePairThatTheSecretWasForBefore(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newOldLab(t, s)
		l.rotate()
		l.rotate()
		in := l.known()
		left := rotation.KnownPair{Usernames: in.Pair, Server: in.Server, Stored: in.Stored}
		users := []string{l.user + "n", l.user + "n_clone"}
		l.Cleanup(func() {
			for _, u := range append(users, l.user+"s") {
				l.sql("DROP USER IF EXISTS " + u + "@'%'")
			}
		})
		l.sql("CREATE USER " + users[0] + "@'%' IDENTIFIED BY 'First.Passw0rd'")
		l.sql("CREATE USER " + l.user + "s@'%' IDENTIFIED BY 'Str4nger'")
		l.put(map[string]any{"username": users[0], "password": "First.Passw0rd", "masterarn": "master"})
		l.settle()

		// As FindAccounts finds them before the next rotation.
		d, err := l.finds(in)
		if err != nil || len(d.Accounts) != 3 || d.Accounts[0].User != users[0] || len(d.Others) != 0 {
			t.Errorf("FindAccounts answered %+v, %v: want the new account and both old ones", d, err)
		}

		// A rotation reports the accounts that it left behind, and notices when one of them is
		// gone.
		l.input.Left = []rotation.KnownPair{left}
		l.input.Pair, l.input.Server, l.input.Force = in.Pair, in.Server, true
		clone, err := l.clone()
		if err != nil || len(clone.LeftGone) != 0 || clone.SecretARN != in.SecretARN {
			t.Fatalf("CloneUser answered %+v, %v", clone, err)
		}
		l.sql("DROP USER " + l.user + "@'%'")
		if clone, err = l.clone(); err != nil || !slices.Equal(clone.LeftGone, []string{l.user}) {
			t.Errorf("CloneUser answered %+v, %v: want that %s is gone", clone, err, l.user)
		}
		l.settle()

		// An editor has made the rotation leave a stranger's account behind, or something has begun
		// to use one of the accounts.
		in.Pair, in.Stored = users, nil
		stranger := rotation.KnownPair{Usernames: []string{l.user + "s"}, Server: in.Server}
		elsewhere := rotation.KnownPair{Usernames: []string{"x"}, Server: "elsewhere:3306"}
		in.Left = []rotation.KnownPair{left, stranger, elsewhere}
		d, err = l.finds(in)
		if err != nil || !slices.Contains(d.Accounts, grants.Name{User: l.user + "_clone", Host: "%"}) || len(d.Accounts) != 3 ||
			!slices.Equal(d.Others, []grants.Name{{User: l.user + "s", Host: "%"}}) || len(d.Elsewhere) != 1 {
			t.Errorf("FindAccounts answered %+v, %v: want the stranger's account left alone", d, err)
		}
		l.sql("ALTER USER " + l.user + "_clone@'%' IDENTIFIED BY 'Another.S3cret'")
		if d, err = l.finds(in); err != nil || len(d.Accounts) != 2 || len(d.Others) != 2 {
			t.Errorf("FindAccounts answered %+v, %v: want that the account with another password is left alone", d, err)
		}
		l.activity(rotation.DeleteSecret, func() rotation.Deletion { d.RecoveryWindowInDays = 7; return d }())
		l.activity(rotation.LockAccounts, d)
		l.forceDelete()
		d.Locked = true
		l.activity(rotation.DropAccounts, d)
		if n := len(l.accounts(l.user+"_clone")) + len(l.accounts(l.user+"s")); n != 2 {
			t.Errorf("%d accounts exist that are not the secret's: want 2", n)
		}
	})
}

// The error for a secret that is gone differs from the one for a misspelt id, and it names the
// accounts that still log in.
func TestADeletedSecretIsNotAMisspeltOne(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newOldLab(t, s)
		l.rotate()
		in := l.known()
		plan := rotation.PlanRotationInput{CloneUserInput: in.CloneUserInput}
		validate := rotation.KnownSecret{SecretID: "app", Known: rotation.KnownPair{Usernames: in.Pair, Server: in.Server}}
		all := map[string]any{rotation.CloneUser: in.CloneUserInput, rotation.PlanRotation: plan, rotation.ValidateSecret: validate}
		check := func(state, kind, says string) {
			t.Helper()
			for name, in := range all {
				_, err := l.env.ExecuteActivity(name, in)
				l.refuses(name+" of a secret that is "+state, err, kind, says)
				if err != nil && !strings.Contains(err.Error(), l.user+"_clone") {
					t.Errorf("%s: %v: does not name the accounts", name, err)
				}
			}
		}
		l.scheduled()
		check("scheduled for deletion", rotation.ErrorDeleted, "starter delete --secret-id app")
		_, err := l.env.ExecuteActivity(rotation.ValidateSecret, rotation.KnownSecret{SecretID: "app"})
		l.refuses("without a rotation", err, rotation.ErrorDeleted, "is scheduled for deletion")
		l.restore()
		l.forceDelete()
		check("gone", rotation.ErrorSecretGone, "starter delete --secret-id app")
		_, err = l.env.ExecuteActivity(rotation.ValidateSecret, rotation.KnownSecret{SecretID: "app"})
		l.refuses("without a rotation", err, rotation.ErrorSecretsManager, "check the name")
	})
}

// Since the rotation set its password, something else has begun to use the other account of the
// pair.
func TestADeletionLeavesAStandbyAloneThatHasAnotherPassword(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newOldLab(t, s)
		l.rotate()
		l.rotate()
		in := l.known()
		clone := grants.Name{User: l.user + "_clone", Host: "%"}
		if d, err := l.finds(in); err != nil || len(d.Accounts) != 2 {
			t.Errorf("FindAccounts answered %+v, %v: want both accounts", d, err)
		}
		l.leave(2) // a rotation that was cut off has set another password, which is in AWSPENDING
		l.settle()
		if d, err := l.finds(in); err != nil || len(d.Accounts) != 2 {
			t.Errorf("FindAccounts answered %+v, %v: want both accounts, after a rotation that was cut off", d, err)
		}
		l.sql("ALTER USER " + clone.String() + " IDENTIFIED BY 'Another.S3cret'")
		if d, err := l.finds(in); err != nil || len(d.Accounts) != 1 || !slices.Equal(d.Others, []grants.Name{clone}) {
			t.Errorf("FindAccounts answered %+v, %v: want %s left alone", d, err, clone)
		}
		in.CloneUsername = clone.User
		if d, err := l.finds(in); err != nil || len(d.Accounts) != 2 {
			t.Errorf("FindAccounts answered %+v, %v: want the account that CloneUsername names", d, err)
		}
	})
}
