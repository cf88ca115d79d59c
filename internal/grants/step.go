package grants

import "strings"

// Change is one thing that Sync changes.
type Change struct {
	Text      string // one readable line
	Statement string // the SQL, without password or hash; empty if the next password brings it
	Drift     bool   // the standby itself was changed since the last rotation, not the current account
}

// Step is a change, and what it takes to run it.
type Step struct {
	Change
	needs []right // what the administrator must be able to pass on or take back
	// DroppedTable completes a grant on a table that no longer exists, which the server takes only along with CREATE.
	DroppedTable *DroppedTable
	// OracleMode is whether MariaDB understands the statement only in its Oracle mode, like those on packages.
	OracleMode bool
	// hashed is the statement with the hash in it, where Statement leaves one out.
	hashed string
	// OnSource is whether the step gives the source what the standby has, instead of changing the standby.
	OnSource bool
}

// Revokes reports whether the step takes a right away.
func (s Step) Revokes() bool { return strings.HasPrefix(s.Statement, "REVOKE ") }

// ofRights reports whether the step grants or revokes.
func (s Step) ofRights() bool {
	return strings.HasPrefix(s.Statement, "GRANT ") || strings.HasPrefix(s.Statement, "REVOKE ")
}

// DroppedTable holds the statements for a grant on a table that no longer exists.
type DroppedTable struct{ Grant, RevokeCreate string }

// SQL returns the statement to send. It may hold a hash and must not appear in an error or a plan.
func (s *Step) SQL() string {
	if s.hashed != "" {
		return s.hashed
	}
	return s.Statement
}
