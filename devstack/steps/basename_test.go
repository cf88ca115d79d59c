package steps

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"go.temporal.io/sdk/temporal"

	"github.com/rotate-user/rotate-user/internal/grants"
	"github.com/rotate-user/rotate-user/internal/mysqld"
	"github.com/rotate-user/rotate-user/internal/mysqld/mysqldtest"
	"github.com/rotate-user/rotate-user/rotation"
)

// keep passes on to the next rotation what a workflow keeps of one and rotate leaves out.
func (l *lab) keep(r rotation.CloneUserResult) {
	l.input.Pair = []string{r.Rotation.Standby.User, r.Rotation.Source.User}
	l.input.Server, l.input.Digest, l.input.Rights = r.Rotation.Server, r.Digest, r.Rights
}

// next runs a whole rotation and keeps what a workflow would.
func (l *lab) next() rotation.CloneUserResult {
	l.Helper()
	r := l.rotated()
	l.keep(r)
	l.mustLogIn("AWSCURRENT", r.Rotation.Standby.User)
	l.mustLogIn("AWSPREVIOUS", r.Rotation.Source.User)
	return r
}

// may reports which accounts of the pair have a privilege in the database extra.
func (l *lab) may(privilege string) (users []string) {
	l.Helper()
	for _, user := range []string{l.user, l.user + "_clone"} {
		var has bool
		if err := l.admin.QueryRowContext(l.Context(), "SELECT COUNT(*) > 0 FROM mysql.db"+
			" WHERE User = ? AND Db = 'extra' AND "+privilege+"_priv = 'Y'", user).Scan(&has); err != nil {
			l.Fatal(err)
		}
		if has {
			users = append(users, user)
		}
	}
	return users
}

// undecided checks that a rotation and a plan are refused with the statements, and that nothing was written.
func (l *lab) undecided(says ...string) {
	l.Helper()
	before := l.snapshot()
	_, cloneErr := l.clone()
	_, planErr := l.env.ExecuteActivity(rotation.PlanRotation, rotation.PlanRotationInput{CloneUserInput: l.input})
	for name, err := range map[string]error{"rotation": cloneErr, "plan": planErr} {
		var app *temporal.ApplicationError
		if !errors.As(err, &app) || app.Type() != grants.Undecided || !app.NonRetryable() {
			l.Fatalf("%s: got %v, want a refusal", name, err)
		}
		for _, want := range says {
			if !strings.Contains(app.Message(), want) {
				l.Errorf("%s: %q does not say %q", name, app.Message(), want)
			}
		}
	}
	if l.snapshot() != before {
		l.Error("the refused rotation wrote something")
	}
}

// Operators and their tools know the user by its base name. While the clone is the current account,
// a right that they grant to the base name goes to both accounts, and a right that they revoke from
// it stops the rotation until they decide.
func TestChangesOfTheBaseName(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		base, clone := l.user, l.user+"_clone"
		both := []string{base, clone}
		check := func(what, privilege string, want ...string) {
			t.Helper()
			if got := l.may(privilege); !slices.Equal(got, want) {
				t.Errorf("%s: %s is granted to %q, want %q", what, privilege, got, want)
			}
		}
		l.next() // the clone is the current account

		l.sql("GRANT SELECT ON extra.* TO " + base + "@'%'")
		l.sql("GRANT DROP ON extra.* TO " + clone + "@'%'")
		const given = "grant SELECT on `extra`.* to '%c'@'%', because '%b'@'%' was granted it since the last rotation"
		want := strings.NewReplacer("%b", base, "%c", clone).Replace(given)
		plan := l.plan(0)
		if !slices.Contains(plan.Drift, want) || !slices.Contains(plan.Statements, "GRANT SELECT ON `extra`.* TO '"+clone+"'@'%'") ||
			plan.Changed != 2 {
			t.Errorf("the plan has %q, %q, drift %q", plan.Changes, plan.Statements, plan.Drift)
		}
		r := l.next()
		if !slices.Contains(r.Drift, want) || r.Changed != 2 {
			t.Errorf("changes %q, drift %q", r.Changes, r.Drift)
		}
		check("granted to the base name", "Select", both...)
		check("granted to the current account", "Drop", both...)

		l.sql("GRANT INSERT ON extra.* TO " + clone + "@'%'") // the base is the current account
		if r = l.next(); r.Drifted != 1 {
			t.Errorf("drift %q", r.Drift)
		}
		check("granted to the clone alone", "Insert")

		l.sql("REVOKE SELECT ON extra.* FROM " + base + "@'%'")
		l.undecided("REVOKE SELECT ON `extra`.* FROM '"+clone+"'@'%'", "GRANT SELECT ON `extra`.* TO '"+base+"'@'%'", "--undo-drift")
		l.input.UndoDrift = true
		if r = l.next(); r.Drifted != 1 {
			t.Errorf("drift %q", r.Drift)
		}
		l.input.UndoDrift = false
		check("granted back", "Select", both...)

		l.sql("REVOKE SELECT ON extra.* FROM " + base + "@'%'") // the base is the current account
		l.next()
		check("revoked from the current account", "Select")

		l.sql("REVOKE DROP ON extra.* FROM " + base + "@'%'")
		l.undecided()
		l.sql("REVOKE DROP ON extra.* FROM " + clone + "@'%'")
		l.next()
		check("revoked from both", "Drop")

		l.sql("GRANT UPDATE ON extra.* TO " + base + "@'%'")
		l.next() // the base is the source
		check("granted to the current account", "Update", both...)
		l.sql("REVOKE UPDATE ON extra.* FROM " + clone + "@'%'")
		if r = l.next(); r.Drifted != 0 {
			t.Errorf("drift %q", r.Drift)
		}
		check("revoked from the current clone", "Update")
	})
}

