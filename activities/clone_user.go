package activities

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"go.temporal.io/sdk/activity"

	"github.com/rotate-user/rotate-user/internal/account"
	"github.com/rotate-user/rotate-user/internal/panics"
	"github.com/rotate-user/rotate-user/internal/secret"
)

// CloneUserInput says which secret to rotate, and what the workflow knows of it.
type CloneUserInput struct {
	SecretID       string `json:"SecretId"`
	MasterSecretID string `json:"MasterSecretId,omitempty"`
	CloneUsername  string `json:"CloneUsername,omitempty"`
	// EarlierVersionID is the version that an attempt before this one has staged
	// and not promoted, EarlierSHA256 the digest of its value. This rotation goes
	// on with it where it can.
	EarlierVersionID string `json:"EarlierVersionId,omitempty"`
	EarlierSHA256    string `json:"EarlierSHA256,omitempty"`
	// Mark is the same for every rotation of one workflow. A standby that it
	// creates bears it until its password is set.
	Mark string `json:"Mark"`
	// Pair are the two users this workflow rotates between, empty before its
	// first rotation.
	Pair []string `json:"Pair,omitempty"`
	// Digest is CloneUserResult.Digest of the last rotation.
	Digest string `json:"Digest,omitempty"`
	// MinimumOverlap is how old AWSCURRENT must be, in seconds, before the
	// other account may change. Force overrides it.
	MinimumOverlapSeconds int64 `json:"MinimumOverlapSeconds,omitempty"`
	Force                 bool  `json:"Force,omitempty"`
	// NextRotationDate is when the rotation after this one is due, or the one that
	// is planned.
	NextRotationDate time.Time `json:"NextRotationDate,omitzero"`
}

// CloneUserResult says what the standby is now.
type CloneUserResult struct {
	Rotation Rotation `json:"Rotation"`
	// Promoted says that AWSCURRENT is this rotation's version already: an
	// earlier try got that far, and only its labels need tidying.
	Promoted bool `json:"Promoted,omitempty"`
	// Created says that the standby was made.
	Created bool `json:"Created,omitempty"`
	// Changes are what was changed on the standby, a readable line each, at most
	// twenty of them; Changed is their number. Drift are those that somebody had
	// changed on the standby alone; Drifted is their number.
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
	// PasswordExpires is when the password that the rotation sets expires by the
	// server's rules; zero for never.
	PasswordExpires time.Time `json:"PasswordExpires,omitzero"`
}

// CloneUser checks everything that could refuse this rotation, and then gives
// the standby exactly the rights and properties of the account in use. It makes
// the standby, locked, where it is absent.
func (a *Activities) CloneUser(ctx context.Context, in CloneUserInput) (result CloneUserResult, err error) {
	t := a.begin(ctx)
	defer t.edge(ctx, &err)

	subject, err := t.examine(ctx, in)
	if err != nil || subject.promoted {
		return CloneUserResult{Rotation: subject.Rotation, Promoted: subject.promoted}, err
	}
	plan, err := t.sync(ctx, subject)
	// A credential in use that does not log in says more than what came of the rest.
	login, loginErr := subject.login()
	if loginErr != nil {
		return CloneUserResult{}, loginErr
	}
	if err != nil {
		return CloneUserResult{}, err
	}
	result = describe(plan)
	result.Rotation = subject.Rotation
	result.Rotation.Source, result.Rotation.Standby, result.Rotation.Policy = login.Account, plan.Standby, plan.Policy
	activity.GetLogger(ctx).Info("standby is equal", "secret", in.SecretID, "standby", plan.Standby.String(), "created", plan.Create, "changes", len(plan.Changes))
	return result, nil
}

func (t *attempt) sync(ctx context.Context, s subject) (plan *account.Plan, err error) {
	admin, err := t.admin(ctx, s.master)
	if err != nil {
		return nil, err
	}
	defer closeInto(&err, admin)
	return admin.Sync(ctx, s.accounts)
}

func describe(plan *account.Plan) CloneUserResult {
	r := CloneUserResult{Created: plan.Create, Changed: len(plan.Changes), Warnings: lines(plan.Warnings), InUse: lines(sessions(plan.Sessions)), Digest: plan.Digest, PasswordExpires: plan.Expires}
	for _, c := range plan.Changes {
		r.Changes = append(r.Changes, c.Text)
		if c.Drift {
			r.Drifted++
			r.Drift = append(r.Drift, c.Text)
		}
	}
	r.Changes, r.Drift = lines(r.Changes), lines(r.Drift)
	if r.InUseUnknown = !plan.SessionsKnown && !plan.Create; r.InUseUnknown {
		r.Warnings = append(r.Warnings, "who is logged in as "+plan.Standby.String()+" is unknown: the administrator lacks PROCESS")
	}
	return r
}

// subject is a rotation that nothing but the database can still refuse.
type subject struct {
	Rotation

	master   secret.Version
	accounts account.Pair
	promoted bool
	// login is the login with the credential in use. It was begun, and calls wait for its one end.
	login func() (account.Login, error)
}

