package secret

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
)

// Description is what Secrets Manager knows about a secret, without its values.
type Description struct {
	ARN, Name string
	// RotationEnabled reports whether Secrets Manager's own rotation is enabled.
	RotationEnabled bool
	// PrimaryRegion is the region of the secret that this one replicates. It is empty if this is
	// not a replica.
	PrimaryRegion string
	// OwningService is the AWS service that manages the secret and alone may change it, or "".
	OwningService string
	// DeletedDate is when the secret was scheduled for deletion. It is zero if it was not.
	DeletedDate time.Time
	// Tags are the secret's tags. Only AWS can set a tag whose key begins with aws:.
	Tags map[string]string
	// Replicas are the copies of the secret in other regions.
	Replicas []Replica
	// Changed is when the secret last changed: its value, its labels, or anything else about it.
	Changed time.Time
	// Stages maps each staging label to the version that has it.
	Stages map[string]string
}

// Replica is the copy of a secret in another region.
type Replica struct {
	Region string
	// Status is InSync, InProgress or Failed, and Message says why.
	Status, Message string
}

// ReplicationFailed is the Status of a replica that Secrets Manager does not repair by itself.
const ReplicationFailed = string(types.StatusTypeFailed)

// Behind returns the replicas that may be out of date.
func (d Description) Behind() []Replica {
	var behind []Replica
	for _, r := range d.Replicas {
		if r.Status != string(types.StatusTypeInSync) {
			behind = append(behind, r)
		}
	}
	return behind
}

// Is reports whether id names the described secret; see Version.Is.
func (d Description) Is(id string) bool { return Version{ARN: d.ARN, Name: d.Name}.Is(id) }

// Describe returns a secret's description. It also works on a secret that is scheduled for
// deletion.
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
	// A secret that has replicas names a primary region too: its own.
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

// PrimaryARN returns the ARN of the secret that this one replicates, which differs only in the
// region.
func (d Description) PrimaryARN() string {
	parts := strings.SplitN(d.ARN, ":", 5)
	if len(parts) < 5 {
		return d.ARN
	}
	parts[3] = d.PrimaryRegion
	return strings.Join(parts, ":")
}

// DescribeUntil describes a secret until settled returns true for the answer, for a few seconds at
// most. It returns the last answer, for which settled may still be false.
//
// Secrets Manager is eventually consistent: an answer may show the labels as they were before the
// last write, even before our own. So settled should return false only for an answer that differs
// by exactly what we wrote. Any other unexpected answer is the work of another actor, and waiting
// cannot help. Usually the first answer settles it, which costs one call.
func (s *Store) DescribeUntil(ctx context.Context, id string, settled func(Description) bool) (d Description, err error) {
	err = await(ctx, func() (done bool, err error) {
		d, err = s.Describe(ctx, id)
		return err != nil || settled(d), err
	})
	return d, err
}

// Unmoved returns a *MovedError if AWSCURRENT or AWSPENDING has moved since an earlier description.
// It ignores AWSPENDING next to AWSCURRENT or AWSPREVIOUS, which a promotion leaves until it is
// tidied away, and which a rollback takes along.
func (d Description) Unmoved(was Description) error {
	for label, of := range map[string]func(Description) string{Current: Description.current, Pending: Description.underWay} {
		if of(d) != of(was) {
			return fmt.Errorf("secret %s: %w", d.Name, &MovedError{Label: label, Want: of(was), Have: of(d)})
		}
	}
	return nil
}

func (d Description) current() string { return d.Stages[Current] }

// underWay returns the version that is staged and not promoted, or "".
func (d Description) underWay() string {
	if slices.Contains([]string{d.Stages[Current], d.Stages[Previous]}, d.Stages[Pending]) {
		return ""
	}
	return d.Stages[Pending]
}
