package grants

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Refusal is the error of a check before anything was written, or of a comparison after it. Its
// message names the account and says what to do.
type Refusal struct {
	Reason  string // a short stable word, one of those below
	Message string
	Retry   bool // waiting may help, for example with a server that is read-only during a failover
	// Until is when the reason will have passed, or zero if that is unknown.
	Until time.Time

	SetAgain bool // setting the password again may help
}

func (r *Refusal) Error() string { return r.Message }

// The reasons of refusals.
const (
	NoSuchAccount    = "NoSuchAccount"
	AmbiguousHost    = "AmbiguousHost"    // the user name exists on several hosts and none was chosen
	AmbiguousPair    = "AmbiguousPair"    // a name ending in _clone, without evidence of which account it belongs to
	ServerAccount    = "ServerAccount"    // root and the accounts that server or cloud keep for themselves
	Administrator    = "Administrator"    // the administrator would change its own account
	Role             = "Role"             // the source is a role, or bound to the standby as one
	Locked           = "Locked"           // the source is locked
	Expired          = "Expired"          // the source's password is expired
	NoPassword       = "NoPassword"       // the account does not log in by one password
	NameTooLong      = "NameTooLong"      // for this server
	WrongPassword    = "WrongPassword"    // the server stores another password for the source than the secret does
	ForeignPassword  = "ForeignPassword"  // the standby's password was not set by a rotation of the secret
	NotOurs          = "NotOurs"          // the name is taken by an account that is not known to be ours
	OtherHost        = "OtherHost"        // an account of the standby's name on another host could win its login
	StandbyLocked    = "StandbyLocked"    // the standby was locked by hand
	CertificateAsked = "CertificateAsked" // the account requires a client certificate and none is configured
	MissingRight     = "MissingRight"     // of the administrator
	ReadOnly         = "ReadOnly"         // a replica or reader endpoint
	Unknown          = "UnknownProperty"  // a property or kind of right that this program does not know
	ObjectGone       = "ObjectGone"       // a right on a column or routine that no longer exists cannot be granted again
	PasswordPolicy   = "PasswordPolicy"   // of the server cannot be met
	BadGrant         = "BadGrant"         // a grant for a new account that cannot be understood
	Unsupported      = "Unsupported"      // the server is too old, or keeps accounts in its own way
	Busy             = "Busy"             // another session is changing the account
	Definer          = "Definer"          // objects need the account to exist
	Leftovers        = "Leftovers"        // rows of an account that was deleted from the table of accounts
	// the account with the base name was changed, and an operator must decide whether that is
	// meant for both
	Undecided    = "Undecided"
	Stale        = "Stale"        // the server's memory and its grant tables differ
	Replica      = "Replica"      // the server replicates from another one
	NoQuorum     = "NoQuorum"     // a node of a cluster that is cut off from the others, or is joining them
	NodeBehind   = "NodeBehind"   // a node of a cluster does not have yet what the others have
	NodeDiffers  = "NodeDiffers"  // a node of a cluster stores something else than the others
	NodeNotAsked = "NodeNotAsked" // a node of a cluster cannot be asked, and has to be
)

// passing are the reasons that may go away by themselves.
var passing = []string{ReadOnly, Busy, NoQuorum, NodeBehind, NodeNotAsked}

// Refuse returns a Refusal as an error.
func Refuse(reason, format string, args ...any) error { return refusal(reason, format, args...) }

func refusal(reason, format string, args ...any) *Refusal {
	return &Refusal{Reason: reason, Message: fmt.Sprintf(format, args...), Retry: slices.Contains(passing, reason)}
}

// Join returns one refusal for all of them, or nil if there are none. Waiting may help only if it
// may help with each. The reason is that of the first refusal that waiting does not help, if there
// is one.
func Join(refusals ...*Refusal) error {
	switch len(refusals) {
	case 0:
		return nil
	case 1:
		return refusals[0]
	}
	first := refusals[0]
	texts := make([]string, len(refusals))
	for i, r := range refusals {
		if first.Retry && !r.Retry {
			first = r
		}
		texts[i] = fmt.Sprintf("(%d) %s", i+1, r.Message)
	}
	return &Refusal{Reason: first.Reason, Retry: first.Retry,
		Message: fmt.Sprintf("%d things are in the way: %s", len(refusals), strings.Join(texts, "; "))}
}
