package rotation

import (
	"time"

	"github.com/rotate-user/rotate-user/internal/password"
)

// CloneUserInput names the secret to rotate, with what the workflow knows about it.
type CloneUserInput struct {
	SecretID       string `json:"SecretId"`
	MasterSecretID string `json:"MasterSecretId,omitempty"`
	MasterServer
	CloneUsername string `json:"CloneUsername,omitempty"`
	// EarlierVersionID is the version that an attempt before this one has staged and not promoted.
	// EarlierSHA256 is the digest of its value. This rotation continues with it if possible.
	EarlierVersionID string `json:"EarlierVersionId,omitempty"`
	EarlierSHA256    string `json:"EarlierSHA256,omitempty"`
	// Mark is the same for every rotation of one workflow. A standby that an earlier release created has it
	// until its password is set.
	Mark string `json:"Mark"`
	// Pair are the two users that this workflow rotates between. It is empty before the first rotation. Server
	// is the host:port of their server. Accounts of these names on other servers are not known.
	Pair   []string `json:"Pair,omitempty"`
	Server string   `json:"Server,omitempty"`
	// Stored is, by user, StepInput.PasswordStored of the rotation that promoted the user last. It identifies
	// the password of an account without reading its version.
	Stored map[string]string `json:"Stored,omitempty"`
	// ReissuedVersionID is AWSCURRENT as an earlier CloneUser of this workflow has reissued it, and TakenOver
	// the version that was under AWSPENDING then. It is not reissued again because of that version.
	ReissuedVersionID string `json:"ReissuedVersionId,omitempty"`
	TakenOver         string `json:"TakenOver,omitempty"`
	// PromotedVersionID is the version that this workflow promoted last, at PromotedAt. Clients may have read
	// the version before until then.
	PromotedVersionID string    `json:"PromotedVersionId,omitempty"`
	PromotedAt        time.Time `json:"PromotedAt,omitzero"`
	// Digest is CloneUserResult.Digest of the last rotation.
	Digest string `json:"Digest,omitempty"`
	// Rights is CloneUserResult.Rights of the last rotation. UndoDrift is that of the request.
	Rights    string `json:"Rights,omitempty"`
	UndoDrift bool   `json:"UndoDrift,omitempty"`
	// MinimumOverlapSeconds is how old AWSCURRENT must be before the standby may change. Force overrides it.
	MinimumOverlapSeconds int64 `json:"MinimumOverlapSeconds,omitempty"`
	Force                 bool  `json:"Force,omitempty"`
	// NextRotationDate is when the rotation after this one is due or, for a plan, the planned one.
	NextRotationDate time.Time `json:"NextRotationDate,omitzero"`
	// RequireAllNodes and TestEndpoints are those of the workflow's input.
	RequireAllNodes bool     `json:"RequireAllNodes,omitempty"`
	TestEndpoints   []string `json:"TestEndpoints,omitempty"`
	// ProxySecretIDs are those of the workflow's input.
	ProxySecretIDs []string `json:"ProxySecretIds,omitempty"`
	// RevokePrevious and GraceSeconds are those of the request: the current credential has leaked.
	RevokePrevious bool  `json:"RevokePrevious,omitempty"`
	GraceSeconds   int64 `json:"GraceSeconds,omitempty"`
	// MasterKnown is the master secret of the last rotation. It is read together with the user's secret, and used only if it is still
	// the right one.
	MasterKnown string `json:"MasterKnown,omitempty"`
	// Left are the pairs that the secret was for before, as the workflow knows them.
	Left []KnownPair `json:"Left,omitempty"`
}

