package rotation

import (
	"fmt"
	"slices"
	"time"
)

// Deletion is what the activities of one deletion agree on.
type Deletion struct {
	SecretID string `json:"SecretId"`
	// SecretARN tells the secret from a later one of its name. Deletions that an
	// earlier release began have none.
	SecretARN string `json:"SecretARN,omitempty"`
	// RotatedAs is how the workflow that rotates the secret spells it, if that is not SecretID.
	RotatedAs      string `json:"RotatedAs,omitempty"`
	MasterSecretID string `json:"MasterSecretId"`
	Server         string `json:"Server"`
	// Accounts are those that the secret has evidence for: the account in use,
	// and the other one of the pair where AWSPREVIOUS or the workflow names it.
	Accounts             []Account `json:"Accounts"`
	RecoveryWindowInDays int       `json:"RecoveryWindowInDays"`
	// Definers are objects that need the accounts to exist, as far as the
	// administrator sees them. Their accounts stay locked, unless Force drops them.
	Definers []string `json:"Definers,omitempty"`
	Force    bool     `json:"Force,omitempty"`
	// CurrentVersionID and PendingVersionID are AWSCURRENT and AWSPENDING as they were
	// found, and Users are the names of the pair, of which one may have no account.
	// Deletions that an earlier release began have none of them.
	CurrentVersionID string   `json:"CurrentVersionId,omitempty"`
	PendingVersionID string   `json:"PendingVersionId,omitempty"`
	Users            []string `json:"Users,omitempty"`
	// Others are accounts of these names that nothing shows to be the secret's. They
	// are left alone.
	Others []Account `json:"Others,omitempty"`
	// LockedBefore are those of Accounts that were locked when they were found. A
	// restore of the secret does not unlock them.
	LockedBefore []Account `json:"LockedBefore,omitempty"`
	// InUse is who used the accounts when they were found, a readable line each: other rotations of this namespace, and who
	// was logged in. Without Force that refuses the deletion. InUseUnknown says that the administrator may not look who is
	// logged in.
	InUse        []string `json:"InUse,omitempty"`
	InUseUnknown bool     `json:"InUseUnknown,omitempty"`
	// Locked says that the accounts have been locked for this deletion.
	Locked bool `json:"Locked,omitempty"`
	// ScheduledFor is when the accounts are due if something else has scheduled the secret for deletion, or it is
	// gone: with the secret, or when as much time has passed as a secret could have been restored in.
	ScheduledFor time.Time `json:"ScheduledFor,omitzero"`
	// Gone says that there was no such secret any more when the deletion began.
	Gone bool `json:"Gone,omitempty"`
	// Stored stands for the passwords that the rotation has set, by account, where the secret was deleted by something else:
	// an account that has another one by now is a later one of the name.
	Stored map[string]string `json:"Stored,omitempty"`
	// Elsewhere are accounts of earlier pairs of the secret on other servers, a readable line each. They are left alone.
	Elsewhere []string `json:"Elsewhere,omitempty"`
}

// LockedForIt are the accounts that are locked for the deletion, and were not before.
func (d Deletion) LockedForIt() []Account {
	return slices.DeleteFunc(slices.Clone(d.Accounts), func(n Account) bool { return slices.Contains(d.LockedBefore, n) })
}

// FindAccountsInput says which secret to delete, and what other workflows know of it.
type FindAccountsInput struct {
	CloneUserInput

	// Held says that a deletion before this one holds the rotation, as after it was cancelled: what is
	// locked was locked for that one, but for LockedBefore.
	Held         bool      `json:"Held,omitempty"`
	LockedBefore []Account `json:"LockedBefore,omitempty"`
	// SecretARN and MasterKnown are the secret's ARN and its master secret, as the rotation knows them.
	SecretARN   string `json:"SecretARN,omitempty"`
	MasterKnown string `json:"MasterKnown,omitempty"`
	// RecoveryWindowInDays is how long the accounts of a secret that is gone are kept, locked.
	RecoveryWindowInDays int `json:"RecoveryWindowInDays,omitempty"`
}

// SecretFate is what has become of a secret that was scheduled for deletion.
type SecretFate string

