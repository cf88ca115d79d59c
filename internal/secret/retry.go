package secret

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
)

// Retryer returns the retryer for a Store's client. The SDK's default retryer has a quota of
// retries that only successful calls refill, not time (aws-sdk-go-v2 v1.48.0, aws/retry). After a
// period of throttling, a long-lived client such as a worker's would make only one attempt for each
// call, even hours later. This retryer has no quota. After three attempts, Temporal retries the
// call, with longer waits.
func Retryer() aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) { o.RateLimiter = ratelimit.None })
}
