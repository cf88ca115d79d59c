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

// remember is how long a value stays in memory after it was read. It spans the steps of one
// rotation, and no value outlives its rotation for longer.
const remember = time.Minute

// Store reads and writes secrets and their versions. It is safe for concurrent use.
type Store struct {
	// NotTidied, if it is set, is told why a label could not be removed; see TidyLater.
	NotTidied func(error)

	client *secretsmanager.Client
	tidier tidier

	mu     sync.Mutex
	values map[versionKey]Version
	// staging has the values that this process has sent, by the ids that it sent them with, so that
	// a repeated put sends the same value.
	staging map[versionKey][]byte
}

type versionKey struct{ secretID, versionID string }

// NewStore returns a store for the client's account and region.
func NewStore(client *secretsmanager.Client) *Store {
	return &Store{client: client, values: map[versionKey]Version{}, staging: map[versionKey][]byte{}}
}

// MayWrite checks that Secrets Manager would let the worker stage and promote a version. It makes
// two calls that change nothing: it puts the current version again, which is documented to have no
// effect, and removes AWSPENDING from the current version, which does not have it. AWS checks
// permissions first, so a missing permission shows. d describes the secret of that version.
// MayWrite may not detect that KMS would refuse to encrypt a new value.
func (s *Store) MayWrite(ctx context.Context, id string, current Version, d Description) error {
	_, err := s.client.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{
		SecretId: &id, ClientRequestToken: &current.ID, SecretString: aws.String(string(current.raw)), VersionStages: []string{Pending},
	})
	if err != nil {
		return fmt.Errorf("put version %s of secret %s again, to check the worker's permission: %w", current.ID, id, err)
	}
	if d.Stages[Pending] == current.ID {
		return nil
	}
	_, err = s.client.UpdateSecretVersionStage(ctx, &secretsmanager.UpdateSecretVersionStageInput{
		SecretId: &id, VersionStage: aws.String(Pending), RemoveFromVersionId: &current.ID,
	})
	if err != nil && !disputed(err) {
		return fmt.Errorf("remove %s from version %s of secret %s, which does not have it, to check the worker's permission: %w",
			Pending, current.ID, id, err)
	}
	return nil
}

// Stage stores a value with the given version id, under AWSPENDING and any further labels, and
// returns the version. It may be repeated: a second call with the same id within a minute stores
// the first call's value. The error is a *TakenError if the id belongs to a value that this process
// did not store.
func (s *Store) Stage(ctx context.Context, id, versionID string, value []byte, labels ...string) (Version, error) {
	key := versionKey{id, versionID}
	value = s.once(key, value)
	c, err := Parse(value)
	if err != nil {
		return Version{}, fmt.Errorf("secret %s: %w", id, err)
	}
	out, err := s.client.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{
		SecretId: &id, ClientRequestToken: &versionID, SecretString: aws.String(string(value)),
		VersionStages: append([]string{Pending}, labels...),
	})
	var exists *types.ResourceExistsException
	if errors.As(err, &exists) {
		return Version{}, &TakenError{SecretID: id, VersionID: versionID}
	}
	if err != nil {
		return Version{}, fmt.Errorf("put version %s of secret %s: %w", versionID, id, err)
	}
	s.tidier.staged(id)
	v := Version{Credential: c, ARN: aws.ToString(out.ARN), Name: aws.ToString(out.Name), ID: versionID}
	s.keep(key, v)
	return v, nil
}

// TakenError reports that a version id belongs to a value that this process did not store. Another
// worker may have stored it and died before it could report so, or an editor may have seen the id.
type TakenError struct{ SecretID, VersionID string }

func (e *TakenError) Error() string {
	return fmt.Sprintf("version %s of secret %s already exists with a value that this worker did not store: "+
		"it stays unchanged, and the rotation uses another id", e.VersionID, e.SecretID)
}

// once returns the value that the first call for the key within the last minute was given.
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

// Create creates a secret whose first version has the given id. If a secret of that name already
// has a version with that id, an earlier attempt created it, and Create leaves it unchanged.
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

// Delete schedules a secret for deletion after a recovery window of 7 to 30 days, and returns when
// it will be deleted. If the secret is already scheduled, its date does not change.
func (s *Store) Delete(ctx context.Context, id string, days int) (time.Time, error) {
	window := int64(days)
	out, err := s.client.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: &id, RecoveryWindowInDays: &window})
	if err == nil {
		// Wait until the deletion shows, or the next reader could take the secret for restored.
		_, err = s.DescribeUntil(ctx, id, func(d Description) bool { return !d.DeletedDate.IsZero() })
		return aws.ToTime(out.DeletionDate), err
	}
	// An earlier attempt may have scheduled it, and its answer was lost.
	d, describeErr := s.DescribeUntil(ctx, id, func(d Description) bool { return !disputed(err) || !d.DeletedDate.IsZero() })
	if describeErr == nil && !d.DeletedDate.IsZero() {
		return d.DeletedDate, nil
	}
	return time.Time{}, fmt.Errorf("delete secret %s: %w", id, err)
}

// Forget removes a secret's values from memory. It is called when the rotation has ended.
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
