package rotation

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rotate-user/rotate-user/internal/address"
	"github.com/rotate-user/rotate-user/internal/grants"
	"github.com/rotate-user/rotate-user/internal/password"
	"github.com/rotate-user/rotate-user/internal/plaintext"
	"github.com/rotate-user/rotate-user/internal/schedule"
)

// RotationRules says when to rotate, in the vocabulary of Secrets Manager's RotateSecret. AutomaticallyAfterDays excludes
// ScheduleExpression.
type RotationRules = schedule.Rules

// Schedule is when to rotate: rules, in a time zone, outside a blackout.
type Schedule = schedule.Schedule

// Duration is a length of time that is written as people write it: "3h", "30d".
type Duration = schedule.Duration

// ParseDuration parses text such as "90m", "3h" or "30d". Its error says what a duration looks like.
func ParseDuration(text string) (Duration, error) { return schedule.ParseDuration(text) }

// PasswordPolicy is what a server requires of a password.
type PasswordPolicy = password.Policy

// Account is the name of a MySQL account: a user, and the host from which it may log in.
type Account = grants.Name

// RotateUserInput starts a RotateUserWorkflow. Only SecretID is required. The fields are those of Secrets Manager's
// RotateSecret call, and a few more.
type RotateUserInput struct {
	// SecretID is the name or the ARN of the user's secret.
	SecretID string `json:"SecretId"`
	// MasterSecretID is the name or the ARN of the master secret, which holds the administrator's credential. The default is
	// "masterarn" in the user's secret.
	MasterSecretID string `json:"MasterSecretId,omitempty"`
	MasterServer
	// RotationRules say when to rotate. The default is every 30 days.
	RotationRules RotationRules `json:"RotationRules,omitzero"`
	// TimeZone is the zone of the IANA database, such as Europe/Berlin, in which days, cron expressions and Blackout count; UTC
	// by default.
	TimeZone string `json:"TimeZone,omitempty"`
	// Blackout are the times in which no scheduled rotation starts: dates ("2026-12-25"), dates from and to, both included
	// ("2026-12-24/2027-01-02"), and parts of every week ("Fri 16:00 - Mon 08:00"). Rotations by request start in them, too.
	Blackout []string `json:"Blackout,omitempty"`
	// RotateImmediately rotates at the start, which is the default. If it is false, the workflow checks whether a
	// rotation would work, changes nothing, and waits for the schedule.
	RotateImmediately *bool `json:"RotateImmediately,omitempty"`
	// FirstRotationWithin is for many secrets that are started together. Each checks at the start that a rotation would work, and
	// then rotates at its own time within this period, instead of at once.
	FirstRotationWithin Duration `json:"FirstRotationWithin,omitzero"`
	// CloneUsername is the other account of the pair, <user>_clone by default.
	CloneUsername string `json:"CloneUsername,omitempty"`
	// MinimumOverlap is how long a credential must have been current before the previous one may change. The default
	// is one hour, after which AWS's caching clients read a secret again.
	MinimumOverlap *Duration `json:"MinimumOverlap,omitempty"`
	// Drain is how long a rotation waits for the sessions of the standby to end. By default, it does not wait.
	// RequireDrained fails the rotation if they have not ended by then.
	Drain          Duration `json:"Drain,omitzero"`
	RequireDrained bool     `json:"RequireDrained,omitempty"`
	// RequireAllNodes does not promote while a node of the cluster cannot be asked whether it has the new password. By
	// default, the result names such a node.
	RequireAllNodes bool `json:"RequireAllNodes,omitempty"`
	// TestEndpoints are further endpoints of the database (replicas, readers, proxies), each as host:port, that must
	// accept a new credential before it is promoted. A rotation waits for them inside its window.
	TestEndpoints []string `json:"TestEndpoints,omitempty"`
	// ProxySecretIDs are the names or ARNs of two secrets, one for each account of the pair, that a proxy such as RDS Proxy
	// logs in with. The username in each says which account it is for. A rotation stores the new password in the standby's
	// before it promotes.
	ProxySecretIDs []string `json:"ProxySecretIds,omitempty"`
	// ActivityTaskQueue is where the activities run, for workers inside another network. The default is the workflow's
	// own task queue.
	ActivityTaskQueue string `json:"ActivityTaskQueue,omitempty"`

	typed typed
}

// UnmarshalJSON leaves it to Validate to report what is wrong with the text. The workflow calls Validate for what people
// type, and not for what another release has left.
func (in *RotateUserInput) UnmarshalJSON(data []byte) error {
	type plain RotateUserInput
	return in.typed.decode(data, (*plain)(in))
}

