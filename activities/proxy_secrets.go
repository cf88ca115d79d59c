package activities

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/rotate-user/rotate-user/internal/account"
	"github.com/rotate-user/rotate-user/internal/panics"
	"github.com/rotate-user/rotate-user/internal/secret"
	"github.com/rotate-user/rotate-user/rotation"
)

// proxySecret is a secret that a proxy logs in with, and its description.
type proxySecret struct {
	id string
	secret.Description
	secret.Version
}

// proxySecrets reads the secrets that a proxy logs in with, and returns the one of each user. There
// must be exactly one for each user, and it must not be the user's own secret or the master secret.
// The error lists everything that is wrong. An empty user matches any user.
func (a *Activities) proxySecrets(ctx context.Context, ids []string, users [2]string, others ...string) (found [2]proxySecret, err error) {
	all, errs := make([]proxySecret, len(ids)), make([]error, len(ids))
	var g errgroup.Group
	for i, id := range ids {
		g.Go(func() error {
			defer panics.Into(&errs[i])
			all[i], errs[i] = a.proxySecret(ctx, id, others)
			return nil
		})
	}
	_ = g.Wait()
	unread := errors.Join(errs...)
	var wrong []error
	names := map[string][]string{} // the secrets, by user
	for i, p := range all {
		if errs[i] != nil {
			continue
		}
		user := slices.Index(users[:], p.Username)
		if user < 0 {
			user = slices.Index(users[:], "")
		}
		names[p.Username] = append(names[p.Username], p.Description.Name)
		switch {
		case user < 0:
			wrong = append(wrong, refuse(rotation.ErrorProxySecret, "proxy secret %s is for user %s: it must be for %s or %s",
				p.Description.Name, p.Username, users[0], users[1]))
		case len(names[p.Username]) > 1:
			wrong = append(wrong, refuse(rotation.ErrorProxySecret,
				"proxy secrets %s are both for user %s: there must be one for each account of the pair",
				strings.Join(names[p.Username], " and "), p.Username))
		default:
			found[user] = p
		}
	}
	for _, user := range users {
		if user != "" && names[user] == nil && unread == nil {
			wrong = append(wrong, refuse(rotation.ErrorProxySecret,
				"none of the proxy secrets is for user %s: store \"username\": %[1]q in one of them, with any password",
				user))
		}
	}
	return found, errors.Join(append([]error{unread}, wrong...)...)
}

// proxySecret reads a secret that a proxy logs in with, and refuses one that cannot be changed.
func (a *Activities) proxySecret(ctx context.Context, id string, others []string) (p proxySecret, err error) {
	p.id = id
	if p.Description, err = a.Secrets.Describe(ctx, id); err != nil {
		return p, fmt.Errorf("proxy secret: %w", err)
	}
	d := p.Description
	if slices.Contains(others, d.ARN) {
		return p, refuse(rotation.ErrorProxySecret, "proxy secret %s is the user's own secret or the master secret:"+
			" use a separate secret for each account", d.Name)
	}
	if d.RotationEnabled {
		return p, refuse(rotation.ErrorOtherRotator, "automatic rotation is enabled on proxy secret %s and would conflict with this workflow:"+
			" run `aws secretsmanager cancel-rotate-secret --secret-id %[1]s`", d.Name)
	}
	if err := cmp.Or(notDeleted(d), writable(d)); err != nil {
		return p, err
	}
	if p.Version, err = a.proxyVersion(ctx, id); err != nil {
		return p, fmt.Errorf("proxy secret: %w", err)
	}
	return p, fits(p.Version, p.Username)
}

// proxyVersion reads the current version of a proxy secret, whose password is redacted from then
// on.
func (a *Activities) proxyVersion(ctx context.Context, id string) (secret.Version, error) {
	r, err := redactorOf(ctx)
	if err != nil {
		return secret.Version{}, err
	}
	v, err := a.Secrets.Login(ctx, id)
	r.remember(v.Password)
	return v, err
}

// examineProxies finds the proxy secrets of a rotation, if there are any. The rotation writes to
// the current account's proxy secret only if that does not contain the current password.
func (a *Activities) examineProxies(ctx context.Context, in rotation.CloneUserInput, s *subject, standby string) error {
	if len(in.ProxySecretIDs) == 0 {
		return nil
	}
	found, err := a.proxySecrets(ctx, in.ProxySecretIDs, [2]string{s.current.Username, standby}, s.current.ARN, s.master.ARN)
	if err != nil {
		return err
	}
	current, other := found[0], found[1]
	s.StandbyProxySecretID = other.id
	if current.Password != s.current.Password {
		s.CurrentProxySecretID = current.id
		s.warnings = append(s.warnings, outOfStep(current, s.current)+"; this rotation stores the right one")
	}
	if len(in.Pair) > 0 { // an earlier rotation has made these calls
		return nil
	}
	for _, p := range found {
		if err := a.Secrets.MayWrite(ctx, p.id, p.Version, p.Description); err != nil {
			return fmt.Errorf("proxy secret: %w", err)
		}
	}
	return nil
}

