package activities

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/go-sql-driver/mysql"
	"github.com/google/uuid"

	"github.com/rotate-user/rotate-user/internal/account"
	"github.com/rotate-user/rotate-user/internal/grants"
	"github.com/rotate-user/rotate-user/internal/panics"
	"github.com/rotate-user/rotate-user/internal/secret"
	"github.com/rotate-user/rotate-user/rotation"
)

// subject is a rotation that nothing but the database can still refuse.
type subject struct {
	rotation.StepInput

	master, current secret.Version
	accounts        grants.Pair
	promoted        bool
	// takeover says that another rotation may still be about to promote what it has staged.
	takeover          bool
	warnings          []string
	previousVersionID string
	// forced is what Force means for clients; a plan, which is for any time, does not say it.
	forced []string
	// paired is the user of AWSPREVIOUS where nothing but that version says which
	// account is the other one of the pair, and the derived name is not its.
	paired string
	// login is the login with the credential in use. Calls wait for its one end.
	login func() (account.Login, error)
	// unmoved makes sure that the secret is as it was found, but for its values.
	unmoved func(context.Context) error
}

// examine reads what the rotation begins from and applies every refusal that
// needs neither the administrator nor the database. A description that is not
// recent is asked for again.
func (t *attempt) examine(ctx context.Context, in rotation.CloneUserInput, recent func(secret.Description) bool) (*subject, error) {
	var d secret.Description
	var describeErr error
	var wg sync.WaitGroup
	wg.Go(func() {
		defer panics.Into(&describeErr)
		d, describeErr = t.Secrets.DescribeUntil(ctx, in.SecretID, recent)
	})
	current, err := t.labelled(ctx, in.SecretID, secret.Current)
	wg.Wait()
	known := rotation.KnownPair{Usernames: in.Pair, Server: in.Server}
	if describeErr != nil {
		return nil, goneError(known, in.SecretID, describeErr)
	}
	if err := notDeletedKnown(known, d); err != nil {
		return nil, err
	}
	if err := writable(d); err != nil {
		return nil, err
	}
	if d.RotationEnabled {
		return nil, refuse(rotation.ErrorOtherRotator, "secret %s is rotated by Secrets Manager itself, and two rotators would fight: run `aws secretsmanager cancel-rotate-secret --secret-id %[1]s` first", d.Name)
	}
	if err := t.onlyRotator(ctx, in, d); err != nil {
		return nil, err
	}
	if err == nil && current.ID != d.Stages[secret.Current] { // the label has moved in between
		current, err = t.version(ctx, in.SecretID, d.Stages[secret.Current])
	}
	if err != nil {
		return nil, err
	}
	master, err := t.master(ctx, in.MasterSecretID, t.given(in.MasterServer, in.Server), current)
	if err != nil {
		return nil, err
	}
	s := &subject{master: master, current: current, StepInput: rotation.StepInput{
		SecretID: in.SecretID, MasterSecretID: cmp.Or(in.MasterSecretID, current.MasterARN), MasterVersionID: master.ID,
		VersionID: uuid.NewString(), CurrentVersionID: current.ID, PendingVersionID: d.Stages[secret.Pending], Server: master.Address(),
		Endpoint: ownEndpoint(current, master), RequireAllNodes: in.RequireAllNodes, TestEndpoints: in.TestEndpoints,
	}}
	for _, r := range d.Behind() {
		if r.Status == secret.ReplicationFailed {
			s.warnings = append(s.warnings, "no password is set before this is mended: "+replicasText(d.Name, []secret.Replica{r}))
		}
	}
	if current.ID == in.EarlierVersionID && current.SHA256() == in.EarlierSHA256 {
		s.VersionID, s.ValueSHA256, s.promoted = current.ID, in.EarlierSHA256, true
		s.Standby.User = current.Username
		return s, nil
	}
	if err := t.notOthers(ctx, in, d); err != nil {
		return nil, err
	}
	if in.Server != "" && in.Server != s.Server { // what is known of accounts is known of those on another server
		in.Pair = nil
	}
	p := pair{Current: current.Username, CloneUsername: in.CloneUsername, Known: in.Pair}
	previous := d.Stages[secret.Previous]
	s.previousVersionID = previous
	if previous != "" && !slices.Contains(in.Pair, current.Username) {
		if p.Previous, err = t.user(ctx, in.SecretID, previous); err != nil {
			return nil, err
		}
	}
	standby, owned, err := p.standby(d.Name)
	if err != nil {
		return nil, err
	}
	if !owned && len(in.Pair) == 0 && p.Previous != "" && p.Previous != current.Username {
		s.paired = p.Previous
	}
	if err := fits(current, standby); err != nil {
		return nil, err
	}
	since := currentSince(in, current, d)
	overlap := time.Duration(in.MinimumOverlapSeconds) * time.Second
	if safe := since.Add(overlap); previous != "" && owned && time.Now().Before(safe) {
		if in.Force {
			s.forced = append(s.forced, fmt.Sprintf("forced within the minimum overlap: clients that read the secret before %s and cache it are refused until they read it again, which AWS's caching clients do within 60 minutes", since.UTC().Format(time.RFC3339)))
		} else {
			return nil, refuseUntil(safe, rotation.ErrorMinimumOverlap, "secret %s was given its current version at %s, and clients may still use the one before: rotating is safe from %s, or with Force", d.Name, since.UTC().Format(time.RFC3339), safe.UTC().Format(time.RFC3339))
		}
	}
	if err := t.examineProxies(ctx, in, s, standby); err != nil {
		return nil, err
	}
	if err := t.adopt(ctx, in, d, current, standby, &s.StepInput); err != nil {
		return nil, err
	}
	if len(in.Pair) == 0 { // later rotations have made these calls before
		if err := t.Secrets.MayWrite(ctx, in.SecretID, current, d); err != nil {
			return nil, err
		}
	}
	pending := d.Stages[secret.Pending]
	reissued := current.ID == in.ReissuedVersionID && pending == in.TakenOver
	s.takeover = !reissued && pending != "" && pending != current.ID && pending != s.VersionID
	if s.takeover && pending != in.EarlierVersionID {
		s.warnings = append(s.warnings, fmt.Sprintf("AWSPENDING was on version %s, which another rotation or a person has put there: a rotation takes it off", pending))
	}
	owned = p.ownedByWorkflow(standby) && (in.Server == "" || in.Server == s.Server)
	if !slices.Contains(in.Pair, current.Username) || !slices.Contains(in.Pair, standby) { // what is remembered is of other accounts
		in.Digest, in.Rights = "", ""
	}
	s.login = sync.OnceValues(func() (l account.Login, err error) {
		defer panics.Into(&err)
		return t.login(ctx, atMaster(current, master))
	})
	s.unmoved = func(ctx context.Context) error { return t.unmoved(ctx, in.SecretID, d) }
	// Without a host: where the user has several accounts, the application's
	// login may end up as another one than ours, and the rotation is refused.
	s.accounts = grants.Pair{
		Source: grants.Name{User: current.Username}, Standby: standby,
		Owned: owned, AsOf: rotatedLast(in, current),
		Mark: pairMark(d.ARN), EarlierMark: in.Mark, Digest: in.Digest, Rights: in.Rights, Next: in.NextRotationDate,
		Base: p.isBase(standby), UndoDrift: in.UndoDrift,
		Password: current.Password, SourceStored: promotedStored(in, current),
		Known: func(ctx context.Context, stored grants.Stored) (bool, error) {
			labelled, known, err := t.recognise(ctx, in, d, stored, owned)
			s.takeover = s.takeover || !reissued && known && !labelled
			return known, err
		},
		Force: in.Force, Revoke: in.RevokePrevious, Plain: !current.TLS,
		Proof: func() error {
			if _, err := s.login(); err != nil && !limited(err) {
				return err
			}
			return t.acceptedBy(ctx, s.StepInput, current, grants.Name{})
		},
		Fence: s.unmoved,
	}
	return s, nil
}

