package activities

import (
	"context"
	"strings"

	"go.temporal.io/sdk/activity"
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
	t := a.begin()
	defer t.edge(ctx, &err)

	pending, err := t.version(ctx, r.SecretID, r.VersionID)
	if err != nil {
		return TestPasswordResult{}, err
	}
	login, err := t.login(ctx, pending)
	if err != nil {
		return TestPasswordResult{}, err
	}
	if login.Account != r.Standby {
		return TestPasswordResult{}, refuse(ErrorOtherAccount, "version %s of secret %s logs in as %s, and should as %s: another account of that name wins the login; drop it", r.VersionID, r.SecretID, login.Account, r.Standby)
	}
	admin, err := t.administer(ctx, r)
	if err != nil {
		return TestPasswordResult{}, err
	}
	defer closeInto(&err, admin)
	different, err := admin.Differences(ctx, r.Source, r.Standby)
	if err != nil {
		return TestPasswordResult{}, err
	}
	if len(different) > 0 {
		return TestPasswordResult{}, refuse(ErrorDifferent, "%s is not equal to %s any more, somebody changed one of them during the rotation: %s; rotate again", r.Standby, r.Source, strings.Join(lines(different), "; "))
	}
	activity.GetLogger(ctx).Info("credential works", "secret", r.SecretID, "version", r.VersionID, "account", login.Account.String())
	return TestPasswordResult{Account: login.Account.String(), ServerVersion: login.Version, TLS: login.TLS}, nil
}
