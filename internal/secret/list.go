package secret

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
)

// Tagged is a secret that has a tag.
type Tagged struct {
	ARN, Name string
	Value     string // of the tag
	// DeletedDate is when the secret was scheduled for deletion; zero if it was not.
	DeletedDate time.Time
}

// listPage is the most that Secrets Manager lists at a time.
const listPage = 100

// ListTagged lists a page of the secrets that have a tag of a key, those too that are scheduled for deletion. It reads no secret.
// The token is that of the page before, empty for the first; the token that it returns is empty with the last.
func (s *Store) ListTagged(ctx context.Context, key, token string) (page []Tagged, next string, err error) {
	in := &secretsmanager.ListSecretsInput{
		Filters:                []types.Filter{{Key: types.FilterNameStringTypeTagKey, Values: []string{key}}},
		IncludePlannedDeletion: aws.Bool(true),
		MaxResults:             aws.Int32(listPage),
	}
	if token != "" {
		in.NextToken = &token
	}
	out, err := s.client.ListSecrets(ctx, in)
	if err != nil {
		return nil, "", fmt.Errorf("list secrets with tag %s: %w", key, err)
	}
	for _, entry := range out.SecretList {
		for _, tag := range entry.Tags {
			if aws.ToString(tag.Key) == key { // the filter matches what begins with it
				page = append(page, Tagged{
					ARN: aws.ToString(entry.ARN), Name: aws.ToString(entry.Name), Value: aws.ToString(tag.Value), DeletedDate: aws.ToTime(entry.DeletedDate),
				})
			}
		}
	}
	return page, aws.ToString(out.NextToken), nil
}
