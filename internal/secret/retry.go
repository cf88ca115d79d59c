package secret

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
)

// Retryer returns the retryer for the client of a Store. The SDK's own has a quota of retries that comes back with successes, not
// with time (aws-sdk-go-v2 v1.48.0, aws/retry): after a period of throttling, a client that lives as long as a worker would have
// one attempt for each call, hours later still. This one has no quota. A call that fails three times is retried by Temporal,
// which waits longer.
func Retryer() aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) { o.RateLimiter = ratelimit.None })
}
