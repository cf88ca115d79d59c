#!/usr/bin/env bash
# AWS's caching client for Go: a role that may only read the value keeps the value it had, without an error.
#
# Ran:       github.com/aws/aws-secretsmanager-caching-go/v2 v2.2.0, against an HTTP server in this script.
# Guess:     (what its users would expect; its code was read before the run) the cache needs secretsmanager:GetSecretValue, and returns an
#            error when an entry has expired and cannot be refreshed.
# Behaviour: an entry that has expired is refreshed with DescribeSecret, and GetSecretValue is called only for a version that is new to the
#            process. If DescribeSecret is denied or throttled, every call returns the old value and no error, for as long as the process
#            runs. A process that starts then gets the error.
# Matters:   a policy that is narrowed to secretsmanager:GetSecretValue changes nothing until the next rotation, or the second one if
#            rotations alternate between two accounts. Then every running process is refused at once, and reading the secret again on
#            1045 yields the same password. Grant both actions, and raise an alert on denied DescribeSecret calls in CloudTrail.
set -euo pipefail

temp=$(mktemp -d)
trap 'chmod -R u+w "$temp"; rm -rf --one-file-system "$temp"' EXIT
cd "$temp"
cat >go.mod <<'MOD'
module finding

go 1.24

require (
	github.com/aws/aws-sdk-go-v2 v1.41.6
	github.com/aws/aws-sdk-go-v2/credentials v1.17.60
	github.com/aws/aws-sdk-go-v2/service/secretsmanager v1.34.19
	github.com/aws/aws-secretsmanager-caching-go/v2 v2.2.0
)
MOD
cat >main.go <<'GO'
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-secretsmanager-caching-go/v2/secretcache"
	"github.com/aws/smithy-go"
)

var (
	versions        = []string{"11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"}
	rotated, denied atomic.Bool
	described, read atomic.Int32
)

func answer(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	i := 0
	if rotated.Load() {
		i = 1
	}
	body := map[string]any{"Name": "app", "VersionId": versions[i], "SecretString": []string{"old", "new"}[i]}
	if strings.HasSuffix(r.Header.Get("X-Amz-Target"), "DescribeSecret") {
		described.Add(1)
		body = map[string]any{"Name": "app", "VersionIdsToStages": map[string][]string{versions[i]: {"AWSCURRENT"}}}
		if denied.Load() {
			w.WriteHeader(http.StatusBadRequest)
			body = map[string]any{"__type": "AccessDeniedException", "Message": "not allowed"}
		}
	} else {
		read.Add(1)
	}
	_ = json.NewEncoder(w).Encode(body)
}

func main() {
	server := httptest.NewServer(http.HandlerFunc(answer))
	defer server.Close()
	open := func() *secretcache.Cache {
		client := secretsmanager.New(secretsmanager.Options{
			Region: "eu-west-1", BaseEndpoint: aws.String(server.URL), Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
		})
		cache, err := secretcache.New(func(c *secretcache.Cache) {
			c.Client = client
			c.CacheConfig.CacheItemTTL = int64(time.Second)
		})
		if err != nil {
			panic(err)
		}
		return cache
	}
	failed := false
	ask := func(text string, cache *secretcache.Cache, want string) {
		described.Store(0)
		read.Store(0)
		got, err := cache.GetSecretString("app")
		var api smithy.APIError
		if errors.As(err, &api) {
			got = api.ErrorCode()
		}
		got = fmt.Sprintf("%s (DescribeSecret %d times, GetSecretValue %d times)", got, described.Load(), read.Load())
		fmt.Printf("%s: %s\n", text, got)
		failed = failed || got != want
	}
	expire := func() { time.Sleep(1100 * time.Millisecond) }

	cache := open()
	ask("both actions allowed", cache, "old (DescribeSecret 1 times, GetSecretValue 1 times)")
	expire()
	ask("expired, not rotated", cache, "old (DescribeSecret 1 times, GetSecretValue 0 times)")
	denied.Store(true)
	rotated.Store(true)
	expire()
	ask("expired, rotated, DescribeSecret denied", cache, "old (DescribeSecret 1 times, GetSecretValue 0 times)")
	expire()
	ask("    again", cache, "old (DescribeSecret 1 times, GetSecretValue 0 times)")
	ask("a process that starts then", open(), "AccessDeniedException (DescribeSecret 1 times, GetSecretValue 0 times)")
	denied.Store(false)
	expire()
	ask("both actions allowed again", cache, "new (DescribeSecret 1 times, GetSecretValue 1 times)")
	if failed {
		fmt.Println("the behaviour has changed")
		os.Exit(1)
	}
	fmt.Println("as described")
}
GO
export GOWORK=off GOFLAGS=-mod=mod GOMODCACHE="$temp/modules"
go build -o ask . 2>go.log || { tail go.log >&2; exit 1; }
./ask
