package activities

import (
	"context"
	"crypto/x509"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/go-sql-driver/mysql"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

	"github.com/rotate-user/rotate-user/internal/connection"
	"github.com/rotate-user/rotate-user/internal/grants"
	"github.com/rotate-user/rotate-user/internal/panics"
	"github.com/rotate-user/rotate-user/internal/rds"
	"github.com/rotate-user/rotate-user/internal/secret"
	"github.com/rotate-user/rotate-user/rotation"
)

// failed converts the error of an activity that has met some passwords.
func failed(err error, passwords ...string) *temporal.ApplicationError {
	var r redactor
	for _, p := range passwords {
		r.remember(p)
	}
	var app *temporal.ApplicationError
	errors.As(r.failure(context.Background(), err), &app)
	return app
}

func response(status int, header http.Header, err error) error {
	return &smithy.OperationError{ServiceID: "Secrets Manager", OperationName: "GetSecretValue", Err: &awshttp.ResponseError{
		RequestID: "r",
		ResponseError: &smithyhttp.ResponseError{Response: &smithyhttp.Response{Response: &http.Response{StatusCode: status, Header: header}},
			Err: err},
	}}
}

// service is an error of the AWS service that hands out credentials.
func service(id string, err error) error {
	return &smithy.OperationError{ServiceID: id, OperationName: "Get", Err: err}
}

// unsigned is the error for a Secrets Manager call that could not be signed, with the layers that
// the SDK adds.
func unsigned(err error) error {
	return &smithy.OperationError{ServiceID: "Secrets Manager", OperationName: "GetSecretValue",
		Err: fmt.Errorf("get identity: %w", &secret.CredentialsError{Err: err})}
}

// A worker without AWS credentials says so and says what to do, but does not quote what the
// credential providers report.
func TestACallThatCannotBeSignedSaysWhatHelps(t *testing.T) {
	t.Parallel()
	p := aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{}, errors.New("the token has expired and refresh failed: s3cr3t output of a program")
	})
	client := secretsmanager.New(secretsmanager.Options{Region: "eu-west-1", Credentials: secret.Credentials(p),
		BaseEndpoint: aws.String("http://127.0.0.1:1")})
	a := &Activities{Secrets: secret.NewStore(client)}
	_, err := intercepted(t, a, rotation.ValidateSecret, rotation.KnownSecret{SecretID: "app"})
	var app *temporal.ApplicationError
	if !errors.As(err, &app) || app.Type() != rotation.ErrorAccessDenied || !app.NonRetryable() {
		t.Fatalf("%v", err)
	}
	for _, want := range []string{"read secret app", "no valid AWS credentials", "aws sso login"} {
		if !strings.Contains(app.Message(), want) {
			t.Errorf("%q does not say %q", app.Message(), want)
		}
	}
	if strings.Contains(app.Message(), "s3cr3t") {
		t.Errorf("%q quotes the provider's error", app.Message())
	}
}

// A guessable password is not redacted, because the gap in the text would give it away. The whole
// text is withheld instead.
func TestATextThatHoldsAGuessablePasswordIsWithheld(t *testing.T) {
	t.Parallel()
	safe := "rotating is safe from 2026-01-02T03:04:05Z, or with Force"
	for _, password := range []string{"rot", "safe", "rotating", "rotating is safe", "2026-01-02T03:04:05Z"} {
		got := failed(refuse(rotation.ErrorMinimumOverlap, "%s", safe), "Tr0ub4dor&3xyz", password)
		if got.Message() != withheld || got.Type() != rotation.ErrorMinimumOverlap {
			t.Errorf("known password %q: %s: %s", password, got.Type(), got.Message())
		}
	}
	if got := failed(refuse(rotation.ErrorMinimumOverlap, "%s", safe), "rotate", "Tr0ub4dor&3xyz"); got.Message() != safe {
		t.Errorf("withheld without need: %s", got.Message())
	}
	if got := failed(errors.New("near Tr0ub4dor&3xyz at line 1"), "Tr0ub4dor&3xyz"); !strings.Contains(got.Message(),
		"near [password] at line 1") {
		t.Errorf("a long random password is not redacted, or too much is: %s", got.Message())
	}
}

