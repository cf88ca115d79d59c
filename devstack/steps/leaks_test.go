package steps

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	endpoint "github.com/rotate-user/rotate-user/devstack/secretsmanager"
	"github.com/rotate-user/rotate-user/internal/mysqld"
	"github.com/rotate-user/rotate-user/internal/mysqld/mysqldtest"
	"github.com/rotate-user/rotate-user/internal/secret"
	"github.com/rotate-user/rotate-user/rotation"
)

// logIn opens a session with the credential under a label of the secret. The returned function
// reports whether the session lives.
func (l *lab) logIn(label string) (lives func() bool) {
	l.Helper()
	c := l.credential(label)
	db, err := l.server.Open(c.Username, c.Password)
	if err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() { db.Close() })
	conn, err := db.Conn(l.Context())
	if err != nil {
		l.Fatal(err)
	}
	return func() bool { return conn.PingContext(context.Background()) == nil }
}

// It is not known which of the two credentials leaked, so neither has a session after the
// revocation.
func TestNoSessionOfALeakedCredentialOutlivesARevocation(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		l.input.Pair = []string{l.user, l.user + "_clone"}
		l.rotate()
		current, previous := l.logIn(secret.Current), l.logIn(secret.Previous)
		l.input.RevokePrevious = true
		r, err := l.clone()
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range steps[:3] {
			if err := l.step(name, &r.Rotation); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if previous() {
			t.Error("before the promotion, a session of AWSPREVIOUS lives, whose account is about to become current")
		}
		if !current() {
			t.Error("a session of AWSCURRENT was ended before the promotion")
		}
		for _, name := range []string{rotation.PromotePassword, rotation.RevokePrevious} {
			if err := l.step(name, &r.Rotation); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if current() {
			t.Error("a session of the revoked account lives")
		}
		l.mustLogIn(secret.Current, l.user)
		// The next rotation makes the revoked account current again.
		l.remember(r)
		l.input.RevokePrevious = false
		l.rotate()
		l.mustLogIn(secret.Current, l.user+"_clone")
	})
}

// Within the minimum overlap, clients may still have cached the credential that a forced rotation
// invalidates.
func TestAForcedRotationSaysWhatItMeansForClients(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		l.rotate()
		for overlap, want := range map[int64]bool{0: false, 3600: true} {
			l.input.MinimumOverlapSeconds = overlap
			r, err := l.clone()
			if err != nil {
				t.Fatal(err)
			}
			said := slices.ContainsFunc(r.Warnings, func(w string) bool { return strings.HasPrefix(w, "forced within the minimum overlap: ") })
			if said != want {
				t.Errorf("with an overlap of %d s: %q", overlap, r.Warnings)
			}
			if plan := l.plan(1); slices.ContainsFunc(plan.Warnings, func(w string) bool { return strings.HasPrefix(w, "forced") }) {
				t.Errorf("the plan warns %q", plan.Warnings)
			}
		}
	})
}

// A workflow that was reset, or that was started again after its end, does not know of the
// revocation before.
func TestTheNextWorkflowKnowsARevokedAccount(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		r := l.rotate()
		if err := l.step(rotation.RevokePrevious, &r); err != nil {
			t.Fatal(err)
		}
		l.input = rotation.CloneUserInput{SecretID: "app", Mark: "another workflow"}
		l.rotate()
		l.mustLogIn(secret.Current, l.user)
	})
}

// What LookAtCurrent returns to a workflow that was reset.
func TestALookAtCurrentTellsItsUserAndDate(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		before := time.Now().Add(-time.Second) // Secrets Manager truncates its dates
		r := l.rotate()
		value, err := l.env.ExecuteActivity(rotation.LookAtCurrent, rotation.LookAtCurrentInput{SecretID: "app", PromotedVersionID: r.VersionID})
		if err != nil {
			t.Fatal(err)
		}
		var got rotation.LookAtCurrentResult
		if err := value.Get(&got); err != nil {
			t.Fatal(err)
		}
		if got.VersionID != r.VersionID || got.Username != l.user+"_clone" || got.Since.Before(before) || got.Since.After(time.Now()) {
			t.Errorf("%+v: want version %s of user %s_clone, since %s at the earliest", got, r.VersionID, l.user, before)
		}
	})
}

