package activities

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/go-sql-driver/mysql"
	"go.temporal.io/sdk/activity"

	"github.com/rotate-user/rotate-user/internal/account"
	"github.com/rotate-user/rotate-user/internal/grants"
	"github.com/rotate-user/rotate-user/internal/panics"
	"github.com/rotate-user/rotate-user/internal/secret"
	"github.com/rotate-user/rotate-user/rotation"
)

// TestPassword logs in with the staged credential as the application would, and
// compares the rights of both accounts once more: that a password works does
// not say that the account is whole.
func (a *Activities) TestPassword(ctx context.Context, r rotation.StepInput) (result rotation.TestPasswordResult, err error) {
	t := a.begin(ctx)
	defer t.edge(ctx, &err)

	pending, err := t.staged(ctx, r)
	if err != nil {
		return rotation.TestPasswordResult{}, err
	}
	master, err := t.masterVersion(ctx, r)
	if err != nil {
		return rotation.TestPasswordResult{}, err
	}
	var login account.Login
	var loginErr error
	var wg sync.WaitGroup
	wg.Go(func() {
		defer panics.Into(&loginErr)
		login, loginErr = t.login(ctx, atMaster(pending, master))
	})
	stand, err := t.compare(ctx, r, pending)
	wg.Wait()
	if stand.cluster && lags(loginErr) { // the node that it met may have the password only since then
		if err == nil {
			login, loginErr = t.login(ctx, atMaster(pending, master))
		}
		if lags(loginErr) && (err != nil || len(stand.Unasked) > 0) {
			loginErr = cmp.Or(err, behind(r.Server, loginErr))
		}
	}
	if limited(loginErr) {
		login, loginErr = account.Login{Account: r.Standby}, nil
	}
	if loginErr != nil {
		// Another rotation that has taken over has set the account's password to its own.
		var moved *secret.MovedError
		if _, err := t.Secrets.StillStaged(ctx, r.SecretID, expectedLabels(r)); errors.As(err, &moved) {
			loginErr = err
		}
		return rotation.TestPasswordResult{}, loginErr
	}
	if login.Account != r.Standby {
		return rotation.TestPasswordResult{}, refuse(rotation.ErrorOtherAccount, "version %s of secret %s logs in as %s, and should as %s: another account of that name wins the login; drop it", r.VersionID, r.SecretID, login.Account, r.Standby)
	}
	if err != nil {
		return rotation.TestPasswordResult{}, err
	}
	if len(stand.different) > 0 {
		return rotation.TestPasswordResult{}, refuse(rotation.ErrorDifferent, "%s and %s no longer match, as one of them was changed during the rotation: %s; rotate again", r.Standby, r.Source, strings.Join(lines(stand.different), "; "))
	}
	if len(stand.Unasked) > 0 && r.RequireAllNodes {
		return rotation.TestPasswordResult{}, &grants.Refusal{Reason: grants.NodeNotAsked, Retry: true, Message: strings.Join(lines(stand.Unasked), "; ") +
			": let the address lead to every node, or start the rotation without RequireAllNodes"}
	}
	if err := t.acceptedBy(ctx, r, pending, r.Standby); err != nil {
		return rotation.TestPasswordResult{}, err
	}
	activity.GetLogger(ctx).Info("credential works", "secret", r.SecretID, "version", r.VersionID, "account", login.Account.String())
	return rotation.TestPasswordResult{Account: login.Account.String(), ServerVersion: login.Version, TLS: login.TLS, Warnings: lines(slices.Concat(stand.Mended, stand.Unasked))}, nil
}

// standing is how the new credential stands with the server, or with all nodes of its cluster.
type standing struct {
	different []string // in what the two accounts differ
	cluster   bool     // nodes learn of a change one by one
	account.Nodes
}

func (t *attempt) compare(ctx context.Context, r rotation.StepInput, pending secret.Version) (s standing, err error) {
	admin, err := t.administer(ctx, r)
	if err != nil {
		return s, err
	}
	defer closeInto(&err, admin)
	s.cluster = admin.InCluster()
	if s.different, err = admin.Differences(ctx, r.Source, r.Standby); err != nil {
		return s, err
	}
	s.Nodes, err = admin.AwaitNodes(ctx, r.Standby, r.Source, pending.Password, t.stillStaged(r, pending))
	return s, err
}

// lagging are the errors of a login on a node that does not know yet that an account has a new password, or is unlocked, or
// there at all, or may enter a database.
var lagging = []uint16{1044, 1045, 1049, 1698, 3118, 4151}

func lags(err error) bool {
	server, ok := errors.AsType[*mysql.MySQLError](err)
	return ok && slices.Contains(lagging, server.Number)
}

// behind is the error of a login that one node of a cluster refuses, while another stores the password that it was tried with.
func behind(server string, err error) error {
	return &grants.Refusal{Reason: grants.NodeBehind, Retry: true, Message: fmt.Sprintf("a node of the cluster at %s refuses what another node"+
		" has already; it may be behind the others: %v", server, err)}
}
