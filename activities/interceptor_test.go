package activities

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"

	"github.com/rotate-user/rotate-user/internal/account"
	"github.com/rotate-user/rotate-user/internal/secret"
	"github.com/rotate-user/rotate-user/rotation"
)

var redactedOptions = worker.Options{Interceptors: []interceptor.WorkerInterceptor{Interceptor()}}

// intercepted runs one activity as a worker would.
func intercepted(t *testing.T, a *Activities, name string, in any) (converter.EncodedValue, error) {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestActivityEnvironment()
	env.SetWorkerOptions(redactedOptions)
	env.RegisterActivity(a)
	return env.ExecuteActivity(name, in)
}

// Whatever an activity does with a password that it has met, the password does not leave the
// worker.
func TestALeakingActivityTellsNothing(t *testing.T) {
	t.Parallel()
	type Result struct {
		Text string
		In   []string
		N    int64
	}
	for _, password := range []string{"Tr0ub4dor&3xyz", `q'uo"te\BACK1`, "per%cent/and@:A1<>"} {
		for name, leak := range map[string]func(ctx context.Context) (Result, error){
			"error":   func(context.Context) (Result, error) { return Result{}, errors.New("near " + password) },
			"wrapped": func(context.Context) (Result, error) { return Result{}, fmt.Errorf("step: %w", errors.New(password)) },
			"joined": func(context.Context) (Result, error) {
				return Result{}, errors.Join(errors.New("one"), fmt.Errorf("%q", password))
			},
			"application error": func(context.Context) (Result, error) {
				return Result{}, temporal.NewApplicationErrorWithCause(password, password, errors.New(password), password)
			},
			"non-retryable": func(context.Context) (Result, error) {
				return Result{}, temporal.NewNonRetryableApplicationError("x", "x", errors.New(password), map[string]string{"p": password})
			},
			"cancellation": func(context.Context) (Result, error) { return Result{}, temporal.NewCanceledError(password) },
			"refusal": func(context.Context) (Result, error) {
				return Result{}, refuse(rotation.ErrorEdited, "got %s", password)
			},
			"panic":       func(context.Context) (Result, error) { panic(password) },
			"panic error": func(context.Context) (Result, error) { panic(fmt.Errorf("%w", errors.New(password))) },
			"result": func(context.Context) (Result, error) {
				return Result{Text: password, In: []string{"x", "in " + password}, N: 1<<62 + 1}, nil
			},
			"log": func(ctx context.Context) (Result, error) {
				l := activity.GetLogger(ctx)
				l.Debug(password)
				l.Info("text", "error", errors.New(password))
				l.Warn("text", "value", struct{ P string }{password}, password, 1)
				l.Error("text", "bytes", []string{password}, "wrapped", fmt.Errorf("x: %w", errors.New(password)))
				log.With(l, "kept", password).Info("text")
				log.Skip(l, 1).Info("text", "value", &password)
				return Result{}, nil
			},
			"heartbeat": func(ctx context.Context) (Result, error) {
				activity.RecordHeartbeat(ctx, password, []string{password}, map[string]string{"p": password}, errors.New(password))
				return Result{}, nil
			},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				var logged bytes.Buffer
				var suite testsuite.WorkflowTestSuite
				suite.SetLogger(log.NewStructuredLogger(slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))))
				env := suite.NewTestActivityEnvironment()
				env.SetWorkerOptions(redactedOptions)
				var beats []string
				env.SetOnActivityHeartbeatListener(func(_ *activity.Info, details converter.EncodedValues) {
					var a, b, c, d any
					if err := details.Get(&a, &b, &c, &d); err != nil {
						t.Error(err)
					}
					beats = append(beats, fmt.Sprint(a, b, c, d))
				})
				env.RegisterActivityWithOptions(func(ctx context.Context) (Result, error) {
					if err := remember(ctx, password); err != nil {
						return Result{}, err
					}
					return leak(ctx)
				}, activity.RegisterOptions{Name: "Leak"})
				value, err := env.ExecuteActivity("Leak")
				shown := logged.String() + strings.Join(beats, " ")
				for e := err; e != nil; e = errors.Unwrap(e) {
					shown += fmt.Sprintf(" %v %+v %#v", e, e, e)
					if app, ok := e.(*temporal.ApplicationError); ok { //nolint:errorlint // each link of the chain is looked at by itself
						shown += app.Type() + app.Message()
						if app.HasDetails() {
							t.Errorf("the details are kept")
						}
					}
				}
				var result Result
				if err == nil {
					if err := value.Get(&result); err != nil {
						t.Fatal(err)
					}
					shown += result.Text + strings.Join(result.In, " ")
				}
				for _, s := range spellings(password) {
					if strings.Contains(shown, s) {
						t.Errorf("%q is shown: %s", s, shown)
					}
				}
				switch name {
				case "result":
					if want := (Result{"[password]", []string{"x", "in [password]"}, 1<<62 + 1}); !reflect.DeepEqual(result, want) {
						t.Errorf("got %+v, want %+v", result, want)
					}
				case "log":
					if n := strings.Count(shown, "[password]"); n < 7 {
						t.Errorf("%d values are redacted, want one for each: %s", n, shown)
					}
				case "heartbeat":
					if len(beats) != 1 || strings.Count(beats[0], "[password]") != 4 {
						t.Errorf("heartbeats: %q", beats)
					}
				case "panic", "panic error":
					if app, ok := errors.AsType[*temporal.ApplicationError](err); !ok || app.NonRetryable() ||
						!strings.Contains(err.Error(), "interceptor_test.go:") {
						t.Errorf("got %v, want an error that is retried and names the line", err)
					}
				}
			})
		}
	}
}

