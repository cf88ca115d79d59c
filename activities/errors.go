package activities

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql/driver"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"strings"
	"time"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/go-sql-driver/mysql"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

	"github.com/rotate-user/rotate-user/internal/connection"
	"github.com/rotate-user/rotate-user/internal/grants"
	"github.com/rotate-user/rotate-user/internal/plaintext"
	"github.com/rotate-user/rotate-user/internal/rds"
	"github.com/rotate-user/rotate-user/internal/secret"
	"github.com/rotate-user/rotate-user/rotation"
)

// verdict is what is known about an error: its type, and whether the same call may succeed within
// minutes without help.
type verdict struct {
	kind   string
	retry  bool
	advice string // what to do, if the error itself does not say so
}

// group lists errors of one type by what identifies them: those that are retried, and those that
// need someone to change something first.
type group[K comparable] struct {
	kind           string
	retried, final []K
}

// verdicts returns the verdict on each error in the groups.
func verdicts[K comparable](groups []group[K], advice map[K]string) map[K]verdict {
	all := map[K]verdict{}
	for _, g := range groups {
		for _, k := range g.retried {
			all[k] = verdict{kind: g.kind, retry: true, advice: advice[k]}
		}
		for _, k := range g.final {
			all[k] = verdict{kind: g.kind, advice: advice[k]}
		}
	}
	return all
}

// judge returns the verdict on the first known error in a chain. An unknown error is retried.
func judge(err error) verdict {
	for _, known := range []func(error) (verdict, bool){judgeOurs, judgeDatabase, judgeAWS, judgeTLS, judgeDriver, judgeNetwork} {
		if v, ok := known(err); ok {
			return v
		}
	}
	return verdict{kind: rotation.ErrorUnknown, retry: true}
}

// judgeOurs judges the errors of this program.
func judgeOurs(err error) (verdict, bool) {
	var (
		refused  *grants.Refusal
		field    *secret.FieldError
		moved    *secret.MovedError
		taken    *secret.TakenError
		located  *rds.ServerError
		master   *masterRefusedError
		behind   *replicasBehindError
		unsigned *secret.CredentialsError
		silent   *connection.SilentError
	)
	switch {
	case errors.As(err, &refused):
		return verdict{kind: refused.Reason, retry: refused.Retry}, true
	case errors.As(err, &field):
		return verdict{kind: rotation.ErrorMalformed}, true
	case errors.As(err, &moved):
		return verdict{kind: rotation.ErrorEdited}, true
	case errors.As(err, &taken):
		return verdict{kind: rotation.ErrorTaken}, true
	case errors.As(err, &located):
		return judgeLocation(located), true
	case errors.As(err, &master):
		return verdict{kind: rotation.ErrorMasterRefused, retry: true}, true
	case errors.As(err, &behind):
		return verdict{kind: rotation.ErrorReplicaBehind, retry: true}, true
	case errors.As(err, &unsigned):
		return judgeCredentials(unsigned), true
	case errors.As(err, &silent):
		return verdict{kind: rotation.ErrorUnreachable, retry: true}, true
	}
	return verdict{}, false
}

// judgeDatabase judges the errors that a server returns.
func judgeDatabase(err error) (verdict, bool) {
	server, ok := errors.AsType[*mysql.MySQLError](err)
	if !ok {
		return verdict{}, false
	}
	return judgeServer(server), true
}

// judgeTLS judges the errors of a connection that cannot be encrypted, or whose server cannot be
// verified.
func judgeTLS(err error) (verdict, bool) {
	var (
		authority x509.UnknownAuthorityError
		hostname  x509.HostnameError
		invalid   x509.CertificateInvalidError
		handshake *tls.CertificateVerificationError
		alert     tls.AlertError
	)
	if errors.As(err, &handshake) || errors.As(err, &authority) || errors.As(err, &hostname) || errors.As(err, &invalid) ||
		errors.As(err, &alert) || errors.Is(err, mysql.ErrNoTLS) {
		return verdict{kind: rotation.ErrorTLS, advice: adviseTLS}, true
	}
	return verdict{}, false
}

const adviseTLS = "give the worker the authority of the server's certificate with --tls-ca-file, and name the host as the certificate does," +
	" or give the worker the name in the certificate with --tls-server-name"

