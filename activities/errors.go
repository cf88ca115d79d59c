package activities

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
	"github.com/go-sql-driver/mysql"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

	"github.com/rotate-user/rotate-user/internal/connection"
	"github.com/rotate-user/rotate-user/internal/grants"
	"github.com/rotate-user/rotate-user/internal/panics"
	"github.com/rotate-user/rotate-user/internal/plaintext"
	"github.com/rotate-user/rotate-user/internal/rds"
	"github.com/rotate-user/rotate-user/internal/secret"
	"github.com/rotate-user/rotate-user/rotation"
)

// verdict is what is known of an error: its type, and whether the same call can
// succeed within minutes without anybody's help.
type verdict struct {
	kind  string
	retry bool
	// advice says what to do, where the error itself does not.
	advice string
}

// kmsAdvice is for a key that denies, which AWS may report as an AccessDeniedException of the call that needed it.
const kmsAdvice = "allow the worker kms:Decrypt and kms:GenerateDataKey on the KMS key of the secret"

// credentialsAdvice is for credentials that are missing or expired. The SDK fetches others by itself where it can.
const credentialsAdvice = "give the worker a role, or credentials as for the AWS CLI; for an SSO profile run `aws sso login` where the worker runs; its log at the start says what was tried"

// secretsManagerVerdicts is the table for the error codes of AWS. A code that
// is not in it is retried when the SDK blames the server, and not when it
// blames the client.
var secretsManagerVerdicts = map[string]verdict{
	"AccessDenied":                     {rotation.ErrorAccessDenied, false, "allow the worker to take on its role"},
	"AccessDeniedException":            {rotation.ErrorAccessDenied, false, "allow the worker this call in its IAM policy, or in the secret's own"},
	"DecryptionFailure":                {rotation.ErrorAccessDenied, false, "allow the worker kms:Decrypt on the KMS key of the secret, and enable the key if it is disabled"},
	"EncryptionFailure":                {rotation.ErrorAccessDenied, false, "allow the worker kms:GenerateDataKey and kms:Decrypt on the KMS key of the secret, and enable the key if it is disabled"},
	"ExpiredToken":                     {rotation.ErrorAccessDenied, false, credentialsAdvice},
	"ExpiredTokenException":            {rotation.ErrorAccessDenied, false, credentialsAdvice},
	"IncompleteSignature":              {rotation.ErrorAccessDenied, false, "check the AWS credentials of the worker"},
	"InternalFailure":                  {rotation.ErrorUnreachable, true, ""},
	"InternalServiceError":             {rotation.ErrorUnreachable, true, ""},
	"InvalidClientTokenId":             {rotation.ErrorAccessDenied, false, "check the AWS credentials of the worker"},
	"InvalidParameterException":        {rotation.ErrorSecretsManager, false, ""},
	"InvalidRequestException":          {rotation.ErrorSecretsManager, false, ""},
	"InvalidSignatureException":        {rotation.ErrorAccessDenied, false, "check the AWS credentials and the clock of the worker"},
	"LimitExceededException":           {rotation.ErrorSecretsManager, false, "a quota of Secrets Manager is used up: see Service Quotas in the AWS console; versions of the last 24 hours count, and older ones go by themselves"},
	"PreconditionNotMetException":      {rotation.ErrorSecretsManager, false, ""},
	"RequestExpired":                   {rotation.ErrorUnreachable, true, ""},
	"RequestTimeout":                   {rotation.ErrorUnreachable, true, ""},
	"ResourceExistsException":          {rotation.ErrorSecretsManager, false, ""},
	"ResourceNotFoundException":        {rotation.ErrorSecretsManager, false, "check the name, and the worker's AWS region and account"},
	"ServiceUnavailable":               {rotation.ErrorUnreachable, true, ""},
	"SlowDown":                         {rotation.ErrorThrottled, true, ""},
	"Throttling":                       {rotation.ErrorThrottled, true, ""},
	"ThrottlingException":              {rotation.ErrorThrottled, true, ""},
	"TooManyRequestsException":         {rotation.ErrorThrottled, true, ""},
	"UnknownOperationException":        {rotation.ErrorSecretsManager, false, ""},
	"UnrecognizedClientException":      {rotation.ErrorAccessDenied, false, "check the AWS credentials of the worker"},
	"ValidationException":              {rotation.ErrorSecretsManager, false, ""},
	"RequestLimitExceeded":             {rotation.ErrorThrottled, true, ""},
	"ProvisionedThroughputExceeded":    {rotation.ErrorThrottled, true, ""},
	"KMSAccessDeniedException":         {rotation.ErrorAccessDenied, false, kmsAdvice},
	"KMSInvalidStateException":         {rotation.ErrorAccessDenied, false, "enable the KMS key of the secret"},
	"MalformedPolicyDocumentException": {rotation.ErrorSecretsManager, false, ""},
}

