package secretsmanager_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sm "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"github.com/rotate-user/rotate-user/devstack/secretsmanager"
)

var ctx = context.Background()

// endpoint is a server under test with a client of the real SDK, which repeats
// nothing by itself.
type endpoint struct {
	*sm.Client
	server *secretsmanager.Server
	url    string
	clock  *clock
}

// clock is a time that the tests set; it starts in the middle of a day.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

var start = time.Date(2026, 3, 14, 15, 9, 26, 535e6, time.UTC)

func newEndpoint(t testing.TB, path string) *endpoint {
	t.Helper()
	c := &clock{now: start}
	server, err := secretsmanager.New(secretsmanager.Options{Now: c.Now, Path: path})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(server)
	t.Cleanup(web.Close)
	return &endpoint{client(web.URL), server, web.URL, c}
}

func client(url string) *sm.Client { return clientOf(url, "us-east-1", "any") }

// clientOf signs for a region, with an access key.
func clientOf(url, region, key string) *sm.Client {
	return sm.New(sm.Options{
		Region:       region,
		BaseEndpoint: &url,
		Credentials:  credentials.NewStaticCredentialsProvider(key, "thing", ""),
		Retryer:      aws.NopRetryer{},
	})
}

// id makes a version id of the length required; short takes it back.
func id(name string) string {
	if name == "" {
		return ""
	}
	return name + strings.Repeat("-", 32-len(name))
}

func short(id string) string { return strings.TrimRight(id, "-") }

// pointer returns nil for the empty string, which is how the SDK omits a parameter.
func pointer(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func (e *endpoint) create(t testing.TB, name, version, value string) string {
	t.Helper()
	out, err := e.CreateSecret(ctx, &sm.CreateSecretInput{
		Name: &name, ClientRequestToken: pointer(id(version)), SecretString: pointer(value),
	})
	if err != nil {
		t.Fatal(err)
	}
	return *out.ARN
}

func (e *endpoint) get(secret, version, stage string) (*sm.GetSecretValueOutput, error) {
	return e.GetSecretValue(ctx, &sm.GetSecretValueInput{
		SecretId: &secret, VersionId: pointer(id(version)), VersionStage: pointer(stage),
	})
}

func (e *endpoint) put(secret, version, value string, stages ...string) (*sm.PutSecretValueOutput, error) {
	return e.PutSecretValue(ctx, &sm.PutSecretValueInput{
		SecretId: &secret, ClientRequestToken: pointer(id(version)), SecretString: &value, VersionStages: stages,
	})
}

func (e *endpoint) move(secret, label, from, to string) error {
	_, err := e.UpdateSecretVersionStage(ctx, &sm.UpdateSecretVersionStageInput{
		SecretId: &secret, VersionStage: &label, RemoveFromVersionId: pointer(id(from)), MoveToVersionId: pointer(id(to)),
	})
	return err
}

// labels maps all versions of a secret to their labels, and checks that
// DescribeSecret and the default list show those that have any.
func (e *endpoint) labels(t testing.TB, secret string) map[string]string {
	t.Helper()
	list := func(deprecated bool) map[string]string {
		out, err := e.ListSecretVersionIds(ctx, &sm.ListSecretVersionIdsInput{SecretId: &secret, IncludeDeprecated: &deprecated})
		if err != nil {
			t.Fatal(err)
		}
		m := map[string]string{}
		for _, v := range out.Versions {
			slices.Sort(v.VersionStages)
			m[short(*v.VersionId)] = strings.Join(v.VersionStages, " ")
		}
		return m
	}
	all := list(true)
	labelled := map[string]string{}
	for v, l := range all {
		if l != "" {
			labelled[v] = l
		}
	}
	described := map[string]string{}
	out, err := e.DescribeSecret(ctx, &sm.DescribeSecretInput{SecretId: &secret})
	if err != nil {
		t.Fatal(err)
	}
	for v, l := range out.VersionIdsToStages {
		slices.Sort(l)
		described[short(v)] = strings.Join(l, " ")
	}
	if d := cmp.Diff(labelled, described); d != "" {
		t.Errorf("DescribeSecret differs from ListSecretVersionIds: -listed +described\n%s", d)
	}
	if d := cmp.Diff(labelled, list(false)); d != "" {
		t.Errorf("ListSecretVersionIds without IncludeDeprecated: -want +got\n%s", d)
	}
	return all
}

// failure renders an error as type and message, "" for none, and checks that its
// status is 400.
func failure(t testing.TB, err error) string {
	t.Helper()
	if err == nil {
		return ""
	}
	var api smithy.APIError
	if !errors.As(err, &api) {
		t.Fatalf("no error of the service: %v", err)
	}
	var answer *awshttp.ResponseError
	if !errors.As(err, &answer) || answer.HTTPStatusCode() != http.StatusBadRequest {
		t.Errorf("HTTP status is not 400: %v", err)
	}
	if answer.RequestID == "" {
		t.Errorf("no request id: %v", err)
	}
	return api.ErrorCode() + ": " + api.ErrorMessage()
}

// expect checks an error against a type, or type and beginning of the message; ""
// expects none.
func expect(t testing.TB, err error, want string) {
	t.Helper()
	got := failure(t, err)
	if want == "" && got != "" || !strings.HasPrefix(got, want) {
		t.Errorf("got error %q, want %q", got, want)
	}
}
