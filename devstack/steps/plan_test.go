package steps

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/rotate-user/rotate-user/internal/mysqld"
	"github.com/rotate-user/rotate-user/internal/mysqld/mysqldtest"
	"github.com/rotate-user/rotate-user/internal/secret"
	"github.com/rotate-user/rotate-user/rotation"
)

func (l *lab) plan(page int) rotation.PlanRotationResult {
	l.Helper()
	value, err := l.env.ExecuteActivity(rotation.PlanRotation, rotation.PlanRotationInput{CloneUserInput: l.input, Page: page})
	if err != nil {
		l.Fatal(err)
	}
	var plan rotation.PlanRotationResult
	if err := value.Get(&plan); err != nil {
		l.Fatal(err)
	}
	return plan
}

// TestPlanOfManyGrants checks that the plan for an account with many grants comes in pages, and
// that the pages are complete.
func TestPlanOfManyGrants(t *testing.T) {
	const grants = 450
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		for i := range grants {
			l.sql(fmt.Sprintf("GRANT UPDATE ON `many%d`.* TO %s@'%%'", i, l.user))
		}
		first := l.plan(0)
		if first.Pages != 3 || first.Changed < grants || len(first.Changes) != 200 {
			t.Fatalf("%d pages, %d changes, %d of them on the first page", first.Pages, first.Changed, len(first.Changes))
		}
		clone, err := l.clone()
		if err != nil {
			t.Fatal(err)
		}
		if len(clone.Changes) > 21 || clone.Changed != first.Changed {
			t.Errorf("a rotation returned %d changes of %d: want 21 of %d", len(clone.Changes), clone.Changed, first.Changed)
		}
		for _, account := range l.accounts(l.user + "_clone") {
			l.sql("DROP USER " + account)
		}

		seen := map[string]bool{}
		for page := 1; page <= first.Pages; page++ {
			for _, statement := range l.plan(page).Statements {
				seen[statement] = true
			}
		}
		for i := range grants {
			if want := fmt.Sprintf("GRANT UPDATE ON `many%d`.* TO '%s_clone'@'%%'", i, l.user); !seen[want] {
				t.Errorf("no page has %s", want)
			}
		}
		if beyond := l.plan(first.Pages + 1); len(beyond.Changes) > 0 || beyond.Changed != first.Changed {
			t.Errorf("the page after the last has %d changes of %d", len(beyond.Changes), beyond.Changed)
		}
	})
}

// Another rotation's late put has left a version under AWSPENDING. The plan names it, and so does
// the rotation that removes the label.
func TestAForeignAWSPENDINGIsNamed(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newOldLab(t, s)
		l.rotate()
		l.settle()
		version := uuid.NewString()
		l.putUnder(version, map[string]any{"username": l.user, "password": "Never.Set-1", "masterarn": "master"}, secret.Pending)
		l.settle()
		says := "AWSPENDING was on version " + version
		if plan := l.plan(0); !strings.Contains(strings.Join(plan.Warnings, "; "), says) {
			t.Errorf("the plan warns of %q: want that it says %q", plan.Warnings, says)
		}
		r, err := l.clone()
		if err != nil || !strings.Contains(strings.Join(r.Warnings, "; "), says) {
			t.Errorf("the rotation warns of %q, %v: want that it says %q", r.Warnings, err, says)
		}
	})
}
