package activities

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/rotate-user/rotate-user/internal/account"
	"github.com/rotate-user/rotate-user/internal/grants"
	"github.com/rotate-user/rotate-user/internal/panics"
	"github.com/rotate-user/rotate-user/internal/secret"
	"github.com/rotate-user/rotate-user/rotation"
)

// subject is a rotation that passed every check that needs no database.
type subject struct {
	rotation.StepInput

	description     secret.Description
	master, current secret.Version
	accounts        grants.Pair
	// promoted reports whether the version of the previous attempt is already AWSCURRENT.
	promoted bool
	// reissued reports whether this workflow has already taken over from the rotation that staged
	// AWSPENDING.
	reissued bool
	// takeover reports whether another rotation may still be about to promote what it has staged.
	takeover          bool
	previousVersionID string
	// paired is the user of AWSPREVIOUS. It is set if only that version says which account is the
	// other one of the pair, and it does not have the derived name.
	paired   string
	warnings []string
	// forced are warnings about what Force means for clients. A plan leaves them out, because it is
	// not tied to a time.
	forced []string
	// login logs in with the current credential once. Every caller waits for the same result.
	login func() (account.Login, error)
	// unmoved returns an error if the secret was deleted, or a label moved, since it was described.
	unmoved func(context.Context) error
}

// examine reads what the rotation starts from, and makes every check that needs neither the
// administrator nor the database. It repeats the description of the secret until recent accepts it.
func (a *Activities) examine(ctx context.Context, in rotation.CloneUserInput, recent func(secret.Description) bool) (*subject, error) {
	read := a.likelyMaster(ctx, cmp.Or(in.MasterSecretID, in.MasterKnown))
	d, current, err := a.readSecret(ctx, in, recent)
	if err != nil {
		return nil, err
	}
	master, err := a.master(ctx, in.MasterSecretID, read, a.given(in.MasterServer, in.Server), current)
	if err != nil {
		return nil, err
	}
	s := &subject{description: d, master: master, current: current, StepInput: rotation.StepInput{
		SecretID: in.SecretID, MasterSecretID: cmp.Or(in.MasterSecretID, current.MasterARN), MasterVersionID: master.ID,
		VersionID: uuid.NewString(), CurrentVersionID: current.ID, PendingVersionID: d.Stages[secret.Pending], Server: master.Address(),
		Endpoint: ownEndpoint(current, master), RequireAllNodes: in.RequireAllNodes, TestEndpoints: in.TestEndpoints,
	}}
	for _, r := range d.Behind() {
		if r.Status == secret.ReplicationFailed {
			s.warnings = append(s.warnings, "no password is set until this is repaired: "+replicasText(d.Name, []secret.Replica{r}))
		}
	}
	if current.ID == in.EarlierVersionID && current.SHA256() == in.EarlierSHA256 {
		s.VersionID, s.ValueSHA256, s.promoted = current.ID, in.EarlierSHA256, true
		s.Standby.User = current.Username
		return s, nil
	}
	if err := a.notOthers(ctx, in, d); err != nil {
		return nil, err
	}
	if in.Server != "" && in.Server != s.Server { // the workflow knows accounts on another server
		in.Pair = nil
	}
	p, standby, owned, err := a.findPair(ctx, in, s)
	if err != nil {
		return nil, err
	}
	if err := fits(current, standby); err != nil {
		return nil, err
	}
	if err := a.examineProxies(ctx, in, s, standby); err != nil {
		return nil, err
	}
	if owned {
		if err := s.checkOverlap(in); err != nil {
			return nil, err
		}
	}
	if err := a.adopt(ctx, in, s, standby); err != nil {
		return nil, err
	}
	if len(in.Pair) == 0 { // an earlier rotation has made these calls
		if err := a.Secrets.MayWrite(ctx, in.SecretID, current, d); err != nil {
			return nil, err
		}
	}
	s.noteTakeover(in)
	a.describeAccounts(ctx, in, s, p, standby)
	return s, nil
}

