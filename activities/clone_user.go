package activities

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"go.temporal.io/sdk/activity"

	"github.com/rotate-user/rotate-user/internal/account"
	"github.com/rotate-user/rotate-user/internal/grants"
	"github.com/rotate-user/rotate-user/internal/secret"
	"github.com/rotate-user/rotate-user/rotation"
)

// CloneUser checks everything that could refuse this rotation, and then gives
// the standby exactly the rights and properties of the account in use. It makes
// the standby, locked, where it is absent.
func (a *Activities) CloneUser(ctx context.Context, in rotation.CloneUserInput) (result rotation.CloneUserResult, err error) {
	t := a.begin(ctx)
	defer t.edge(ctx, &err)

	s, err := t.examine(ctx, in, showsPromotion(in))
	if err != nil {
		return rotation.CloneUserResult{}, err
	}
	admin, err := t.admin(ctx, s.master)
	if err != nil {
		return rotation.CloneUserResult{}, err
	}
	defer closeInto(&err, admin)
	admin.Force = in.Force
	if s.promoted {
		set, err := t.isSet(ctx, admin, s.current)
		if err != nil {
			return rotation.CloneUserResult{}, err
		}
		if set {
			return rotation.CloneUserResult{Rotation: s.StepInput, Promoted: true}, nil
		}
		in.EarlierSHA256 = "" // another actor has moved the label to what was only staged
		if s, err = t.examine(ctx, in, showsPromotion(in)); err != nil {
			return rotation.CloneUserResult{}, err
		}
	}
	if err := t.notPairedOtherwise(ctx, admin, s); err != nil {
		return rotation.CloneUserResult{}, err
	}
	plan, err := admin.Sync(ctx, s.accounts)
	if wrongPassword(err) {
		s, plan, err = t.mend(ctx, admin, in, s, err)
	}
	err = t.nameOther(ctx, s, err)
	if admin.InCluster() && lags(err) {
		err = t.behindOrFinal(ctx, admin, s, err)
	}
	if err != nil {
		return rotation.CloneUserResult{}, err
	}
	result = describe(plan)
	result.Warnings = slices.Concat(s.forced, s.warnings, result.Warnings)
	s.Source, s.Standby, s.StandbyStored, s.Policy = plan.Source, plan.Standby, plan.StandbyStored.Keyed(s.master.Password), plan.Policy
	s.EndSessions = plan.EndSessions
	if login, err := s.login(); err == nil { // or a limit of the account stopped it behind its password
		s.Source = login.Account
	}
	if s.takeover {
		if err := t.reissue(ctx, admin, s); err != nil {
			return rotation.CloneUserResult{}, err
		}
		result.Reissued = true
	}
	if result.LeftGone, err = leftGone(ctx, admin, in.Left, s.Server); err != nil {
		return rotation.CloneUserResult{}, err
	}
	result.Rotation, result.SecretARN = s.StepInput, s.current.ARN
	activity.GetLogger(ctx).Info("standby is equal", "secret", in.SecretID, "standby", plan.Standby.String(), "created", plan.Create, "changes", len(plan.Changes))
	return result, nil
}

// leftGone finds the users of pairs that the secret was for before who have no account any more on a server.
func leftGone(ctx context.Context, admin *account.Admin, left []rotation.KnownPair, server string) (gone []string, err error) {
	for _, p := range left {
		if p.Server != server {
			continue
		}
		for _, user := range p.Usernames {
			names, err := admin.Exists(ctx, user)
			if err != nil {
				return nil, err
			}
			if len(names) == 0 {
				gone = append(gone, user)
			}
		}
	}
	return gone, nil
}

// behindOrFinal judges the error of a login with the current credential that one node of a cluster refuses, while the administrator's
// stores it. A node may be behind; once all of them have shown that they store it too, the next refusal is final.
func (t *attempt) behindOrFinal(ctx context.Context, admin *account.Admin, s *subject, refused error) error {
	stored, err := admin.Stored(ctx, s.current.Username)
	if err != nil {
		return err
	}
	for _, a := range stored {
		if !holds(s.current, a) {
			continue
		}
		unasked, err := admin.AskNodes(ctx, a.Account, s.current.Password)
		if err != nil {
			return err
		}
		if len(unasked) > 0 {
			break
		}
		if _, err := t.login(ctx, atMaster(s.current, s.master)); lags(err) {
			return err
		}
	}
	return behind(s.Server, refused)
}

// mend goes on where the server stores another password for the account in use
// than AWSCURRENT holds. Where that password is known to have leaked, its holder
// has changed it: it can no longer be proved, and no one else should use it.
// Otherwise AWSCURRENT goes to the newest version that holds a password of the
// pair, if there is one: what logs in is better than what does not.
func (t *attempt) mend(ctx context.Context, admin *account.Admin, in rotation.CloneUserInput, s *subject, refused error) (*subject, *grants.Plan, error) {
	refused = fmt.Errorf("version %s of secret %s: %w", s.current.ID, s.SecretID, refused)
	if in.Force && in.RevokePrevious && s.current.ID == in.PromotedVersionID {
		s.warnings = append(s.warnings, "AWSCURRENT did not log in, and was taken for the credential that leaked: "+refused.Error())
		s.accounts.Password, s.accounts.Proof, s.accounts.Base = "", nil, false
		if _, err := admin.Plan(ctx, s.accounts); err != nil { // what refuses the rotation does so before anything is taken away
			return s, nil, err
		}
		s.login = func() (account.Login, error) { return account.Login{}, refused }
		if in.GraceSeconds == 0 {
			if err := t.scramble(ctx, admin, s); err != nil {
				return s, nil, err
			}
		}
		plan, err := admin.Sync(ctx, s.accounts)
		return s, plan, err
	}
	restored, err := t.restore(ctx, admin, s)
	if err != nil {
		return s, nil, err
	}
	if restored == "" {
		return s, nil, refused
	}
	said := fmt.Sprintf("AWSCURRENT of secret %s was version %s, which the server refused; it is version %s now, which logs in", s.SecretID, s.current.ID, restored)
	activity.GetLogger(ctx).Warn(said)
	in.EarlierSHA256 = "" // whichever version it is, it is the current one that this rotation begins from
	s, err = t.examine(ctx, in, func(d secret.Description) bool { return d.Stages[secret.Current] == restored })
	if err != nil {
		return s, nil, fmt.Errorf("%s; %w", said, err)
	}
	s.warnings = append(s.warnings, said)
	plan, err := admin.Sync(ctx, s.accounts)
	return s, plan, err
}