func TestEveryErrorHasAVerdict(t *testing.T) {
	t.Parallel()
	type row struct {
		err   error
		kind  string
		retry bool
	}
	rows := []row{
		{refuse(rotation.ErrorNoMaster, "x"), rotation.ErrorNoMaster, false},
		{refuse(rotation.ErrorSecretGone, "x"), rotation.ErrorSecretGone, false},
		{refuse(rotation.ErrorReplicated, "x"), rotation.ErrorReplicated, false},
		{&replicasBehindError{"app", []secret.Replica{{Region: "us-west-2", Status: "InProgress"}}}, rotation.ErrorReplicaBehind, true},
		{&masterRefusedError{"admin", &mysql.MySQLError{Number: 1045}}, rotation.ErrorMasterRefused, true},
		{&rds.ServerError{Err: errors.New("it is being created")}, rotation.ErrorUnreachable, true},
		{&rds.ServerError{Err: &smithy.GenericAPIError{Code: "Throttling"}}, rotation.ErrorThrottled, true},
		{&rds.ServerError{Err: unsigned(service("STS", &smithy.GenericAPIError{Code: "AccessDenied"}))}, rotation.ErrorAccessDenied, false},
		{&rds.ServerError{Advice: "x", Err: &smithy.GenericAPIError{Code: "AccessDenied"}}, rotation.ErrorAccessDenied, false},
		{&rds.ServerError{Advice: "x", Err: &smithy.GenericAPIError{Code: "DBInstanceNotFound"}}, rotation.ErrorNoMasterServer, false},
		{&grants.Refusal{Reason: "NotOurs", Message: "x"}, "NotOurs", false},
		{&grants.Refusal{Reason: "ReadOnly", Message: "x", Retry: true}, "ReadOnly", true},
		{&secret.FieldError{Field: "port", Problem: "x"}, rotation.ErrorMalformed, false},
		{&secret.MovedError{Label: "AWSPENDING"}, rotation.ErrorEdited, false},
		{unsigned(errors.New("refresh cached SSO token failed")), rotation.ErrorAccessDenied, false},
		{unsigned(service("ec2imds", &net.OpError{Op: "dial", Err: errors.New("no route to host")})), rotation.ErrorAccessDenied, false},
		{unsigned(service("ec2imds", context.DeadlineExceeded)), rotation.ErrorAccessDenied, false},
		{unsigned(service("SSO", &smithy.GenericAPIError{Code: "UnauthorizedException"})), rotation.ErrorAccessDenied, false},
		{unsigned(service("SSO OIDC", &smithy.GenericAPIError{Code: "InvalidGrantException"})), rotation.ErrorAccessDenied, false},
		{unsigned(service("STS", &smithy.GenericAPIError{Code: "AccessDenied"})), rotation.ErrorAccessDenied, false},
		{unsigned(service("STS", &smithy.GenericAPIError{Code: "ExpiredTokenException"})), rotation.ErrorAccessDenied, false},
		{unsigned(service("STS", &smithy.GenericAPIError{Code: "Throttling"})), rotation.ErrorThrottled, true},
		{unsigned(service("STS", &net.OpError{Op: "dial", Err: errors.New("connection refused")})), rotation.ErrorUnreachable, true},
		{&connection.SilentError{Address: "db:3306"}, rotation.ErrorUnreachable, true},
		{panics.New("x"), rotation.ErrorUnknown, true},
		{driver.ErrBadConn, rotation.ErrorUnreachable, true},
		{mysql.ErrInvalidConn, rotation.ErrorUnreachable, true},
		{mysql.ErrMalformPkt, rotation.ErrorUnreachable, true},
		{mysql.ErrPktSync, rotation.ErrorUnreachable, true},
		{mysql.ErrNoTLS, rotation.ErrorTLS, false},
		{mysql.ErrUnknownPlugin, rotation.ErrorDatabase, false},
		{mysql.ErrCleartextPassword, rotation.ErrorDatabase, false},
		{io.EOF, rotation.ErrorUnreachable, true},
		{io.ErrUnexpectedEOF, rotation.ErrorUnreachable, true},
		{context.DeadlineExceeded, rotation.ErrorUnreachable, true},
		{errPlanTakesTooLong, rotation.ErrorUnreachable, true},
		{&net.OpError{Op: "dial", Err: errors.New("connection refused")}, rotation.ErrorUnreachable, true},
		{&net.DNSError{Err: "no such host", Name: "db"}, rotation.ErrorUnreachable, true},
		{x509.UnknownAuthorityError{}, rotation.ErrorTLS, false},
		{x509.HostnameError{Certificate: &x509.Certificate{}, Host: "db"}, rotation.ErrorTLS, false},
		{x509.CertificateInvalidError{Reason: x509.Expired}, rotation.ErrorTLS, false},
		{response(429, nil, &smithy.GenericAPIError{Code: "New"}), rotation.ErrorThrottled, true},
		{response(503, nil, &smithy.GenericAPIError{Code: "New"}), rotation.ErrorUnreachable, true},
		{response(500, nil, errors.New("no body")), rotation.ErrorUnreachable, true},
		{response(400, nil, &smithy.GenericAPIError{Code: "New", Fault: smithy.FaultServer}), rotation.ErrorUnreachable, true},
		{response(400, nil, &smithy.GenericAPIError{Code: "New"}), rotation.ErrorUnknown, true},
		{&mysql.MySQLError{Number: 65000}, rotation.ErrorUnknown, true},
		{errors.New("new"), rotation.ErrorUnknown, true},
	}
	for code, v := range awsVerdicts {
		rows = append(rows, row{response(400, nil, &smithy.GenericAPIError{Code: code}), v.kind, v.retry})
	}
	for _, r := range rows {
		for _, err := range []error{r.err, fmt.Errorf("step: %w", fmt.Errorf("deeper: %w", r.err))} {
			got := failed(err)
			if got == nil || got.Type() != r.kind || got.NonRetryable() == r.retry {
				t.Errorf("%T %v: became %v, type %s; want type %s, retry %t", r.err, r.err, got, got.Type(), r.kind, r.retry)
			}
			if r.kind == rotation.ErrorUnknown && !strings.Contains(got.Message(), "an unknown error") {
				t.Errorf("%v: want a text that says that the error is unknown, got %q", r.err, got.Message())
			}
			if errors.Unwrap(got) != nil {
				t.Errorf("%v: the cause is kept: %v", r.err, errors.Unwrap(got))
			}
		}
	}
}