// CloneUserResult describes the standby after CloneUser.
type CloneUserResult struct {
	Rotation StepInput `json:"Rotation"`
	// Promoted reports that an earlier attempt has already made this rotation's version AWSCURRENT, so that
	// only its labels are left to be tidied.
	Promoted bool `json:"Promoted,omitempty"`
	// Created reports that the standby was created.
	Created bool `json:"Created,omitempty"`
	// Changes describe at most twenty of the changes, and Changed is their number. All are on the standby,
	// except rights that the standby had and the current account was given. Drift and Drifted are those that
	// concern what was changed on the standby only.
	Changed  int      `json:"Changed"`
	Drifted  int      `json:"Drifted,omitempty"`
	Changes  []string `json:"Changes,omitempty"`
	Drift    []string `json:"Drift,omitempty"`
	Warnings []string `json:"Warnings,omitempty"`
	// InUse describes the sessions of the standby, a line for each host and program. InUseUnknown reports that
	// the administrator cannot list them.
	InUse        []string `json:"InUse,omitempty"`
	InUseUnknown bool     `json:"InUseUnknown,omitempty"`
	// Digest is a digest of the rights and properties that both accounts have now.
	Digest string `json:"Digest,omitempty"`
	// Rights holds a digest of each of these rights. It is empty if there are too many.
	Rights string `json:"Rights,omitempty"`
	// PasswordExpires is when the password that the rotation sets expires by the server's rules. Zero means never.
	PasswordExpires time.Time `json:"PasswordExpires,omitzero"`
	// Reissued reports that AWSCURRENT is the same credential under another version id,
	// Rotation.CurrentVersionID, so that another rotator cannot promote what it has staged.
	Reissued bool `json:"Reissued,omitempty"`
	// SecretARN distinguishes the secret from a later one of the same name.
	SecretARN string `json:"SecretARN,omitempty"`
	// LeftGone are the users of Left on the rotation's server that no longer have an account.
	LeftGone []string `json:"LeftGone,omitempty"`
}

// LookAtCurrentInput names the secret to read.
type LookAtCurrentInput struct {
	SecretID string `json:"SecretId"`
	// PromotedVersionID is the version that the workflow promoted last, as far as it knows. An answer from
	// before that promotion is ignored.
	PromotedVersionID string `json:"PromotedVersionId,omitempty"`
}

// LookAtCurrentResult describes AWSCURRENT.
type LookAtCurrentResult struct {
	VersionID string `json:"VersionId"`
	Username  string `json:"Username"`
	// Since is since when clients may have read it.
	Since time.Time `json:"Since"`
	// Ours reports that the workflow itself has staged it.
	Ours bool `json:"Ours,omitempty"`
}

// TestPasswordResult describes the login with the staged credential.
type TestPasswordResult struct {
	Account       string `json:"Account"`
	ServerVersion string `json:"ServerVersion"`
	TLS           bool   `json:"TLS"`
	// Warnings are about the nodes of a cluster.
	Warnings []string `json:"Warnings,omitempty"`
}

// StagePasswordResult names the version that was staged.
type StagePasswordResult struct {
	Username  string `json:"Username"`
	VersionID string `json:"VersionId"`
	// ValueSHA256 is StepInput.ValueSHA256 for the steps that follow.
	ValueSHA256 string `json:"ValueSHA256,omitempty"`
}

// RevokePreviousResult names the account that no longer logs in.
type RevokePreviousResult struct {
	Account string `json:"Account"`
	// SessionsEnded is how many of its sessions were ended.
	SessionsEnded int `json:"SessionsEnded,omitempty"`
	// Dropped reports that something else had dropped the account.
	Dropped bool `json:"Dropped,omitempty"`
}

// PromotePasswordResult describes the promotion.
type PromotePasswordResult struct {
	VersionID         string    `json:"VersionId"`
	PreviousVersionID string    `json:"PreviousVersionId"`
	PromotedAt        time.Time `json:"PromotedAt"`
}

// SetPasswordResult names the account whose password was set.
type SetPasswordResult struct {
	Account   string `json:"Account"`
	VersionID string `json:"VersionId"`
	// SessionsEnded is how many sessions older than the password were ended, because of StepInput.EndSessions.
	SessionsEnded int `json:"SessionsEnded,omitempty"`
	// PasswordStored is StepInput.PasswordStored for the steps that follow.
	PasswordStored string `json:"PasswordStored,omitempty"`
}

