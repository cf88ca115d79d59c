package activities

import (
	"context"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/rotate-user/rotate-user/rotation"
)

const (
	// looksAtOnce is how many rotations are queried at a time.
	looksAtOnce = 8
	lookTimeout = 5 * time.Second
)

// LookAtRotations queries rotations for their status, and returns the outcomes of those that were
// requested. A rotation that does not answer is queried again in the next check.
func (a *Activities) LookAtRotations(ctx context.Context, in rotation.LookAtRotationsInput) (result rotation.LookAtRotationsResult,
	err error) {
	seen := make([]rotation.RotationSeen, len(in.Rotations))
	var g errgroup.Group
	g.SetLimit(looksAtOnce)
	for i, r := range in.Rotations {
		g.Go(func() error {
			if status, err := a.rotationStatus(ctx, r.SecretID); err == nil {
				seen[i] = status.Since(r.RequestedAt)
				seen[i].SecretID = r.SecretID
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return result, err
	}
	result.Seen = slices.DeleteFunc(seen, func(s rotation.RotationSeen) bool { return s.Outcome == "" })
	return result, nil
}

// rotationStatus queries a rotation for its status.
func (a *Activities) rotationStatus(ctx context.Context, secretID string) (status rotation.Status, err error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	answer, err := a.Temporal.QueryWorkflow(ctx, rotation.RotateUserWorkflowID(secretID), "", rotation.StatusQuery)
	if err != nil {
		return status, err
	}
	err = answer.Get(&status)
	return status, err
}
