package rotation

import "time"

// State is what one run passes to the next. It ignores unknown fields and only gains optional ones, so that
// releases can follow each other in either order.
type State struct {
	LastRotatedDate time.Time `json:"LastRotatedDate,omitzero"`
	// NextRotationDate is when the run wakes. Until WindowCloses, a rotation that failed is retried.
	NextRotationDate time.Time `json:"NextRotationDate,omitzero"`
	WindowCloses     time.Time `json:"WindowCloses,omitzero"`
	// Attempts is how many attempts have failed in a row.
	Attempts int `json:"Attempts,omitempty"`
	// Paused is set by an operator, Held while the secret is being deleted. No rotation starts while either is set.
	Paused bool `json:"Paused,omitempty"`
	Held   bool `json:"Held,omitempty"`
	// Requested is a rotation that was requested and not made yet: its signal came as the run before ended, or
	// it has failed so far.
	Requested *RotateRequest `json:"Requested,omitempty"`
	// RequestDue is when Requested is tried next. Zero means at once. RequestCloses is until when it is, unless it is to
	// revoke; zero if it has not failed yet. RequestAttempts is how many attempts have failed.
	RequestDue      time.Time `json:"RequestDue,omitzero"`
	RequestCloses   time.Time `json:"RequestCloses,omitzero"`
	RequestAttempts int       `json:"RequestAttempts,omitempty"`
	// Requests are the last messages that were not carried out on arrival.
	Requests []Request `json:"Requests,omitempty"`
	// Usernames are the current user and the other one of the pair, once known. They are the evidence that both
	// accounts belong to this workflow.
	Usernames []string `json:"Usernames,omitempty"`
	// SeenUsername is the user of AWSCURRENT that a run that was reset found in the secret. It is for the status
	// only, because a secret is not evidence of which accounts belong to the workflow.
	SeenUsername string `json:"SeenUsername,omitempty"`
	// Stored are digests, by user, of the passwords that this workflow has set.
	Stored map[string]string `json:"Stored,omitempty"`
	// PromotedVersionID is the version that this workflow promoted last, at LastRotatedDate.
	PromotedVersionID string `json:"PromotedVersionId,omitempty"`
	// ReissuedVersionID is AWSCURRENT as this workflow has reissued it to take over from another rotation.
	// TakenOver is the version that the other rotation had staged.
	ReissuedVersionID string `json:"ReissuedVersionId,omitempty"`
	TakenOver         string `json:"TakenOver,omitempty"`
	// Digest is a digest of the rights that both accounts had after the last rotation. By it, the next rotation
	// knows which of them was changed.
	Digest string `json:"Digest,omitempty"`
	// Rights holds a digest of each of these rights. It is empty if there are too many.
	Rights string `json:"Rights,omitempty"`
	// PasswordExpires is when AWSCURRENT expires by the server's rules, as of the last rotation. Zero means never.
	PasswordExpires time.Time `json:"PasswordExpires,omitzero"`
	// EarlierVersionID is the version of the attempt that failed last, and EarlierSHA256 the digest of its value.
	EarlierVersionID string `json:"EarlierVersionId,omitempty"`
	EarlierSHA256    string `json:"EarlierSHA256,omitempty"`
	DatabaseHost     string `json:"DatabaseHost,omitempty"`
	// SecretARN and MasterKnown are the secret's ARN and its master secret as of the last rotation. Once a secret
	// is deleted, they cannot be read from it.
	SecretARN   string `json:"SecretARN,omitempty"`
	MasterKnown string `json:"MasterKnown,omitempty"`
	// Left are the pairs that the secret was for before, until their accounts are gone or the pairs are dismissed.
	Left []KnownPair `json:"Left,omitempty"`
	// Deleted is set while the workflow knows that something else has deleted the secret.
	Deleted *DeletedSecret `json:"Deleted,omitempty"`
	// OpenAccounts is the value of the memo of that name.
	OpenAccounts string `json:"OpenAccounts,omitempty"`
	// SearchAttributes reports that the cluster had the search attributes when they were last set.
	SearchAttributes bool `json:"SearchAttributes,omitempty"`
	// ShowWhenLong delays the search attributes of a running rotation until it has taken long. The first run sets them
	// at once, and so does a run that an earlier release continued, because its rotation may already be running.
	ShowWhenLong bool       `json:"ShowWhenLong,omitempty"`
	Rotations    []Rotation `json:"Rotations,omitempty"`
}
