package secret

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/google/uuid"
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
	// PrimaryRegion is the region of the secret that this one is a replica of; empty if it is not a replica.
	PrimaryRegion string
	// OwningService is the AWS service that alone may change the secret; empty if there is none.
	OwningService string
	// DeletedDate is when the secret was scheduled for deletion; zero when it was not.
	DeletedDate time.Time
	// Tags are those of the secret. Only AWS can set one whose key begins with aws:.
	Tags map[string]string
	// Replicas are the copies of the secret in other regions.
	Replicas []Replica
	// Changed is when the secret was last changed: its value, its labels, or anything else about it.
	Changed time.Time
	// Stages is the version that each staging label is on.
	Stages map[string]string
}

// Replica is the copy of a secret in another region.
type Replica struct {
	Region string
	// Status is InSync, InProgress or ReplicationFailed, and Message says why.
	Status, Message string
}

// ReplicationFailed is the Status of a replica that Secrets Manager does not bring up to date by itself.
const ReplicationFailed = string(types.StatusTypeFailed)

// Behind are the replicas that may not show what the secret is.
func (d Description) Behind() []Replica {
	var behind []Replica
	for _, r := range d.Replicas {
		if r.Status != string(types.StatusTypeInSync) {
			behind = append(behind, r)
		}
	}
	return behind
}

// Version is one version of a secret. Its value never changes; its labels may.
type Version struct {
	Credential

	ARN, Name, ID string
	// Created is when the version was put.
	Created time.Time
}

// arnSuffix is what Secrets Manager adds to the name of a secret in its ARN.
var arnSuffix = regexp.MustCompile(`-[A-Za-z0-9]{6}$`)

// Is reports whether id, a name or an ARN with or without its last six characters, names the secret of this version. As in
// Secrets Manager, an ARN that ends in a hyphen and six characters is a complete one: of two secrets named app and app-a1b2c3,
// it may be the whole ARN of the first and all but the end of the second's.
func (v Version) Is(id string) bool {
	if id == v.Name || id == v.ARN {
		return true
	}
	return id != "" && !arnSuffix.MatchString(id) && id == arnSuffix.ReplaceAllString(v.ARN, "")
}

// Is says whether id names the described secret; see Version.Is.
func (d Description) Is(id string) bool { return Version{ARN: d.ARN, Name: d.Name}.Is(id) }

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
		Changed:         aws.ToTime(out.LastChangedDate),
		OwningService:   aws.ToString(out.OwningService),
		Stages:          map[string]string{},
		Tags:            map[string]string{},
	}
	// The primary of replicas names a region, too: its own.
	if primary := aws.ToString(out.PrimaryRegion); primary != "" && !strings.Contains(d.ARN, ":secretsmanager:"+primary+":") {
		d.PrimaryRegion = primary
	}
	for _, t := range out.Tags {
		d.Tags[aws.ToString(t.Key)] = aws.ToString(t.Value)
	}
	for _, r := range out.ReplicationStatus {
		d.Replicas = append(d.Replicas, Replica{aws.ToString(r.Region), string(r.Status), aws.ToString(r.StatusMessage)})
	}
	for version, labels := range out.VersionIdsToStages {
		for _, label := range labels {
			d.Stages[label] = version
		}
	}
	return d, nil
}

// PrimaryARN is the ARN of the secret that this one is a replica of: it differs in the region only.
func (d Description) PrimaryARN() string {
	parts := strings.SplitN(d.ARN, ":", 5)
	if len(parts) < 5 {
		return d.ARN
	}
	parts[3] = d.PrimaryRegion
	return strings.Join(parts, ":")
}