// A thief who has the leaked credential changes its password, or uses up its connections.
func TestTheHolderOfALeakedCredentialCannotKeepItsRotationOff(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		for _, grace := range []int64{0, 60} {
			l := newLab(t, s)
			l.input.Pair = []string{l.user, l.user + "_clone"}
			l.rotate()
			l.sql("ALTER USER " + l.user + "_clone@'%' IDENTIFIED BY 'Mine.Now-1'")
			thief, err := s.Open(l.user+"_clone", "Mine.Now-1")
			if err != nil {
				t.Fatal(err)
			}
			defer thief.Close()
			if err := thief.PingContext(t.Context()); err != nil {
				t.Fatal(err)
			}
			l.input.RevokePrevious, l.input.GraceSeconds = true, grace
			r, err := l.clone()
			if err != nil {
				t.Fatal(err)
			}
			if left := len(l.sessionsOf(l.user + "_clone")); (grace == 0) != (left == 0) {
				t.Errorf("with a grace of %d s the thief has %d sessions before the promotion", grace, left)
			}
			for _, name := range append(slices.Clone(steps), rotation.RevokePrevious) {
				if err := l.step(name, &r.Rotation); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
			}
			l.mustLogIn(secret.Current, l.user)
			if left := l.sessionsOf(l.user + "_clone"); len(left) != 0 {
				t.Errorf("the thief still has sessions %v", left)
			}
		}
	})
}

// Another rotation promotes the previous account, and the revocation begins before any answer shows the promotion.
func TestARevocationThatReadsAnOldAnswerTakesNothingAway(t *testing.T) {
	t.Parallel()
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLabOf(t, s, endpoint.Options{Lag: time.Second})
		l.input.Pair = []string{l.user, l.user + "_clone"}
		first := l.rotate()
		l.settle()
		second := l.leave(3)
		if _, err := l.env.ExecuteActivity(rotation.PromotePassword, second); err != nil {
			t.Fatal(err)
		}
		wantEdited(t, rotation.RevokePrevious, l.step(rotation.RevokePrevious, &first))
		l.mustLogIn(secret.Current, l.user)
	})
}

// An operator drops the account in the grace before its revocation. Its sessions continue until they are ended.
func TestADroppedAccountIsRevoked(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		r := l.rotate()
		lives := l.logIn(secret.Previous)
		l.sql("DROP USER " + l.user + "@'%'")
		for range 2 {
			value, err := l.env.ExecuteActivity(rotation.RevokePrevious, r)
			if err != nil {
				t.Fatalf("RevokePrevious: %v", err)
			}
			var revoked rotation.RevokePreviousResult
			if err := value.Get(&revoked); err != nil || !revoked.Dropped {
				t.Errorf("RevokePrevious answered %+v, %v: want that the account had been dropped", revoked, err)
			}
		}
		if lives() {
			t.Error("a session of the dropped account lives")
		}
		l.mustLogIn(secret.Current, l.user+"_clone")
		l.rotate()
		l.mustLogIn(secret.Current, l.user)
	})
}

// Someone edits the secret during the grace. The edit does not bring the leaked credential back into use.
func TestAnEditDoesNotKeepALeakedCredential(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		r := l.rotate()
		l.put(map[string]any{
			"username": l.user + "_clone", "password": l.credential(secret.Current).Password, "masterarn": "master", "edited": true,
		})
		if err := l.step(rotation.RevokePrevious, &r); err != nil {
			t.Errorf("RevokePrevious: %v", err)
		}
		l.mustLogIn(secret.Current, l.user+"_clone")
		if got := l.locked(); !slices.Contains(got, l.user) {
			t.Errorf("locked are %v: want %s, whose credential has leaked", got, l.user)
		}
	})
}
