package secretsmanager_test

import (
	"errors"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sm "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"
)

func TestWritesAboveTheQuotaAreThrottled(t *testing.T) {
	e := newEndpoint(t, "")
	if _, err := e.CreateSecret(ctx, &sm.CreateSecretInput{Name: aws.String("s"), SecretString: aws.String("0")}); err != nil {
		t.Fatal(err)
	}
	put := func() bool {
		t.Helper()
		_, err := e.PutSecretValue(ctx, &sm.PutSecretValueInput{SecretId: aws.String("s"), SecretString: aws.String("1")})
		var api smithy.APIError
		if err != nil && (!errors.As(err, &api) || api.ErrorCode() != "ThrottlingException") {
			t.Fatal(err)
		}
		return err == nil
	}
	accepted := func(of int) (n int) {
		t.Helper()
		for range of {
			if put() {
				n++
			}
		}
		return n
	}
	if got := accepted(20); got != 20 {
		t.Errorf("%d writes of 20 are accepted without a limit", got)
	}
	e.server.LimitWrites(5)
	if got := accepted(20); got != 5 {
		t.Errorf("%d writes are accepted at once: want 5", got)
	}
	if _, err := e.GetSecretValue(ctx, &sm.GetSecretValueInput{SecretId: aws.String("s")}); err != nil {
		t.Errorf("a read is not accepted: %v", err)
	}
	e.clock.add(time.Second)
	if got := accepted(20); got != 5 {
		t.Errorf("%d writes are accepted a second later: want 5", got)
	}
	e.server.LimitWrites(0)
	if got := accepted(20); got != 20 {
		t.Errorf("%d writes of 20 are accepted when the limit has ended", got)
	}
}