// judge finds the verdict on an error by the first link of its chain that is in
// a table, and how its text may be quoted.
func judge(err error) verdict {
	var (
		ours      *refusal
		refused   *grants.Refusal
		field     *secret.FieldError
		moved     *secret.MovedError
		taken     *secret.TakenError
		located   *rds.ServerError
		master    *masterRefusedError
		behind    *replicasBehindError
		unsigned  *secret.CredentialsError
		silent    *connection.SilentError
		server    *mysql.MySQLError
		api       smithy.APIError
		response  *awshttp.ResponseError
		network   net.Error
		authority x509.UnknownAuthorityError
		hostname  x509.HostnameError
		invalid   x509.CertificateInvalidError
		handshake *tls.CertificateVerificationError
		alert     tls.AlertError
	)
	switch {
	case errors.As(err, &ours):
		return verdict{ours.reason, false, ""}
	case errors.As(err, &refused):
		return verdict{refused.Reason, refused.Retry, ""}
	case errors.As(err, &field):
		return verdict{rotation.ErrorMalformed, false, ""}
	case errors.As(err, &moved):
		return verdict{rotation.ErrorEdited, false, ""}
	case errors.As(err, &taken):
		return verdict{rotation.ErrorTaken, false, ""}
	case errors.As(err, &located):
		return judgeLocation(located)
	case errors.As(err, &master):
		return verdict{rotation.ErrorMasterRefused, true, ""}
	case errors.As(err, &behind):
		return verdict{rotation.ErrorReplicaBehind, true, ""}
	case errors.As(err, &unsigned):
		return judgeCredentials(unsigned)
	case errors.As(err, &silent):
		return verdict{rotation.ErrorUnreachable, true, ""}
	case errors.As(err, &server):
		return judgeServer(server)
	case errors.As(err, &api):
		if v, ok := secretsManagerVerdicts[api.ErrorCode()]; ok {
			if api.ErrorCode() == "AccessDeniedException" && strings.Contains(api.ErrorMessage(), "KMS") {
				v.advice = kmsAdvice
			}
			return v
		}
		if errors.As(err, &response) && response.HTTPStatusCode() == http.StatusTooManyRequests {
			return verdict{rotation.ErrorThrottled, true, ""}
		}
		if errors.As(err, &response) && response.HTTPStatusCode() >= 500 || api.ErrorFault() == smithy.FaultServer {
			return verdict{rotation.ErrorUnreachable, true, ""}
		}
		return verdict{rotation.ErrorUnknown, true, ""}
	case errors.As(err, &handshake), errors.As(err, &authority), errors.As(err, &hostname), errors.As(err, &invalid), errors.As(err, &alert), errors.Is(err, mysql.ErrNoTLS):
		return verdict{rotation.ErrorTLS, false, "give the worker the authority of the server's certificate with --tls-ca-file, and name the host as the certificate does"}
	case errors.Is(err, mysql.ErrUnknownPlugin):
		return verdict{rotation.ErrorDatabase, false, adviseUnknownPlugin}
	case errors.Is(err, mysql.ErrCleartextPassword), errors.Is(err, mysql.ErrNativePassword), errors.Is(err, mysql.ErrOldPassword), errors.Is(err, mysql.ErrOldProtocol):
		return verdict{rotation.ErrorDatabase, false, ""}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, driver.ErrBadConn), errors.Is(err, mysql.ErrInvalidConn), errors.Is(err, mysql.ErrMalformPkt),
		errors.Is(err, mysql.ErrPktSync), errors.Is(err, mysql.ErrPktSyncMul), errors.Is(err, mysql.ErrBusyBuffer), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		errors.As(err, &response), errors.As(err, &network):
		return verdict{rotation.ErrorUnreachable, true, ""}
	}
	return verdict{rotation.ErrorUnknown, true, ""}
}

// judgeCredentials retries only what a service that hands out credentials will mend by itself. The instance metadata service,
// which the SDK asks last, does not exist outside AWS, so that its silence means that no other source is set up.
func judgeCredentials(e *secret.CredentialsError) verdict {
	var operation *smithy.OperationError
	asked := errors.As(e.Err, &operation) && operation.ServiceID != "ec2imds"
	if v := judge(e.Err); asked && v.kind != rotation.ErrorUnknown && (v.retry || v.advice != "") {
		return v
	}
	return verdict{rotation.ErrorAccessDenied, false, credentialsAdvice}
}

// edge is where every error leaves an activity. The text is rebuilt without
// what a server or a library may have quoted, no cause goes along, and the
// type says what it is.
func (t *attempt) edge(ctx context.Context, err *error) {
	t.end()
	if p := recover(); p != nil {
		*err = fmt.Errorf("the step did not end: %w", panics.New(p))
	}
	if *err == nil {
		return
	}
	if errors.Is(*err, context.Canceled) && ctx.Err() != nil {
		*err = ctx.Err()
		return
	}
	v, text := t.explain(*err)
	text = short(plaintext.Line(text), textBytes)
	options := temporal.ApplicationErrorOptions{NonRetryable: !v.retry}
	var ours *refusal
	if errors.As(*err, &ours) && !ours.until.IsZero() {
		options.Details = []any{ours.until}
	}
	if after, ok := retryAfter(*err); ok && v.retry {
		options.NextRetryDelay = after
	}
	if activity.IsActivity(ctx) {
		activity.GetLogger(ctx).Warn("step did not succeed", "error", text, "type", v.kind, "retry", v.retry)
	}
	*err = temporal.NewApplicationErrorWithOptions(text, v.kind, options)
}

