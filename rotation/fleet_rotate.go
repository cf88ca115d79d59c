package rotation

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/rotate-user/rotate-user/internal/plaintext"
)

// RotateFleetWorkflow rotates many secrets whose rotations run, a few at a time. It takes a RotateFleetInput, and answers a
// RotateFleetStatus, also to StatusQuery. PauseUpdate, ResumeUpdate and StopUpdate steer it.
const RotateFleetWorkflow = "RotateFleetWorkflow"

// RotateFleetWorkflowID returns the id of the workflow that rotates a fleet: one at a time for each worker's task queue.
func RotateFleetWorkflowID(taskQueue string) string {
	if taskQueue == TaskQueue {
		return "rotate-fleet"
	}
	return "rotate-fleet/" + taskQueue
}

// RotateFleetInput says which secrets to rotate, and how carefully. All of it is optional.
type RotateFleetInput struct {
	// Query is a condition on the search attributes of rotations, as in Temporal's list: DatabaseHost = 'db1:3306'. Without it, all
	// rotations that run are meant.
	Query string `json:"Query,omitempty"`
	// Rotate is what each rotation is asked for.
	Rotate RotateRequest `json:"Rotate,omitzero"`
	// Canary is how many are rotated first, 5 by default. The others follow if all of them succeed.
	Canary *int `json:"Canary,omitempty"`
	// MaxFailures is how many may fail, as a number or as a share of all: "10", "2%". It is "2%" by default. When more fail, no other
	// rotation begins.
	MaxFailures string `json:"MaxFailures,omitempty"`
	// PerHost is how many rotations run at once on one database host, 2 by default.
	PerHost int `json:"PerHost,omitempty"`
	// Over spreads the rotations evenly over this time; by default each begins as soon as it may.
	Over Duration `json:"Over,omitzero"`
	// ActivityTaskQueue is where the activities run; the workflow's own task queue by default.
	ActivityTaskQueue string `json:"ActivityTaskQueue,omitempty"`

	typed typed
}

// UnmarshalJSON keeps what is wrong with the text for Validate.
func (in *RotateFleetInput) UnmarshalJSON(data []byte) error {
	type plain RotateFleetInput
	return in.typed.decode(data, (*plain)(in))
}

const (
	defaultCanary      = 5
	defaultPerHost     = 2
	defaultMaxFailures = "2%"

	maxCanary  = 1000
	maxPerHost = 100
	maxOver    = 30 * 24 * time.Hour
)

// Validate names the first field that is wrong.
func (in RotateFleetInput) Validate() error {
	if in.typed.err != nil {
		return in.typed.err
	}
	if err := in.Rotate.Validate(); err != nil {
		return fmt.Errorf("Rotate: %w", err)
	}
	if n := in.Canaries(); n < 0 || n > maxCanary {
		return fmt.Errorf("Canary is %d: 0 to %d", n, maxCanary)
	}
	if _, err := in.Allowed(0); err != nil {
		return fmt.Errorf("MaxFailures is %q: %w", plaintext.Cut(in.MaxFailures, 50), err)
	}
	if n := in.PerHost; n < 0 || n > maxPerHost {
		return fmt.Errorf("PerHost is %d: 1 to %d", n, maxPerHost)
	}
	if time.Duration(in.Over) > maxOver {
		return fmt.Errorf("Over is %s: 30d at most", in.Over)
	}
	return nil
}

// Canaries is how many are rotated first.
func (in RotateFleetInput) Canaries() int {
	if in.Canary == nil {
		return defaultCanary
	}
	return *in.Canary
}

// HostLimit is how many rotations run at once on one host.
func (in RotateFleetInput) HostLimit() int {
	if in.PerHost == 0 {
		return defaultPerHost
	}
	return in.PerHost
}

// Allowed is how many of total rotations may fail.
func (in RotateFleetInput) Allowed(total int) (int, error) {
	text := in.MaxFailures
	if text == "" {
		text = defaultMaxFailures
	}
	digits, share := strings.CutSuffix(text, "%")
	n, err := strconv.Atoi(digits)
	if err != nil || n < 0 || share && n > 100 {
		return 0, errors.New(`write a number or a share of all, such as "10" or "2%"`)
	}
	if share {
		return total * n / 100, nil
	}
	return n, nil
}

// FleetRotation is one rotation that a fleet waits for.
type FleetRotation struct {
	SecretID string `json:"SecretId"`
	Host     string `json:"Host,omitempty"`
	// RequestedAt is when it was asked for, or after a failure, from when on the next attempt may have ended.
	RequestedAt time.Time `json:"RequestedAt"`
	// Attempts are those that have failed, and Reason is why the last one did.
	Attempts int    `json:"Attempts,omitempty"`
	Reason   string `json:"Reason,omitempty"`
}