func TestNoErrorHoldsAPassword(t *testing.T) {
	t.Parallel()
	for _, password := range []string{"Tr0ub4dor&3xyz", `q'uo"te\back`, "per%cent/and@:", "ünï", "with space"} {
		sql := fmt.Sprintf("ALTER USER 'app'@'%%' IDENTIFIED BY '%s'", password)
		for _, err := range []error{
			&mysql.MySQLError{Number: 1064, Message: "You have an error in your SQL syntax near '" + sql + "' at line 1"},
			&mysql.MySQLError{Number: 1045, Message: "Access denied for user 'app'@'h' with " + password},
			&mysql.MySQLError{Number: 64999, Message: sql},
			fmt.Errorf("exec %q: %w", sql, driver.ErrBadConn),
			fmt.Errorf("dsn app:%s@tcp(db:3306)/shop: %w", password, io.EOF),
			fmt.Errorf("dsn mysql://app:%s@db/: %w", url.QueryEscape(password), io.EOF),
			&url.Error{Op: "parse", URL: "mysql://app:" + url.PathEscape(password) + "@db", Err: errors.New("x")},
			response(400, nil, &smithy.GenericAPIError{Code: "ValidationException", Message: "Value '" + password + "' at 'secretString' failed"}),
			response(400, nil, &smithy.GenericAPIError{Code: "InvalidParameterException", Message: password}),
			response(400, nil, &smithy.GenericAPIError{Code: "Odd", Message: password}),
			errors.Join(errors.New("a"), errors.New(password)),
			errors.New("SET PASSWORD FOR 'app'@'%' = '*A2C4'"),
		} {
			got := failed(fmt.Errorf("step: %w", err), "other", password)
			var all strings.Builder
			for e := error(got); e != nil; e = errors.Unwrap(e) {
				fmt.Fprintf(&all, "%v %+v %#v ", e, e, e)
			}
			for _, shape := range []string{password, url.QueryEscape(password), url.PathEscape(password), strings.ReplaceAll(password, "'", "''"),
				"A2C4"} {
				if strings.Contains(all.String(), shape) {
					t.Errorf("%T: %q shows %q", err, got.Message(), shape)
				}
			}
		}
	}
}

func TestJoinedErrorsAreEachTold(t *testing.T) {
	t.Parallel()
	got := failed(errors.Join(
		fmt.Errorf("drop 'a'@'%%': %w", &mysql.MySQLError{Number: 4006,
			Message: "Operation DROP USER failed for 'a'@'%' as it is referenced as a definer account in a view."}),
		fmt.Errorf("drop 'b'@'%%': %w", &mysql.MySQLError{Number: 1114, Message: "quotes a statement"}),
	))
	if got.Type() != rotation.ErrorAccessDenied || got.NonRetryable() {
		t.Errorf("type %s, retryable %t: want the first one's type, and a retry because of the second", got.Type(), !got.NonRetryable())
	}
	for _, want := range []string{"'a'@'%'", "definer account in a view", "give those objects another definer", "'b'@'%'", "1114"} {
		if !strings.Contains(got.Message(), want) {
			t.Errorf("%q does not say %q", got.Message(), want)
		}
	}
	if strings.Contains(got.Message(), "quotes") {
		t.Errorf("%q quotes the second error", got.Message())
	}
}