// explain is the verdict on an error and its text, with what to do. Errors that
// were joined have the type of the first, and are retried when a retry can mend
// any of them.
func (t *attempt) explain(err error) (verdict, string) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		first, text := t.explain(joined.Unwrap()[0])
		for _, next := range joined.Unwrap()[1:] {
			v, more := t.explain(next)
			first.retry = first.retry || v.retry
			text += "; " + more
		}
		return first, text
	}
	v := judge(err)
	text := t.scrub(err)
	if v.advice != "" {
		text = strings.TrimSuffix(text, ".") + ": " + v.advice
	}
	if v.kind == rotation.ErrorUnknown {
		text += " (an error that is not known here; it is tried again)"
	}
	return v, text
}

// retryAfter is the pause that a throttling answer asks for, at most a minute.
func retryAfter(err error) (time.Duration, bool) {
	var response *awshttp.ResponseError
	if !errors.As(err, &response) || response.Response == nil {
		return 0, false
	}
	seconds, parseErr := strconv.Atoi(response.Response.Header.Get("Retry-After"))
	if parseErr != nil || seconds <= 0 {
		return 0, false
	}
	return min(time.Duration(seconds)*time.Second, time.Minute), true
}

// statement finds what may hold a password or a hash in texts that quote SQL
// or a DSN.
var statement = regexp.MustCompile(`(?i)(identified\s.*|\bpassword\s*[=(:].*|\b(set|alter|create)\s+(user|password)\b.*|\bgrant\s.*\sto\s.*|[^\s:@/]+:[^\s@]*@(tcp|unix)?\(.*|0x[0-9a-f]{16,}|\$[AB5]\$.*)`)

// scrub is the text of an error as it may be stored for ever.
func (t *attempt) scrub(err error) string {
	text := err.Error()
	var server *mysql.MySQLError
	if errors.As(err, &server) {
		safe := fmt.Sprintf("MySQL error %d (%s)", server.Number, server.SQLState)
		if slices.Contains(quotable, server.Number) {
			safe += ": " + server.Message
		}
		text = strings.ReplaceAll(text, server.Error(), safe)
	}
	var api smithy.APIError
	var unsigned *secret.CredentialsError
	if errors.As(err, &unsigned) {
		return t.redact(cut(text, "operation error") + unsigned.Error())
	}
	if errors.As(err, &api) {
		safe := api.ErrorCode()
		if _, ok := secretsManagerVerdicts[safe]; ok && safe != "ValidationException" {
			safe += ": " + api.ErrorMessage()
		}
		text = cut(text, "operation error") + safe
	}
	var ours *refusal
	var refused *grants.Refusal
	var field *secret.FieldError
	var moved *secret.MovedError
	var taken *secret.TakenError
	if !errors.As(err, &taken) && !errors.As(err, &ours) && !errors.As(err, &refused) && !errors.As(err, &field) && !errors.As(err, &moved) {
		text = strings.ReplaceAll(text, leaf(err), statement.ReplaceAllString(leaf(err), "[left out]"))
	}
	return t.redact(text)
}

// leaf is the text at the end of the chain, which a library or a server wrote;
// the text before it is ours, and speaks of grants and accounts freely.
func leaf(err error) string {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err.Error()
		}
		err = next
	}
}

// cut drops the part of the text that the SDK wrote, which begins with mark.
func cut(text, mark string) string {
	before, _, _ := strings.Cut(text, mark)
	return before
}

// withheld stands for a text that would give a password away even with the password taken out.
const withheld = "the text of this error is withheld, because a password that could be guessed from it occurs in it: " +
	"look up the error's type in docs/operations.md, and give the user and the administrator long, random passwords"

// guessable reports whether a password may occur in a text of ours or a server's by itself, such as "rot" in "rotating". Taken
// out of a text that is known but for it, it could be read from the gap. A generated password never is.
func guessable(password string) bool {
	return utf8.RuneCountInString(password) < 12 || !strings.ContainsFunc(password, unicode.IsLower) ||
		!strings.ContainsFunc(password, unicode.IsUpper) || !strings.ContainsFunc(password, unicode.IsDigit)
}

// redact takes every password that this attempt has met out of a text, in each
// of the spellings that quoting gives it. It withholds the whole of a text that
// holds one that can be guessed.
func (t *attempt) redact(text string) string {
	var all []string
	for _, p := range t.known {
		if p == "" {
			continue
		}
		quoted := strconv.Quote(p)
		spellings := []string{p, quoted[1 : len(quoted)-1], url.QueryEscape(p), url.PathEscape(p),
			strings.ReplaceAll(p, `'`, `''`), strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(p)}
		if guessable(p) && slices.ContainsFunc(spellings, func(s string) bool { return strings.Contains(text, s) }) {
			return withheld
		}
		all = append(all, spellings...)
	}
	slices.SortFunc(all, func(a, b string) int { return len(b) - len(a) })
	for _, p := range all {
		text = strings.ReplaceAll(text, p, "[password]")
	}
	return text
}