// examine reads what the rotation begins from and applies every refusal that
// needs neither the administrator nor the login with the credential in use. The
// caller must wait for that login.
func (t *attempt) examine(ctx context.Context, in CloneUserInput) (subject, error) {
	var d secret.Description
	var describeErr error
	var wg sync.WaitGroup
	wg.Go(func() {
		defer panics.Into(&describeErr)
		d, describeErr = t.Secrets.Describe(ctx, in.SecretID)
	})
	current, err := t.labelled(ctx, in.SecretID, secret.Current)
	wg.Wait()
	if describeErr != nil {
		return subject{}, describeErr
	}
	if err := notDeleted(d); err != nil {
		return subject{}, err
	}
	if d.RotationEnabled {
		return subject{}, refuse(ErrorOtherRotator, "secret %s is rotated by Secrets Manager itself, and two rotators would fight: run `aws secretsmanager cancel-rotate-secret --secret-id %[1]s` first", d.Name)
	}
	if err == nil && current.ID != d.Stages[secret.Current] { // the label has moved in between
		current, err = t.version(ctx, in.SecretID, d.Stages[secret.Current])
	}
	if err != nil {
		return subject{}, err
	}
	master, err := t.master(ctx, in.MasterSecretID, current)
	if err != nil {
		return subject{}, err
	}
	s := subject{master: master, Rotation: Rotation{
		SecretID: in.SecretID, MasterSecretID: cmp.Or(in.MasterSecretID, current.MasterARN), MasterVersionID: master.ID,
		VersionID: uuid.NewString(), CurrentVersionID: current.ID, PendingVersionID: d.Stages[secret.Pending], Server: current.Address(),
	}}
	s.login = sync.OnceValues(func() (l account.Login, err error) {
		defer panics.Into(&err)
		return t.login(ctx, current)
	})
	if current.ID == in.EarlierVersionID && current.SHA256() == in.EarlierSHA256 {
		s.VersionID, s.ValueSHA256, s.promoted = current.ID, in.EarlierSHA256, true
		s.Standby.User = current.Username
		return s, nil
	}
	if err := t.notOthers(ctx, in, d); err != nil {
		return subject{}, err
	}
	p := pair{Current: current.Username, CloneUsername: in.CloneUsername, Known: in.Pair}
	previous := d.Stages[secret.Previous]
	if previous != "" && !slices.Contains(in.Pair, current.Username) {
		if p.Previous, err = t.user(ctx, in.SecretID, previous); err != nil {
			return subject{}, err
		}
	}
	standby, owned, err := p.standby(d.Name)
	if err != nil {
		return subject{}, err
	}
	overlap := time.Duration(in.MinimumOverlapSeconds) * time.Second
	if safe := current.Created.Add(overlap); previous != "" && owned && !in.Force && time.Now().Before(safe) {
		return subject{}, refuseUntil(safe, ErrorMinimumOverlap, "secret %s was given its current version at %s, and clients may still use the one before: rotating is safe from %s, or with Force", d.Name, current.Created.UTC().Format(time.RFC3339), safe.UTC().Format(time.RFC3339))
	}
	if err := t.adopt(ctx, in, d, current, standby, &s.Rotation); err != nil {
		return subject{}, err
	}
	go func() { _, _ = s.login() }() // whoever waits for it sees how it ends
	// Without a host: where the user has several accounts, the application's
	// login may end up as another one than ours, and the rotation is refused.
	s.accounts = account.Pair{
		Source: account.Name{User: current.Username}, Standby: standby, Owned: owned, Mark: in.Mark, Digest: in.Digest, Next: in.NextRotationDate,
		Proof: func() error { _, err := s.login(); return err },
	}
	return s, nil
}

// adopt goes on with the version that the attempt before this one has staged,
// where that is still what this one would stage: its value is known by its digest,
// and differs from the current one in user name and password only. A label move
// of that attempt that takes effect late then promotes nothing else than this one.
func (t *attempt) adopt(ctx context.Context, in CloneUserInput, d secret.Description, current secret.Version, standby string, r *Rotation) error {
	if in.EarlierSHA256 == "" || d.Stages[secret.Pending] != in.EarlierVersionID {
		return nil
	}
	v, err := t.version(ctx, in.SecretID, in.EarlierVersionID)
	var field *secret.FieldError
	if errors.As(err, &field) { // not what this workflow has staged
		return nil
	}
	if err != nil {
		return err
	}
	if v.SHA256() == in.EarlierSHA256 && v.Username == standby && current.SameBut(v.Credential) {
		r.VersionID, r.ValueSHA256 = v.ID, in.EarlierSHA256
	}
	return nil
}

func notDeleted(d secret.Description) error {
	if d.DeletedDate.IsZero() {
		return nil
	}
	return refuse(ErrorDeleted, "secret %s is scheduled for deletion on %s: restore it, or stop its rotation", d.Name, d.DeletedDate.UTC().Format(time.RFC3339))
}

// abandoned is how old a version under AWSPENDING must be before a rotation
// that did not stage it takes it over: several times as long as the steps of one take.
const abandoned = 15 * time.Minute

// notOthers refuses while another rotator is at work on the secret.
func (t *attempt) notOthers(ctx context.Context, in CloneUserInput, d secret.Description) error {
	pending := d.Stages[secret.Pending]
	if pending == "" || pending == d.Stages[secret.Current] || pending == in.EarlierVersionID || in.Force {
		return nil
	}
	created, err := t.Secrets.Created(ctx, in.SecretID, pending)
	if err != nil {
		return err
	}
	if free := created.Add(abandoned); time.Now().Before(free) {
		return refuseUntil(free, ErrorOtherRotator, "another rotation of secret %s has staged version %s and may be at work: it is taken over from %s, or with Force", d.Name, pending, free.UTC().Format(time.RFC3339))
	}
	return nil
}
