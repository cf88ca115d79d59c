package rotation

import "time"

// KnownPair is two users that a workflow rotates between, or rotated between earlier, and what it knows about
// their accounts.
type KnownPair struct {
	Usernames []string `json:"Usernames"`
	// Server is the host:port of their server, and MasterSecretID the secret of its administrator.
	Server         string `json:"Server,omitempty"`
	MasterSecretID string `json:"MasterSecretId,omitempty"`
	// Stored is their CloneUserInput.Stored.
	Stored map[string]string `json:"Stored,omitempty"`
	// LeftAt is when the workflow found that the secret was for another user. It is zero for the current pair.
	LeftAt time.Time `json:"LeftAt,omitzero"`
}