func outOfStep(p proxySecret, current secret.Version) string {
	return fmt.Sprintf("proxy secret %s does not hold the password of %s that AWSCURRENT of secret %s holds, "+
		"so that the proxy cannot log in as this user",
		p.Description.Name, p.Username, current.Name)
}

// validateProxies checks that the proxy secrets are in step with AWSCURRENT of the user's secret.
// known are the users of the pair, if they are known.
func (a *Activities) validateProxies(ctx context.Context, ids []string, current secret.Version, known []string) error {
	if len(ids) == 0 {
		return nil
	}
	users := [2]string{current.Username}
	if i := slices.Index(known, current.Username); i >= 0 && len(known) == 2 {
		users[1] = known[1-i]
	}
	found, err := a.proxySecrets(ctx, ids, users, current.ARN)
	if err == nil && found[0].Password != current.Password {
		err = refuse(rotation.ErrorProxySecret, "%s: run `starter rotate`", outOfStep(found[0], current))
	}
	return err
}

// keepProxies stores the standby's new password in its proxy secret, once the server stores it. If
// the current account's proxy secret is out of step, it also stores the current password there. It
// holds the pair's lock, so that no other rotation can set another password in the meantime.
func (a *Activities) keepProxies(ctx context.Context, admin *account.Admin, r rotation.StepInput, pending secret.Version) error {
	if r.StandbyProxySecretID == "" {
		return nil
	}
	return admin.Locked(ctx, r.Source.User, r.Standby.User, func(ctx context.Context) error {
		d, err := a.Secrets.StillStaged(ctx, r.SecretID, expectedLabels(r))
		if err := cmp.Or(notDeleted(d), err); err != nil {
			return err
		}
		set, err := a.isSet(ctx, admin, pending)
		if err != nil {
			return err
		}
		if !set {
			return refuse(rotation.ErrorEdited, "the server no longer stores the password of version %s of secret %s for %s: rotate again",
				r.VersionID, r.SecretID, r.Standby)
		}
		if err := a.keepProxy(ctx, r.StandbyProxySecretID, pending); err != nil || r.CurrentProxySecretID == "" {
			return err
		}
		current, err := a.version(ctx, r.SecretID, r.CurrentVersionID)
		if err != nil {
			return err
		}
		return a.keepProxy(ctx, r.CurrentProxySecretID, current)
	})
}

// keepProxy stores the credential of a version in a proxy secret.
func (a *Activities) keepProxy(ctx context.Context, id string, v secret.Version) error {
	have, err := a.proxyVersion(ctx, id)
	switch {
	case err != nil:
	case have.Username != v.Username:
		return refuse(rotation.ErrorProxySecret, "proxy secret %s was for user %s when this rotation began, and is for %s now: rotate again",
			have.Name, v.Username, have.Username)
	case have.Password == v.Password: // by an earlier attempt, which may have been cut off before it tidied
		err = a.Secrets.Tidy(ctx, id, have.ID)
	default:
		err = a.Secrets.ReplaceLogin(ctx, id, have, v.Password, v.ID)
	}
	if err != nil {
		return fmt.Errorf("proxy secret: %w", err)
	}
	return nil
}

// recoverProxy stores a credential that AWSCURRENT was moved to in the proxy secret of its user, and
// returns the name of that secret, or "" if it has the password already. The other account's proxy
// secret does not matter.
func (a *Activities) recoverProxy(
	ctx context.Context, admin *account.Admin, ids []string, s *subject, currentID string,
) (stored string, err error) {
	current, err := a.version(ctx, s.SecretID, currentID)
	if err != nil {
		return "", err
	}
	users := [2]string{current.Username, s.accounts.Standby}
	if users[0] == users[1] {
		users[1] = s.current.Username
	}
	found, err := a.proxySecrets(ctx, ids, users, s.current.ARN, s.master.ARN)
	p := found[0]
	switch {
	case p.id == "":
		return "", err
	case p.Password == current.Password:
		return "", nil
	}
	err = admin.Locked(ctx, users[0], users[1], func(ctx context.Context) error {
		d, err := a.Secrets.DescribeUntil(ctx, s.SecretID, func(d secret.Description) bool { return d.Stages[secret.Current] == currentID })
		if err != nil {
			return err
		}
		if d.Stages[secret.Current] != currentID {
			return refuse(rotation.ErrorEdited, "AWSCURRENT of secret %s is no longer version %s: run `starter recover --secret-id %[1]s` again",
				s.SecretID, currentID)
		}
		return a.keepProxy(ctx, p.id, current)
	})
	return p.Description.Name, err
}
