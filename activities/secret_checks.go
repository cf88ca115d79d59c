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

	"github.com/rotate-user/rotate-user/internal/account"
	"github.com/rotate-user/rotate-user/internal/secret"
	"github.com/rotate-user/rotate-user/rotation"
)

// showsPromotion returns a function that reports whether a description may be newer than this
// workflow's last promotion. A minute after the promotion, every description is.
func showsPromotion(in rotation.CloneUserInput) func(secret.Description) bool {
	return func(d secret.Description) bool {
		return shows(d, in.PromotedVersionID) || time.Since(in.PromotedAt) > time.Minute
	}
}

// shows reports whether a description may be newer than the promotion of a version, or promoted is
// empty.
func shows(d secret.Description, promoted string) bool {
	return promoted == "" || promoted == d.Stages[secret.Current] || promoted == d.Stages[secret.Previous] || !d.DeletedDate.IsZero()
}

// writable refuses a secret that Secrets Manager would not let anyone change.
func writable(d secret.Description) error {
	switch {
	case d.PrimaryRegion != "":
		return refuse(rotation.ErrorReadOnlySecret, "secret %s is a replica, which cannot be changed: use its primary %s, with a worker in %s",
			d.Name, d.PrimaryARN(), d.PrimaryRegion)
	case d.OwningService != "":
		return refuse(rotation.ErrorReadOnlySecret, "secret %s is managed by the AWS service %s, and only that service can change it: "+
			"use a secret of your own",
			d.Name, d.OwningService)
	}
	return nil
}

// longestPassword is the most characters that a policy can require.
const longestPassword = 255

// fits refuses a secret whose next value could be too long for Secrets Manager. Only the server
// knows how long the password must be.
func fits(current secret.Version, standby string) error {
	next, err := current.With(standby, strings.Repeat("x", longestPassword))
	if err != nil {
		return fmt.Errorf("secret %s: %w", current.Name, err)
	}
	if len(next) > secret.MaxBytes {
		return refuse(rotation.ErrorMalformed, "secret %s could grow to %d bytes with the user name %s and a password of %d characters,"+
			" and Secrets Manager stores at most %d: shorten its other fields", current.Name, len(next), standby, longestPassword, secret.MaxBytes)
	}
	return nil
}

// unmoved returns an error if the secret was deleted, or one of its labels moved, since it was described.
func (a *Activities) unmoved(ctx context.Context, id string, was secret.Description) error {
	now, err := a.Secrets.DescribeUntil(ctx, id, func(now secret.Description) bool {
		return !now.DeletedDate.IsZero() || now.Unmoved(was) == nil
	})
	return cmp.Or(err, notDeleted(now), now.Unmoved(was))
}

func notDeleted(d secret.Description) error {
	if d.DeletedDate.IsZero() {
		return nil
	}
	return refuse(rotation.ErrorDeleted, "secret %s is scheduled for deletion on %s: restore it, or stop its rotation", d.Name,
		utc(d.DeletedDate))
}

// notDeletedKnown is notDeleted for a secret whose accounts a rotation knows. They would stay open
// after the secret is gone.
func notDeletedKnown(p rotation.KnownPair, d secret.Description) error {
	if d.DeletedDate.IsZero() || len(p.Usernames) == 0 {
		return notDeleted(d)
	}
	return refuse(rotation.ErrorDeleted, "secret %s is scheduled for deletion on %s: restore it, or, if no deletion runs,"+
		" run `starter delete --secret-id %[1]s` to have %[3]s locked and dropped with it", d.Name, utc(d.DeletedDate), accountsOf(p))
}

// goneError replaces the error of a call that did not find the secret, if a rotation knows the
// secret's accounts: then its name is not misspelled.
func goneError(p rotation.KnownPair, id string, err error) error {
	if len(p.Usernames) == 0 || !isMissing(err) {
		return err
	}
	return refuse(rotation.ErrorSecretGone, "secret %s is gone, but existed at its last rotation: if no deletion runs,"+
		" run `starter delete --secret-id %[1]s` to have %s locked, and dropped later;"+
		" if the secret does exist, the worker looks in another AWS region or account than before", id, accountsOf(p))
}

// isMissing reports whether Secrets Manager found no such secret or version.
func isMissing(err error) bool {
	var missing *types.ResourceNotFoundException
	return errors.As(err, &missing)
}

// holdsNothing reports whether a version that a label or a list names contains no credential. It may
// be malformed, or have no value at all: RotateSecret stages an empty version for AWS's function to
// fill. Such a version proves nothing.
func holdsNothing(err error) bool { return isMalformed(err) || isMissing(err) }

// isMalformed reports whether a version does not contain a credential, which can happen while a
// secret is being repaired.
func isMalformed(err error) bool {
	var field *secret.FieldError
	return errors.As(err, &field)
}

// accountsOf describes the pair in a message.
func accountsOf(p rotation.KnownPair) string {
	text := "its accounts " + strings.Join(p.Usernames, " and ")
	if p.Server != "" {
		text += " on " + p.Server
	}
	return text
}

// abandoned is how old a version under AWSPENDING must be before a rotation that did not stage it
// takes over. A rotation's steps take only a fraction of that time.
const abandoned = 15 * time.Minute

// notOthers refuses a secret that another rotator is working on. Beside AWSCURRENT or AWSPREVIOUS, AWSPENDING is a leftover: the
// version was promoted.
func (a *Activities) notOthers(ctx context.Context, in rotation.CloneUserInput, d secret.Description) error {
	pending := d.Stages[secret.Pending]
	if slices.Contains([]string{"", d.Stages[secret.Current], d.Stages[secret.Previous], in.EarlierVersionID}, pending) || in.Force {
		return nil
	}
	created, err := a.Secrets.Created(ctx, in.SecretID, pending)
	if err != nil {
		return err
	}
	if free := created.Add(abandoned); time.Now().Before(free) {
		return refuseUntil(free, rotation.ErrorOtherRotator, "another rotation of secret %s has staged version %s and may still be under way:"+
			" it is taken over from %s, or with Force", d.Name, pending, utc(free))
	}
	return nil
}

// notPairedOtherwise refuses to create a standby with the derived name if AWSPREVIOUS logs in as
// another user. An earlier workflow or another tool made that pair, and its other account would
// keep its last password.
func (a *Activities) notPairedOtherwise(ctx context.Context, admin *account.Admin, s *subject) error {
	if s.paired == "" {
		return nil
	}
	stored, err := admin.Stored(ctx, s.paired)
	if err != nil {
		return err
	}
	made, err := a.holds(ctx, s.SecretID, s.previousVersionID, stored...)
	if err != nil || !made {
		return err
	}
	return refuse(rotation.ErrorUnknownPair, "AWSPREVIOUS of secret %s logs in as user %s, which seems to be the other account of the pair:"+
		" start with CloneUsername %[2]q (--clone-username) to rotate between %[3]s and it, or with %[4]q to leave it unchanged and use that one",
		s.current.Name, s.paired, s.current.Username, s.accounts.Standby)
}
