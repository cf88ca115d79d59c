package secret

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
)

// Tagged is a secret that ListTagged found.
type Tagged struct {
	ARN, Name string
	Value     string // the tag's value
	// DeletedDate is when the secret was scheduled for deletion. It is zero if it was not.
	DeletedDate time.Time
}

// listPage is the largest page that Secrets Manager returns.
const listPage = 100

// ListTagged returns one page of the secrets that have a tag with the key, including those
// scheduled for deletion. It reads no secret's value. token is "" for the first page and the
// previous call's next for the others; next is "" after the last page.
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
			if aws.ToString(tag.Key) == key { // the filter also matches longer keys
				page = append(page, Tagged{
					ARN: aws.ToString(entry.ARN), Name: aws.ToString(entry.Name), Value: aws.ToString(tag.Value),
					DeletedDate: aws.ToTime(entry.DeletedDate),
				})
			}
		}
	}
	return page, aws.ToString(out.NextToken), nil
}