// Values of the usual types keep their type in a log line, and a result without a password does not
// change.
func TestWhatHoldsNoPasswordStays(t *testing.T) {
	t.Parallel()
	r := new(redactor)
	r.remember("Tr0ub4dor&3xyz")
	r.remember("app")
	in := []any{"secret", "shop", 3, true, nil}
	if got := r.values(in); !reflect.DeepEqual(got, in) {
		t.Errorf("got %#v", got)
	}
	result := &rotation.ValidateSecretResult{Username: "app"} // a user whose password equals its name
	if got := r.result(result); got != any(result) {
		t.Errorf("got %s", got)
	}
}

// A worker without the interceptor reads no secret, so that a missing registration shows at the
// first step.
func TestNothingIsReadWithoutTheInterceptor(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if target := r.Header.Get("X-Amz-Target"); strings.HasSuffix(target, "GetSecretValue") {
			t.Errorf("%s was called", target)
		}
		w.Header().Set("X-Amzn-ErrorType", "ResourceNotFoundException")
		w.WriteHeader(http.StatusBadRequest)
	}))
	t.Cleanup(server.Close)
	a := &Activities{
		Secrets: secret.NewStore(secretsmanager.New(secretsmanager.Options{
			BaseEndpoint: &server.URL, Region: "eu-central-1", Credentials: credentials.NewStaticCredentialsProvider("id", "key", ""),
		})),
		Accounts: &account.Dialer{},
	}
	for name, in := range map[string]any{
		rotation.CloneUser:      rotation.CloneUserInput{SecretID: "app"},
		rotation.StagePassword:  rotation.StepInput{SecretID: "app"},
		rotation.SetPassword:    rotation.StepInput{SecretID: "app"},
		rotation.ValidateSecret: rotation.KnownSecret{SecretID: "app"},
		rotation.RevokePrevious: rotation.StepInput{SecretID: "app", MasterSecretID: "master"},
		rotation.LockAccounts:   rotation.Deletion{SecretID: "app", MasterSecretID: "master"},
	} {
		var suite testsuite.WorkflowTestSuite
		env := suite.NewTestActivityEnvironment()
		env.RegisterActivity(a)
		if _, err := env.ExecuteActivity(name, in); err == nil ||
			!strings.Contains(err.Error(), "activities.Interceptor") && name != rotation.CloneUser {
			t.Errorf("%s: %v", name, err)
		}
	}
}
