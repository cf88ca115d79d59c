package secretsmanager_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	sm "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"github.com/rotate-user/rotate-user/devstack/secretsmanager"
)

// TestFaults puts each fault on a PutSecretValue, before and after it is carried
// out.
func TestFaults(t *testing.T) {
	for _, tt := range []struct {
		name       string
		fault      secretsmanager.Fault
		code       string // "" if the client gets no answer
		status     int
		retryAfter string
	}{
		{"throttled", secretsmanager.Throttled(0), "ThrottlingException", 400, ""},
		{"throttled for a while", secretsmanager.Throttled(1500 * time.Millisecond), "ThrottlingException", 400, "1500 2"},
		{"failed", secretsmanager.Failed(), "InternalServiceError", 500, ""},
		{"denied", secretsmanager.Denied(secretsmanager.Call{Operation: "PutSecretValue", SecretID: "s"}), "AccessDeniedException", 400, ""},
		{"dropped", secretsmanager.Fault{Drop: true}, "", 0, ""},
		{"hanging", secretsmanager.Fault{Hang: true}, "", 0, ""},
	} {
		for _, after := range []bool{false, true} {
			name := tt.name + " before"
			want := map[string]string{"v1": "AWSCURRENT"}
			if after {
				name = tt.name + " after"
				want = map[string]string{"v1": "AWSPREVIOUS", "v2": "AWSCURRENT"}
			}
			t.Run(name, func(t *testing.T) {
				e := newEndpoint(t, "")
				e.create(t, "s", "v1", "a")
				ctx, cancel := context.WithCancel(ctx)
				defer cancel()
				e.server.Intercept(func(c secretsmanager.Call) secretsmanager.Fault {
					if c.Done != after {
						return secretsmanager.Fault{}
					}
					if tt.fault.Hang {
						cancel() // the client loses patience
					}
					return tt.fault
				})
				_, err := e.PutSecretValue(ctx, &sm.PutSecretValueInput{
					SecretId: aws.String("s"), ClientRequestToken: aws.String(id("v2")), SecretString: aws.String("b")})
				e.server.Intercept(nil)
				if err == nil {
					t.Fatal("no error")
				}
				var api smithy.APIError
				var answer *awshttp.ResponseError
				if errors.As(err, &api) != (tt.code != "") {
					t.Fatalf("got %v", err)
				} else if tt.code != "" {
					if !errors.As(err, &answer) || api.ErrorCode() != tt.code || answer.HTTPStatusCode() != tt.status {
						t.Errorf("got %v, want %d %s", err, tt.status, tt.code)
					}
					h := answer.Response.Header
					wait := h.Get("X-Amz-Retry-After")
					if seconds := h.Get("Retry-After"); seconds != "" {
						wait += " " + seconds
					}
					if wait != tt.retryAfter {
						t.Errorf("wait %q, want %q", wait, tt.retryAfter)
					}
				}
				if d := cmp.Diff(want, e.labels(t, "s")); d != "" {
					t.Errorf("labels: -want +got\n%s", d)
				}
			})
		}
	}
}

func TestIntercept(t *testing.T) {
	e := newEndpoint(t, "")
	var got []secretsmanager.Call
	e.server.Intercept(func(c secretsmanager.Call) secretsmanager.Fault {
		got = append(got, c)
		return secretsmanager.Fault{}
	})
	e.create(t, "s", "v1", "a")
	e.put("s", "v2", "b", "AWSPENDING", "X")
	e.move("s", "AWSCURRENT", "", "v2")
	e.server.Intercept(nil)
	e.get("s", "", "")
	want := []secretsmanager.Call{
		{Operation: "CreateSecret", SecretID: "s", Token: id("v1")},
		{Operation: "CreateSecret", SecretID: "s", Token: id("v1"), Done: true},
		{Operation: "PutSecretValue", SecretID: "s", Token: id("v2"), Stages: []string{"AWSPENDING", "X"}},
		{Operation: "PutSecretValue", SecretID: "s", Token: id("v2"), Stages: []string{"AWSPENDING", "X"}, Done: true},
		{Operation: "UpdateSecretVersionStage", SecretID: "s", Stages: []string{"AWSCURRENT"}},
		{Operation: "UpdateSecretVersionStage", SecretID: "s", Stages: []string{"AWSCURRENT"}, Done: true, Error: "InvalidParameterException"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

// TestRetry lets the SDK's own retries meet a lost answer: the repetition of what
// has been carried out must succeed and change nothing.
func TestRetry(t *testing.T) {
	e := newEndpoint(t, "")
	e.create(t, "s", "v1", "a")
	e.server.ResetCalls()
	lost := false
	e.server.Intercept(func(c secretsmanager.Call) secretsmanager.Fault {
		drop := c.Done && !lost
		lost = lost || drop
		return secretsmanager.Fault{Drop: drop}
	})
	out, err := e.PutSecretValue(ctx, &sm.PutSecretValueInput{SecretId: aws.String("s"), SecretString: aws.String("b")},
		func(o *sm.Options) { o.Retryer = retry.NewStandard() })
	if err != nil {
		t.Fatal(err)
	}
	if n := e.server.Calls()["PutSecretValue"]; n != 2 {
		t.Errorf("%d calls", n)
	}
	if d := cmp.Diff(map[string]string{"v1": "AWSPREVIOUS", *out.VersionId: "AWSCURRENT"}, e.labels(t, "s")); d != "" {
		t.Errorf("labels: -want +got\n%s", d)
	}
}
