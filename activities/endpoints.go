package activities

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/rotate-user/rotate-user/internal/address"
	"github.com/rotate-user/rotate-user/internal/grants"
	"github.com/rotate-user/rotate-user/internal/panics"
	"github.com/rotate-user/rotate-user/internal/secret"
	"github.com/rotate-user/rotate-user/rotation"
)

// atMaster returns a version of the user's secret with the host and port of the master's server.
// Only a login there proves that the secret contains the account's password. The secret's own host
// proves nothing: an editor of the secret could name a server there that accepts any login.
func atMaster(v, master secret.Version) secret.Version {
	v.Host, v.Port = master.Host, master.Port
	return v
}

// ownEndpoint returns the host:port that the user's secret names, or nothing if that is the master's server.
func ownEndpoint(v, master secret.Version) string {
	if v.SameServer(master.Credential) {
		return ""
	}
	return v.Address()
}

// endpointsAtOnce is how many further endpoints are tested at a time.
const endpointsAtOnce = 4

// place is an endpoint other than the master's server, and the version with which to log in there.
type place struct {
	what string
	secret.Version
}

// places returns the endpoints, apart from the master's server, that must accept a version: the
// address in the version, and the test endpoints in the workflow's input.
func places(r rotation.StepInput, v secret.Version) ([]place, error) {
	var all []place
	if own := v.Address(); own != r.Server {
		all = append(all, place{fmt.Sprintf("%s, the address in secret %s,", own, v.Name), v})
	}
	for _, endpoint := range r.TestEndpoints {
		there := v
		var err error
		if there.Host, there.Port, err = address.Parse(endpoint); err != nil {
			return nil, refuse(rotation.ErrorOtherServer, "test endpoint %q: %v", endpoint, err)
		}
		all = append(all, place{"test endpoint " + endpoint, there})
	}
	return all, nil
}

// acceptedBy proves that the other endpoints accept a version's credential, which the master's
// server has already accepted. If an account is given, they must log it in as that account. It
// joins the errors of all endpoints. The administrator's credential is not sent to any of them.
func (a *Activities) acceptedBy(ctx context.Context, r rotation.StepInput, v secret.Version, as grants.Name) error {
	all, err := places(r, v)
	if err != nil {
		return err
	}
	errs := make([]error, len(all))
	var g errgroup.Group
	g.SetLimit(endpointsAtOnce)
	for i, p := range all {
		g.Go(func() error {
			defer panics.Into(&errs[i])
			errs[i] = a.acceptedAt(ctx, p, r.Server, as)
			return nil
		})
	}
	_ = g.Wait()
	return errors.Join(errs...)
}

func (a *Activities) acceptedAt(ctx context.Context, p place, server string, as grants.Name) error {
	login, err := a.loginBy(ctx, p.Version, a.Accounts.LoginReady)
	switch {
	case limited(err):
		return nil
	case lags(err):
		return &grants.Refusal{Reason: grants.NodeBehind, Retry: true, Message: fmt.Sprintf("waiting for %s to accept user %s, as %s does:"+
			" it is behind, a replication filter keeps account statements from it, or it is a proxy that does not know this user: %v",
			p.what, p.Username, server, err)}
	case err != nil:
		return fmt.Errorf("%s: %w", p.what, err)
	case as != grants.Name{} && login.Account != as:
		return refuse(rotation.ErrorOtherAccount, "%s logs version %s of secret %s in as %s instead of %s: "+
			"drop that account, which takes over the login",
			p.what, p.ID, p.Name, login.Account, as)
	}
	return nil
}
