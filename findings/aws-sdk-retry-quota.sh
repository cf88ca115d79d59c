#!/usr/bin/env bash
# AWS SDK for Go v2: once throttling has used up the retry quota, waiting does not refill it.
#
# Ran:       aws-sdk-go-v2 v1.48.0 with service/secretsmanager v1.51.0, against an HTTP server in this script.
# Guess:     the client's retry quota (500 tokens) refills within seconds, like a rate limit.
# Behaviour: GetSecretValue is tried three times while tokens are left. Once throttled calls have used them up, each call gets one
#            attempt. Half a minute without calls returns no token. A call that succeeds returns one token and a retry takes five,
#            so it takes about a hundred successes until calls are retried as before.
# Matters:   a rotator whose client lives for weeks has no retries left after one period of throttling, and waiting does not help.
#            Give the client its own retryer (retry.NewStandard with RateLimiter ratelimit.None), or retry above the SDK.
set -euo pipefail

temp=$(mktemp -d)
trap 'chmod -R u+w "$temp"; rm -rf --one-file-system "$temp"' EXIT
cd "$temp"
cat >go.mod <<'MOD'
module finding

go 1.25

require (
	github.com/aws/aws-sdk-go-v2 v1.48.0
	github.com/aws/aws-sdk-go-v2/service/secretsmanager v1.51.0
)
MOD
cat >main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

type at struct{}

func (at) BackoffDelay(int, error) (time.Duration, error) { return time.Millisecond, nil }

func main() {
	var attempts atomic.Int64
	var throttled atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		attempts.Add(1)
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		if throttled.Load() {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"__type":"ThrottlingException","Message":"Rate exceeded"}`)
			return
		}
		fmt.Fprint(w, `{"Name":"app","SecretString":"{}"}`)
	}))
	defer server.Close()
	client := secretsmanager.New(secretsmanager.Options{
		Region: "eu-west-1", BaseEndpoint: aws.String(server.URL),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "test", SecretAccessKey: "test"}, nil
		}),
		// Defaults, except for shorter pauses between attempts.
		Retryer: retry.NewStandard(func(o *retry.StandardOptions) { o.Backoff = at{} }),
	})
	call := func() int64 {
		attempts.Store(0)
		_, _ = client.GetSecretValue(context.Background(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("app")})
		return attempts.Load()
	}
	ok := true
	expect := func(when string, got, want int64) {
		fmt.Printf("%-55s %d attempts\n", when, got)
		ok = ok && got == want
	}
	throttled.Store(true)
	expect("the first throttled call:", call(), 3)
	calls := 1
	for ; call() == 3 && calls < 1000; calls++ {
	}
	fmt.Printf("%-55s %d calls\n", "calls with three attempts while throttled:", calls)
	ok = ok && calls >= 40 && calls <= 60
	for range 5 {
		call()
	}
	expect("after the quota is used up:", call(), 1)
	time.Sleep(30 * time.Second)
	expect("half a minute later:", call(), 1)
	throttled.Store(false)
	for range 4 {
		call()
	}
	throttled.Store(true)
	expect("after four calls that succeeded:", call(), 1)
	throttled.Store(false)
	for range 200 {
		call()
	}
	throttled.Store(true)
	expect("after two hundred more:", call(), 3)
	if !ok {
		fmt.Fprintln(os.Stderr, "the behaviour has changed")
		os.Exit(1)
	}
	fmt.Println("as described")
}
GO
GOWORK=off GOFLAGS=-mod=mod GOMODCACHE="$temp/modules" go mod tidy 2>/dev/null
GOWORK=off GOFLAGS=-mod=mod GOMODCACHE="$temp/modules" go run .
