package rotation

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// UnmarshalJSON leaves it to Validate to report what is wrong.
func (s *SecretSeen) UnmarshalJSON(data []byte) error {
	type plain SecretSeen
	return s.typed.decode(data, (*plain)(s))
}

// Validate returns an error that names the first wrong field, if any.
func (s SecretSeen) Validate() error {
	if s.typed.err != nil {
		return s.typed.err
	}
	if !slices.Contains([]SecretFate{SecretScheduled, SecretRestored, SecretGone}, s.Fate) {
		return fmt.Errorf("Fate is %q: must be Scheduled, Restored or Gone", s.Fate)
	}
	return nil
}

// RotateRequest is the argument of RotateUpdate.
type RotateRequest struct {
	// Force rotates even within MinimumOverlap of the last rotation, and takes over from another rotator that has staged
	// a version and not promoted it.
	Force bool `json:"Force,omitempty"`
	// RevokePrevious locks the account that is current until the promotion, ends its sessions and scrambles its password.
	RevokePrevious bool `json:"RevokePrevious,omitempty"`
	// Grace is how long RevokePrevious waits after the promotion: at most 24 hours, and not at all by default.
	Grace Duration `json:"Grace,omitzero"`
	// UndoDrift makes the account with the base name equal to the current account, if it is the standby. Without
	// UndoDrift, rights that were granted to the account with the base name are given to both, and the rotation is
	// refused if one was revoked from it.
	UndoDrift bool `json:"UndoDrift,omitempty"`

	typed typed
}

const maxGrace = 24 * time.Hour

// Validate returns an error that names the first wrong field, if any.
func (q RotateRequest) Validate() error {
	if q.typed.err != nil {
		return q.typed.err
	}
	if time.Duration(q.Grace) > maxGrace {
		return fmt.Errorf("Grace is %s: must be at most 24h", q.Grace)
	}
	if q.Grace > 0 && !q.RevokePrevious {
		return errors.New("Grace needs RevokePrevious: set it, or leave Grace out")
	}
	return nil
}

// RescheduleRequest is the argument of RescheduleUpdate.
type RescheduleRequest struct {
	// RotationRules are the new rules. They may be left out if TimeZone or Blackout is given.
	RotationRules RotationRules `json:"RotationRules,omitzero"`
	// TimeZone is the new zone. If it is empty, the zone does not change.
	TimeZone string `json:"TimeZone,omitempty"`
	// Blackout is the new blackout. An empty list removes the old one, and nil keeps it.
	Blackout []string `json:"Blackout,omitzero"`
	// DeclaredBy is set by what declares the rotation from now on; see DeclaredByMemo.
	DeclaredBy string `json:"DeclaredBy,omitempty"`

	typed typed
}

// Sender is the argument of pause, resume and stop. It may be left out.
type Sender struct {
	// Deletion reports that the deletion of the secret sends the message, to hold the rotation or to release it. A rotation
	// that an operator has paused stays paused. A stop ends only a rotation that is paused or held, because a rotation that
	// runs is of another secret of the same name.
	Deletion bool `json:"Deletion,omitempty"`
	// SentAt is when the message was sent. If several messages arrive at the same time, because no worker was running or the
	// workflow was reset, the newest wins.
	SentAt time.Time `json:"SentAt,omitzero"`

	typed typed
}

// SecretSeen is the argument of SecretSeenSignal.
type SecretSeen struct {
	Fate SecretFate `json:"Fate"`

	typed typed
}

// Outcome is what became of a message. It is the label outcome of the metric rotate_user_requests_total.
type Outcome string

// The outcomes of messages that were not carried out on arrival.
const (
	OutcomeRefused    Outcome = "refused"    // it is not allowed
	OutcomeDeferred   Outcome = "deferred"   // it is retried later
	OutcomeSuperseded Outcome = "superseded" // another message or rotation made it unnecessary
	OutcomeUnreadable Outcome = "unreadable" // it could not be decoded
	OutcomeFailed     Outcome = "failed"     // it failed, and is not retried
)

// Request is a message that was not carried out on arrival.
type Request struct {
	At      time.Time `json:"At"`
	Message string    `json:"Message"`
	Outcome Outcome   `json:"Outcome"`
	Reason  string    `json:"Reason"`
	// Count is how many such messages arrived, the last one At.
	Count int `json:"Count"`
}

// UnmarshalJSON leaves it to Validate to report what is wrong.
func (q *RotateRequest) UnmarshalJSON(data []byte) error {
	type plain RotateRequest
	return q.typed.decode(data, (*plain)(q))
}

// Validate returns an error that names the first wrong field, if any.
func (s Sender) Validate() error {
	if s.typed.err != nil {
		return s.typed.err
	}
	return nil
}

// UnmarshalJSON leaves it to Validate to report what is wrong. Some clients send null if there is no argument.
func (s *Sender) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		*s = Sender{}
		return nil
	}
	type plain Sender
	return s.typed.decode(data, (*plain)(s))
}

// UnmarshalJSON leaves it to Validate to report what is wrong.
func (q *RescheduleRequest) UnmarshalJSON(data []byte) error {
	type plain RescheduleRequest
	return q.typed.decode(data, (*plain)(q))
}

// Validate returns an error that names the first wrong field, if any.
func (q RescheduleRequest) Validate() error {
	if q.typed.err != nil {
		return q.typed.err
	}
	if q.RotationRules != (RotationRules{}) || q.TimeZone == "" && q.Blackout == nil || q.typed.has("RotationRules") {
		if err := q.RotationRules.Validate(); err != nil {
			return fmt.Errorf("RotationRules: %w", err)
		}
	}
	_, err := q.Apply(RotateUserInput{}).Schedule()
	return err
}

// RescheduleTo returns the request that gives a rotation the whole schedule of an input, so that nothing of the one before stays.
func RescheduleTo(in RotateUserInput) RescheduleRequest {
	q := RescheduleRequest{RotationRules: in.Rules(), TimeZone: in.TimeZone, Blackout: in.Blackout}
	if q.TimeZone == "" {
		q.TimeZone = "UTC"
	}
	if q.Blackout == nil {
		q.Blackout = []string{}
	}
	return q
}

// Apply returns an input with what the request changes.
func (q RescheduleRequest) Apply(in RotateUserInput) RotateUserInput {
	if q.RotationRules != (RotationRules{}) {
		in.RotationRules = q.RotationRules
	}
	if q.TimeZone != "" {
		in.TimeZone = q.TimeZone
	}
	if q.Blackout != nil {
		in.Blackout = q.Blackout
	}
	return in
}