// RotateFleetState is what one run of RotateFleetWorkflow hands to the next. It only ever grows optional fields.
type RotateFleetState struct {
	StartedAt time.Time `json:"StartedAt"`
	// Pending are the secrets that are still to be rotated, by database host.
	Pending map[string][]string `json:"Pending,omitempty"`
	// InProgress are the rotations that were asked for, and Waiting those that are looked at again later, because they failed.
	InProgress []FleetRotation `json:"InProgress,omitempty"`
	Waiting    []FleetRotation `json:"Waiting,omitempty"`
	// Begun is how many have been asked for, each counted once.
	Begun   int  `json:"Begun,omitempty"`
	Total   int  `json:"Total,omitempty"`
	Rotated int  `json:"Rotated,omitempty"`
	Paused  bool `json:"Paused,omitempty"`
	// Failed and Skipped count the secrets that were not rotated. Failures and Skips are the first two hundred of each, a line each.
	Failed   int      `json:"Failed,omitempty"`
	Failures []string `json:"Failures,omitempty"`
	Skipped  int      `json:"Skipped,omitempty"`
	Skips    []string `json:"Skips,omitempty"`
	// Stopped says why no other rotation begins.
	Stopped string `json:"Stopped,omitempty"`
}

// RotateFleetStatus says how far a fleet's rotation is.
type RotateFleetStatus struct {
	StartedAt time.Time `json:"StartedAt"`
	EndedAt   time.Time `json:"EndedAt,omitzero"`
	// Total is the sum of the numbers that follow.
	Total      int `json:"Total"`
	Rotated    int `json:"Rotated"`
	Failed     int `json:"Failed"`
	Skipped    int `json:"Skipped"`
	InProgress int `json:"InProgress"`
	Pending    int `json:"Pending"`
	// Canary says that only the first few are being rotated.
	Canary   bool     `json:"Canary,omitempty"`
	Paused   bool     `json:"Paused,omitempty"`
	Stopped  string   `json:"Stopped,omitempty"`
	Failures []string `json:"Failures,omitempty"`
	Skips    []string `json:"Skips,omitempty"`
	// PendingHosts are how many secrets were not rotated, by host, once it has ended.
	PendingHosts map[string]int `json:"PendingHosts,omitempty"`
}

// String says in one line how far it is.
func (s RotateFleetStatus) String() string {
	text := fmt.Sprintf("%d of %d rotated, %d failed, %d skipped, %d in progress, %d to go", s.Rotated, s.Total, s.Failed, s.Skipped, s.InProgress, s.Pending)
	switch {
	case s.Stopped != "":
		text += "; stopped: " + s.Stopped
	case s.Paused:
		text += "; paused"
	case s.Canary:
		text += "; canaries first"
	}
	return text
}

// LookAtRotationsInput asks what became of rotations that were requested.
type LookAtRotationsInput struct {
	Rotations []FleetRotation `json:"Rotations"`
}

// RotationOutcome is what became of a rotation that was requested.
type RotationOutcome string

// The outcomes of requested rotations. Empty is that there is none yet.
const (
	RotationSucceeded RotationOutcome = "succeeded"
	RotationFailed    RotationOutcome = "failed"
	RotationSkipped   RotationOutcome = "skipped" // the request was refused, or is carried out later
)

// RotationSeen is what became of one.
type RotationSeen struct {
	SecretID  string          `json:"SecretId"`
	Outcome   RotationOutcome `json:"Outcome,omitempty"`
	Reason    string          `json:"Reason,omitempty"`
	ErrorType string          `json:"ErrorType,omitempty"`
	// EndedAt is when a rotation ended that failed. Its own workflow retries it.
	EndedAt time.Time `json:"EndedAt,omitzero"`
}

// LookAtRotationsResult has those that have an outcome.
type LookAtRotationsResult struct {
	Seen []RotationSeen `json:"Seen"`
}

// clocksDiffer allows for clocks of Temporal's servers that differ.
const clocksDiffer = time.Second

// Since is what became of a rotation that was requested at a time, by the status of its workflow.
func (s Status) Since(requested time.Time) RotationSeen {
	seen := RotationSeen{SecretID: s.SecretID}
	from := requested.Add(-clocksDiffer)
	if s.Current == nil && len(s.Rotations) > 0 && !s.Rotations[0].EndedAt.Before(from) {
		last := s.Rotations[0]
		if seen.Outcome = RotationSucceeded; last.Error != "" {
			seen.Outcome, seen.Reason, seen.ErrorType, seen.EndedAt = RotationFailed, last.Error, last.ErrorType, last.EndedAt
		}
		return seen
	}
	if s.Current != nil {
		if !s.PreviousUntil.IsZero() { // what remains is the revocation, which has its own time
			seen.Outcome = RotationSucceeded
		}
		return seen
	}
	for _, q := range s.Requests {
		if q.Message == RotateUpdate && !q.At.Before(from) {
			seen.Outcome, seen.Reason = RotationSkipped, string(q.Outcome)+": "+q.Reason
			if q.Outcome == OutcomeFailed {
				seen.Outcome = RotationFailed
			}
			return seen
		}
	}
	return seen
}
