package grants

import "strings"

// Change is one change that Sync makes.
type Change struct {
	Text      string // one readable line
	Statement string // the SQL without password or hash; empty if the change comes with the next password
	Drift     bool   // the standby itself was changed since the last rotation, not the current account
}

// Step is a change, and what is needed to make it.
type Step struct {
	Change
	needs []right // what the administrator must be able to grant or revoke
	// restricted are the administrator's restrictions because of which the server will refuse the statement.
	restricted []right
	// DroppedTable completes a grant on a table that no longer exists, which the server accepts
	// only together with CREATE.
	DroppedTable *DroppedTable
	// OracleMode reports whether MariaDB parses the statement only in its Oracle mode, like those
	// on packages.
	OracleMode bool
	// hashed is the statement with the hash that Statement omits.
	hashed string
	// OnSource reports whether the step grants the source what the standby has, instead of changing
	// the standby.
	OnSource bool
}

// Revokes reports whether the step takes a right away.
func (s Step) Revokes() bool { return strings.HasPrefix(s.Statement, "REVOKE ") }

// ofRights reports whether the step grants or revokes.
func (s Step) ofRights() bool {
	return strings.HasPrefix(s.Statement, "GRANT ") || strings.HasPrefix(s.Statement, "REVOKE ")
}

// DroppedTable has the statements for a grant on a table that no longer exists.
type DroppedTable struct{ Grant, RevokeCreate string }

// SQL returns the statement to execute. It may contain a hash, and must not appear in an error or a
// plan.
func (s *Step) SQL() string {
	if s.hashed != "" {
		return s.hashed
	}
	return s.Statement
}
