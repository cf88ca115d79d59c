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

// endpointsAtOnce bounds the logins on further endpoints.
const endpointsAtOnce = 4

// acceptedBy proves that further endpoints accept the credential of a version that the secret's own server has accepted, as an
// account if one is given. It joins the errors of all of them. The administrator's credential goes to none: they come from the
// workflow's input, and what they are to the server is known to those who gave them.
func (t *attempt) acceptedBy(ctx context.Context, endpoints []string, v secret.Version, as grants.Name) error {
	errs := make([]error, len(endpoints))
	var g errgroup.Group
	g.SetLimit(endpointsAtOnce)
	for i, endpoint := range endpoints {
		g.Go(func() error {
			defer panics.Into(&errs[i])
			errs[i] = t.acceptedAt(ctx, endpoint, v, as)
			return nil
		})
	}
	_ = g.Wait()
	return errors.Join(errs...)
}

func (t *attempt) acceptedAt(ctx context.Context, endpoint string, v secret.Version, as grants.Name) (err error) {
	there := v
	if there.Host, there.Port, err = address.Parse(endpoint); err != nil {
		return refuse(rotation.ErrorOtherServer, "test endpoint %q: %v", endpoint, err)
	}
	login, err := t.loginBy(ctx, there, t.Accounts.LoginReady)
	switch {
	case limited(err):
		return nil
	case lags(err):
		return &grants.Refusal{Reason: grants.NodeBehind, Retry: true, Message: fmt.Sprintf("test endpoint %s refuses what %s accepts:"+
			" it is behind, or a replication filter keeps account statements from it: %v", endpoint, v.Address(), err)}
	case err != nil:
		return fmt.Errorf("test endpoint: %w", err)
	case as != grants.Name{} && login.Account != as:
		return refuse(rotation.ErrorOtherAccount, "test endpoint %s takes the login with version %s of secret %s for %s, and should for %s: another account of that name wins the login there; drop it",
			endpoint, v.ID, v.Name, login.Account, as)
	}
	return nil
}