// Validate returns an error that names the first wrong field, if any.
func (in RotateUserInput) Validate() error {
	if in.typed.err != nil {
		return in.typed.err
	}
	if err := validSecretID("SecretId", in.SecretID, true); err != nil {
		return err
	}
	if err := validSecretID("MasterSecretId", in.MasterSecretID, false); err != nil {
		return err
	}
	if in.MasterSecretID == in.SecretID {
		return errOwnMaster
	}
	if err := in.MasterServer.validate(); err != nil {
		return err
	}
	if _, err := in.Schedule(); err != nil {
		return err
	}
	if in.FirstRotationWithin > 0 && in.RotateImmediately != nil {
		return errors.New("FirstRotationWithin says when to rotate first: leave RotateImmediately out")
	}
	if time.Duration(in.FirstRotationWithin) > maxFirst {
		return fmt.Errorf("FirstRotationWithin is %s: must be at most 90d", in.FirstRotationWithin)
	}
	if in.RequireDrained && in.Drain == 0 {
		return errors.New("RequireDrained needs Drain: say how long to wait for the sessions to end, for example \"Drain\": \"2h\"")
	}
	if n := len(in.TestEndpoints); n > maxEndpoints {
		return fmt.Errorf("TestEndpoints has %d entries: must be at most %d", n, maxEndpoints)
	}
	for _, endpoint := range in.TestEndpoints {
		if _, _, err := address.Parse(endpoint); err != nil {
			return fmt.Errorf("TestEndpoints: %q %w", plaintext.Cut(endpoint, 100), err)
		}
	}
	if err := validProxySecrets(in.ProxySecretIDs, in.SecretID, in.MasterSecretID); err != nil {
		return err
	}
	if time.Duration(in.Drain) > maxDrain {
		return fmt.Errorf("Drain is %s: must be at most 24h", in.Drain)
	}
	return nil
}

// validProxySecrets refuses any number of proxy secrets but none and two.
func validProxySecrets(ids []string, others ...string) error {
	if len(ids) == 0 {
		return nil
	}
	if len(ids) != 2 || ids[0] == ids[1] {
		return fmt.Errorf("ProxySecretIds names %s: give two different ones, one for each account of the pair",
			plaintext.Count(len(slices.Compact(slices.Sorted(slices.Values(ids)))), "secret"))
	}
	for _, id := range ids {
		if err := validSecretID("ProxySecretIds", id, true); err != nil {
			return err
		}
		if slices.Contains(others, id) {
			return fmt.Errorf("ProxySecretIds names %s, which is the user's own secret or the master secret: "+
				"give a separate secret for each account", id)
		}
	}
	return nil
}

var errOwnMaster = errors.New("MasterSecretId is the secret itself: name the secret of an administrator")

const (
	maxDrain       = 24 * time.Hour
	maxFirst       = 90 * 24 * time.Hour
	maxEndpoints   = 20
	defaultDays    = 30
	defaultOverlap = time.Hour
)

// Rules returns RotationRules or their default.
func (in RotateUserInput) Rules() RotationRules {
	r := in.RotationRules
	if r.ScheduleExpression == "" && r.AutomaticallyAfterDays == 0 && !in.typed.has("RotationRules.AutomaticallyAfterDays") {
		r.AutomaticallyAfterDays = defaultDays
	}
	return r
}

// Schedule returns when the input says to rotate, or an error that names the wrong field.
func (in RotateUserInput) Schedule() (*Schedule, error) {
	return schedule.New(in.Rules(), in.TimeZone, in.Blackout)
}

// ScheduleText describes in a few words when the input says to rotate: "every 30 days in Europe/Berlin, but for Fri 16:00 - Mon 08:00".
func (in RotateUserInput) ScheduleText() string {
	text := in.Rules().String()
	if in.TimeZone != "" {
		text += " in " + in.TimeZone
	}
	if len(in.Blackout) > 0 {
		text += ", but for " + strings.Join(in.Blackout, ", ")
	}
	return text
}

// Immediately returns RotateImmediately or its default.
func (in RotateUserInput) Immediately() bool {
	if in.RotateImmediately == nil {
		return in.FirstRotationWithin == 0
	}
	return *in.RotateImmediately
}

// Overlap returns MinimumOverlap or its default.
func (in RotateUserInput) Overlap() time.Duration {
	if in.MinimumOverlap == nil {
		return defaultOverlap
	}
	return time.Duration(*in.MinimumOverlap)
}

// Complete returns the input with its defaults filled in.
func (in RotateUserInput) Complete() *RotateUserInput {
	immediately, overlap := in.Immediately(), Duration(in.Overlap())
	in.RotationRules, in.MinimumOverlap = in.Rules(), &overlap
	if in.FirstRotationWithin == 0 {
		in.RotateImmediately = &immediately
	}
	in.typed = typed{}
	return &in
}

// validSecretID applies Secrets Manager's rule for names, so that a typo is found before a workflow uses it.
func validSecretID(field, id string, required bool) error {
	if id == "" {
		if required {
			return fmt.Errorf("%s is required: the name or the ARN of the secret", field)
		}
		return nil
	}
	if len(id) > 2048 {
		return fmt.Errorf("%s is longer than 2048 characters", field)
	}
	for _, c := range id {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case c == '/', c == '_', c == '+', c == '=', c == '.', c == '@', c == '-', c == ':', c == '!':
		default:
			return fmt.Errorf("%s holds the character %q: a secret's name has letters, digits and /_+=.@-! only", field, c)
		}
	}
	return nil
}
