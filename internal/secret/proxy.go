package secret

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/google/uuid"
)

// ParseLogin parses the JSON of a secret that a proxy logs in with. It requires only a user name
// and a password, because a proxy knows its server from its own configuration. Every error is a
// *FieldError, or several of them joined.
func ParseLogin(data []byte) (Credential, error) {
	if !utf8.Valid(data) {
		return Credential{}, &FieldError{"", "is not UTF-8 text"}
	}
	pairs, err := members(data)
	if err != nil {
		return Credential{}, err
	}
	c := Credential{raw: data}
	for name, into := range map[string]*string{"username": &c.Username, "password": &c.Password} {
		switch v, ok := pairs[name]; {
		case !ok:
			err = errors.Join(err, &FieldError{name, "is missing"})
		case json.Unmarshal(v, into) != nil:
			err = errors.Join(err, &FieldError{name, "must be a string"})
		case *into == "":
			err = errors.Join(err, &FieldError{name, "is empty"})
		}
	}
	if err != nil {
		return Credential{}, err
	}
	return c, nil
}

// Login reads the AWSCURRENT version of a secret that a proxy logs in with.
func (s *Store) Login(ctx context.Context, id string) (Version, error) {
	out, err := s.client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &id, VersionStage: aws.String(Current)})
	if err != nil {
		return Version{}, fmt.Errorf("read secret %s: %w", id, err)
	}
	if out.SecretString == nil {
		return Version{}, fmt.Errorf("secret %s: %w", id, &FieldError{"", "is binary: store a JSON text"})
	}
	c, err := ParseLogin([]byte(*out.SecretString))
	if err != nil {
		return Version{}, fmt.Errorf("secret %s, version %s: %w", id, aws.ToString(out.VersionId), err)
	}
	return Version{
		Credential: c, ARN: aws.ToString(out.ARN), Name: aws.ToString(out.Name), ID: aws.ToString(out.VersionId),
		Created: aws.ToTime(out.CreatedDate),
	}, nil
}

// ReplaceLogin changes the password in a secret that a proxy logs in with, and moves AWSCURRENT
// from the version v to the new one. The rest of the value is unchanged. It returns once AWSCURRENT
// reads back with the new password. It may be repeated: calls with the same seed, which stands for
// one rotation, and the same v put one version. The error is a *MovedError if AWSCURRENT is no
// longer on v.
func (s *Store) ReplaceLogin(ctx context.Context, id string, v Version, password, seed string) error {
	value, err := v.With(v.Username, password)
	if err != nil {
		return fmt.Errorf("secret %s: %w", id, err)
	}
	next := uuid.NewSHA1(uuid.NameSpaceOID, []byte(seed+" "+v.ID)).String()
	err = s.stageLogin(ctx, id, next, value)
	var exists *types.ResourceExistsException
	if errors.As(err, &exists) { // someone who knows the seed has stored another value under this id
		next = uuid.NewString()
		err = s.stageLogin(ctx, id, next, value)
	}
	if err != nil {
		return fmt.Errorf("put version %s of secret %s: %w", next, id, err)
	}
	if err := s.MoveCurrent(ctx, id, v.ID, next); err != nil {
		return err
	}
	err = await(ctx, func() (done bool, err error) {
		have, err := s.Login(ctx, id)
		if err == nil && (have.ID != next || !slices.Equal(have.raw, value)) {
			return false, fmt.Errorf("secret %s: %w", id, &MovedError{Label: Current, Want: next, Have: have.ID})
		}
		return true, err
	})
	if err != nil {
		return err
	}
	return s.Tidy(ctx, id, next)
}

func (s *Store) stageLogin(ctx context.Context, id, versionID string, value []byte) error {
	_, err := s.client.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{
		SecretId: &id, ClientRequestToken: &versionID, SecretString: aws.String(string(value)), VersionStages: []string{Pending},
	})
	return err
}
