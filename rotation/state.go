package rotation

import "time"

// KnownPair are two users that a workflow rotates between, or has rotated between, and what it knows of their accounts.
type KnownPair struct {
	Usernames []string `json:"Usernames"`
	// Server is the host:port that they are on, and MasterSecretID the secret of its administrator.
	Server         string `json:"Server,omitempty"`
	MasterSecretID string `json:"MasterSecretId,omitempty"`
	// Stored is CloneUserInput.Stored of them.
	Stored map[string]string `json:"Stored,omitempty"`
	// LeftAt is when the secret turned out to be for another user; zero for the pair that it is for.
	LeftAt time.Time `json:"LeftAt,omitzero"`
}

// State is what one run hands to the next. It is decoded tolerantly and only
// ever grows optional fields, so that releases can follow each other in either
// order.
type State struct {
	LastRotatedDate time.Time `json:"LastRotatedDate,omitzero"`
	// NextRotationDate is when the run wakes, WindowCloses until when a rotation
	// that failed is tried again.
	NextRotationDate time.Time `json:"NextRotationDate,omitzero"`
	WindowCloses     time.Time `json:"WindowCloses,omitzero"`
	// Attempts are those that have failed in a row.
	Attempts int `json:"Attempts,omitempty"`
	// Paused is a person's wish, Held that of the secret's deletion; the run sleeps
	// while there is either.
	Paused bool `json:"Paused,omitempty"`
	Held   bool `json:"Held,omitempty"`
	// Requested is a rotation that was asked for and is still to be made: a signal came as
	// the run before ended, or the request is to revoke and could not be carried out yet.
	Requested *RotateRequest `json:"Requested,omitempty"`
	// RequestDue is when Requested is tried next, at once if it is zero, and
	// RequestAttempts are those that have failed.
	RequestDue      time.Time `json:"RequestDue,omitzero"`
	RequestAttempts int       `json:"RequestAttempts,omitempty"`
	// Requests are the last messages that were not carried out as they came.
	Requests []Request `json:"Requests,omitempty"`
	// Usernames are the user in use and the other one of the pair, once known:
	// the evidence that both accounts are this workflow's.
	Usernames []string `json:"Usernames,omitempty"`
	// SeenUsername is the user of AWSCURRENT, as a run that was reset found it in the secret. It is
	// for the status: a secret is no evidence of whose an account is.
	SeenUsername string `json:"SeenUsername,omitempty"`
	// Stored stands for the passwords that the server stores for them, by user, once
	// they are of this workflow's making.
	Stored map[string]string `json:"Stored,omitempty"`
	// PromotedVersionID is the version that this workflow promoted last, at
	// LastRotatedDate.
	PromotedVersionID string `json:"PromotedVersionId,omitempty"`
	// ReissuedVersionID is AWSCURRENT as this workflow has stored it again to take over
	// from another rotation, and TakenOver what that one had staged.
	ReissuedVersionID string `json:"ReissuedVersionId,omitempty"`
	TakenOver         string `json:"TakenOver,omitempty"`
	// Digest stands for the rights that both accounts had after the last
	// rotation, so that the next can tell which of them was changed.
	Digest string `json:"Digest,omitempty"`
	// Rights stands for each of these rights; empty if there are too many.
	Rights string `json:"Rights,omitempty"`
	// PasswordExpires is when the server will refuse AWSCURRENT by its own rules, as of the
	// last rotation; zero for never.
	PasswordExpires time.Time `json:"PasswordExpires,omitzero"`
	// EarlierVersionID is the version of the attempt that failed last, EarlierSHA256
	// the digest of its value.
	EarlierVersionID string `json:"EarlierVersionId,omitempty"`
	EarlierSHA256    string `json:"EarlierSHA256,omitempty"`
	DatabaseHost     string `json:"DatabaseHost,omitempty"`
	// SecretARN and MasterKnown are the secret's ARN and its master secret as of the last rotation: of a secret
	// that was deleted nothing else tells.
	SecretARN   string `json:"SecretARN,omitempty"`
	MasterKnown string `json:"MasterKnown,omitempty"`
	// Left are the pairs that the secret was for before, until they are gone or dismissed.
	Left []KnownPair `json:"Left,omitempty"`
	// Deleted is set while the secret is known to be deleted by something else.
	Deleted *DeletedSecret `json:"Deleted,omitempty"`
	// OpenAccounts is what the memo of that name says.
	OpenAccounts string `json:"OpenAccounts,omitempty"`
	// SearchAttributes says that the cluster had them when they were last set.
	SearchAttributes bool `json:"SearchAttributes,omitempty"`
	// ShowWhenLong says that visibility is told of a rotation only once it has
	// taken long. A first run tells at once, and so does one that was continued by
	// a release that knew nothing else: its rotation may be under way.
	ShowWhenLong bool       `json:"ShowWhenLong,omitempty"`
	Rotations    []Rotation `json:"Rotations,omitempty"`
}