// scramble takes the password away from the account in use and ends its sessions.
// Where the user has several accounts, which one it is is not known, and the
// rotation will be refused.
func (t *attempt) scramble(ctx context.Context, admin *account.Admin, s *subject) error {
	names, err := admin.Exists(ctx, s.current.Username)
	if err != nil || len(names) != 1 {
		return err
	}
	_, err = admin.Scramble(ctx, names[0], s.accounts.Mark, func(ctx context.Context) error {
		if err := s.unmoved(ctx); err != nil {
			return err
		}
		set, err := t.isSet(ctx, admin, s.current) // last: a person who sets it holds no lock
		if err == nil && set {
			err = refuse(rotation.ErrorEdited, "the password of %s is that of secret %s again: rotate again", names[0], s.SecretID)
		}
		return err
	})
	return err
}

// isSet reports whether the server stores the password of a version for one of its
// user's accounts.
func (t *attempt) isSet(ctx context.Context, admin *account.Admin, v secret.Version) (bool, error) {
	stored, err := admin.Stored(ctx, v.Username)
	if err != nil {
		return false, err
	}
	return holds(v, stored...), nil
}

// restore moves AWSCURRENT to the newest version that holds a password of the
// pair, if it is not there by now, and answers its id; empty where there is none. No one gains a right by
// it: the version is for the same address and differs in the credential only.
func (t *attempt) restore(ctx context.Context, admin *account.Admin, s *subject) (restored string, err error) {
	err = admin.Locked(ctx, s.current.Username, s.accounts.Standby, func(ctx context.Context) error {
		if err := s.unmoved(ctx); err != nil {
			return err
		}
		for from := s.current.ID; ; from = restored { // a person may mend the password by hand meanwhile
			v, err := t.working(ctx, admin, s)
			if err != nil || v == "" {
				return err
			}
			if restored = v; v == from {
				return nil
			}
			if err := t.Secrets.MoveCurrent(ctx, s.SecretID, from, v); err != nil {
				return err
			}
		}
	})
	return restored, err
}

// working finds the newest version that logs in as one of the pair and is the
// current one but for the credential.
func (t *attempt) working(ctx context.Context, admin *account.Admin, s *subject) (versionID string, err error) {
	stored, err := admin.Stored(ctx, s.current.Username, s.accounts.Standby)
	if err != nil {
		return "", err
	}
	stored = slices.DeleteFunc(stored, func(s grants.Stored) bool { return s.Locked })
	v, err := t.newest(ctx, s.SecretID, stored, func(v secret.Version) bool { return s.current.SameBut(v.Credential) })
	return v.ID, err
}

// wrongPassword reports whether the server stores another password for the
// account in use than AWSCURRENT holds.
func wrongPassword(err error) bool {
	refused, ok := errors.AsType[*grants.Refusal](err)
	return ok && refused.Reason == grants.WrongPassword
}

// reissue stores the current credential under another version id, so that
// another rotation that this one takes over from can promote nothing any more: it
// moves AWSCURRENT from the version that it began from, or not at all. Its call
// may be under way, however long it has been dead.
func (t *attempt) reissue(ctx context.Context, admin *account.Admin, s *subject) error {
	return admin.Locked(ctx, s.Source.User, s.Standby.User, func(ctx context.Context) error {
		if err := s.unmoved(ctx); err != nil {
			return err
		}
		v, err := t.Secrets.Reissue(ctx, s.SecretID, s.current, s.previousVersionID)
		if err != nil {
			return err
		}
		s.CurrentVersionID = v.ID
		return nil
	})
}

func describe(plan *grants.Plan) rotation.CloneUserResult {
	r := rotation.CloneUserResult{Created: plan.Create, Changed: len(plan.Changes), Warnings: lines(plan.Warnings), InUse: lines(sessions(plan.Sessions)), Digest: plan.Digest, Rights: plan.Rights, PasswordExpires: plan.Expires}
	for _, c := range plan.Changes {
		r.Changes = append(r.Changes, c.Text)
		if c.Drift {
			r.Drifted++
			r.Drift = append(r.Drift, c.Text)
		}
	}
	r.Changes, r.Drift = lines(r.Changes), lines(r.Drift)
	if r.InUseUnknown = !plan.SessionsKnown && !plan.Create; r.InUseUnknown {
		r.Warnings = append(r.Warnings, "who is logged in as "+plan.Standby.String()+" is unknown: the administrator lacks PROCESS")
	}
	return r
}
