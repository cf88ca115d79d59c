package rotation

import (
	"time"

	"github.com/rotate-user/rotate-user/internal/password"
)

// CloneUserInput says which secret to rotate, and what the workflow knows of it.
type CloneUserInput struct {
	SecretID       string `json:"SecretId"`
	MasterSecretID string `json:"MasterSecretId,omitempty"`
	MasterServer
	CloneUsername string `json:"CloneUsername,omitempty"`
	// EarlierVersionID is the version that an attempt before this one has staged
	// and not promoted, EarlierSHA256 the digest of its value. This rotation goes
	// on with it where it can.
	EarlierVersionID string `json:"EarlierVersionId,omitempty"`
	EarlierSHA256    string `json:"EarlierSHA256,omitempty"`
	// Mark is the same for every rotation of one workflow. A standby that an earlier
	// release created bears it until its password is set.
	Mark string `json:"Mark"`
	// Pair are the two users this workflow rotates between, empty before its
	// first rotation, and Server the host:port that they are on: accounts of these
	// names elsewhere are strangers'.
	Pair   []string `json:"Pair,omitempty"`
	Server string   `json:"Server,omitempty"`
	// Stored are Rotation.PasswordStored of the rotations that promoted them last, by
	// user: what is stored for an account is recognised by it, without a look at its
	// version.
	Stored map[string]string `json:"Stored,omitempty"`
	// ReissuedVersionID is AWSCURRENT as an earlier CloneUser of this workflow has
	// reissued it, and TakenOver the version that was under AWSPENDING then. Once is
	// enough.
	ReissuedVersionID string `json:"ReissuedVersionId,omitempty"`
	TakenOver         string `json:"TakenOver,omitempty"`
	// PromotedVersionID is the version that this workflow promoted last, and
	// PromotedAt when: clients may have had the one before until then.
	PromotedVersionID string    `json:"PromotedVersionId,omitempty"`
	PromotedAt        time.Time `json:"PromotedAt,omitzero"`
	// Digest is CloneUserResult.Digest of the last rotation.
	Digest string `json:"Digest,omitempty"`
	// Rights is CloneUserResult.Rights of the last rotation. UndoDrift is that of the request.
	Rights    string `json:"Rights,omitempty"`
	UndoDrift bool   `json:"UndoDrift,omitempty"`
	// MinimumOverlap is how old AWSCURRENT must be, in seconds, before the
	// other account may change. Force overrides it.
	MinimumOverlapSeconds int64 `json:"MinimumOverlapSeconds,omitempty"`
	Force                 bool  `json:"Force,omitempty"`
	// NextRotationDate is when the rotation after this one is due, or the one that
	// is planned.
	NextRotationDate time.Time `json:"NextRotationDate,omitzero"`
	// RequireAllNodes and TestEndpoints are those of the workflow's input.
	RequireAllNodes bool     `json:"RequireAllNodes,omitempty"`
	TestEndpoints   []string `json:"TestEndpoints,omitempty"`
	// ProxySecretIDs are those of the workflow's input.
	ProxySecretIDs []string `json:"ProxySecretIds,omitempty"`
	// RevokePrevious and Grace are those of the request: what leaked is the
	// credential in use.
	RevokePrevious bool  `json:"RevokePrevious,omitempty"`
	GraceSeconds   int64 `json:"GraceSeconds,omitempty"`
	// Left are the pairs that the secret was for before, as the workflow knows them.
	Left []KnownPair `json:"Left,omitempty"`
}

