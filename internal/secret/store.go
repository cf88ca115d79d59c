package secret

import (
	"context"
	"errors"
	"fmt"
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

// MayWrite finds out whether Secrets Manager would let us stage and promote a version, by two calls that change nothing: the
// current version is put once more, which the service documents as a call that does nothing, and AWSPENDING is taken off the
// current version, which does not have it. AWS checks permissions first. d describes the secret of the version. Whether KMS
// would encrypt another value may stay unknown.
func (s *Store) MayWrite(ctx context.Context, id string, current Version, d Description) error {
	_, err := s.client.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{
		SecretId: &id, ClientRequestToken: &current.ID, SecretString: aws.String(string(current.raw)), VersionStages: []string{Pending},
	})
	if err != nil {
		return fmt.Errorf("put version %s of secret %s once more, to see whether the worker may: %w", current.ID, id, err)
	}
	if d.Stages[Pending] == current.ID {
		return nil
	}
	_, err = s.client.UpdateSecretVersionStage(ctx, &secretsmanager.UpdateSecretVersionStageInput{
		SecretId: &id, VersionStage: aws.String(Pending), RemoveFromVersionId: &current.ID,
	})
	if err != nil && !disputed(err) {
		return fmt.Errorf("take %s off version %s of secret %s, which does not have it, to see whether the worker may: %w", Pending, current.ID, id, err)
	}
	return nil
}

// Stage puts a value under AWSPENDING, and under further labels, with the given
// version id and returns the version. A call that follows another one of the same id within a minute puts
// the value of the first: staging twice is staging once. The error is a
// *TakenError where that id is another value's already, which this process has
// not put.
func (s *Store) Stage(ctx context.Context, id, versionID string, value []byte, labels ...string) (Version, error) {
	key := versionKey{id, versionID}
	value = s.once(key, value)
	c, err := Parse(value)
	if err != nil {
		return Version{}, fmt.Errorf("secret %s: %w", id, err)
	}
	out, err := s.client.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{
		SecretId: &id, ClientRequestToken: &versionID, SecretString: aws.String(string(value)), VersionStages: append([]string{Pending}, labels...),
	})
	var exists *types.ResourceExistsException
	if errors.As(err, &exists) {
		return Version{}, &TakenError{SecretID: id, VersionID: versionID}
	}
	if err != nil {
		return Version{}, fmt.Errorf("put version %s of secret %s: %w", versionID, id, err)
	}
	v := Version{Credential: c, ARN: aws.ToString(out.ARN), Name: aws.ToString(out.Name), ID: versionID}
	s.keep(key, v)
	return v, nil
}

// TakenError says that a version id is in use for a value that this process has
// not put: that of another worker, which died before it could say so, or of
// an editor who has seen the id.
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
		// Whoever looks at the secret next must not take it for restored.
		_, err = s.DescribeUntil(ctx, id, func(d Description) bool { return !d.DeletedDate.IsZero() })
		return aws.ToTime(out.DeletionDate), err
	}
	// An earlier try may have scheduled it, and its answer have been lost.
	d, describeErr := s.DescribeUntil(ctx, id, func(d Description) bool { return !disputed(err) || !d.DeletedDate.IsZero() })
	if describeErr == nil && !d.DeletedDate.IsZero() {
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