// pairMark is grants.Pair.Mark of the accounts of a secret.
func pairMark(arn string) string { return "secret " + arn }

// writable refuses a secret of which Secrets Manager is known to refuse every change.
func writable(d secret.Description) error {
	switch {
	case d.PrimaryRegion != "":
		return refuse(rotation.ErrorReadOnlySecret, "secret %s is a replica, which cannot be changed: use its primary %s, with a worker in %s", d.Name, d.PrimaryARN(), d.PrimaryRegion)
	case d.OwningService != "":
		return refuse(rotation.ErrorReadOnlySecret, "secret %s is managed by the AWS service %s, which alone can change it: use a secret of your own", d.Name, d.OwningService)
	}
	return nil
}

// longestPassword is the most characters that a policy can ask for.
const longestPassword = 255

// fits refuses a secret whose next value Secrets Manager could not store. How long the password will be, only the server knows.
func fits(current secret.Version, standby string) error {
	next, err := current.With(standby, strings.Repeat("x", longestPassword))
	if err != nil {
		return fmt.Errorf("secret %s: %w", current.Name, err)
	}
	if len(next) > secret.MaxBytes {
		return refuse(rotation.ErrorMalformed, "secret %s could grow to %d bytes with the user name %s and a password of %d characters, and Secrets Manager stores %d at most: shorten its other fields",
			current.Name, len(next), standby, longestPassword, secret.MaxBytes)
	}
	return nil
}