// readSecret describes the secret and reads its current version. It refuses a secret that cannot be
// rotated, or that another workflow rotates.
func (a *Activities) readSecret(
	ctx context.Context, in rotation.CloneUserInput, recent func(secret.Description) bool,
) (d secret.Description, current secret.Version, err error) {
	var describeErr error
	var wg sync.WaitGroup
	wg.Go(func() {
		defer panics.Into(&describeErr)
		d, describeErr = a.Secrets.DescribeUntil(ctx, in.SecretID, recent)
	})
	current, readErr := a.labelled(ctx, in.SecretID, secret.Current)
	wg.Wait()
	known := rotation.KnownPair{Usernames: in.Pair, Server: in.Server}
	if describeErr != nil {
		return d, current, goneError(known, in.SecretID, describeErr)
	}
	if err := notDeletedKnown(known, d); err != nil {
		return d, current, err
	}
	if err := writable(d); err != nil {
		return d, current, err
	}
	if d.RotationEnabled {
		return d, current, refuse(rotation.ErrorOtherRotator, "automatic rotation is enabled on secret %s and would conflict with this workflow:"+
			" run `aws secretsmanager cancel-rotate-secret --secret-id %[1]s`", d.Name)
	}
	if err := a.onlyRotator(ctx, in, d); err != nil {
		return d, current, err
	}
	if readErr == nil && current.ID != d.Stages[secret.Current] { // the label moved between the two calls
		current, readErr = a.version(ctx, in.SecretID, d.Stages[secret.Current])
	}
	return d, current, readErr
}

// findPair returns the standby user. owned reports whether there is evidence that an account of
// that name is the other one of the pair.
func (a *Activities) findPair(ctx context.Context, in rotation.CloneUserInput, s *subject) (p pair, standby string, owned bool, err error) {
	p = pair{Current: s.current.Username, CloneUsername: in.CloneUsername, Known: in.Pair}
	s.previousVersionID = s.description.Stages[secret.Previous]
	if s.previousVersionID != "" && !slices.Contains(in.Pair, p.Current) {
		if p.Previous, err = a.user(ctx, in.SecretID, s.previousVersionID); err != nil {
			return p, "", false, err
		}
	}
	standby, owned, err = p.standby(s.description.Name)
	if err != nil {
		return p, "", false, err
	}
	if !owned && len(in.Pair) == 0 && p.Previous != "" && p.Previous != p.Current {
		s.paired = p.Previous
	}
	return p, standby, owned, nil
}

// checkOverlap refuses to change the standby's password while clients may still be using it.
func (s *subject) checkOverlap(in rotation.CloneUserInput) error {
	since := currentSince(in, s.current, s.description)
	safe := since.Add(time.Duration(in.MinimumOverlapSeconds) * time.Second)
	switch {
	case s.previousVersionID == "" || !time.Now().Before(safe):
		return nil
	case in.Force:
		s.forced = append(s.forced, fmt.Sprintf("forced within the minimum overlap: clients that read the secret before %s and cache it"+
			" are refused until they read it again, which AWS's caching clients do within 60 minutes", utc(since)))
		return nil
	}
	return refuseUntil(safe, rotation.ErrorMinimumOverlap, "secret %s was given its current version at %s, and clients may still use the"+
		" one before: rotating is safe from %s, or with Force", s.description.Name, utc(since), utc(safe))
}

// noteTakeover decides whether this rotation takes over from another one, which staged AWSPENDING.
func (s *subject) noteTakeover(in rotation.CloneUserInput) {
	pending := s.PendingVersionID
	s.reissued = s.current.ID == in.ReissuedVersionID && pending == in.TakenOver
	s.takeover = !s.reissued && pending != "" && pending != s.current.ID && pending != s.VersionID
	if s.takeover && pending != in.EarlierVersionID && pending != s.previousVersionID {
		s.warnings = append(s.warnings, fmt.Sprintf("AWSPENDING was on version %s, which this workflow did not stage: a rotation removes it",
			pending))
	}
}