// A workflow without state takes the current account as the reference, and warns about it.
func TestChangesOfTheBaseNameAreNotKnownToAnotherWorkflow(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		l.next()
		l.sql("GRANT SELECT ON extra.* TO " + l.user + "@'%'")
		kept := l.input
		for _, forget := range []func(){
			func() { l.input.Pair, l.input.Digest, l.input.Rights = nil, "", "" },
			func() { l.input.Server = "elsewhere:3306" },
			func() { l.input.Pair = []string{"other", "other_clone"} },
			func() { l.input.Digest, l.input.Rights = "", "" },
		} {
			l.input = kept
			forget()
			plan := l.plan(0)
			if len(plan.Statements) != 1 || !strings.HasPrefix(plan.Statements[0], "REVOKE SELECT ON `extra`.* FROM '"+l.user+"'@") ||
				!slices.ContainsFunc(plan.Warnings, func(w string) bool { return strings.Contains(w, "after the last rotation are unknown") }) {
				t.Errorf("statements %q, warnings %q", plan.Statements, plan.Warnings)
			}
		}
		if r := l.next(); r.Drifted != 1 || len(l.may("Select")) != 0 {
			t.Errorf("drift %q", r.Drift)
		}
	})
}

// A rotation that revokes a leaked credential grants nothing to its account, and does not stop for
// a decision.
func TestALeakedCredentialIsGivenNothing(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		l.next()
		l.sql("GRANT SELECT ON extra.* TO " + l.user + "@'%'")
		l.sql("REVOKE INSERT ON *.* FROM " + l.user + "@'%'")
		l.undecided()
		l.input.RevokePrevious = true
		if r := l.next(); r.Drifted != 2 || len(l.may("Select")) != 0 {
			t.Errorf("drift %q, extra may be read by %q", r.Drift, l.may("Select"))
		}
	})
}

// CloneUsername can say which of two names is the base name.
func TestTheBaseNameOfAPairWithAnotherName(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		l.input.CloneUsername = l.user + "x"
		l.Cleanup(func() { l.sql("DROP USER IF EXISTS " + l.user + "x@'%'") })
		l.next()
		l.sql("GRANT SELECT ON extra.* TO " + l.user + "@'%'")
		if r := l.next(); r.Drifted != 1 || !strings.Contains(r.Changes[0], "to '"+l.user+"x'@'%'") {
			t.Errorf("changes %q", r.Changes)
		}
	})
}

// Another rotator has acted since the state was stored. A right that it gave to both accounts, and
// that the current account has lost since, is not granted to the current account again.
func TestRightsRememberedFromBeforeAnotherRotator(t *testing.T) {
	t.Parallel()
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		clone := l.user + "_clone"
		l.next() // the clone is the current account
		another := l.another()
		another.input.Stored = maps.Clone(l.input.Stored)
		l.sql("GRANT SELECT ON extra.* TO " + clone + "@'%'")
		another.next()
		another.next()
		if got := l.may("Select"); len(got) != 2 {
			t.Fatalf("%q have the right of the current account", got)
		}
		l.sql("REVOKE SELECT ON extra.* FROM " + clone + "@'%'")
		plan := l.plan(0)
		promoted := l.input.PromotedVersionID
		l.input.PromotedVersionID = "" // which `starter plan` does not pass on
		warnings := l.plan(0).Warnings
		l.input.PromotedVersionID = promoted
		r := l.next()
		if got := l.may("Select"); len(got) != 0 {
			t.Errorf("%q have the right that was revoked from the current account", got)
		}
		for what, warnings := range map[string][]string{"look": plan.Warnings, "plan": warnings, "rotation": r.Warnings} {
			if !strings.Contains(strings.Join(warnings, " "), "are unknown") {
				t.Errorf("%s: warnings %q", what, warnings)
			}
		}
	})
}

// An edit that leaves the credential unchanged is not another rotation.
func TestRightsRememberedFromBeforeAnEdit(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		l.next()
		l.sql("GRANT SELECT ON extra.* TO " + l.user + "@'%'")
		l.put(map[string]any{"username": l.user + "_clone", "password": l.credential("AWSCURRENT").Password, "masterarn": "master",
			"dbname": "mysql"})
		l.next()
		if got := l.may("Select"); len(got) != 2 {
			t.Errorf("only %q have the right that was granted to the base name", got)
		}
	})
}
