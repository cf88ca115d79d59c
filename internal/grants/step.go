package grants

import "strings"

// Change is one thing that a synchronisation changes.
type Change struct {
	Text      string // one readable line
	Statement string // the SQL, without password or hash; empty where the next password brings it
	Drift     bool   // the standby itself was changed since the last rotation, not the account in use
}

// Step is a change with what its execution needs.
type Step struct {
	Change
	needs []right // what the administrator must be able to pass on or take back
	// gone completes a grant on a table that no longer exists, which the server takes only along with CREATE.
	DroppedTable *DroppedTable
	// oracle says that MariaDB reads the statement in its Oracle mode only: packages do not exist in others.
	OracleMode bool
	// hashed is the statement with the hash in it, where Statement leaves one out.
	hashed string
	// shared says that the step adds to the source what the standby has.
	OnSource bool
}

// Revokes reports whether the step takes a right away.
func (s Step) Revokes() bool { return strings.HasPrefix(s.Statement, "REVOKE ") }

// ofRights reports whether the step grants or revokes.
func (s Step) ofRights() bool {
	return strings.HasPrefix(s.Statement, "GRANT ") || strings.HasPrefix(s.Statement, "REVOKE ")
}

type DroppedTable struct{ Grant, RevokeCreate string }

// SQL is the SQL to send. It may hold a hash and must not get into an error or a plan.
func (s *Step) SQL() string {
	if s.hashed != "" {
		return s.hashed
	}
	return s.Statement
}
