package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/rotate-user/rotate-user/rotation"
)

// A rotation that ends just as another one is requested ends its run as well. The next run starts a
// moment later.
const (
	nextRunTries = 20
	nextRunPause = 250 * time.Millisecond
)

func (a *app) rotateCommand() *cobra.Command {
	var id string
	var request rotation.RotateRequest
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Rotate a secret now, and show each step as it happens",
		Long: `Rotate a secret now, and show each step as it happens. Start the rotation of the secret first, with starter start.

Within the minimum overlap after a rotation, another one needs --force, because clients may still use the previous credential. With
--force, the server may refuse clients that cache the secret, now or after the next rotation, until they read it again. AWS's
caching clients do so within 60 minutes.

After a leak, use --revoke-previous. Once the new credential is promoted, it locks the account that was current until then, and ends
its sessions and the older sessions of the other account. Every client of the secret loses its connections, and a client that caches
the secret is refused until it reads it again. --grace gives your clients time to do so, and the same time to an attacker.

If a right was granted to the account with the base name while the clone was current, the rotation grants it to both accounts. If a
right was revoked from it, the rotation is refused until you decide: revoke it from the clone, too, or grant it back. --undo-drift
grants it back, in this rotation only.`,
		Example: `  starter rotate --secret-id MyTestDatabaseUserSecret
  starter rotate --secret-id MyTestDatabaseUserSecret --force --revoke-previous --grace 10m`,
	}
	secretFlag(cmd, &id)
	cmd.Flags().BoolVar(&request.Force, "force", false,
		"rotate even within the minimum overlap; the server may refuse clients that cache the secret")
	cmd.Flags().BoolVar(&request.RevokePrevious, "revoke-previous", false,
		"after the promotion, lock the previous account, scramble its password, and end the sessions of both accounts")
	cmd.Flags().TextVar(&request.Grace, "grace", rotation.Duration(0),
		"`duration` that --revoke-previous waits after the promotion, at most 24h")
	cmd.Flags().BoolVar(&request.UndoDrift, "undo-drift", false,
		"make the account with the base name equal to the current one: grant back what was revoked from it, revoke what was granted to it")
	check := func() error {
		if request.Grace > 0 && !request.RevokePrevious {
			return errors.New("--grace needs --revoke-previous: add it, or leave --grace out")
		}
		if time.Duration(request.Grace) > 24*time.Hour {
			return fmt.Errorf("--grace is %s: must be at most 24h", request.Grace)
		}
		return nil
	}
	return a.action(cmd, check, func(ctx context.Context) error {
		rotated, err := a.follow(ctx, id, func(ctx context.Context) (rotation.Rotation, error) { return a.rotateNow(ctx, id, request) })
		if err != nil {
			return a.noRotation(ctx, err, id)
		}
		return a.print(rotated)
	})
}

// rotateNow requests a rotation from the workflow of a secret, which must be running, and waits for the result.
func (a *app) rotateNow(ctx context.Context, secretID string, request rotation.RotateRequest) (rotation.Rotation, error) {
	for try := 1; ; try++ {
		var r rotation.Rotation
		updateID := uuid.NewString()
		handle, err := a.requestRotation(ctx, secretID, request, updateID)
		if err == nil {
			r, err = a.awaitRotation(ctx, secretID, request, handle, updateID)
		}
		if applicationType(err) != rotation.ErrorJustRotated || try == nextRunTries {
			return r, err
		}
		select {
		case <-ctx.Done():
			return r, ctx.Err()
		case <-time.After(nextRunPause):
		}
	}
}
