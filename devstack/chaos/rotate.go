package chaos

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/rotate-user/rotate-user/rotation"
)

// patience is how long a rotation may take to end: a step is retried for ten minutes.
const patience = 15 * time.Minute

// rotate requests a rotation, repeats the request if it is lost, and waits until a rotation has
// ended that began after the call. With byUpdate, it uses an update, which also waits for the
// result, and otherwise a signal.
func (s *subject) rotate(ctx context.Context, byUpdate, force bool) (rotation.Rotation, error) {
	return s.ended(ctx, func(ctx context.Context) error {
		request := rotation.RotateRequest{Force: force}
		if !byUpdate {
			return s.lane.temporalClient.SignalWorkflow(ctx, s.workflow, "", rotation.RotateUpdate, request)
		}
		h, err := s.lane.temporalClient.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{
			WorkflowID: s.workflow, UpdateName: rotation.RotateUpdate, Args: []any{request}, WaitForStage: client.WorkflowUpdateStageCompleted,
		})
		if err == nil {
			err = h.Get(ctx, nil)
		}
		return err
	})
}

// ended waits until a rotation that begins after the call has ended.
func (s *subject) ended(ctx context.Context, ask func(context.Context) error) (rotation.Rotation, error) {
	since := time.Now()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var asked time.Time
	var answer atomic.Pointer[error]
	for {
		status, err := s.status(ctx)
		began := err == nil && status.Current != nil && !status.Current.StartedAt.Before(since)
		if err == nil && status.Current == nil && len(status.Rotations) > 0 && !status.Rotations[0].StartedAt.Before(since) {
			return status.Rotations[0], nil
		}
		if asked.IsZero() || err == nil && !began && time.Since(asked) > 20*time.Second {
			asked = time.Now()
			go func() {
				// The status shows the result: a lost answer must not be taken for a failure.
				if err := ask(ctx); err != nil {
					answer.Store(&err)
				}
			}()
		}
		select {
		case <-ctx.Done():
			if a := answer.Load(); a != nil {
				err = errors.Join(err, *a)
			}
			return rotation.Rotation{}, fmt.Errorf("%s: no rotation has ended since %s: %w (%w)", s.user, since.Format(time.TimeOnly), ctx.Err(),
				err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (s *subject) status(ctx context.Context) (status rotation.Status, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	v, err := s.lane.temporalClient.QueryWorkflow(ctx, s.workflow, "", rotation.StatusQuery)
	if err != nil {
		return status, err
	}
	return status, v.Get(&status)
}

// clean rotates without faults of this lane until a rotation succeeds. A failure is excused by
// disasters of other lanes.
func (l *lane) clean(ctx context.Context, byUpdate bool) error {
	s, force := l.subject, false
	for try := 1; ; try++ {
		l.gate.reset()
		began := time.Now()
		labels, err := s.labels(ctx)
		if err != nil {
			return err
		}
		rotated, err := s.rotate(ctx, byUpdate, force)
		if err != nil {
			l.report.violate("%v", err)
			return err
		}
		l.report.rotated(rotated.Error != "")
		if rotated.Error == "" {
			return nil
		}
		if now, err := s.labels(ctx); err == nil && now[current] != labels[current] {
			l.report.violate("%s: a failed rotation (%s) moved AWSCURRENT", s.user, rotated.Error)
		}
		if rotated.ErrorType == rotation.ErrorOtherRotator && !force {
			force = true // as the message says: another rotation is taken over by force, or after a while
			continue
		}
		if l.calmSince(began) || try == 20 {
			l.report.violate("%s: a rotation without a fault failed: %s: %s", s.user, rotated.ErrorType, rotated.Error)
			return errors.New(rotated.Error)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
	}
}
