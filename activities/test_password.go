package activities

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"go.temporal.io/sdk/activity"

	"github.com/rotate-user/rotate-user/internal/account"
	"github.com/rotate-user/rotate-user/internal/grants"
	"github.com/rotate-user/rotate-user/internal/panics"
	"github.com/rotate-user/rotate-user/internal/secret"
	"github.com/rotate-user/rotate-user/rotation"
)

// TestPassword logs in with the staged credential as the application would. It compares the rights
// of both accounts again, because a login does not prove that the account has its rights.
func (a *Activities) TestPassword(ctx context.Context, r rotation.StepInput) (result rotation.TestPasswordResult, err error) {
	pending, err := a.staged(ctx, r)
	if err != nil {
		return rotation.TestPasswordResult{}, err
	}
	master, err := a.masterVersion(ctx, r)
	if err != nil {
		return rotation.TestPasswordResult{}, err
	}
	var login account.Login
	var loginErr error
	var wg sync.WaitGroup
	wg.Go(func() {
		defer panics.Into(&loginErr)
		login, loginErr = a.login(ctx, atMaster(pending, master))
	})
	stand, err := a.compare(ctx, r, pending)
	wg.Wait()
	if stand.cluster && lags(loginErr) { // the node may have received the password only after the login
		if err == nil {
			login, loginErr = a.login(ctx, atMaster(pending, master))
		}
		if lags(loginErr) && (err != nil || len(stand.Unasked) > 0) {
			loginErr = cmp.Or(err, behind(r.Server, loginErr))
		}
	}
	if limited(loginErr) {
		login, loginErr = account.Login{Account: r.Standby}, nil
	}
	if loginErr != nil {
		// If another rotation has taken over, it has set its own password.
		var moved *secret.MovedError
		if _, err := a.Secrets.StillStaged(ctx, r.SecretID, expectedLabels(r)); errors.As(err, &moved) {
			loginErr = err
		}
		return rotation.TestPasswordResult{}, loginErr
	}
	if login.Account != r.Standby {
		return rotation.TestPasswordResult{}, refuse(rotation.ErrorOtherAccount, "version %s of secret %s logs in as %s instead of %s:"+
			" drop that account, which takes over the login", r.VersionID, r.SecretID, login.Account, r.Standby)
	}
	if err != nil {
		return rotation.TestPasswordResult{}, err
	}
	if len(stand.different) > 0 {
		return rotation.TestPasswordResult{}, refuse(rotation.ErrorDifferent, "%s and %s no longer match, because one of them was changed during"+
			" the rotation: %s; rotate again", r.Standby, r.Source, strings.Join(lines(stand.different), "; "))
	}
	if len(stand.Unasked) > 0 && r.RequireAllNodes {
		return rotation.TestPasswordResult{}, &grants.Refusal{Reason: grants.NodeNotAsked, Retry: true, Message: strings.Join(
			lines(stand.Unasked), "; ") + ": let the address lead to every node, or start the rotation without RequireAllNodes"}
	}
	if err := a.acceptedBy(ctx, r, pending, r.Standby); err != nil {
		return rotation.TestPasswordResult{}, err
	}
	activity.GetLogger(ctx).Info("credential works", "secret", r.SecretID, "version", r.VersionID, "account", login.Account.String())
	return rotation.TestPasswordResult{
		Account: login.Account.String(), ServerVersion: login.Version, TLS: login.TLS,
		Warnings: lines(slices.Concat(stand.Mended, stand.Unasked)),
	}, nil
}

// standing is what the server, or each node of its cluster, stores for the new credential.
type standing struct {
	different []string // the differences between the two accounts
	cluster   bool     // a change reaches the nodes one by one
	account.Nodes
}

func (a *Activities) compare(ctx context.Context, r rotation.StepInput, pending secret.Version) (s standing, err error) {
	admin, err := a.administer(ctx, r)
	if err != nil {
		return s, err
	}
	defer closeInto(&err, admin)
	s.cluster = admin.InCluster()
	if s.different, err = admin.Differences(ctx, r.Source, r.Standby); err != nil {
		return s, err
	}
	s.Nodes, err = admin.AwaitNodes(ctx, r.Standby, r.Source, pending.Password, a.stillStaged(r, pending))
	return s, err
}