func TestAThrottlingAnswerSaysWhenToTryAgain(t *testing.T) {
	t.Parallel()
	err := response(400, http.Header{"Retry-After": {"7"}}, &smithy.GenericAPIError{Code: "ThrottlingException"})
	if got := failed(err); got.NextRetryDelay() != 7*time.Second {
		t.Errorf("next try after %s: want the 7s of Retry-After", got.NextRetryDelay())
	}
}

// TestUsersOfAServerThatDoesNotAnswerDoNotRetryAtOnce checks that their retries are seconds apart, and not all at the same time.
func TestUsersOfAServerThatDoesNotAnswerDoNotRetryAtOnce(t *testing.T) {
	t.Parallel()
	silent := fmt.Errorf("log in as 'app' on db:3306: %w", &connection.SilentError{Address: "db:3306", Since: time.Now()})
	delays := map[time.Duration]bool{}
	for range 100 {
		got := failed(silent).NextRetryDelay()
		if got < silentPause || got >= 2*silentPause {
			t.Fatalf("next try after %s: want between %s and %s", got, silentPause, 2*silentPause)
		}
		delays[got.Truncate(time.Second)] = true
	}
	if len(delays) < 3 {
		t.Errorf("100 retries are due within %d seconds: want them spread over %s", len(delays), silentPause)
	}
}

// TestADelayThatAnErrorAsksForIsNoShorterThanThePolicysPause checks attempts of an activity that Temporal retries without a limit.
func TestADelayThatAnErrorAsksForIsNoShorterThanThePolicysPause(t *testing.T) {
	t.Parallel()
	throttled := response(400, http.Header{"Retry-After": {"7"}}, &smithy.GenericAPIError{Code: "ThrottlingException"})
	policy := &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: time.Minute}
	for _, c := range []struct {
		name string
		info activity.Info
		want time.Duration
	}{
		{"unknown", activity.Info{Attempt: 9}, 7 * time.Second},
		{"the first attempt", activity.Info{Attempt: 1, RetryPolicy: policy}, 7 * time.Second},
		{"the fifth", activity.Info{Attempt: 5, RetryPolicy: policy}, 16 * time.Second},
		{"at the longest interval", activity.Info{Attempt: 7, RetryPolicy: policy}, time.Minute},
		{"beyond what fits into a duration", activity.Info{Attempt: 10_000, RetryPolicy: policy}, time.Minute},
	} {
		if got, ok := retryAfter(throttled, c.info); !ok || got != c.want {
			t.Errorf("%s: %s, %t; want %s", c.name, got, ok, c.want)
		}
	}
	silent := &connection.SilentError{Address: "db:3306", Since: time.Now()}
	if got, ok := retryAfter(silent, activity.Info{Attempt: 7, RetryPolicy: policy}); !ok || got != time.Minute {
		t.Errorf("a server that does not answer: %s, %t; want %s", got, ok, time.Minute)
	}
	if got, ok := retryAfter(io.EOF, activity.Info{Attempt: 1, RetryPolicy: policy}); ok {
		t.Errorf("an error that asks for no delay: %s", got)
	}
}

func TestARefusalThatPassesSaysWhen(t *testing.T) {
	t.Parallel()
	want := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var got time.Time
	if err := failed(refuseUntil(want, rotation.ErrorMinimumOverlap, "x")).Details(&got); err != nil || !got.Equal(want) {
		t.Errorf("until %s, %v: want %s", got, err, want)
	}
}

// The state that a workflow carries from run to run has a limited size, and includes ten errors.
func TestALongErrorIsCut(t *testing.T) {
	app := failed(refuse(rotation.ErrorUnknownPair, "%s", strings.Repeat("é", 100_000)))
	if len(app.Message()) > textBytes+10 || !utf8.ValidString(app.Message()) {
		t.Errorf("a text of %d bytes", len(app.Message()))
	}
	if got := lines([]string{strings.Repeat("x", 100_000)}); len(got[0]) > lineBytes+10 {
		t.Errorf("a line of %d bytes", len(got[0]))
	}
}

func TestACancellationStaysOne(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := fmt.Errorf("read: %w", context.Canceled)
	err = new(redactor).failure(ctx, err)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled activity answered %v", err)
	}
}

func TestAKeyThatDeniesIsNamed(t *testing.T) {
	t.Parallel()
	for message, want := range map[string]string{
		"Access to KMS is not allowed": "kms:GenerateDataKey",
		"User: arn:aws:iam::123456789012:user/w is not authorized to perform: secretsmanager:PutSecretValue": "IAM policy",
	} {
		got := failed(response(400, nil, &smithy.GenericAPIError{Code: "AccessDeniedException", Message: message}))
		if !strings.Contains(got.Message(), want) {
			t.Errorf("%q does not say %q", got.Message(), want)
		}
	}
}
