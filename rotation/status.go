package rotation

import "time"

// Promotion returns the step that promoted the rotation's version. It returns nil if none has, or r is nil.
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

// RotationStatus is what the workflow of one secret is doing. It is the value of the search attribute of the same
// name.
type RotationStatus string

// The states of a rotation workflow.
const (
	Scheduled RotationStatus = "Scheduled" // asleep until NextRotationDate
	Rotating  RotationStatus = "Rotating"  // a rotation is under way
	Retrying  RotationStatus = "Retrying"  // a step has failed and is retried; the step says why
	Failed    RotationStatus = "Failed"    // the last rotation failed; NextRotationDate is the next attempt
	Paused    RotationStatus = "Paused"    // asleep until it is resumed, or a rotation is requested
	Stopped   RotationStatus = "Stopped"   // the workflow has ended by request
)

// OverdueAfter is how long after its date a rotation is overdue. A rotation that is just starting is not.
const OverdueAfter = time.Minute

// DeletedSecret reports that something other than DeleteUserWorkflow has deleted the secret.
type DeletedSecret struct {
	NoticedAt time.Time `json:"NoticedAt"`
	// Gone reports that the secret no longer exists. Otherwise it is scheduled for deletion.
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
	// Input is what the workflow was started with, or rescheduled to, with its defaults. It is nil from a worker of
	// an earlier release.
	Input *RotateUserInput `json:"Input,omitempty"`
	// Username is the user of AWSCURRENT, and StandbyUsername the other one of the pair. Both are empty until the
	// first rotation has read the secret.
	Username        string `json:"Username,omitempty"`
	StandbyUsername string `json:"StandbyUsername,omitempty"`
	// PasswordExpires is when AWSCURRENT expires by the server's rules, as of the last rotation. Zero means never.
	PasswordExpires time.Time `json:"PasswordExpires,omitzero"`
	// Digest is a digest of the rights that both had after the last rotation. Rights holds a digest of each of
	// them. It is empty if there are too many, and in the answers of updates.
	Digest string `json:"Digest,omitempty"`
	Rights string `json:"Rights,omitempty"`
	// Stored are digests, by user, of the passwords that the last rotations set. They show whether the rights are
	// from the last rotation of the pair. Stored is empty in the answers of updates.
	Stored map[string]string `json:"Stored,omitempty"`
	// PreviousUntil is when StandbyUsername will be revoked, during the grace of a revocation. AWSPREVIOUS logs in
	// until then.
	PreviousUntil time.Time `json:"PreviousUntil,omitzero"`
	// Reset reports that the run was reset and may have missed rotations of the secret.
	Reset bool `json:"Reset,omitempty"`
	// Held reports that a deletion of the secret holds the rotation. It still does after it was cancelled or
	// terminated.
	Held bool `json:"Held,omitempty"`
	// Stopping reports that the workflow will end after the rotation under way, unless it is resumed.
	Stopping bool `json:"Stopping,omitempty"`
	// Requested is a rotation that was requested and has failed so far. It is retried at RequestDue.
	Requested  *RotateRequest `json:"Requested,omitempty"`
	RequestDue time.Time      `json:"RequestDue,omitzero"`
	// Requests are the last five messages that were not carried out on arrival, the newest first.
	Requests []Request `json:"Requests,omitempty"`
	// SecretARN is the secret's ARN as of the last rotation, and Pair what is known about its accounts.
	SecretARN string     `json:"SecretARN,omitempty"`
	Pair      *KnownPair `json:"Pair,omitempty"`
	// Left are the pairs that the secret was for before it was edited, if their accounts still exist as far as the
	// workflow knows.
	Left []KnownPair `json:"Left,omitempty"`
	// Deleted is set if something else has deleted the secret while its accounts are open.
	Deleted *DeletedSecret `json:"Deleted,omitempty"`
	// Warnings are about accounts that are still open, and from the check at the start that replaces a rotation.
	Warnings []string `json:"Warnings,omitempty"`
	// Current is the rotation under way, if any.
	Current *Rotation `json:"Current,omitempty"`
	// Rotations are the last ten that ended, the newest first.
	Rotations []Rotation `json:"Rotations,omitempty"`
}

// GaveWay reports whether the workflow ends without a rotation because another workflow rotates its secret.
func (s Status) GaveWay() bool {
	return s.LastRotatedDate.IsZero() && len(s.Rotations) > 0 && s.Rotations[0].ErrorType == ErrorRotatedElsewhere
}

// Rotation is the record of one rotation, under way or ended.
type Rotation struct {
	// VersionID is the id of the secret's new version; empty until CloneUser has ended.
	VersionID string `json:"VersionId"`
	// Username is the user that was (or is to be) promoted, and PreviousUsername the current user before.
	Username         string    `json:"Username,omitempty"`
	PreviousUsername string    `json:"PreviousUsername,omitempty"`
	StartedAt        time.Time `json:"StartedAt"`
	EndedAt          time.Time `json:"EndedAt,omitzero"`
	// Steps are kept only for the rotation under way and the last one, because they are most of what a run carries
	// over.
	Steps []Step `json:"Steps,omitempty"`
	// Created reports that the standby did not exist and was created.
	Created bool `json:"Created,omitempty"`
	// Changes describe at most twenty changes of rights and properties: on the standby, and rights that the current
	// account was given because the standby had them. Drift are those that concern what was changed on the standby
	// only. Changed and Drifted are their numbers, which a record of an earlier release lacks. Warnings do not stop a
	// rotation.
	Changed  int      `json:"Changed,omitempty"`
	Drifted  int      `json:"Drifted,omitempty"`
	Changes  []string `json:"Changes,omitempty"`
	Drift    []string `json:"Drift,omitempty"`
	Warnings []string `json:"Warnings,omitempty"`
	// InUse describes the sessions of the standby before its password changed, a line for each host and program.
	InUse []string `json:"InUse,omitempty"`
	// Revoked reports that the previous account was locked after the promotion.
	Revoked bool `json:"Revoked,omitempty"`
	// SessionsEnded is how many sessions were ended: those of the previous account, and those of the current account
	// that were older than its password.
	SessionsEnded int `json:"SessionsEnded,omitempty"`
	// Error and ErrorType are set if the rotation failed. The text says what to do.
	Error     string `json:"Error,omitempty"`
	ErrorType string `json:"ErrorType,omitempty"`
}

// Step is one step of a rotation, under way or ended.
type Step struct {
	Name      string    `json:"Name"`
	StartedAt time.Time `json:"StartedAt"`
	EndedAt   time.Time `json:"EndedAt,omitzero"`
	// Text says what the step did, in a few words. It is empty until the step has ended.
	Text string `json:"Text,omitempty"`
	// Error is why the step has failed so far, Attempts is how often, and NextAttempt is when it is retried. Temporal
	// makes the first few attempts within seconds. Until then, they appear only in the workflow's pending activities.
	Error       string    `json:"Error,omitempty"`
	Attempts    int       `json:"Attempts,omitempty"`
	NextAttempt time.Time `json:"NextAttempt,omitzero"`
}