// CloneUserResult says what the standby is now.
type CloneUserResult struct {
	Rotation StepInput `json:"Rotation"`
	// Promoted says that AWSCURRENT is this rotation's version already: an
	// earlier try got that far, and only its labels need tidying.
	Promoted bool `json:"Promoted,omitempty"`
	// Created says that the standby was made.
	Created bool `json:"Created,omitempty"`
	// Changes are what was changed, a readable line each, at most twenty of them;
	// Changed is their number. All are on the standby, but for rights that it had and
	// the account in use was given. Drift lists what had been changed on the
	// standby alone; Drifted is their number.
	Changed  int      `json:"Changed"`
	Drifted  int      `json:"Drifted,omitempty"`
	Changes  []string `json:"Changes,omitempty"`
	Drift    []string `json:"Drift,omitempty"`
	Warnings []string `json:"Warnings,omitempty"`
	// InUse is who is logged in as the standby, a line for each host and program.
	// InUseUnknown says that the administrator may not look.
	InUse        []string `json:"InUse,omitempty"`
	InUseUnknown bool     `json:"InUseUnknown,omitempty"`
	// Digest stands for the rights and properties that both accounts have now.
	Digest string `json:"Digest,omitempty"`
	// Rights stands for each of these rights; empty if there are too many.
	Rights string `json:"Rights,omitempty"`
	// PasswordExpires is when the password that the rotation sets expires by the
	// server's rules; zero for never.
	PasswordExpires time.Time `json:"PasswordExpires,omitzero"`
	// Reissued says that AWSCURRENT is the same credential under another version
	// id, Rotation.CurrentVersionID: see reissue.
	Reissued bool `json:"Reissued,omitempty"`
	// SecretARN tells the secret from a later one of its name.
	SecretARN string `json:"SecretARN,omitempty"`
	// LeftGone are the users of Left on the rotation's server that have no account any more.
	LeftGone []string `json:"LeftGone,omitempty"`
}

// LookAtCurrentInput names the secret to look at.
type LookAtCurrentInput struct {
	SecretID string `json:"SecretId"`
	// PromotedVersionID is the version that the workflow knows to have promoted last: an answer from
	// before that is asked for again.
	PromotedVersionID string `json:"PromotedVersionId,omitempty"`
}

// LookAtCurrentResult says what AWSCURRENT is.
type LookAtCurrentResult struct {
	VersionID string `json:"VersionId"`
	Username  string `json:"Username"`
	// Since is from when on clients may have had it.
	Since time.Time `json:"Since"`
	// Ours says that the workflow itself has staged it.
	Ours bool `json:"Ours,omitempty"`
}

// TestPasswordResult says as whom the staged credential logs in.
type TestPasswordResult struct {
	Account       string `json:"Account"`
	ServerVersion string `json:"ServerVersion"`
	TLS           bool   `json:"TLS"`
	// Warnings are things to know of a cluster that stop nothing.
	Warnings []string `json:"Warnings,omitempty"`
}

// StagePasswordResult names the version that was staged.
type StagePasswordResult struct {
	Username  string `json:"Username"`
	VersionID string `json:"VersionId"`
	// ValueSHA256 is Rotation.ValueSHA256 for the steps that follow.
	ValueSHA256 string `json:"ValueSHA256,omitempty"`
}

// RevokePreviousResult names the account that no longer logs in.
type RevokePreviousResult struct {
	Account string `json:"Account"`
	// SessionsEnded is the number of its sessions that were open, and are no longer.
	SessionsEnded int `json:"SessionsEnded,omitempty"`
}

// PromotePasswordResult says what AWSCURRENT is now, and since when.
type PromotePasswordResult struct {
	VersionID         string    `json:"VersionId"`
	PreviousVersionID string    `json:"PreviousVersionId"`
	PromotedAt        time.Time `json:"PromotedAt"`
}

// SetPasswordResult names the account whose password was set.
type SetPasswordResult struct {
	Account   string `json:"Account"`
	VersionID string `json:"VersionId"`
	// SessionsEnded are those that were older than the password, and ended where Rotation.EndSessions says so.
	SessionsEnded int `json:"SessionsEnded,omitempty"`
	// PasswordStored is Rotation.PasswordStored for the steps that follow.
	PasswordStored string `json:"PasswordStored,omitempty"`
}