// DescribeUntil describes a secret until settled is satisfied with the answer, for some seconds at most. It returns the last
// answer, which may still not satisfy settled.
//
// Secrets Manager is eventually consistent: an answer may show the labels as they were before the last write, our own included.
// So settled should return false only for an answer that shows exactly what our own write has changed since. Any other
// unexpected answer is another actor's doing, and waiting cannot help. The usual answer settles it, and costs one call.
func (s *Store) DescribeUntil(ctx context.Context, id string, settled func(Description) bool) (d Description, err error) {
	err = await(ctx, func() (done bool, err error) {
		d, err = s.Describe(ctx, id)
		return err != nil || settled(d), err
	})
	return d, err
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

const (
	patience   = 6 * time.Second // how long an answer may lag behind our own write
	firstPause = 100 * time.Millisecond
	longPause  = time.Second
)

// await calls try until it is done, with growing pauses in between, for as long as an answer of Secrets Manager may lag behind
// our own write. It returns the error of the last call.
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

// Labelled reads the version that a label is on.
func (s *Store) Labelled(ctx context.Context, id, label string) (Version, error) {
	return s.read(ctx, &secretsmanager.GetSecretValueInput{SecretId: &id, VersionStage: &label}, Parse)
}

// Master reads the version of an administrator's secret that has AWSCURRENT. Its value may name no server: see ParseMaster.
func (s *Store) Master(ctx context.Context, id string) (Version, error) {
	return s.read(ctx, &secretsmanager.GetSecretValueInput{SecretId: &id, VersionStage: aws.String(Current)}, ParseMaster)
}

// Version reads a version by its id. One that was read or staged within the
// last minute is not fetched again. One that does not exist is asked for again for some seconds: whoever
// knows an id has it from a write or from an answer that was newer.
func (s *Store) Version(ctx context.Context, id, versionID string) (Version, error) {
	return s.version(ctx, id, versionID, Parse)
}

// MasterVersion is Version for the secret of an administrator: see ParseMaster.
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

// Unmoved makes sure that no label that a rotation goes by has moved since an
// earlier description. The error is a *MovedError when one has. AWSPENDING beside
// AWSCURRENT on one version is what a promotion leaves until it is tidied away.
func (d Description) Unmoved(was Description) error {
	for label, of := range map[string]func(Description) string{Current: Description.current, Pending: Description.underWay} {
		if of(d) != of(was) {
			return fmt.Errorf("secret %s: %w", d.Name, &MovedError{Label: label, Want: of(was), Have: of(d)})
		}
	}
	return nil
}

func (d Description) current() string { return d.Stages[Current] }

// underWay is the version that is staged and not promoted.
func (d Description) underWay() string {
	if d.Stages[Pending] == d.Stages[Current] {
		return ""
	}
	return d.Stages[Pending]
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

// History lists the ids of a secret's versions, those without a label too, the
// newest first.
func (s *Store) History(ctx context.Context, id string) ([]string, error) {
	var all []types.SecretVersionsListEntry
	pages := secretsmanager.NewListSecretVersionIdsPaginator(s.client, &secretsmanager.ListSecretVersionIdsInput{SecretId: &id, IncludeDeprecated: aws.Bool(true)})
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

// disputed reports whether an error says that a label is not where the call has it. While the labels look as if it were, they
// are those of before.
func disputed(err error) bool {
	var parameter *types.InvalidParameterException
	var request *types.InvalidRequestException
	return errors.As(err, &parameter) || errors.As(err, &request)
}

// Created answers when a version was put. One that is not listed is looked for again for some seconds.
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

func (s *Store) read(ctx context.Context, in *secretsmanager.GetSecretValueInput, parse func([]byte) (Credential, error)) (Version, error) {
	id := aws.ToString(in.SecretId)
	out, err := s.client.GetSecretValue(ctx, in)
	if err != nil {
		return Version{}, fmt.Errorf("read secret %s: %w", id, err)
	}
	if out.SecretString == nil {
		return Version{}, fmt.Errorf("secret %s: %w", id, &FieldError{"", "is binary: a JSON text is expected"})
	}
	c, err := parse([]byte(*out.SecretString))
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
