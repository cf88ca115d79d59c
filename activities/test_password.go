package activities

import (
	"context"
	"errors"
	"strings"
	"sync"

	"go.temporal.io/sdk/activity"

	"github.com/rotate-user/rotate-user/internal/account"
	"github.com/rotate-user/rotate-user/internal/panics"
	"github.com/rotate-user/rotate-user/internal/secret"
)

// TestPasswordResult says as whom the staged credential logs in.
type TestPasswordResult struct {
	Account       string `json:"Account"`
	ServerVersion string `json:"ServerVersion"`
	TLS           bool   `json:"TLS"`
}

// TestPassword logs in with the staged credential as the application would, and
// compares the rights of both accounts once more: that a password works does
// not say that the account is whole.
func (a *Activities) TestPassword(ctx context.Context, r Rotation) (result TestPasswordResult, err error) {
	t := a.begin(ctx)
	defer t.edge(ctx, &err)

	pending, err := t.staged(ctx, r)
	if err != nil {
		return TestPasswordResult{}, err
	}
	var login account.Login
	var loginErr error
	var wg sync.WaitGroup
	wg.Go(func() {
		defer panics.Into(&loginErr)
		login, loginErr = t.login(ctx, pending)
	})
	different, err := t.differences(ctx, r)
	wg.Wait()
	if limited(loginErr) {
		login, loginErr = account.Login{Account: r.Standby}, nil
	}
	if loginErr != nil {
		// Another rotation that has taken over has set the account's password to its own.
		var moved *secret.MovedError
		if _, err := t.Secrets.StillStaged(ctx, r.SecretID, r.labels()); errors.As(err, &moved) {
			loginErr = err
		}
		return TestPasswordResult{}, loginErr
	}
	if login.Account != r.Standby {
		return TestPasswordResult{}, refuse(ErrorOtherAccount, "version %s of secret %s logs in as %s, and should as %s: another account of that name wins the login; drop it", r.VersionID, r.SecretID, login.Account, r.Standby)
	}
	if err != nil {
		return TestPasswordResult{}, err
	}
	if len(different) > 0 {
		return TestPasswordResult{}, refuse(ErrorDifferent, "%s is not equal to %s any more, somebody changed one of them during the rotation: %s; rotate again", r.Standby, r.Source, strings.Join(lines(different), "; "))
	}
	activity.GetLogger(ctx).Info("credential works", "secret", r.SecretID, "version", r.VersionID, "account", login.Account.String())
	return TestPasswordResult{Account: login.Account.String(), ServerVersion: login.Version, TLS: login.TLS}, nil
}

func (t *attempt) differences(ctx context.Context, r Rotation) (lines []string, err error) {
	admin, err := t.administer(ctx, r)
	if err != nil {
		return nil, err
	}
	defer closeInto(&err, admin)
	return admin.Differences(ctx, r.Source, r.Standby)
}
