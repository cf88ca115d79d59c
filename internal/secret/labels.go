package secret

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/google/uuid"
)

// MovedError says that another hand than this rotation's has moved a label.
type MovedError struct {
	Label string
	// Want is the version that the label should be on, Have where it is; empty: on none.
	Want, Have string
}

func (e *MovedError) Error() string {
	have := "on no version"
	if e.Have != "" {
		have = "on version " + e.Have
	}
	return fmt.Sprintf("%s is %s, and not on %s: the secret was edited, or another rotation has taken over", e.Label, have, e.Want)
}

// Labels are the versions that a rotation expects the labels of its secret on.
type Labels struct {
	// Current has had AWSCURRENT since before the rotation began.
	Current string
	// Pending has had AWSPENDING since the rotation staged it.
	Pending string
	// Before had AWSPENDING when the rotation began; empty if no version had it.
	Before string
}

// StillStaged makes sure that a rotation may go on: AWSPENDING is on the version that it staged, and AWSCURRENT on the one that
// it began from. The error is a *MovedError if one of them is not; the description is valid then, too. An answer that may be
// from before the version was staged is asked for again, for some seconds; one that shows another actor's write is final.
//
// An answer that shows AWSPENDING on the staged version is at least as new as the put of that version. So AWSCURRENT is right as
// of that put, however old the answers were that the rotation began from. Whether another actor has moved a label since
// then, by less than the lag of Secrets Manager, no read can tell.
func (s *Store) StillStaged(ctx context.Context, id string, l Labels) (Description, error) {
	d, err := s.DescribeUntil(ctx, id, func(d Description) bool { return l.check(d) == nil || l.overtaken(d) })
	if err == nil {
		err = l.check(d)
	}
	return d, err
}

func (l Labels) check(d Description) error {
	if have := d.Stages[Current]; have != l.Current {
		return fmt.Errorf("secret %s: %w", d.Name, &MovedError{Label: Current, Want: l.Current, Have: have})
	}
	if have := d.Stages[Pending]; have != l.Pending {
		return fmt.Errorf("secret %s: %w", d.Name, &MovedError{Label: Pending, Want: l.Pending, Have: have})
	}
	return nil
}

// overtaken reports whether an answer shows a write of another actor: AWSCURRENT has moved on, so that AWSPREVIOUS is where it
// was, or has moved though the answer shows what the rotation has staged, or AWSPENDING is on a version that did not have it
// before the rotation staged its own.
func (l Labels) overtaken(d Description) bool {
	shown := l.Pending != l.Before && d.Stages[Pending] == l.Pending
	return d.Stages[Previous] == l.Current || shown && d.Stages[Current] != l.Current || !slices.Contains([]string{"", l.Before, l.Current, l.Pending}, d.Stages[Pending])
}

// MoveCurrent moves AWSCURRENT from one version to another, or not at all:
// Secrets Manager moves it only from the version that it is on. AWSPREVIOUS
// follows. It may be repeated. The error is a *MovedError when AWSCURRENT is on
// neither.
func (s *Store) MoveCurrent(ctx context.Context, id, from, to string) error {
	return s.move(ctx, id, Current, from, to)
}

// Tidy takes AWSPENDING off a version, if it is there: moving AWSCURRENT to a
// version leaves it.
func (s *Store) Tidy(ctx context.Context, id, versionID string) error {
	err := s.move(ctx, id, Pending, versionID, "")
	if moved, ok := errors.AsType[*MovedError](err); ok && moved.Have != versionID {
		return nil // it is another rotation's by now
	}
	return err
}

// reissuedLabel is the staging label of a version until AWSCURRENT moves to it: a put must name one.
const reissuedLabel = "rotate-user:reissued"

// Reissue stores the value of a version again, under an id of its own, and moves
// AWSCURRENT from the version to it, or not at all. However late the put or the
// move arrives, it takes back nothing that was promoted since. The error is a
// *MovedError when AWSCURRENT is no longer on the version.
//
// AWSPREVIOUS follows AWSCURRENT and is put back on previous, if there is one: it
// is by that version that the other account of the pair is known.
func (s *Store) Reissue(ctx context.Context, id string, v Version, previous string) (Version, error) {
	from := v.ID
	v.ID = uuid.NewString()
	_, err := s.client.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{
		SecretId: &id, ClientRequestToken: &v.ID, SecretString: aws.String(string(v.raw)), VersionStages: []string{reissuedLabel},
	})
	if err != nil {
		return Version{}, fmt.Errorf("put version %s of secret %s: %w", v.ID, id, err)
	}
	if err := s.MoveCurrent(ctx, id, from, v.ID); err != nil {
		return Version{}, err
	}
	if previous != "" {
		_ = s.move(ctx, id, Previous, from, previous) // a try that ended here would take over again, and find less
	}
	s.keep(versionKey{id, v.ID}, v)
	return v, nil
}

// move moves a label between versions, or off a version when to is empty. The
// answer to a move that took effect may have been lost, and the SDK's own retry
// then meets an error: the labels decide, not the answer.
func (s *Store) move(ctx context.Context, id, label, from, to string) error {
	in := &secretsmanager.UpdateSecretVersionStageInput{SecretId: &id, VersionStage: &label, RemoveFromVersionId: &from}
	if to != "" {
		in.MoveToVersionId = &to
	}
	_, err := s.client.UpdateSecretVersionStage(ctx, in)
	if err == nil {
		return nil
	}
	d, describeErr := s.DescribeUntil(ctx, id, func(d Description) bool {
		return !disputed(err) || d.Stages[label] != from || !d.DeletedDate.IsZero()
	})
	switch {
	case describeErr != nil || !d.DeletedDate.IsZero():
	case d.Stages[label] == to:
		return nil
	case d.Stages[label] != from:
		return fmt.Errorf("secret %s: %w", id, &MovedError{Label: label, Want: from, Have: d.Stages[label]})
	}
	return fmt.Errorf("move %s of secret %s: %w", label, id, err)
}

// disputed reports whether an error says that a label is not where the call has it. While the labels look as if it were, they
// are those of before.
func disputed(err error) bool {
	var parameter *types.InvalidParameterException
	var request *types.InvalidRequestException
	return errors.As(err, &parameter) || errors.As(err, &request)
}
