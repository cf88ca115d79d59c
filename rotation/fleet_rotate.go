package rotation

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/rotate-user/rotate-user/internal/plaintext"
)

// RotateFleetWorkflow asks many running rotations to rotate, a few at a time. It takes a
// RotateFleetInput and returns a RotateFleetStatus, as StatusQuery does. PauseUpdate, ResumeUpdate
// and StopUpdate control it.
const RotateFleetWorkflow = "RotateFleetWorkflow"

// RotateFleetWorkflowID returns the id of the workflow that rotates a fleet. Only one can run for
// each task queue of a worker.
func RotateFleetWorkflowID(taskQueue string) string {
	if taskQueue == TaskQueue {
		return "rotate-fleet"
	}
	return "rotate-fleet/" + taskQueue
}

// RotateFleetInput says which secrets to rotate, and how carefully. All fields are optional.
type RotateFleetInput struct {
	// Query is a condition on the search attributes of rotations, such as DatabaseHost =
	// 'db1:3306'. By default, all running rotations are included.
	Query string `json:"Query,omitempty"`
	// Rotate is the request that each rotation gets.
	Rotate RotateRequest `json:"Rotate,omitzero"`
	// Canary is how many secrets are rotated first, by default 5. The others follow if all canaries
	// succeed.
	Canary *int `json:"Canary,omitempty"`
	// MaxFailures is how many rotations may fail, as a number or a percentage: "10", "2%". The
	// default is "2%". If more fail, no further rotation starts.
	MaxFailures string `json:"MaxFailures,omitempty"`
	// PerHost is how many rotations run at a time on each database host, by default 2.
	PerHost int `json:"PerHost,omitempty"`
	// Over spreads the rotations evenly over this time. By default, each starts as soon as
	// possible.
	Over Duration `json:"Over,omitzero"`
	// ActivityTaskQueue is where the activities run, by default the workflow's own task queue.
	ActivityTaskQueue string `json:"ActivityTaskQueue,omitempty"`

	typed typed
}

// UnmarshalJSON records what is wrong with the text, for Validate to report.
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

// Validate returns an error that names the first wrong field, if any.
func (in RotateFleetInput) Validate() error {
	if in.typed.err != nil {
		return in.typed.err
	}
	if err := in.Rotate.Validate(); err != nil {
		return fmt.Errorf("Rotate: %w", err)
	}
	if n := in.Canaries(); n < 0 || n > maxCanary {
		return fmt.Errorf("Canary is %d: must be 0 to %d", n, maxCanary)
	}
	if _, err := in.Allowed(0); err != nil {
		return fmt.Errorf("MaxFailures is %q: %w", plaintext.Cut(in.MaxFailures, 50), err)
	}
	if n := in.PerHost; n < 0 || n > maxPerHost {
		return fmt.Errorf("PerHost is %d: must be 1 to %d", n, maxPerHost)
	}
	if time.Duration(in.Over) > maxOver {
		return fmt.Errorf("Over is %s: must be at most 30d", in.Over)
	}
	return nil
}

// Canaries returns how many secrets are rotated first.
func (in RotateFleetInput) Canaries() int {
	if in.Canary == nil {
		return defaultCanary
	}
	return *in.Canary
}

// HostLimit returns how many rotations run at a time on one host.
func (in RotateFleetInput) HostLimit() int {
	if in.PerHost == 0 {
		return defaultPerHost
	}
	return in.PerHost
}

// Allowed returns how many of total rotations may fail.
func (in RotateFleetInput) Allowed(total int) (int, error) {
	text := in.MaxFailures
	if text == "" {
		text = defaultMaxFailures
	}
	digits, share := strings.CutSuffix(text, "%")
	n, err := strconv.Atoi(digits)
	if err != nil || n < 0 || share && n > 100 {
		return 0, errors.New(`write a number or a percentage, such as "10" or "2%"`)
	}
	if share {
		return total * n / 100, nil
	}
	return n, nil
}

// FleetRotation is one rotation whose outcome a fleet waits for.
type FleetRotation struct {
	SecretID string `json:"SecretId"`
	Host     string `json:"Host,omitempty"`
	// RequestedAt is when the rotation was requested. After a failure, it is the earliest time at
	// which the next attempt may have ended.
	RequestedAt time.Time `json:"RequestedAt"`
	// Attempts is how many attempts have failed, and Reason why the last one did.
	Attempts int    `json:"Attempts,omitempty"`
	Reason   string `json:"Reason,omitempty"`
}