// driverErrors are the errors of the MySQL driver.
var driverErrors = []struct {
	err     error
	verdict verdict
}{
	{err: mysql.ErrUnknownPlugin, verdict: verdict{kind: rotation.ErrorDatabase, advice: adviseUnknownPlugin}},
	{err: mysql.ErrCleartextPassword, verdict: verdict{kind: rotation.ErrorDatabase}},
	{err: mysql.ErrNativePassword, verdict: verdict{kind: rotation.ErrorDatabase}},
	{err: mysql.ErrOldPassword, verdict: verdict{kind: rotation.ErrorDatabase}},
	{err: mysql.ErrOldProtocol, verdict: verdict{kind: rotation.ErrorDatabase}},
	{err: driver.ErrBadConn, verdict: verdict{kind: rotation.ErrorUnreachable, retry: true}},
	{err: mysql.ErrInvalidConn, verdict: verdict{kind: rotation.ErrorUnreachable, retry: true}},
	{err: mysql.ErrMalformPkt, verdict: verdict{kind: rotation.ErrorUnreachable, retry: true}},
	{err: mysql.ErrPktSync, verdict: verdict{kind: rotation.ErrorUnreachable, retry: true}},
	{err: mysql.ErrPktSyncMul, verdict: verdict{kind: rotation.ErrorUnreachable, retry: true}},
	{err: mysql.ErrBusyBuffer, verdict: verdict{kind: rotation.ErrorUnreachable, retry: true}},
}

func judgeDriver(err error) (verdict, bool) {
	for _, known := range driverErrors {
		if errors.Is(err, known.err) {
			return known.verdict, true
		}
	}
	return verdict{}, false
}

const adviseDial = "if this lasts, check the address, that the server runs, and that the worker can reach it"

// judgeNetwork judges the errors of connections that break or cannot be made.
func judgeNetwork(err error) (verdict, bool) {
	var response *awshttp.ResponseError
	var network net.Error
	if dialed, ok := errors.AsType[*net.OpError](err); ok && dialed.Op == "dial" {
		return verdict{kind: rotation.ErrorUnreachable, retry: true, advice: adviseDial}, true
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.As(err, &response) || errors.As(err, &network) {
		return verdict{kind: rotation.ErrorUnreachable, retry: true}, true
	}
	return verdict{}, false
}

// failure returns the error of an activity as Temporal stores it. Its message leaves out what a
// server or a library may have quoted. It has a type, but no cause and no details of the activity's
// own.
func (r *redactor) failure(ctx context.Context, err error) error {
	if errors.Is(err, activity.ErrResultPending) {
		return activity.ErrResultPending
	}
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return ctx.Err()
	}
	v, text := r.explain(err)
	text = short(plaintext.Line(text), textBytes)
	options := temporal.ApplicationErrorOptions{NonRetryable: !v.retry}
	var refused *grants.Refusal
	if errors.As(err, &refused) && !refused.Until.IsZero() {
		options.Details = []any{refused.Until}
	}
	var info activity.Info
	if activity.IsActivity(ctx) {
		info = activity.GetInfo(ctx)
	}
	if after, ok := retryAfter(err, info); ok && v.retry {
		options.NextRetryDelay = after
	}
	if activity.IsActivity(ctx) {
		activity.GetLogger(ctx).Warn("step did not succeed", "error", text, "type", v.kind, "retry", v.retry)
	}
	return temporal.NewApplicationErrorWithOptions(text, v.kind, options)
}

// silentPause is the shortest time between two attempts of a step on a server that does not answer, and half of the longest.
// All users of such a server may be due. Retries a second apart would keep Temporal from other work, and cannot help, because
// only the first answer to the login that waits for the server ends its silence.
const silentPause = 5 * time.Second

// retryAfter returns how long to wait before the next attempt, if the error says more than the retry policy knows. That replaces the
// policy's pause, so it is never shorter: it would undo the policy's backoff.
func retryAfter(err error, info activity.Info) (time.Duration, bool) {
	after, ok := requestedDelay(err)
	if _, silent := errors.AsType[*connection.SilentError](err); silent {
		after, ok = silentPause+rand.N(silentPause), true
	}
	return max(after, policyPause(info)), ok
}

// policyPause returns how long an activity's retry policy waits after this attempt, or 0 if it is unknown.
func policyPause(info activity.Info) time.Duration {
	p := info.RetryPolicy
	if p == nil {
		return 0
	}
	pause := float64(p.InitialInterval) * math.Pow(p.BackoffCoefficient, float64(info.Attempt-1))
	return time.Duration(min(pause, float64(p.MaximumInterval)))
}

// explain returns the verdict on an error, and its text with advice. Joined errors have the type of
// the first one, and are retried if a retry may help with any of them.
func (r *redactor) explain(err error) (verdict, string) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		first, text := r.explain(joined.Unwrap()[0])
		for _, next := range joined.Unwrap()[1:] {
			v, more := r.explain(next)
			first.retry = first.retry || v.retry
			text += "; " + more
		}
		return first, text
	}
	v := judge(err)
	text := r.errorText(err)
	if v.advice != "" {
		text = strings.TrimSuffix(text, ".") + ": " + v.advice
	}
	if v.kind == rotation.ErrorUnknown {
		text += " (an unknown error; it is retried)"
	}
	return v, text
}
