package activities

import (
	"context"

	"go.temporal.io/sdk/activity"
)

// RevokePreviousResult names the account that no longer logs in.
type RevokePreviousResult struct {
	Account string `json:"Account"`
}

// RevokePrevious locks the account that was in use before the rotation, ends
// its sessions and scrambles its password. AWSPREVIOUS no longer logs in.
func (a *Activities) RevokePrevious(ctx context.Context, r Rotation) (result RevokePreviousResult, err error) {
	t := a.begin()
	defer t.edge(ctx, &err)

	admin, err := t.administer(ctx, r)
	if err != nil {
		return RevokePreviousResult{}, err
	}
	defer closeInto(&err, admin)
	if err := admin.Revoke(ctx, r.Source); err != nil {
		return RevokePreviousResult{}, err
	}
	activity.GetLogger(ctx).Warn("previous account revoked", "secret", r.SecretID, "account", r.Source.String())
	return RevokePreviousResult{Account: r.Source.String()}, nil
}
