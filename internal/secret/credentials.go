package secret

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// CredentialsError says that there are no AWS credentials to sign a call with. The call has not been made.
type CredentialsError struct{ Err error }

// Error leaves out what the chain of providers reports: a program that is one of them may have printed anything.
func (e *CredentialsError) Error() string { return "the worker has no valid AWS credentials" }

func (e *CredentialsError) Unwrap() error { return e.Err }

// Credentials makes every error of a provider a *CredentialsError: what the SDK makes of it looks like a failure of the network.
func Credentials(p aws.CredentialsProvider) aws.CredentialsProvider {
	return aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) {
		c, err := p.Retrieve(ctx)
		if err != nil && ctx.Err() == nil {
			err = &CredentialsError{err}
		}
		return c, err
	})
}
