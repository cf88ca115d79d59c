package rotation

import "time"

// Promotion is the step that promoted the rotation's version; nil if none has, or there is no rotation.
func (r *Rotation) Promotion() *Step {
	if r == nil {
		return nil
	}
	for i := range r.Steps {
		if s := &r.Steps[i]; s.Name == PromotePassword && !s.EndedAt.IsZero() {
			return s
		}
	}
	return nil
}

// RotationStatus says what the workflow of one secret is doing. It is the value
// of the search attribute of the same name.
type RotationStatus string

// The states of a rotation workflow.
const (
	Scheduled RotationStatus = "Scheduled" // asleep until NextRotationDate
	Rotating  RotationStatus = "Rotating"  // a rotation is under way
	Retrying  RotationStatus = "Retrying"  // a step of it has failed and is repeated; the step says why
	Failed    RotationStatus = "Failed"    // the last rotation failed; NextRotationDate is the next attempt
	Paused    RotationStatus = "Paused"    // asleep until it is resumed, or rotated by request
	Stopped   RotationStatus = "Stopped"   // the workflow has ended by request
)

// DeletedSecret is that a secret was found to be deleted by something else than DeleteUserWorkflow.
type DeletedSecret struct {
	NoticedAt time.Time `json:"NoticedAt"`
	// Gone says that there is no such secret any more; otherwise it is scheduled for deletion.
	Gone bool `json:"Gone,omitempty"`
}

// Status is the answer to StatusQuery. Times are UTC.
type Status struct {
	SecretID         string         `json:"SecretId"`
	MasterSecretID   string         `json:"MasterSecretId,omitempty"`
	RotationStatus   RotationStatus `json:"RotationStatus"`
	RotationRules    RotationRules  `json:"RotationRules"`
	LastRotatedDate  time.Time      `json:"LastRotatedDate,omitzero"`
	NextRotationDate time.Time      `json:"NextRotationDate,omitzero"`
	DatabaseHost     string         `json:"DatabaseHost,omitempty"`
	// Input is what the workflow was started with and rescheduled to, defaults
	// filled in; nil from a worker of an earlier release.
	Input *RotateUserInput `json:"Input,omitempty"`
	// Username is the user of AWSCURRENT, StandbyUsername the other one of the
	// pair. Both are empty before the first rotation has looked.
	Username        string `json:"Username,omitempty"`
	StandbyUsername string `json:"StandbyUsername,omitempty"`
	// PasswordExpires is when the server will refuse AWSCURRENT by its own rules, as
	// of the last rotation; zero for never.
	PasswordExpires time.Time `json:"PasswordExpires,omitzero"`
	// Digest stands for the rights that both had after the last rotation. Rights stands for
	// each of them; it is empty if there are too many, and in the answers of updates.
	Digest string `json:"Digest,omitempty"`
	Rights string `json:"Rights,omitempty"`
	// Stored stands for the passwords that the last rotations set, by user: by them it is known whether the rights are from
	// the last rotation of the pair. It is empty in the answers of updates.
	Stored map[string]string `json:"Stored,omitempty"`
	// PreviousUntil is when StandbyUsername is revoked, in the grace of a revocation: AWSPREVIOUS
	// logs in until then.
	PreviousUntil time.Time `json:"PreviousUntil,omitzero"`
	// Reset says that the run was reset, and may know of fewer rotations than the secret.
	Reset bool `json:"Reset,omitempty"`
	// Held says that a deletion of the secret holds the rotation. It is held still if that was cancelled or
	// terminated.
	Held bool `json:"Held,omitempty"`
	// Stopping says that the workflow ends after the rotation under way, unless it is resumed.
	Stopping bool `json:"Stopping,omitempty"`
	// Requested is a rotation that was asked for, could not be made yet, and is tried again at
	// RequestDue.
	Requested  *RotateRequest `json:"Requested,omitempty"`
	RequestDue time.Time      `json:"RequestDue,omitzero"`
	// Requests are the last five messages that were not carried out as they came, the newest first.
	Requests []Request `json:"Requests,omitempty"`
	// SecretARN is the secret's, as of the last rotation, and Pair what is known of its accounts.
	SecretARN string     `json:"SecretARN,omitempty"`
	Pair      *KnownPair `json:"Pair,omitempty"`
	// Left are the pairs that the secret was for before it was edited, and whose accounts are still there as far as
	// is known.
	Left []KnownPair `json:"Left,omitempty"`
	// Deleted says that the secret was found to be deleted, while its accounts are open.
	Deleted *DeletedSecret `json:"Deleted,omitempty"`
	// Warnings are accounts that are still open, and what a look at the start, instead of a rotation, found worth knowing.
	Warnings []string `json:"Warnings,omitempty"`
	// Current is the rotation under way, nil when there is none.
	Current *Rotation `json:"Current,omitempty"`
	// Rotations are the last ten that ended, the newest first.
	Rotations []Rotation `json:"Rotations,omitempty"`
}