// showsPromotion reports whether a description is not from before the last promotion of this workflow, which was a moment ago.
func showsPromotion(in rotation.CloneUserInput) func(secret.Description) bool {
	return func(d secret.Description) bool {
		return shows(d, in.PromotedVersionID) || time.Since(in.PromotedAt) > time.Minute
	}
}

// shows reports whether a description can be from after the promotion of a version; any can if that is empty.
func shows(d secret.Description, promoted string) bool {
	return promoted == "" || promoted == d.Stages[secret.Current] || promoted == d.Stages[secret.Previous] || !d.DeletedDate.IsZero()
}

// promotedStored stands for what the server stores for the current credential,
// where this workflow has promoted it.
func promotedStored(in rotation.CloneUserInput, current secret.Version) string {
	if current.ID != in.PromotedVersionID {
		return ""
	}
	return in.Stored[current.Username]
}

// rotatedLast returns what reports whether a rotation of this workflow was the last one of the pair, nil if it promoted the
// current version. An edit that leaves the password alone makes a version that it has not promoted.
func rotatedLast(in rotation.CloneUserInput, current secret.Version) func(grants.Stored) bool {
	was := in.Stored[current.Username]
	switch {
	case current.ID == in.PromotedVersionID:
		return nil
	case was == "" && in.PromotedVersionID == "": // it has promoted nothing
		return nil
	}
	return func(s grants.Stored) bool { return s.Digest() == was }
}

// currentSince is from when on clients may have had the current version. For one
// that this workflow has not promoted, Secrets Manager says no more than when the
// secret was changed last, and a label that was moved by hand is a change.
func currentSince(in rotation.CloneUserInput, current secret.Version, d secret.Description) time.Time {
	if current.ID == in.PromotedVersionID {
		return in.PromotedAt
	}
	if d.Changed.After(current.Created) {
		return d.Changed
	}
	return current.Created
}

// unmoved refuses to go on where the secret was deleted or one of its labels
// moved since it was described.
func (t *attempt) unmoved(ctx context.Context, id string, was secret.Description) error {
	now, err := t.Secrets.DescribeUntil(ctx, id, func(now secret.Description) bool {
		return !now.DeletedDate.IsZero() || now.Unmoved(was) == nil
	})
	return cmp.Or(err, notDeleted(now), now.Unmoved(was))
}

// recognise reports whether the password that a server stores is that of a version
// of the secret, and whether that version has a label. That of an account whose
// rotation the workflow remembers is known without a look.
func (t *attempt) recognise(ctx context.Context, in rotation.CloneUserInput, d secret.Description, stored grants.Stored, owned bool) (labelled, known bool, err error) {
	if in.Stored[stored.Account.User] == stored.Digest() {
		return true, true, nil
	}
	for _, label := range []string{secret.Previous, secret.Pending} {
		if known, err := t.holds(ctx, in.SecretID, d.Stages[label], stored); err != nil || known {
			return true, known, err
		}
	}
	if !owned { // for a stranger's account an old version is no evidence
		return false, false, nil
	}
	v, err := t.newest(ctx, in.SecretID, []grants.Stored{stored}, func(secret.Version) bool { return true })
	return false, v.ID != "", err
}