// StepInput is what the steps of one rotation share. CloneUser returns it, and the workflow passes it to the
// other steps. Nothing in it is secret.
type StepInput struct {
	SecretID       string `json:"SecretId"`
	MasterSecretID string `json:"MasterSecretId"`
	// VersionID is the id of the version that the rotation stages. It is drawn when the rotation begins. Otherwise
	// an editor who may store versions, but not read them, could store one with that id first.
	VersionID string `json:"VersionId"`
	// ValueSHA256 is the digest of that version's value, once it is staged. Only a value with this digest is
	// promoted. The value contains a generated password, so the digest reveals nothing.
	ValueSHA256 string `json:"ValueSHA256,omitempty"`
	// CurrentVersionID and MasterVersionID are AWSCURRENT of both secrets when the rotation began.
	CurrentVersionID string `json:"CurrentVersionId"`
	MasterVersionID  string `json:"MasterVersionId"`
	// PendingVersionID is AWSPENDING when the rotation began. It is empty if no version had the label.
	PendingVersionID string `json:"PendingVersionId,omitempty"`
	// Source is the current account, and Standby the account that the rotation promotes.
	Source  Account `json:"Source"`
	Standby Account `json:"Standby"`
	// Server is the host:port of the master's server, where the accounts are changed. Endpoint is the host:port that the
	// secret names, if it is another one: a reader, a replica, another name of the server, or a proxy.
	Server   string `json:"Server"`
	Endpoint string `json:"Endpoint,omitempty"`
	// StandbyStored is the digest of the standby's password before SetPassword, keyed with the administrator's
	// password because it may be a password that a person chose. PasswordStored is the digest of the generated
	// password that SetPassword has set.
	StandbyStored  string `json:"StandbyStored,omitempty"`
	PasswordStored string `json:"PasswordStored,omitempty"`
	// StandbyUnlocked reports that the standby was not locked when the rotation began. If it is locked when its password is to be
	// set, someone has locked it meanwhile.
	StandbyUnlocked bool `json:"StandbyUnlocked,omitempty"`
	// EndSessions ends the standby's sessions when its password is replaced.
	EndSessions bool `json:"EndSessions,omitempty"`
	// RequireAllNodes and TestEndpoints are those of the workflow's input.
	RequireAllNodes bool     `json:"RequireAllNodes,omitempty"`
	TestEndpoints   []string `json:"TestEndpoints,omitempty"`
	// StandbyProxySecretID is the proxy secret that the standby's new password is stored in, and CurrentProxySecretID that of
	// the current account, if it was out of step.
	StandbyProxySecretID string `json:"StandbyProxySecretId,omitempty"`
	CurrentProxySecretID string `json:"CurrentProxySecretId,omitempty"`
	// Reset reports that the workflow's run was reset, which ended the rotation that was under way.
	Reset bool `json:"Reset,omitempty"`
	// Policy is what the server requires of the standby's password.
	Policy password.Policy `json:"Policy,omitzero"`
}

// PlanRotationInput names the rotation to plan.
type PlanRotationInput struct {
	CloneUserInput
	// Page is the page of changes to return, beginning with 1. The default is the first.
	Page int `json:"Page,omitempty"`
}

// PlanRotationResult is what the next rotation would do. If the rotation would be refused, so is the plan.
type PlanRotationResult struct {
	// Source is the current account, and Standby the account that the rotation would promote.
	Source  string `json:"Source"`
	Standby string `json:"Standby"`
	Server  string `json:"Server"`
	// Created reports that the standby would be created.
	Created bool `json:"Created"`
	// Changed is how many rights and properties would change on the standby, and Drifted how many of these
	// changes revert what was changed on the standby only. Pages is the number of pages that list them.
	Changed int `json:"Changed,omitempty"`
	Drifted int `json:"Drifted,omitempty"`
	Pages   int `json:"Pages,omitempty"`
	// Changes are those of one page, Statements are what would make them, without passwords, and Drift are
	// those of the changes that revert what was changed on the standby only.
	Changes    []string `json:"Changes,omitempty"`
	Statements []string `json:"Statements,omitempty"`
	Drift      []string `json:"Drift,omitempty"`
	Warnings   []string `json:"Warnings,omitempty"`
	// InUse describes the sessions of the standby.
	InUse []string `json:"InUse,omitempty"`
	// PasswordExpires is when the current password expires by the server's rules. Zero means never.
	PasswordExpires time.Time `json:"PasswordExpires,omitzero"`
}