// GaveWay reports whether the workflow ends without a rotation, since another one rotates its secret.
func (s Status) GaveWay() bool {
	return s.LastRotatedDate.IsZero() && len(s.Rotations) > 0 && s.Rotations[0].ErrorType == ErrorRotatedElsewhere
}

// Rotation is the record of one rotation, under way or ended.
type Rotation struct {
	// VersionID is the id of the secret's new version; empty until CloneUser has ended.
	VersionID string `json:"VersionId"`
	// Username is the user that was (or is to be) promoted;
	// PreviousUsername the one in use before.
	Username         string    `json:"Username,omitempty"`
	PreviousUsername string    `json:"PreviousUsername,omitempty"`
	StartedAt        time.Time `json:"StartedAt"`
	EndedAt          time.Time `json:"EndedAt,omitzero"`
	// Steps are those of the rotation under way, or of the one that ended last:
	// they are most of what a run carries over.
	Steps []Step `json:"Steps,omitempty"`
	// Created says that the standby did not exist and was made.
	Created bool `json:"Created,omitempty"`
	// Changes are the rights and properties that were changed, a readable line each, at
	// most twenty: on the standby, and rights that the account in use was given because
	// the standby had them. Drift are those among them that somebody had changed on the
	// standby alone. Changed and Drifted are how many there were of both; a
	// record of an earlier release has neither number. Warnings are things to know
	// that stop nothing.
	Changed  int      `json:"Changed,omitempty"`
	Drifted  int      `json:"Drifted,omitempty"`
	Changes  []string `json:"Changes,omitempty"`
	Drift    []string `json:"Drift,omitempty"`
	Warnings []string `json:"Warnings,omitempty"`
	// InUse is who was still logged in as the standby before its password
	// changed, a line for each host and program.
	InUse []string `json:"InUse,omitempty"`
	// Revoked says that the previous account was locked after the promotion.
	Revoked bool `json:"Revoked,omitempty"`
	// SessionsEnded is how many sessions were ended: those of the previous account, and those of
	// the account now in use that were older than its password.
	SessionsEnded int `json:"SessionsEnded,omitempty"`
	// Error and ErrorType are set when the rotation failed: the text says what to do.
	Error     string `json:"Error,omitempty"`
	ErrorType string `json:"ErrorType,omitempty"`
}

// Step is one step of a rotation, begun or done.
type Step struct {
	Name      string    `json:"Name"`
	StartedAt time.Time `json:"StartedAt"`
	EndedAt   time.Time `json:"EndedAt,omitzero"`
	// Text says what the step did, in a few words; empty until it has ended.
	Text string `json:"Text,omitempty"`
	// Error is why the step has failed so far, Attempts how often, and NextAttempt when it is
	// repeated. The first few attempts follow each other within seconds and are Temporal's:
	// they are among the workflow's pending activities until then.
	Error       string    `json:"Error,omitempty"`
	Attempts    int       `json:"Attempts,omitempty"`
	NextAttempt time.Time `json:"NextAttempt,omitzero"`
}