// describeAccounts sets what the server needs to know about the pair.
func (a *Activities) describeAccounts(ctx context.Context, in rotation.CloneUserInput, s *subject, p pair, standby string) {
	current, d := s.current, s.description
	owned := p.ownedByWorkflow(standby) && (in.Server == "" || in.Server == s.Server)
	if !slices.Contains(in.Pair, current.Username) || !slices.Contains(in.Pair, standby) { // the workflow knows other accounts
		in.Digest, in.Rights = "", ""
	}
	s.login = sync.OnceValues(func() (l account.Login, err error) {
		defer panics.Into(&err)
		return a.login(ctx, atMaster(current, s.master))
	})
	s.unmoved = func(ctx context.Context) error { return a.unmoved(ctx, in.SecretID, d) }
	s.accounts = grants.Pair{
		// There is no host: if the user has several accounts, the application might log in as
		// another one of them than we do, and the rotation is refused.
		Source: grants.Name{User: current.Username}, Standby: standby,
		Owned: owned, AsOf: rotatedLast(in, current),
		Mark: pairMark(d.ARN), EarlierMark: in.Mark, Digest: in.Digest, Rights: in.Rights, Next: in.NextRotationDate,
		Base: p.isBase(standby), UndoDrift: in.UndoDrift,
		Password: current.Password, SourceStored: promotedStored(in, current),
		Known: func(ctx context.Context, stored grants.Stored) (bool, error) {
			labelled, known, err := a.recognize(ctx, in, d, stored, owned)
			s.takeover = s.takeover || !s.reissued && known && !labelled
			return known, err
		},
		Force: in.Force, Revoke: in.RevokePrevious, Plain: !current.TLS,
		Proof: func() error {
			if _, err := s.login(); err != nil && !limited(err) {
				return err
			}
			return a.acceptedBy(ctx, s.StepInput, current, grants.Name{})
		},
		Fence: s.unmoved,
	}
}

// pairMark returns the grants.Pair.Mark for the accounts of a secret.
func pairMark(arn string) string { return "secret " + arn }

// promotedStored returns the digest of what the server stores for the current credential, or "" if
// another actor promoted the current version.
func promotedStored(in rotation.CloneUserInput, current secret.Version) string {
	if current.ID != in.PromotedVersionID {
		return ""
	}
	return in.Stored[current.Username]
}

// rotatedLast returns a function that reports whether this workflow made the last rotation of the
// pair. It returns nil if this workflow promoted the current version, or none at all. An edit of
// the secret that keeps the password makes a version that the workflow did not promote.
func rotatedLast(in rotation.CloneUserInput, current secret.Version) func(grants.Stored) bool {
	was := in.Stored[current.Username]
	if current.ID == in.PromotedVersionID || was == "" && in.PromotedVersionID == "" {
		return nil
	}
	return func(s grants.Stored) bool { return s.Digest() == was }
}

// currentSince returns since when clients may have had the current version. If this workflow did
// not promote it, Secrets Manager knows only when the secret last changed, which includes a label
// that was moved by hand.
func currentSince(in rotation.CloneUserInput, current secret.Version, d secret.Description) time.Time {
	if current.ID == in.PromotedVersionID {
		return in.PromotedAt
	}
	if d.Changed.After(current.Created) {
		return d.Changed
	}
	return current.Created
}

// adopt continues with the version that the previous attempt staged, if this attempt would stage
// the same: its digest is known, and it differs from the current version only in user name and
// password. If a label move of that attempt takes effect late, it promotes the same version.
func (a *Activities) adopt(ctx context.Context, in rotation.CloneUserInput, s *subject, standby string) error {
	if in.EarlierSHA256 == "" || s.PendingVersionID != in.EarlierVersionID || s.PendingVersionID == s.previousVersionID {
		return nil
	}
	v, err := a.version(ctx, in.SecretID, in.EarlierVersionID)
	if holdsNothing(err) { // this workflow did not stage it
		return nil
	}
	if err != nil {
		return err
	}
	if v.SHA256() == in.EarlierSHA256 && v.Username == standby && s.current.SameBut(v.Credential) {
		s.VersionID, s.ValueSHA256 = v.ID, in.EarlierSHA256
	}
	return nil
}