// holds reports whether a version holds the password of an account.
func (t *attempt) holds(ctx context.Context, id, versionID string, stored ...grants.Stored) (bool, error) {
	if versionID == "" {
		return false, nil
	}
	v, err := t.version(ctx, id, versionID)
	var field *secret.FieldError
	if errors.As(err, &field) { // it holds no credential
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return holds(v, stored...), nil
}

func holds(v secret.Version, stored ...grants.Stored) bool {
	for _, s := range stored {
		if s.Account.User != v.Username {
			continue
		}
		if ok, err := s.Matches(v.Password); err == nil && ok { // one without a password is not known here
			return true
		}
	}
	return false
}

// history is how many versions are tried, the newest first.
const history = 20

// newest finds the newest version of a secret, with a label or without, that
// holds the password of one of these accounts and fits. It is empty where there is none.
func (t *attempt) newest(ctx context.Context, id string, stored []grants.Stored, fits func(secret.Version) bool) (secret.Version, error) {
	ids, err := t.Secrets.History(ctx, id)
	if err != nil {
		return secret.Version{}, err
	}
	for _, versionID := range ids[:min(len(ids), history)] {
		ok, err := t.holds(ctx, id, versionID, stored...)
		if err != nil {
			return secret.Version{}, err
		}
		if !ok {
			continue
		}
		if v, err := t.version(ctx, id, versionID); err != nil || fits(v) {
			return v, err
		}
	}
	return secret.Version{}, nil
}

// adopt goes on with the version that the attempt before this one has staged,
// where that is still what this one would stage: its value is known by its digest,
// and differs from the current one in user name and password only. A label move
// of that attempt that takes effect late then promotes nothing else than this one.
func (t *attempt) adopt(ctx context.Context, in rotation.CloneUserInput, d secret.Description, current secret.Version, standby string, r *rotation.StepInput) error {
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
	return refuse(rotation.ErrorDeleted, "secret %s is scheduled for deletion on %s: restore it, or stop its rotation", d.Name, d.DeletedDate.UTC().Format(time.RFC3339))
}

// notDeletedKnown is notDeleted for a secret whose accounts a rotation knows: they stay open when it is gone.
func notDeletedKnown(p rotation.KnownPair, d secret.Description) error {
	if d.DeletedDate.IsZero() || len(p.Usernames) == 0 {
		return notDeleted(d)
	}
	return refuse(rotation.ErrorDeleted, "secret %s is scheduled for deletion on %s: restore it, or run `starter delete --secret-id %[1]s`, if no deletion runs, to have %[3]s locked and dropped with it",
		d.Name, d.DeletedDate.UTC().Format(time.RFC3339), accountsOf(p))
}

// goneError is the error for a call that found no such secret. One whose accounts a rotation knows is not a misspelt name.
func goneError(p rotation.KnownPair, id string, err error) error {
	var missing *types.ResourceNotFoundException
	if len(p.Usernames) == 0 || !errors.As(err, &missing) {
		return err
	}
	return refuse(rotation.ErrorSecretGone, "secret %s is gone, which was there at its last rotation: run `starter delete --secret-id %[1]s`, if no deletion runs, to have %s locked, and dropped later;"+
		" if the secret is there, the worker looks in another AWS region or account than before", id, accountsOf(p))
}

// accountsOf name the pair for a text.
func accountsOf(p rotation.KnownPair) string {
	text := "its accounts " + strings.Join(p.Usernames, " and ")
	if p.Server != "" {
		text += " on " + p.Server
	}
	return text
}

// abandoned is how old a version under AWSPENDING must be before a rotation
// that did not stage it takes it over: several times as long as the steps of one take.
const abandoned = 15 * time.Minute

// notOthers refuses while another rotator is at work on the secret.
func (t *attempt) notOthers(ctx context.Context, in rotation.CloneUserInput, d secret.Description) error {
	pending := d.Stages[secret.Pending]
	if pending == "" || pending == d.Stages[secret.Current] || pending == in.EarlierVersionID || in.Force {
		return nil
	}
	created, err := t.Secrets.Created(ctx, in.SecretID, pending)
	if err != nil {
		return err
	}
	if free := created.Add(abandoned); time.Now().Before(free) {
		return refuseUntil(free, rotation.ErrorOtherRotator, "another rotation of secret %s has staged version %s and may be at work: it is taken over from %s, or with Force", d.Name, pending, free.UTC().Format(time.RFC3339))
	}
	return nil
}

// notPairedOtherwise refuses to make a standby of the derived name where AWSPREVIOUS logs in as another user: a pair of that
// name was made before, by a workflow that has ended or elsewhere, and its other account would be left with its last password.
func (t *attempt) notPairedOtherwise(ctx context.Context, admin *account.Admin, s *subject) error {
	if s.paired == "" {
		return nil
	}
	stored, err := admin.Stored(ctx, s.paired)
	if err != nil {
		return err
	}
	made, err := t.holds(ctx, s.SecretID, s.previousVersionID, stored...)
	if err != nil || !made {
		return err
	}
	return refuse(rotation.ErrorUnknownPair, "AWSPREVIOUS of secret %s logs in as user %s, which seems to be the other account of the pair: start with CloneUsername %q (--clone-username) to rotate between %s and it, or with %q to leave it as it is and use that one",
		s.current.Name, s.paired, s.paired, s.current.Username, s.accounts.Standby)
}

// limited reports whether a login was refused for a limit of the account, which
// the server looks at when the password has turned out to be right.
func limited(err error) bool {
	server, ok := errors.AsType[*mysql.MySQLError](err)
	return ok && (server.Number == 1203 || server.Number == 1226)
}