// The fates of a secret.
const (
	SecretScheduled SecretFate = "Scheduled"
	SecretRestored  SecretFate = "Restored"
	SecretGone      SecretFate = "Gone"
)

// DeleteUserInput says which secret to delete, with its users.
type DeleteUserInput struct {
	SecretID       string `json:"SecretId"`
	MasterSecretID string `json:"MasterSecretId,omitempty"`
	MasterServer
	// RecoveryWindowInDays is how long the secret can be restored: 7 to 30 days,
	// 30 by default, as Secrets Manager.
	RecoveryWindowInDays int    `json:"RecoveryWindowInDays,omitempty"`
	CloneUsername        string `json:"CloneUsername,omitempty"`
	// Force locks the accounts even if another rotation of this namespace has them
	// too, or somebody is logged in as them, and drops them even if they are the
	// definers of views, triggers, routines or events, which break without them.
	// Otherwise such an account stays locked, and is dropped when its objects have
	// another definer.
	Force             bool   `json:"Force,omitempty"`
	ActivityTaskQueue string `json:"ActivityTaskQueue,omitempty"`

	typed typed
}

// DeletionState is what one run of DeleteUserWorkflow hands to the next, and
// its answer to StatusQuery.
type DeletionState struct {
	Deletion     Deletion  `json:"Deletion"`
	DeletionDate time.Time `json:"DeletionDate"`
	// Locked says that the accounts are locked.
	Locked bool `json:"Locked,omitempty"`
	// Error says why what is due has failed so far; it is tried again.
	Error string `json:"Error,omitempty"`
	// Cancelled says how the accounts stay and what to do about them, if the deletion ended because
	// it was cancelled.
	Cancelled string `json:"Cancelled,omitempty"`
}

// DeletionKnown is what other workflows know of a secret that is to be deleted.
type DeletionKnown struct {
	// Held says that its rotation is held by a deletion, though none runs.
	Held bool `json:"Held,omitempty"`
	// SecretARN, Pair and Left are those of the rotation's Status.
	SecretARN string      `json:"SecretARN,omitempty"`
	Pair      *KnownPair  `json:"Pair,omitempty"`
	Left      []KnownPair `json:"Left,omitempty"`
	// Earlier is the state of a deletion that was cancelled or terminated.
	Earlier *DeletionState `json:"Earlier,omitempty"`
}

// DeleteUserResult says how a deletion ended.
type DeleteUserResult struct {
	// Fate is Gone or Restored.
	Fate SecretFate `json:"Fate"`
	// Accounts were dropped with the secret, or unlocked when it was restored.
	Accounts []string `json:"Accounts"`
	// Advice is DeletionState.Cancelled of a deletion that was cancelled and left its accounts as
	// they are.
	Advice string `json:"Advice,omitempty"`
}

func (in DeleteUserInput) Window() int {
	if in.RecoveryWindowInDays == 0 {
		return 30
	}
	return in.RecoveryWindowInDays
}

// Validate names the first field that is wrong.
func (in DeleteUserInput) Validate() error {
	if in.typed.err != nil {
		return in.typed.err
	}
	if err := validSecretID("SecretId", in.SecretID, true); err != nil {
		return err
	}
	if err := validSecretID("MasterSecretId", in.MasterSecretID, false); err != nil {
		return err
	}
	if in.MasterSecretID == in.SecretID {
		return errOwnMaster
	}
	if err := in.MasterServer.validate(); err != nil {
		return err
	}
	if in.RecoveryWindowInDays == 0 && in.typed.has("RecoveryWindowInDays") || in.RecoveryWindowInDays != 0 && (in.RecoveryWindowInDays < 7 || in.RecoveryWindowInDays > 30) {
		return fmt.Errorf("RecoveryWindowInDays is %d: 7 to 30", in.RecoveryWindowInDays)
	}
	return nil
}

// UnmarshalJSON keeps what is wrong with the text for Validate.
func (in *DeleteUserInput) UnmarshalJSON(data []byte) error {
	type plain DeleteUserInput
	return in.typed.decode(data, (*plain)(in))
}