// Rotation is what the steps of one rotation agree on. CloneUser answers it and
// the other steps are given it as it is. Nothing in it is secret.
type StepInput struct {
	SecretID       string `json:"SecretId"`
	MasterSecretID string `json:"MasterSecretId"`
	// VersionID is the id of the version that the rotation makes. It is drawn when the rotation begins, so that an
	// editor who may put versions, but not read the secret, cannot put one of that id first.
	VersionID string `json:"VersionId"`
	// ValueSHA256 is the digest of that version's value, once it is staged. What is promoted is exactly what this rotation
	// staged. The value holds a generated password, so the digest gives nothing away.
	ValueSHA256 string `json:"ValueSHA256,omitempty"`
	// CurrentVersionID and MasterVersionID are what AWSCURRENT was when it began.
	CurrentVersionID string `json:"CurrentVersionId"`
	MasterVersionID  string `json:"MasterVersionId"`
	// PendingVersionID is what AWSPENDING was when it began; empty if it was on no version.
	PendingVersionID string `json:"PendingVersionId,omitempty"`
	// Source is the account in use, Standby the other one of the pair.
	Source  Account `json:"Source"`
	Standby Account `json:"Standby"`
	// Server is the host:port of the master's server, where the accounts are changed. Endpoint is the host:port that the
	// secret names, if it is another one: a reader, a replica, another name of the server, or a proxy.
	Server   string `json:"Server"`
	Endpoint string `json:"Endpoint,omitempty"`
	// StandbyStored is the standby's grants.Stored before SetPassword, keyed with the
	// administrator's password, since a person may have chosen what is there.
	// PasswordStored is the Digest of what SetPassword has set, a generated password.
	StandbyStored  string `json:"StandbyStored,omitempty"`
	PasswordStored string `json:"PasswordStored,omitempty"`
	// EndSessions says that the standby's sessions end along with its old password.
	EndSessions bool `json:"EndSessions,omitempty"`
	// RequireAllNodes and TestEndpoints are those of the workflow's input.
	RequireAllNodes bool     `json:"RequireAllNodes,omitempty"`
	TestEndpoints   []string `json:"TestEndpoints,omitempty"`
	// StandbyProxySecretID is the proxy secret that the standby's new password is stored in, and CurrentProxySecretID that of
	// the current account, if it was out of step.
	StandbyProxySecretID string `json:"StandbyProxySecretId,omitempty"`
	CurrentProxySecretID string `json:"CurrentProxySecretId,omitempty"`
	// Reset says that the workflow's run was reset, which ended the rotation that was under way then.
	Reset bool `json:"Reset,omitempty"`
	// Policy is what the server asks of a password of the standby.
	Policy password.Policy `json:"Policy,omitzero"`
}

// PlanRotationInput says which rotation to plan.
type PlanRotationInput struct {
	CloneUserInput
	// Page is which page of the changes to answer, from 1 on; the first by default.
	Page int `json:"Page,omitempty"`
}

// PlanRotationResult is what the next rotation would do. It is refused where
// the rotation would be.
type PlanRotationResult struct {
	// Source is the account in use, Standby the one that the rotation would promote.
	Source  string `json:"Source"`
	Standby string `json:"Standby"`
	Server  string `json:"Server"`
	// Created says that the standby would be made.
	Created bool `json:"Created"`
	// Changed is how many rights and properties would change on the standby, and
	// Drifted how many of these changes undo what was changed on the standby alone.
	// Pages is on how many pages they are.
	Changed int `json:"Changed,omitempty"`
	Drifted int `json:"Drifted,omitempty"`
	Pages   int `json:"Pages,omitempty"`
	// Changes are those of one page, Statements what would make them, passwords
	// left out, and Drift those of the changes that somebody made on the standby alone.
	Changes    []string `json:"Changes,omitempty"`
	Statements []string `json:"Statements,omitempty"`
	Drift      []string `json:"Drift,omitempty"`
	Warnings   []string `json:"Warnings,omitempty"`
	// InUse is who is logged in as the standby.
	InUse []string `json:"InUse,omitempty"`
	// PasswordExpires is when the password in use expires by the server's rules;
	// zero for never.
	PasswordExpires time.Time `json:"PasswordExpires,omitzero"`
}
