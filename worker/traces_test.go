package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/google/uuid"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"

	"github.com/rotate-user/rotate-user/activities"
	"github.com/rotate-user/rotate-user/internal/account"
	"github.com/rotate-user/rotate-user/internal/secret"
	"github.com/rotate-user/rotate-user/rotation"
)

// leaky is an activity that puts into its error what it has read.
type leaky struct {
	interceptor.WorkerInterceptorBase
	password string
}

func (l *leaky) InterceptActivity(_ context.Context, next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	return &leakyActivity{interceptor.ActivityInboundInterceptorBase{Next: next}, l.password}
}

type leakyActivity struct {
	interceptor.ActivityInboundInterceptorBase
	password string
}

func (l *leakyActivity) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	_, err := l.Next.ExecuteActivity(ctx, in)
	return nil, errors.Join(err, fmt.Errorf("near 'IDENTIFIED BY %s'", l.password))
}

// A step whose error holds the password that it has read makes a span without it.
func TestNoPasswordIsInASpan(t *testing.T) {
	const password = "Tr0ub4dor&3xyz"
	read := false
	endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		read = true
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		_, _ = fmt.Fprintf(w, `{"Name":"app","VersionId":"v","SecretString":%q}`,
			`{"engine":"mysql","host":"127.0.0.1","port":1,"username":"app","password":"`+password+`"}`)
	}))
	t.Cleanup(endpoint.Close)
	store := secret.NewStore(secretsmanager.NewFromConfig(aws.Config{
		Region: "eu-central-1", BaseEndpoint: &endpoint.URL, Credentials: credentials.NewStaticCredentialsProvider("id", "key", ""),
	}))

	spans := tracetest.NewInMemoryExporter()
	traced, end := newTraces(&keeping{spans}, resource.Empty())
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestActivityEnvironment()
	var c config
	options := worker.Options{Interceptors: append(c.workerOptions(traced).Interceptors, &leaky{password: password})}
	env.SetWorkerOptions(options)
	env.RegisterActivity(&activities.Activities{Secrets: store, Accounts: &account.Dialer{}})
	if _, err := env.ExecuteActivity(rotation.ValidateSecret, rotation.ValidateSecretInput{SecretID: "app"}); err == nil || !read {
		t.Fatalf("the secret was read: %v, error %v", read, err)
	}
	if err := end(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := spans.GetSpans()
	if len(got) != 1 || got[0].Name != rotation.ValidateSecret || got[0].Status.Code != codes.Error ||
		!strings.Contains(got[0].Status.Description, "near '[left out]") {
		t.Fatalf("%+v", got)
	}
	if text := fmt.Sprintf("%+v", got); strings.Contains(text, password) {
		t.Errorf("the password is in %s", text)
	}
	attributes := fmt.Sprint(got[0].Attributes)
	for _, name := range []string{"temporalWorkflowID", "temporalRunID", "temporalActivityID", "temporalAttempt", "error.type"} {
		if !strings.Contains(attributes, name) {
			t.Errorf("the span has no attribute %s", name)
		}
	}
}

// keeping keeps the spans when it is shut down.
type keeping struct{ *tracetest.InMemoryExporter }

func (*keeping) Shutdown(context.Context) error { return nil }

func TestStepsOfARunAreOneTrace(t *testing.T) {
	run := uuid.MustParse("01a2215f-1806-7296-be28-75c420d340ef")
	ctx := context.WithValue(t.Context(), runIDKey{}, run.String())
	first, one := runIDs{}.NewIDs(ctx)
	second, other := runIDs{}.NewIDs(ctx)
	if first.String() != "01a2215f18067296be2875c420d340ef" || second != first || one == other {
		t.Errorf("%s %s, %s %s", first, one, second, other)
	}
	if a, b := newTraceID(t.Context()), newTraceID(t.Context()); a == b || !a.IsValid() {
		t.Errorf("without a run: %s, %s", a, b)
	}
}

func newTraceID(ctx context.Context) trace.TraceID {
	id, _ := runIDs{}.NewIDs(ctx)
	return id
}

func TestTracesFollowTheVariablesOfOpenTelemetry(t *testing.T) {
	for _, test := range []struct {
		variables string
		wrong     string
		traced    bool
	}{
		{"", "", false},
		{"OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318", "", true},
		{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://localhost:4318/v1/traces", "", true},
		{"OTEL_TRACES_EXPORTER=otlp", "", true},
		{"OTEL_TRACES_EXPORTER=otlp OTEL_EXPORTER_OTLP_PROTOCOL=grpc", "", true},
		{"OTEL_TRACES_EXPORTER=otlp OTEL_EXPORTER_OTLP_PROTOCOL=grpc OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/protobuf", "", true},
		{"OTEL_TRACES_EXPORTER=none OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318", "", false},
		{"OTEL_SDK_DISABLED=true OTEL_TRACES_EXPORTER=otlp", "", false},
		{"OTEL_TRACES_EXPORTER=zipkin", "OTEL_TRACES_EXPORTER", false},
		{"OTEL_TRACES_EXPORTER=otlp OTEL_EXPORTER_OTLP_PROTOCOL=http/json", "OTEL_EXPORTER_OTLP_PROTOCOL", false},
	} {
		lookup := func(name string) (string, bool) {
			for v := range strings.FieldsSeq(test.variables) {
				if n, value, _ := strings.Cut(v, "="); n == name {
					return value, true
				}
			}
			return "", false
		}
		exporter, err := exporterOf(t.Context(), lookup)
		if (err != nil) != (test.wrong != "") || err != nil && !strings.Contains(err.Error(), test.wrong) || (exporter != nil) != test.traced {
			t.Errorf("%s: %v, %v", test.variables, exporter, err)
		}
		if exporter != nil {
			if err := exporter.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}
}

// Spans reach a collector when the worker stops, at the latest.
func TestTracesReachACollector(t *testing.T) {
	var path string
	var body []byte
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		path = r.URL.Path
		body, _ = io.ReadAll(r.Body)
	}))
	t.Cleanup(collector.Close)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
	traced, end, err := startTraces(t.Context(), os.LookupEnv, discard)
	if err != nil {
		t.Fatal(err)
	}
	run := uuid.New()
	_, span := traced.tracer.Start(context.WithValue(t.Context(), runIDKey{}, run.String()), rotation.CloneUser)
	span.End()
	end()
	if path != "/v1/traces" {
		t.Errorf("path %q", path)
	}
	for _, want := range []string{string(run[:]), rotation.CloneUser, "rotate-user", "deployment.environment.name"} {
		if !bytes.Contains(body, []byte(want)) {
			t.Errorf("the collector did not receive %q", want)
		}
	}
}
