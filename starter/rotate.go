package main

import (
	"context"
	"errors"
	"fmt"
	"time"
	_ "time/tzdata"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/rotate-user/rotate-user/rotation"
)

// A rotation that ends just as another one is requested ends its run, too. The next run starts within a moment.
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
		Long: `Rotate a secret now, and show each step as it happens. The rotation of the secret must have been started, with starter start.

A credential that is younger than the minimum overlap is not rotated without --force, because clients may still use the one
before. With --force, clients that cache the secret can be refused, now or after the next rotation, until they read it again.
AWS's caching clients do so within 60 minutes.

For a credential that has leaked, --revoke-previous locks the account that was in use once the new one is promoted, and ends
its sessions and the older ones of the other account. So every client of the secret loses its connections, and one that caches
the secret is refused until it reads it again. --grace gives those that use the current credential time to do so; whoever has
the leaked one has the same time.

While the clone is in use, a right that was granted to the account with the base name since the last rotation is given to both
accounts. If one was revoked from it, the rotation is refused until you decide: revoke it from the clone too, or grant it back.
--undo-drift grants it back, in this rotation only.`,
		Example: `  starter rotate --secret-id MyTestDatabaseUserSecret
  starter rotate --secret-id MyTestDatabaseUserSecret --force --revoke-previous --grace 10m`,
	}
	secretFlag(cmd, &id)
	cmd.Flags().BoolVar(&request.Force, "force", false, "rotate even within the minimum overlap of the last rotation; clients that cache the secret may be refused")
	cmd.Flags().BoolVar(&request.RevokePrevious, "revoke-previous", false, "lock the account in use until now, scramble its password, end the sessions of both accounts; clients that cache the secret are refused until they read it again")
	cmd.Flags().TextVar(&request.Grace, "grace", rotation.Duration(0), "`duration` for which --revoke-previous waits after the promotion, 24h at most")
	cmd.Flags().BoolVar(&request.UndoDrift, "undo-drift", false, "make the account with the base name equal to the one in use: grant back what was revoked from it, revoke what was granted to it")
	check := func() error {
		if request.Grace > 0 && !request.RevokePrevious {
			return errors.New("--grace belongs to --revoke-previous")
		}
		if time.Duration(request.Grace) > 24*time.Hour {
			return fmt.Errorf("--grace is %s: 24h at most", request.Grace)
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

// rotateNow asks the workflow of a secret, which must run, for a rotation and waits for its end.
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
