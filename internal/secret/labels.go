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

// MovedError reports that something other than this rotation has moved a label.
type MovedError struct {
	Label string
	// Want is the version that the label should be on, and Have the one that it is on, or "".
	Want, Have string
}

func (e *MovedError) Error() string {
	have := "on no version"
	if e.Have != "" {
		have = "on version " + e.Have
	}
	return fmt.Sprintf("%s is %s, not on %s: the secret was edited, or another rotation has taken over", e.Label, have, e.Want)
}

// Labels says which versions a rotation expects its secret's labels on.
type Labels struct {
	// Current is the version that had AWSCURRENT before the rotation began.
	Current string
	// Pending is the version that the rotation staged.
	Pending string
	// Before is the version that had AWSPENDING when the rotation began, or "".
	Before string
}

// StillStaged checks that a rotation may continue: AWSPENDING is on the version that it staged, and
// AWSCURRENT on the one that it began with. AWSPREVIOUS on the staged version shows that this version
// was promoted and that AWSCURRENT was then moved back, which the rotation must not undo. If it may not
// continue, the error is a *MovedError, and the description
// is valid as well. StillStaged repeats the call for a few seconds while the answer may be older
// than the staged version. An answer that shows another actor's write is final.
//
// An answer that shows AWSPENDING on the staged version is at least as new as the put of that
// version. So its AWSCURRENT is correct as of that put, however old the answers were that the
// rotation began with. No read can show whether another actor has moved a label more recently than
// the lag of Secrets Manager.
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
	if d.Stages[Previous] == l.Pending {
		return fmt.Errorf("secret %s: %w", d.Name, &MovedError{Label: Current, Want: l.Pending, Have: l.Current})
	}
	return nil
}

// overtaken reports whether an answer shows another actor's write. There are three signs:
// AWSPREVIOUS is on the version that was current, or on the staged one; AWSCURRENT has moved although the answer shows
// the staged version; or AWSPENDING is on a version that did not have it before the rotation staged
// its own.
func (l Labels) overtaken(d Description) bool {
	shown := l.Pending != l.Before && d.Stages[Pending] == l.Pending
	return slices.Contains([]string{l.Current, l.Pending}, d.Stages[Previous]) || shown && d.Stages[Current] != l.Current ||
		!slices.Contains([]string{"", l.Before, l.Current, l.Pending}, d.Stages[Pending])
}

// MoveCurrent moves AWSCURRENT from one version to another, and AWSPREVIOUS follows. Secrets
// Manager refuses to move the label from a version that does not have it. MoveCurrent may be
// repeated. The error is a *MovedError if AWSCURRENT is on neither version.
func (s *Store) MoveCurrent(ctx context.Context, id, from, to string) error {
	return s.move(ctx, id, Current, from, to)
}

// Tidy removes AWSPENDING from a version if it is there. Moving AWSCURRENT to a version does not
// remove it.
func (s *Store) Tidy(ctx context.Context, id, versionID string) error {
	_, err := s.client.UpdateSecretVersionStage(ctx, &secretsmanager.UpdateSecretVersionStageInput{
		SecretId: &id, VersionStage: aws.String(Pending), RemoveFromVersionId: &versionID,
	})
	if err != nil && !disputed(err) { // otherwise it belongs to another rotation by now, or the answer to an earlier call was lost
		return fmt.Errorf("remove %s from version %s of secret %s: %w", Pending, versionID, id, err)
	}
	return nil
}

// reissuedLabel is the staging label of a reissued version until AWSCURRENT moves to it, because a
// put must name a label.
const reissuedLabel = "rotate-user:reissued"

// Reissue stores the value of a version again under a new id, and moves AWSCURRENT from the old
// version to the new one. However late the put or the move takes effect, it cannot undo a later
// promotion. The error is a *MovedError if AWSCURRENT is no longer on the version.
//
// AWSPREVIOUS follows AWSCURRENT, so Reissue moves it back to previous unless that is "":
// AWSPREVIOUS identifies the other account of the pair.
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
		_ = s.move(ctx, id, Previous, from, previous) // harmless: an attempt that ended here would reissue again, without AWSPREVIOUS
	}
	s.keep(versionKey{id, v.ID}, v)
	return v, nil
}

// move moves a label between versions, or removes it from a version if to is empty. The answer to a
// move that took effect may be lost, and then the SDK's own retry gets an error. So after an error,
// the labels decide whether the move took effect.
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

// disputed reports whether an error says that a label is not where the call expects it. If a
// description still shows it there, that description is out of date.
func disputed(err error) bool {
	var parameter *types.InvalidParameterException
	var request *types.InvalidRequestException
	return errors.As(err, &parameter) || errors.As(err, &request)
}
