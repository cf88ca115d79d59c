package secret

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

// A long-lived client retries its calls during and after a period of throttling as it did before.
func TestThrottlingDoesNotUseUpRetries(t *testing.T) {
	t.Parallel()
	var attempts atomic.Int64
	endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		attempts.Add(1)
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = fmt.Fprint(w, `{"__type":"ThrottlingException","Message":"Rate exceeded"}`)
	}))
	t.Cleanup(endpoint.Close)
	client := secretsmanager.NewFromConfig(aws.Config{
		Region: "eu-central-1", BaseEndpoint: &endpoint.URL, Credentials: credentials.NewStaticCredentialsProvider("id", "key", ""),
		Retryer: func() aws.Retryer { return atOnce{Retryer()} },
	})
	const calls = 300
	for n := range calls {
		before := attempts.Load()
		if _, err := client.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: aws.String("app")}); err == nil {
			t.Fatal("a throttled call succeeded")
		}
		if got := attempts.Load() - before; got != 3 {
			t.Fatalf("throttled call %d had %d attempts, want 3", n+1, got)
		}
	}
}

// atOnce retries without waiting.
type atOnce struct{ aws.Retryer }

func (atOnce) RetryDelay(int, error) (time.Duration, error) { return 0, nil }
