package secret

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// CredentialsError reports that there are no AWS credentials to sign a call with. The call was not
// sent.
type CredentialsError struct{ Err error }

// Error leaves out what the chain of providers reports, because a provider may be a program that
// printed anything.
func (e *CredentialsError) Error() string { return "the worker has no valid AWS credentials" }

func (e *CredentialsError) Unwrap() error { return e.Err }

// Credentials turns every error of a provider into a *CredentialsError. The SDK's own error looks
// like a network failure.
func Credentials(p aws.CredentialsProvider) aws.CredentialsProvider {
	return aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) {
		c, err := p.Retrieve(ctx)
		if err != nil && ctx.Err() == nil {
			err = &CredentialsError{err}
		}
		return c, err
	})
}
