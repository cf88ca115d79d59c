package secret

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
)

// The staging labels of Secrets Manager.
const (
	Current  = "AWSCURRENT"
	Pending  = "AWSPENDING"
	Previous = "AWSPREVIOUS"
)

// remember is how long a value that was read may serve again. It spans the
// steps of one rotation and no more: no value outlives its rotation in memory.
const remember = time.Minute

// Store reads and writes secrets and their versions. It is safe for concurrent use.
type Store struct {
	client *secretsmanager.Client

	mu     sync.Mutex
	values map[versionKey]Version
	// staging are the values that this process has sent, under the ids that they were sent with: a repeated put repeats the value.
	staging map[versionKey][]byte
}

type versionKey struct{ secretID, versionID string }

// NewStore is a store over one account and region.
func NewStore(client *secretsmanager.Client) *Store {
	return &Store{client: client, values: map[versionKey]Version{}, staging: map[versionKey][]byte{}}
}

// Description is what Secrets Manager says of a secret without its values.
type Description struct {
	ARN, Name string
	// RotationEnabled says that Secrets Manager rotates the secret itself.
	RotationEnabled bool
	// DeletedDate is when the secret was scheduled for deletion; zero when it was not.
	DeletedDate time.Time
	// Stages is the version that each staging label is on.
	Stages map[string]string
}

// Version is one version of a secret. Its value never changes; its labels may.
type Version struct {
	Credential

	ARN, Name, ID string
	// Created is when the version was put.
	Created time.Time
}

// Is says whether id, a name or an ARN with or without its last six
// characters, names the secret of this version.
func (v Version) Is(id string) bool {
	return id == v.Name || id == v.ARN || len(v.ARN) > 7 && id == v.ARN[:len(v.ARN)-7]
}

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

// Describe answers the labels of a secret. It works on a secret that is
// scheduled for deletion, too.
func (s *Store) Describe(ctx context.Context, id string) (Description, error) {
	out, err := s.client.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &id})
	if err != nil {
		return Description{}, fmt.Errorf("describe secret %s: %w", id, err)
	}
	d := Description{
		ARN:             aws.ToString(out.ARN),
		Name:            aws.ToString(out.Name),
		RotationEnabled: aws.ToBool(out.RotationEnabled),
		DeletedDate:     aws.ToTime(out.DeletedDate),
		Stages:          map[string]string{},
	}
	for version, labels := range out.VersionIdsToStages {
		for _, label := range labels {
			d.Stages[label] = version
		}
	}
	return d, nil
}

// Labelled reads the version that a label is on.
func (s *Store) Labelled(ctx context.Context, id, label string) (Version, error) {
	return s.read(ctx, &secretsmanager.GetSecretValueInput{SecretId: &id, VersionStage: &label})
}

// Version reads a version by its id. One that was read or staged within the
// last minute is not fetched again.
func (s *Store) Version(ctx context.Context, id, versionID string) (Version, error) {
	s.mu.Lock()
	v, ok := s.values[versionKey{id, versionID}]
	s.mu.Unlock()
	if ok {
		return v, nil
	}
	return s.read(ctx, &secretsmanager.GetSecretValueInput{SecretId: &id, VersionId: &versionID})
}

// StillStaged makes sure that a rotation may go on: AWSPENDING is on its
// version, and AWSCURRENT on the one that it began from. The error is a
// *MovedError when one of them is not.
func (d Description) StillStaged(current, versionID string) error {
	for label, want := range map[string]string{Current: current, Pending: versionID} {
		if d.Stages[label] != want {
			return fmt.Errorf("secret %s: %w", d.Name, &MovedError{Label: label, Want: want, Have: d.Stages[label]})
		}
	}
	return nil
}

// Stage puts a value under AWSPENDING with the given version id and returns the
// version. A call that follows another one of the same id within a minute puts
// the value of the first: staging twice is staging once. The error is a
// *TakenError where that id is another value's already, which this process has
// not put.
func (s *Store) Stage(ctx context.Context, id, versionID string, value []byte) (Version, error) {
	key := versionKey{id, versionID}
	value = s.once(key, value)
	c, err := Parse(value)
	if err != nil {
		return Version{}, fmt.Errorf("secret %s: %w", id, err)
	}
	_, err = s.client.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{
		SecretId: &id, ClientRequestToken: &versionID, SecretString: aws.String(string(value)), VersionStages: []string{Pending},
	})
	var exists *types.ResourceExistsException
	if errors.As(err, &exists) {
		return Version{}, &TakenError{SecretID: id, VersionID: versionID}
	}
	if err != nil {
		return Version{}, fmt.Errorf("put version %s of secret %s: %w", versionID, id, err)
	}
	v := Version{Credential: c, Name: id, ID: versionID}
	s.keep(key, v)
	return v, nil
}

// TakenError says that a version id is in use for a value that this process has
// not put: that of another worker, which died before it could say so, or of
// somebody who has seen the id.
type TakenError struct{ SecretID, VersionID string }

func (e *TakenError) Error() string {
	return fmt.Sprintf("version %s of secret %s exists already, with a value that this worker has not stored: it is left alone, and the rotation takes another id", e.VersionID, e.SecretID)
}

// once returns the value that was first given for a key within the last minute.
func (s *Store) once(key versionKey, value []byte) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if first, ok := s.staging[key]; ok {
		return first
	}
	s.staging[key] = value
	time.AfterFunc(remember, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.staging, key)
	})
	return value
}

