// Package activities is all that touches the world: Secrets Manager and the
// database. Each activity may run twice, cut anywhere; none takes or answers a
// password, and every error leaves through one edge that decides whether a
// retry can help and takes passwords out of its text.
package activities

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"

	"github.com/rotate-user/rotate-user/internal/account"
	"github.com/rotate-user/rotate-user/internal/grants"
	"github.com/rotate-user/rotate-user/internal/panics"
	"github.com/rotate-user/rotate-user/internal/plaintext"
	"github.com/rotate-user/rotate-user/internal/rds"
	"github.com/rotate-user/rotate-user/internal/secret"
	"github.com/rotate-user/rotate-user/rotation"
)

var _ rotation.Activities = (*Activities)(nil)

// Activities are registered as one; the name of each activity is that of its method.
type Activities struct {
	Secrets  *secret.Store
	Accounts *account.Dialer
	// Masters are the master secrets that may be used; if it is empty, all that the worker can read.
	Masters []MasterPattern
	// Databases finds the servers of master secrets that RDS manages. If it is nil, those are refused.
	Databases *rds.Client
	// Temporal is asked which rotations run in the worker's namespace.
	Temporal client.Client
}

// expectedLabels are where the rotation expects the labels of its secret until it promotes.
func expectedLabels(r rotation.StepInput) secret.Labels {
	return secret.Labels{Current: r.CurrentVersionID, Pending: r.VersionID, Before: r.PendingVersionID}
}

// attempt is one run of one activity: it learns the passwords it meets, so that
// the edge can take them out of whatever goes wrong.
type attempt struct {
	*Activities
	known []string
	end   func()
}

// begin is the first call of every activity; the edge is where it ends.
func (a *Activities) begin(ctx context.Context) *attempt {
	ctx, end := context.WithCancel(ctx)
	if activity.IsActivity(ctx) {
		go heartbeat(ctx)
	}
	return &attempt{Activities: a, end: end}
}

// heartbeat lets Temporal know until ctx ends that this worker lives: the step
// of one that dies is begun anew by another long before it would time out. A
// step that is done at once, as nearly all are, costs no call.
func heartbeat(ctx context.Context) {
	var failed error
	defer func() {
		if failed != nil {
			activity.GetLogger(ctx).Error("the step goes on without heartbeats", "error", failed)
		}
	}()
	defer panics.Into(&failed)
	timeout := activity.GetInfo(ctx).HeartbeatTimeout
	if timeout == 0 {
		return
	}
	tick := time.NewTicker(timeout / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			activity.RecordHeartbeat(ctx)
		}
	}
}

func (t *attempt) learn(password string) { t.known = append(t.known, password) }

func (t *attempt) version(ctx context.Context, id, versionID string) (secret.Version, error) {
	v, err := t.Secrets.Version(ctx, id, versionID)
	t.learn(v.Password)
	return v, err
}

func (t *attempt) labelled(ctx context.Context, id, label string) (secret.Version, error) {
	v, err := t.Secrets.Labelled(ctx, id, label)
	t.learn(v.Password)
	return v, err
}

// user is the user of a version. It is empty where the version holds no
// credential, as the one before a secret was put right: that is evidence of nothing.
func (t *attempt) user(ctx context.Context, id, versionID string) (string, error) {
	v, err := t.version(ctx, id, versionID)
	var field *secret.FieldError
	if errors.As(err, &field) {
		return "", nil
	}
	return v.Username, err
}

func endpoint(c secret.Credential, database string) account.Endpoint {
	return account.Endpoint{Host: c.Host, Port: c.Port, TLS: c.TLS, Database: database}
}

// login logs in with a version's credential, as the application would.
func (t *attempt) login(ctx context.Context, v secret.Version) (account.Login, error) {
	return t.loginBy(ctx, v, t.Accounts.Login)
}

func (t *attempt) loginBy(ctx context.Context, v secret.Version,
	login func(ctx context.Context, at account.Endpoint, user, password string) (account.Login, error),
) (account.Login, error) {
	l, err := login(ctx, endpoint(v.Credential, v.DBName), v.Username, v.Password)
	if err != nil {
		return account.Login{}, fmt.Errorf("log in as %s with version %s of secret %s: %w", v.Credential, v.ID, v.Name, err)
	}
	if l.Account.User != v.Username {
		return account.Login{}, refuse(rotation.ErrorOtherAccount, "version %s of secret %s names user %s, but the server takes the login for %s: an anonymous or proxied account wins it; remove that one", v.ID, v.Name, v.Username, l.Account)
	}
	return l, nil
}

// closeInto gives a session back, and reports its error where nothing else went wrong.
func closeInto(err *error, admin *account.Admin) {
	if closeErr := admin.Close(); closeErr != nil && *err == nil {
		*err = closeErr
	}
}

// refusal is a decision of ours that nothing may be written. It says what to do.
type refusal struct {
	reason, message string
	// until is from when it no longer holds; zero where only people can mend it.
	until time.Time
}

func (r *refusal) Error() string { return r.message }

func refuse(reason, format string, args ...any) error {
	return &refusal{reason: reason, message: fmt.Sprintf(format, args...)}
}

func refuseUntil(until time.Time, reason, format string, args ...any) error {
	return &refusal{reason: reason, message: fmt.Sprintf(format, args...), until: until}
}

// sessions are lines for people: who is logged in, from where, how often. A
// program names itself, so its name may hold anything.
func sessions(all []grants.Session) []string {
	var lines []string
	for _, s := range all {
		line := fmt.Sprintf("%d from %s", s.Count, s.Host)
		if s.Program != "" {
			line += " (" + s.Program + ")"
		}
		lines = append(lines, plaintext.Line(line))
	}
	return lines
}

const (
	shown     = 20   // lines
	lineBytes = 1000 // of each
	textBytes = 4000 // of an error
)

// lines are at most twenty readable lines: a result is for reading, and stays
// small in every history.
func lines(all []string) []string {
	var some []string
	for _, line := range all[:min(len(all), shown)] {
		some = append(some, short(plaintext.Line(line), lineBytes))
	}
	if len(all) > shown {
		some = append(some, fmt.Sprintf("and %d more", len(all)-shown))
	}
	return some
}

// short cuts a text to so many bytes: what a workflow carries from run to run is
// bounded, and past that bound Temporal ends it.
func short(text string, bytes int) string {
	if len(text) <= bytes {
		return text
	}
	return strings.ToValidUTF8(text[:bytes], "") + " …"
}

// sameServer says whether a version is for the server of a rotation.
func (t *attempt) sameServer(v secret.Version, r rotation.StepInput) bool {
	return v.Address() == r.Server
}
