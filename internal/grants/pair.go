package grants

import (
	"context"
	"strings"
	"time"

	"github.com/rotate-user/rotate-user/internal/password"
)

// Pair says which account is copied to which.
type Pair struct {
	// Source is the current account. Without a host, it is the only account with that user name.
	Source Name
	// Standby is the user name of the other account, which has the source's host.
	Standby string
	// Owned reports whether there is evidence that an existing standby is the other account of this
	// pair.
	Owned bool
	// Mark identifies who makes the standby: a standby that this package created with the mark is known by it, and one with
	// EarlierMark too. One that Revoke or Scramble took the password of is known by Mark.
	Mark, EarlierMark string
	// Password is what the secret says is the source's. It must be what the server stores, or no login is tried. Empty: any is.
	Password string
	// SourceStored is Stored.Digest of the source where that is known to be of Password, which then need not be compared.
	SourceStored string
	// Known reports whether what the server stores for an existing standby is a password of the secret's. nil: Owned says so.
	Known func(context.Context, Stored) (bool, error)
	// Force takes an Owned standby whose password is not Known, or that is locked by hand.
	Force bool
	// Digest is Plan.Digest of the last rotation, empty for none. With it Change.Drift is exact; without it, what the
	// standby has and the source has not counts as drift, and nothing else.
	Digest string
	// Base says that the standby has the name that people and their tools know the pair by: a right given to it since the last
	// rotation is given to both accounts, and one taken from it holds the rotation. It takes Digest, and Rights if there are
	// any, to know. UndoDrift and Revoke take the source for the reference in everything.
	Base, UndoDrift bool
	// Rights is Plan.Rights of the last rotation.
	Rights string
	// AsOf, where there is one, reports whether Digest and Rights are from the last rotation of the pair, by what the server stores
	// for the source: something else that has rotated it since has set another password.
	AsOf func(source Stored) bool
	// Revoke reports whether the source will be revoked after the rotation, so that the
	// administrator must be able to end its sessions.
	Revoke bool
	// Plain reports whether clients log in without TLS.
	Plain bool
	// Next is when the next rotation is due: for a plan, the planned rotation; for a rotation, the
	// one after it. It is zero if unknown.
	Next time.Time
	// Proof, if set, is called once both accounts are checked and before the first change. Its error is returned unchanged.
	Proof func() error
	// Fence, where there is one, is called under the lock on both accounts, right before the first change, and stops it by an error.
	Fence func(context.Context) error
}

// Plan is what a synchronization would do, or did.
type Plan struct {
	Source, Standby Name
	Create          bool     // the standby does not exist
	Changes         []Change // in the order of execution; empty for a standby in sync
	// Sessions are the sessions of the standby's user. If SessionsKnown is false, the administrator
	// cannot list them.
	Sessions      []Session
	SessionsKnown bool
	// EndSessions says that the standby's sessions must end along with its password, by ReplacePassword: they may be those of
	// who holds a credential that leaked.
	EndSessions   bool
	Warnings      []string        // what belongs to a name and cannot be copied, and what may surprise
	Expires       time.Time       // when the password in use expires: in a plan the source's, after a rotation the standby's; zero for never
	Digest        string          // SHA-256 of the source's properties and rights, for Pair.Digest
	Rights        string          // a digest of each of the rights that both will have, for Pair.Rights; empty for too many
	Policy        password.Policy // what the server asks of a password of the standby
	StandbyStored Stored          // of the standby, as last read; empty for none

	Steps           []Step
	Powers          *Powers
	StandbyInMemory *InMemory // of the standby; nil for none
	drift           *drift    // nil if nothing of the standby is meant for both
}

// Snapshot is a pair as it was read.
type Snapshot struct {
	Source, Standby *Account // standby is nil where it does not exist
	Others          []*Account
	SourceInMemory  *InMemory // of the source; nil before it is read
	foreign         bool      // the standby's password is none of the secret's, and Force accepts that
}

// Session counts the connections of one user from one host and program.
type Session struct {
	Host    string // without port
	Program string // the name that the client gives; empty if unknown
	Count   int
}

// Immediate returns the changes that are made at once, rather than with the next password.
func (p *Plan) Immediate() []Change {
	var changes []Change
	for _, c := range p.Changes {
		if c.Statement != "" {
			changes = append(changes, c)
		}
	}
	return changes
}

// markDrift decides for each change whether it was the standby or the source that changed since the
// last rotation.
func markDrift(steps []Step, last, source string, ps *Snapshot) {
	for i := range steps {
		if steps[i].OnSource {
			continue
		}
		switch last {
		case "":
			steps[i].Drift = strings.HasPrefix(steps[i].Statement, "REVOKE") && !strings.HasPrefix(steps[i].Text, "restrict")
		case source:
			steps[i].Drift = true
		case ps.Standby.digest():
			steps[i].Drift = false
		default: // both were changed, and it is unknown which change is whose: report all
			steps[i].Drift = true
		}
	}
}

// Pick finds the accounts of the pair among those with their user names.
func (p Pair) Pick(states []*Account) (*Snapshot, error) {
	ps := &Snapshot{Others: states}
	var hosts []string
	for _, s := range states {
		if s.Name.User == p.Source.User && (p.Source.Host == "" && !s.IsRole || s.Name.Same(p.Source)) {
			ps.Source = s
			hosts = append(hosts, s.Name.String())
		}
	}
	switch {
	case ps.Source == nil:
		for _, s := range states {
			if s.Name.User == p.Source.User && s.IsRole {
				return nil, Refuse(Role, "%s is a role: use an account that can log in", s.Name)
			}
		}
		who := p.Source.String()
		if p.Source.Host == "" {
			who = QuoteUser(p.Source.User)
		}
		return nil, Refuse(NoSuchAccount, "account %s does not exist on this server: correct the secret's username or host", who)
	case len(hosts) > 1:
		return nil, Refuse(AmbiguousHost, "the user name %s exists on several hosts, %s, and an application may log in as any of them: "+
			"keep one account and drop the others",
			QuoteUser(p.Source.User), strings.Join(hosts, ", "))
	}
	for _, s := range states {
		if s.Name.Same(Name{p.Standby, ps.Source.Name.Host}) {
			ps.Standby = s
		}
	}
	return ps, nil
}