// Promote takes AWSPENDING off a version and moves AWSCURRENT to it; Secrets
// Manager moves AWSPREVIOUS along. It may be repeated. The error is a
// *MovedError when another rotation has taken over, or when AWSCURRENT is no
// longer on the version that this rotation began from; then AWSCURRENT has not
// moved.
//
// AWSPENDING goes first: taking it off succeeds for its holder only, so a
// rotation that was overtaken stops here. Where it was off already, by an
// earlier try or by another rotation that has ended, verify must find that the
// version still logs in.
func (s *Store) Promote(ctx context.Context, id, from, to string, verify func(context.Context) error) error {
	taken, err := s.move(ctx, id, Pending, to, "")
	var moved *MovedError
	if from == to && errors.As(err, &moved) {
		return nil // it is promoted already, and AWSPENDING is another's by now
	}
	if err != nil || from == to {
		return err
	}
	if !taken {
		d, err := s.Describe(ctx, id)
		if err != nil || d.Stages[Current] == to {
			return err
		}
		if d.Stages[Current] != from {
			return fmt.Errorf("secret %s: %w", id, &MovedError{Label: Current, Want: from, Have: d.Stages[Current]})
		}
		if err := verify(ctx); err != nil {
			return err
		}
	}
	_, err = s.move(ctx, id, Current, from, to)
	return err
}

// move moves a label between versions, or off a version when to is empty, and
// says whether this call did. The answer to a move that took effect may have been lost, and the SDK's own retry
// then meets an error: the labels decide, not the answer.
func (s *Store) move(ctx context.Context, id, label, from, to string) (moved bool, err error) {
	in := &secretsmanager.UpdateSecretVersionStageInput{SecretId: &id, VersionStage: &label, RemoveFromVersionId: &from}
	if to != "" {
		in.MoveToVersionId = &to
	}
	_, err = s.client.UpdateSecretVersionStage(ctx, in)
	if err == nil {
		return true, nil
	}
	d, describeErr := s.Describe(ctx, id)
	switch {
	case describeErr != nil || !d.DeletedDate.IsZero():
	case d.Stages[label] == to:
		return false, nil
	case d.Stages[label] != from:
		return false, fmt.Errorf("secret %s: %w", id, &MovedError{Label: label, Want: from, Have: d.Stages[label]})
	}
	return false, fmt.Errorf("move %s of secret %s: %w", label, id, err)
}

// Created answers when a version was put.
func (s *Store) Created(ctx context.Context, id, versionID string) (time.Time, error) {
	pages := secretsmanager.NewListSecretVersionIdsPaginator(s.client, &secretsmanager.ListSecretVersionIdsInput{SecretId: &id})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return time.Time{}, fmt.Errorf("list the versions of secret %s: %w", id, err)
		}
		for _, v := range page.Versions {
			if aws.ToString(v.VersionId) == versionID {
				return aws.ToTime(v.CreatedDate), nil
			}
		}
	}
	return time.Time{}, nil
}

// Create makes a secret whose first version has the given id. A secret of that
// name with a version of that id is the one an earlier try made: it is kept,
// with its value.
func (s *Store) Create(ctx context.Context, name, versionID, description string, value []byte) error {
	_, err := s.client.CreateSecret(ctx, &secretsmanager.CreateSecretInput{
		Name: &name, ClientRequestToken: &versionID, Description: &description, SecretString: aws.String(string(value)),
	})
	var exists *types.ResourceExistsException
	if errors.As(err, &exists) {
		if _, readErr := s.Version(ctx, name, versionID); readErr == nil {
			return nil
		}
	}
	if err != nil {
		return fmt.Errorf("create secret %s: %w", name, err)
	}
	return nil
}

// Delete schedules a secret for deletion after a recovery window of 7 to 30
// days, and answers when it will be gone. A secret that is scheduled already
// stays as it is.
func (s *Store) Delete(ctx context.Context, id string, days int) (time.Time, error) {
	window := int64(days)
	out, err := s.client.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: &id, RecoveryWindowInDays: &window})
	if err == nil {
		return aws.ToTime(out.DeletionDate), nil
	}
	if d, describeErr := s.Describe(ctx, id); describeErr == nil && !d.DeletedDate.IsZero() {
		return d.DeletedDate, nil
	}
	return time.Time{}, fmt.Errorf("delete secret %s: %w", id, err)
}

// Forget drops the values of a secret from memory, when its rotation has ended.
func (s *Store) Forget(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key := range s.values {
		if key.secretID == id {
			delete(s.values, key)
		}
	}
	for key := range s.staging {
		if key.secretID == id {
			delete(s.staging, key)
		}
	}
}

func (s *Store) read(ctx context.Context, in *secretsmanager.GetSecretValueInput) (Version, error) {
	id := aws.ToString(in.SecretId)
	out, err := s.client.GetSecretValue(ctx, in)
	if err != nil {
		return Version{}, fmt.Errorf("read secret %s: %w", id, err)
	}
	if out.SecretString == nil {
		return Version{}, fmt.Errorf("secret %s: %w", id, &FieldError{"", "is binary: a JSON text is expected"})
	}
	c, err := Parse([]byte(*out.SecretString))
	if err != nil {
		return Version{}, fmt.Errorf("secret %s, version %s: %w", id, aws.ToString(out.VersionId), err)
	}
	if in.VersionStage != nil && len(out.VersionStages) > 0 && !slices.Contains(out.VersionStages, *in.VersionStage) {
		return Version{}, fmt.Errorf("secret %s: Secrets Manager answered a version without the label %s", id, *in.VersionStage)
	}
	v := Version{Credential: c, ARN: aws.ToString(out.ARN), Name: aws.ToString(out.Name), ID: aws.ToString(out.VersionId), Created: aws.ToTime(out.CreatedDate)}
	s.keep(versionKey{id, v.ID}, v)
	return v, nil
}

func (s *Store) keep(key versionKey, v Version) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.values[key]; !known {
		time.AfterFunc(remember, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			delete(s.values, key)
		})
	}
	s.values[key] = v
}