// RotateFleetState is what one run of RotateFleetWorkflow passes to the next. New fields must be
// optional.
type RotateFleetState struct {
	StartedAt time.Time `json:"StartedAt"`
	// Pending has the secrets still to be rotated, by database host.
	Pending map[string][]string `json:"Pending,omitempty"`
	// InProgress has the rotations that were requested. Waiting has those that failed and will be
	// checked again.
	InProgress []FleetRotation `json:"InProgress,omitempty"`
	Waiting    []FleetRotation `json:"Waiting,omitempty"`
	// Begun is how many secrets had a rotation requested, each counted once.
	Begun   int  `json:"Begun,omitempty"`
	Total   int  `json:"Total,omitempty"`
	Rotated int  `json:"Rotated,omitempty"`
	Paused  bool `json:"Paused,omitempty"`
	// Done has the secrets that were rotated.
	Done []string `json:"Done,omitempty"`
	// Failed and Skipped count the secrets that were not rotated. Failures and Skips describe them,
	// one per line, and briefly after the first two hundred.
	Failed   int      `json:"Failed,omitempty"`
	Failures []string `json:"Failures,omitempty"`
	Skipped  int      `json:"Skipped,omitempty"`
	Skips    []string `json:"Skips,omitempty"`
	// Stopped says why no further rotation starts.
	Stopped string `json:"Stopped,omitempty"`
}

// RotateFleetStatus is the progress of a fleet's rotation.
type RotateFleetStatus struct {
	StartedAt time.Time `json:"StartedAt"`
	EndedAt   time.Time `json:"EndedAt,omitzero"`
	// Total is the sum of the five counts that follow.
	Total      int `json:"Total"`
	Rotated    int `json:"Rotated"`
	Failed     int `json:"Failed"`
	Skipped    int `json:"Skipped"`
	InProgress int `json:"InProgress"`
	Pending    int `json:"Pending"`
	// Canary reports whether only the canaries are being rotated so far.
	Canary  bool   `json:"Canary,omitempty"`
	Paused  bool   `json:"Paused,omitempty"`
	Stopped string `json:"Stopped,omitempty"`
	// Failures and Skips describe the failed and the skipped secrets, one per line: the first two
	// hundred of each while the workflow runs, and then all.
	Failures []string `json:"Failures,omitempty"`
	Skips    []string `json:"Skips,omitempty"`
	// PendingHosts is how many secrets were not requested, by host. PendingSecrets are these, and
	// RotatedSecrets those that were rotated. All three are set when the workflow has ended.
	PendingHosts   map[string]int `json:"PendingHosts,omitempty"`
	PendingSecrets []string       `json:"PendingSecrets,omitempty"`
	RotatedSecrets []string       `json:"RotatedSecrets,omitempty"`
}

// String describes the progress in one line.
func (s RotateFleetStatus) String() string {
	text := fmt.Sprintf("%d of %d rotated, %d failed, %d skipped, %d in progress, %d to go",
		s.Rotated, s.Total, s.Failed, s.Skipped, s.InProgress, s.Pending)
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

// LookAtRotationsInput asks for the outcomes of requested rotations.
type LookAtRotationsInput struct {
	Rotations []FleetRotation `json:"Rotations"`
}

// RotationOutcome is the outcome of a requested rotation.
type RotationOutcome string

// The outcomes of requested rotations. A rotation without an outcome has not ended.
const (
	RotationSucceeded RotationOutcome = "succeeded"
	RotationFailed    RotationOutcome = "failed"
	RotationSkipped   RotationOutcome = "skipped" // the request was refused, or will be carried out later
)

// RotationSeen is the outcome of one requested rotation.
type RotationSeen struct {
	SecretID  string          `json:"SecretId"`
	Outcome   RotationOutcome `json:"Outcome,omitempty"`
	Reason    string          `json:"Reason,omitempty"`
	ErrorType string          `json:"ErrorType,omitempty"`
	// EndedAt is when a failed rotation ended. Its own workflow retries it.
	EndedAt time.Time `json:"EndedAt,omitzero"`
}

// LookAtRotationsResult has the rotations that have an outcome.
type LookAtRotationsResult struct {
	Seen []RotationSeen `json:"Seen"`
}

// clocksDiffer allows for clock differences between Temporal's servers.
const clocksDiffer = time.Second

// Since returns the outcome of a rotation that was requested at the given time, judging by the
// status of its workflow.
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
		if !s.PreviousUntil.IsZero() { // only the revocation is left, which happens later
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
