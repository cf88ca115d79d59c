package activities

import (
	"context"
	"slices"

	"go.temporal.io/sdk/activity"

	"github.com/rotate-user/rotate-user/internal/account"
	"github.com/rotate-user/rotate-user/internal/grants"
	"github.com/rotate-user/rotate-user/rotation"
)

// CloneUser checks everything that could refuse this rotation. It then makes the standby's rights
// and properties equal to those of the current account. If there is no standby, it creates one,
// locked.
func (a *Activities) CloneUser(ctx context.Context, in rotation.CloneUserInput) (result rotation.CloneUserResult, err error) {
	s, err := a.examine(ctx, in, showsPromotion(in))
	if err != nil {
		return rotation.CloneUserResult{}, err
	}
	admin, err := a.admin(ctx, s.master)
	if err != nil {
		return rotation.CloneUserResult{}, err
	}
	defer closeInto(&err, admin)
	admin.Force = in.Force
	if s.promoted {
		set, err := a.isSet(ctx, admin, s.current)
		if err != nil {
			return rotation.CloneUserResult{}, err
		}
		if set {
			return rotation.CloneUserResult{Rotation: s.StepInput, Promoted: true}, nil
		}
		in.EarlierSHA256 = "" // something else has promoted a version that was only staged
		if s, err = a.examine(ctx, in, showsPromotion(in)); err != nil {
			return rotation.CloneUserResult{}, err
		}
	}
	if err := a.notPairedOtherwise(ctx, admin, s); err != nil {
		return rotation.CloneUserResult{}, err
	}
	plan, err := admin.Sync(ctx, s.accounts)
	if wrongPassword(err) {
		s, plan, err = a.mend(ctx, admin, in, s, err)
	}
	err = a.nameOther(ctx, s, err)
	if admin.InCluster() && lags(err) {
		err = a.behindOrFinal(ctx, admin, s, err)
	}
	if err != nil {
		return rotation.CloneUserResult{}, err
	}
	result = describe(plan)
	result.Warnings = slices.Concat(s.forced, s.warnings, result.Warnings)
	s.Source, s.Standby, s.EndSessions = plan.Source, plan.Standby, plan.EndSessions
	s.StandbyStored, s.Policy = plan.StandbyStored.Keyed(s.master.Password), plan.Policy
	s.StandbyUnlocked = !plan.StandbyStored.Locked
	if login, err := s.login(); err == nil { // otherwise a limit of the account stopped it, after the password was accepted
		s.Source = login.Account
	}
	if s.takeover {
		if err := a.reissue(ctx, admin, s); err != nil {
			return rotation.CloneUserResult{}, err
		}
		result.Reissued = true
	}
	if result.LeftGone, err = leftGone(ctx, admin, in.Left, s.Server); err != nil {
		return rotation.CloneUserResult{}, err
	}
	result.Rotation, result.SecretARN = s.StepInput, s.current.ARN
	activity.GetLogger(ctx).Info("standby is equal", "secret", in.SecretID, "standby", plan.Standby.String(),
		"created", plan.Create, "changes", len(plan.Changes))
	return result, nil
}

// leftGone returns the users of pairs that the secret named earlier who no longer have an account
// on the server.
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

// behindOrFinal judges a login that one node of a cluster refuses although the administrator's node
// stores the current credential. The node may be behind. Once all nodes have shown that they store
// the credential as well, the next refusal is final.
func (a *Activities) behindOrFinal(ctx context.Context, admin *account.Admin, s *subject, refused error) error {
	stored, err := admin.Stored(ctx, s.current.Username)
	if err != nil {
		return err
	}
	for _, has := range stored {
		if !holds(s.current, has) {
			continue
		}
		unasked, err := admin.AskNodes(ctx, has.Account, s.current.Password)
		if err != nil {
			return err
		}
		if len(unasked) > 0 {
			break
		}
		if _, err := a.login(ctx, atMaster(s.current, s.master)); lags(err) {
			return err
		}
	}
	return behind(s.Server, refused)
}

// reissue stores the current credential under another version id. After that, the rotation that
// this one takes over from can no longer promote, because it moves AWSCURRENT only from the version
// that it began with. Its call may take effect late, however long ago its worker died.
func (a *Activities) reissue(ctx context.Context, admin *account.Admin, s *subject) error {
	return admin.Locked(ctx, s.Source.User, s.Standby.User, func(ctx context.Context) error {
		if err := s.unmoved(ctx); err != nil {
			return err
		}
		v, err := a.Secrets.Reissue(ctx, s.SecretID, s.current, s.previousVersionID)
		if err != nil {
			return err
		}
		s.CurrentVersionID = v.ID
		return nil
	})
}

func describe(plan *grants.Plan) rotation.CloneUserResult {
	r := rotation.CloneUserResult{
		Created: plan.Create, Changed: len(plan.Changes), Warnings: lines(plan.Warnings), InUse: lines(sessions(plan.Sessions)),
		Digest: plan.Digest, Rights: plan.Rights, PasswordExpires: plan.Expires,
	}
	for _, c := range plan.Changes {
		r.Changes = append(r.Changes, c.Text)
		if c.Drift {
			r.Drifted++
			r.Drift = append(r.Drift, c.Text)
		}
	}
	r.Changes, r.Drift = lines(r.Changes), lines(r.Drift)
	if r.InUseUnknown = !plan.SessionsKnown && !plan.Create; r.InUseUnknown {
		r.Warnings = append(r.Warnings, "sessions of "+plan.Standby.String()+" were not counted because the administrator cannot list them: "+
			"GRANT PROCESS to it")
	}
	return r
}
