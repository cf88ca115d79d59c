package rotation

import (
	"fmt"
	"slices"
	"time"
)

// Deletion is what the activities of one deletion share.
type Deletion struct {
	SecretID string `json:"SecretId"`
	// SecretARN distinguishes the secret from a later one of the same name. It is empty in a deletion that an
	// earlier release began.
	SecretARN string `json:"SecretARN,omitempty"`
	// RotatedAs is how the workflow that rotates the secret spells it, if that is not SecretID.
	RotatedAs      string `json:"RotatedAs,omitempty"`
	MasterSecretID string `json:"MasterSecretId"`
	Server         string `json:"Server"`
	// Accounts are those that are known to belong to the secret: the current account, and the other one of the
	// pair if AWSPREVIOUS or the workflow names it.
	Accounts             []Account `json:"Accounts"`
	RecoveryWindowInDays int       `json:"RecoveryWindowInDays"`
	// Definers are objects that need the accounts to exist, as far as the administrator can see them. Their
	// accounts stay locked, unless Force drops them.
	Definers []string `json:"Definers,omitempty"`
	Force    bool     `json:"Force,omitempty"`
	// CurrentVersionID and PendingVersionID are AWSCURRENT and AWSPENDING as they were found. Users are the
	// names of the pair, of which one may have no account. All are empty in a deletion that an earlier release
	// began.
	CurrentVersionID string   `json:"CurrentVersionId,omitempty"`
	PendingVersionID string   `json:"PendingVersionId,omitempty"`
	Users            []string `json:"Users,omitempty"`
	// Others are accounts with these names that are not known to belong to the secret. They stay unchanged.
	Others []Account `json:"Others,omitempty"`
	// LockedBefore are those of Accounts that were locked when they were found. A restore of the secret does not
	// unlock them.
	LockedBefore []Account `json:"LockedBefore,omitempty"`
	// InUse lists what used the accounts when they were found, a line for each: other rotations of this
	// namespace, and sessions. Without Force, the deletion is then refused. InUseUnknown reports that the
	// administrator cannot list the sessions.
	InUse        []string `json:"InUse,omitempty"`
	InUseUnknown bool     `json:"InUseUnknown,omitempty"`
	// Locked reports that the accounts were locked for this deletion.
	Locked bool `json:"Locked,omitempty"`
	// ScheduledFor is when the accounts are dropped if something else has deleted the secret: together with the
	// secret or, if it is gone already, once a recovery window has passed.
	ScheduledFor time.Time `json:"ScheduledFor,omitzero"`
	// Gone reports that the secret no longer existed when the deletion began.
	Gone bool `json:"Gone,omitempty"`
	// Stored are digests of the passwords that the rotation has set, by account, if something else deleted the
	// secret. An account that has another password is a later one of the same name.
	Stored map[string]string `json:"Stored,omitempty"`
	// Elsewhere are accounts of earlier pairs of the secret on other servers, a line for each server. They stay
	// unchanged.
	Elsewhere []string `json:"Elsewhere,omitempty"`
}

// LockedForIt returns the accounts that are locked for the deletion and were not locked before.
func (d Deletion) LockedForIt() []Account {
	return slices.DeleteFunc(slices.Clone(d.Accounts), func(n Account) bool { return slices.Contains(d.LockedBefore, n) })
}

// FindAccountsInput names the secret to delete, with what other workflows know about it.
type FindAccountsInput struct {
	CloneUserInput

	// Held reports that an earlier deletion, which was cancelled, still holds the rotation: it has locked the
	// accounts that are locked, except LockedBefore.
	Held         bool      `json:"Held,omitempty"`
	LockedBefore []Account `json:"LockedBefore,omitempty"`
	// SecretARN is the secret's ARN, as the rotation knows it.
	SecretARN string `json:"SecretARN,omitempty"`
	// RecoveryWindowInDays is how long the accounts stay, locked, if the secret is gone.
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

// DeleteUserInput names the secret to delete with its users.
type DeleteUserInput struct {
	SecretID       string `json:"SecretId"`
	MasterSecretID string `json:"MasterSecretId,omitempty"`
	MasterServer
	// RecoveryWindowInDays is how long the secret can be restored: 7 to 30 days, and 30 by default, as in
	// Secrets Manager.
	RecoveryWindowInDays int    `json:"RecoveryWindowInDays,omitempty"`
	CloneUsername        string `json:"CloneUsername,omitempty"`
	// Force locks the accounts even if another rotation of this namespace uses them or they have sessions, and
	// drops them even if they are the definers of views, triggers, routines or events, which break without
	// them. Without Force, such an account stays locked, and is dropped once its objects have another definer.
	Force             bool   `json:"Force,omitempty"`
	ActivityTaskQueue string `json:"ActivityTaskQueue,omitempty"`

	typed typed
}

// DeletionState is what one run of DeleteUserWorkflow passes to the next, and its answer to StatusQuery.
type DeletionState struct {
	Deletion     Deletion  `json:"Deletion"`
	DeletionDate time.Time `json:"DeletionDate"`
	// Locked reports that the accounts are locked.
	Locked bool `json:"Locked,omitempty"`
	// Error is why the step that is due has failed so far. It is retried.
	Error string `json:"Error,omitempty"`
	// Cancelled describes the accounts that a cancelled deletion leaves, and what to do about them.
	Cancelled string `json:"Cancelled,omitempty"`
}

// DeletionKnown is what other workflows know about the secret to delete.
type DeletionKnown struct {
	// Held reports that a deletion that no longer runs still holds the rotation.
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
	// Advice is DeletionState.Cancelled, if the deletion was cancelled.
	Advice string `json:"Advice,omitempty"`
}

// Window returns RecoveryWindowInDays or its default.
func (in DeleteUserInput) Window() int {
	if in.RecoveryWindowInDays == 0 {
		return 30
	}
	return in.RecoveryWindowInDays
}

// Validate returns an error that names the first wrong field, if any.
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
	if days := in.RecoveryWindowInDays; days == 0 && in.typed.has("RecoveryWindowInDays") || days != 0 && (days < 7 || days > 30) {
		return fmt.Errorf("RecoveryWindowInDays is %d: must be 7 to 30", days)
	}
	return nil
}

// UnmarshalJSON leaves it to Validate to report what is wrong with the text.
func (in *DeleteUserInput) UnmarshalJSON(data []byte) error {
	type plain DeleteUserInput
	return in.typed.decode(data, (*plain)(in))
}
