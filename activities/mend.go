package activities

import (
	"context"
	"fmt"
	"slices"

	"go.temporal.io/sdk/activity"

	"github.com/rotate-user/rotate-user/internal/account"
	"github.com/rotate-user/rotate-user/internal/grants"
	"github.com/rotate-user/rotate-user/internal/secret"
	"github.com/rotate-user/rotate-user/rotation"
)

// mend repairs a rotation if AWSCURRENT does not contain the password that the server stores for
// the current account. It moves AWSCURRENT to the newest version that contains a password of the
// pair, if there is one: a version that logs in is better than one that does not.
func (a *Activities) mend(
	ctx context.Context, admin *account.Admin, in rotation.CloneUserInput, s *subject, refused error,
) (*subject, *grants.Plan, error) {
	refused = fmt.Errorf("version %s of secret %s: %w", s.current.ID, s.SecretID, refused)
	if in.Force && in.RevokePrevious && s.current.ID == in.PromotedVersionID {
		return a.mendLeaked(ctx, admin, in, s, refused)
	}
	restored, err := a.restore(ctx, admin, s)
	if err != nil {
		return s, nil, err
	}
	if restored == "" {
		return s, nil, refused
	}
	moved := fmt.Sprintf("AWSCURRENT of secret %s was version %s, which the server refused; it is now version %s, which logs in",
		s.SecretID, s.current.ID, restored)
	activity.GetLogger(ctx).Warn(moved)
	in.EarlierSHA256 = "" // this rotation begins from the restored version, whichever it is
	s, err = a.examine(ctx, in, func(d secret.Description) bool { return d.Stages[secret.Current] == restored })
	if err != nil {
		return s, nil, fmt.Errorf("%s; %w", moved, err)
	}
	s.warnings = append(s.warnings, moved)
	plan, err := admin.Sync(ctx, s.accounts)
	return s, plan, err
}

// mendLeaked continues without a login with the current credential. That credential has leaked, and
// something else has changed the account's password. So this rotation cannot prove that the
// credential works, and nothing else should use it.
func (a *Activities) mendLeaked(
	ctx context.Context, admin *account.Admin, in rotation.CloneUserInput, s *subject, refused error,
) (*subject, *grants.Plan, error) {
	s.warnings = append(s.warnings, "AWSCURRENT did not log in, and was treated as the credential that leaked: "+refused.Error())
	s.accounts.Password, s.accounts.Proof, s.accounts.Base = "", nil, false
	if _, err := admin.Plan(ctx, s.accounts); err != nil { // any refusal comes before the password is taken away
		return s, nil, err
	}
	s.login = func() (account.Login, error) { return account.Login{}, refused }
	if in.GraceSeconds == 0 {
		if err := a.scramble(ctx, admin, s); err != nil {
			return s, nil, err
		}
	}
	plan, err := admin.Sync(ctx, s.accounts)
	return s, plan, err
}

// scramble replaces the current account's password with a random one and ends its sessions. If the
// user has several accounts, it does nothing, because the rotation will be refused.
func (a *Activities) scramble(ctx context.Context, admin *account.Admin, s *subject) error {
	names, err := admin.Exists(ctx, s.current.Username)
	if err != nil || len(names) != 1 {
		return err
	}
	_, err = admin.Scramble(ctx, names[0], s.accounts.Mark, func(ctx context.Context) error {
		if err := s.unmoved(ctx); err != nil {
			return err
		}
		set, err := a.isSet(ctx, admin, s.current) // the last check, because ALTER USER by hand takes no lock of ours
		if err == nil && set {
			err = refuse(rotation.ErrorEdited, "the password of %s is that of secret %s again: rotate again", names[0], s.SecretID)
		}
		return err
	})
	return err
}

// restore moves AWSCURRENT to the newest version that contains a password of the pair, unless it is
// already there, and returns the version's id, or "" if there is no such version. The move gives no
// one additional rights, because the version differs from the current one only in its credential.
func (a *Activities) restore(ctx context.Context, admin *account.Admin, s *subject) (restored string, err error) {
	err = admin.Locked(ctx, s.current.Username, s.accounts.Standby, func(ctx context.Context) error {
		if err := s.unmoved(ctx); err != nil {
			return err
		}
		for from := s.current.ID; ; from = restored { // again, in case the password was set by hand meanwhile
			v, err := a.working(ctx, admin, s)
			if err != nil || v == "" {
				return err
			}
			if restored = v; v == from {
				return nil
			}
			if err := a.Secrets.MoveCurrent(ctx, s.SecretID, from, v); err != nil {
				return err
			}
			if s.PendingVersionID == from {
				a.Secrets.TidyLater(s.SecretID, from)
			}
		}
	})
	return restored, err
}

// working returns the newest version that logs in as an account of the pair and differs from the
// current version only in its credential.
func (a *Activities) working(ctx context.Context, admin *account.Admin, s *subject) (versionID string, err error) {
	stored, err := admin.Stored(ctx, s.current.Username, s.accounts.Standby)
	if err != nil {
		return "", err
	}
	stored = slices.DeleteFunc(stored, func(s grants.Stored) bool { return !s.Usable() })
	v, err := a.newest(ctx, s.SecretID, stored, func(v secret.Version) bool { return s.current.SameBut(v.Credential) })
	return v.ID, err
}
