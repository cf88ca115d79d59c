package secret

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
)

// Version is one version of a secret. Its value never changes; its labels may.
type Version struct {
	Credential

	ARN, Name, ID string
	// Created is when the version was stored.
	Created time.Time
}

// arnSuffix matches what Secrets Manager appends to a secret's name in its ARN.
var arnSuffix = regexp.MustCompile(`-[A-Za-z0-9]{6}$`)

// Is reports whether id names the secret of this version. id is a name, or an ARN with or without
// its last six characters. As in Secrets Manager, an ARN that ends in a hyphen and six characters
// is taken as complete: with secrets named app and app-a1b2c3, it could be the complete ARN of the
// first or the partial ARN of the second.
func (v Version) Is(id string) bool {
	if id == v.Name || id == v.ARN {
		return true
	}
	return id != "" && !arnSuffix.MatchString(id) && id == arnSuffix.ReplaceAllString(v.ARN, "")
}

const (
	patience   = 6 * time.Second // how long an answer may lag behind our own write
	firstPause = 100 * time.Millisecond
	longPause  = time.Second
)

// await calls try until it is done, with growing pauses, for as long as an answer of Secrets
// Manager may lag behind our own write. It returns the error of the last call.
func await(ctx context.Context, try func() (done bool, err error)) error {
	deadline := time.Now().Add(patience)
	for pause := firstPause; ; pause = min(2*pause, longPause) {
		done, err := try()
		if done || time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pause/2 + rand.N(pause)):
		}
	}
}

// Labelled reads the version that has a label.
func (s *Store) Labelled(ctx context.Context, id, label string) (Version, error) {
	return s.read(ctx, &secretsmanager.GetSecretValueInput{SecretId: &id, VersionStage: &label}, Parse)
}

// Master reads the AWSCURRENT version of a master secret. Its value need not name a server: see
// ParseMaster.
func (s *Store) Master(ctx context.Context, id string) (Version, error) {
	return s.read(ctx, &secretsmanager.GetSecretValueInput{SecretId: &id, VersionStage: aws.String(Current)}, ParseMaster)
}

// Version reads a version by its id. It does not fetch a version again that was read or staged
// within the last minute. If the version does not exist, Version repeats the call for a few
// seconds, because the id comes from a write or from a newer answer.
func (s *Store) Version(ctx context.Context, id, versionID string) (Version, error) {
	return s.version(ctx, id, versionID, Parse)
}

// MasterVersion is Version for a master secret: see ParseMaster.
func (s *Store) MasterVersion(ctx context.Context, id, versionID string) (Version, error) {
	return s.version(ctx, id, versionID, ParseMaster)
}

func (s *Store) version(ctx context.Context, id, versionID string, parse func([]byte) (Credential, error)) (v Version, err error) {
	s.mu.Lock()
	v, ok := s.values[versionKey{id, versionID}]
	s.mu.Unlock()
	if ok {
		_, err = parse(v.raw)
	}
	if ok && err == nil {
		return v, nil
	}
	err = await(ctx, func() (done bool, err error) {
		v, err = s.read(ctx, &secretsmanager.GetSecretValueInput{SecretId: &id, VersionId: &versionID}, parse)
		var missing *types.ResourceNotFoundException
		return !errors.As(err, &missing), err
	})
	return v, err
}

// History returns the ids of all versions of a secret, newest first, including those without a
// label.
func (s *Store) History(ctx context.Context, id string) ([]string, error) {
	var all []types.SecretVersionsListEntry
	in := &secretsmanager.ListSecretVersionIdsInput{SecretId: &id, IncludeDeprecated: aws.Bool(true)}
	pages := secretsmanager.NewListSecretVersionIdsPaginator(s.client, in)
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("list the versions of secret %s: %w", id, err)
		}
		all = append(all, page.Versions...)
	}
	slices.SortStableFunc(all, func(x, y types.SecretVersionsListEntry) int {
		return aws.ToTime(y.CreatedDate).Compare(aws.ToTime(x.CreatedDate))
	})
	var ids []string
	for _, v := range all {
		ids = append(ids, aws.ToString(v.VersionId))
	}
	return ids, nil
}

// Created returns when a version was stored. If the version is not listed, Created looks again for
// a few seconds.
func (s *Store) Created(ctx context.Context, id, versionID string) (created time.Time, err error) {
	err = await(ctx, func() (done bool, err error) {
		created, err = s.created(ctx, id, versionID)
		if err == nil && created.IsZero() {
			return false, fmt.Errorf("version %s of secret %s is not listed", versionID, id)
		}
		return true, err
	})
	return created, err
}

func (s *Store) created(ctx context.Context, id, versionID string) (time.Time, error) {
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

func (s *Store) read(ctx context.Context, in *secretsmanager.GetSecretValueInput, parse func([]byte) (Credential, error)) (Version, error) {
	id := aws.ToString(in.SecretId)
	out, err := s.client.GetSecretValue(ctx, in)
	if err != nil {
		return Version{}, fmt.Errorf("read secret %s: %w", id, err)
	}
	if out.SecretString == nil {
		return Version{}, fmt.Errorf("secret %s: %w", id, &FieldError{"", "is binary: store a JSON text"})
	}
	c, err := parse([]byte(*out.SecretString))
	if err != nil {
		return Version{}, fmt.Errorf("secret %s, version %s: %w", id, aws.ToString(out.VersionId), err)
	}
	if in.VersionStage != nil && len(out.VersionStages) > 0 && !slices.Contains(out.VersionStages, *in.VersionStage) {
		return Version{}, fmt.Errorf("secret %s: Secrets Manager returned a version without the label %s", id, *in.VersionStage)
	}
	v := Version{
		Credential: c, ARN: aws.ToString(out.ARN), Name: aws.ToString(out.Name), ID: aws.ToString(out.VersionId),
		Created: aws.ToTime(out.CreatedDate),
	}
	s.keep(versionKey{id, v.ID}, v)
	return v, nil
}
