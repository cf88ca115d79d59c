package activities

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/rotate-user/rotate-user/internal/grants"
	"github.com/rotate-user/rotate-user/rotation"
)

// TestPlanIsBounded checks that no page of a plan is large, and that all pages together are the whole plan.
func TestPlanIsBounded(t *testing.T) {
	changes := func(n, size int) []grants.Change {
		var all []grants.Change
		for i := range n {
			text := fmt.Sprintf("grant SELECT on `db`.`t%06d%s`", i, strings.Repeat("x", size))
			all = append(all, grants.Change{Text: text, Statement: strings.ToUpper(text), Drift: i%2 == 0})
		}
		return all
	}
	for _, test := range []struct {
		name    string
		changes []grants.Change
		pages   int
	}{
		{"none", nil, 0},
		{"one", changes(1, 0), 1},
		{"a full page", changes(200, 0), 1},
		{"one more", changes(201, 0), 2},
		{"6000 grants", changes(6000, 0), 30},
		{"long ones", changes(200, 1000), 11},
		{"one longer than a page", changes(1, 3*pageBytes), 1},
		{"many longer than a page", changes(10, 3*pageBytes), 10},
	} {
		t.Run(test.name, func(t *testing.T) {
			var first rotation.PlanRotationResult
			var texts, statements, drift []string
			addPage(&first, test.changes, 1)
			if first.Pages != test.pages || first.Changed != len(test.changes) {
				t.Fatalf("%d pages of %d changes: want %d of %d", first.Pages, first.Changed, test.pages, len(test.changes))
			}
			for page := range test.pages {
				var r rotation.PlanRotationResult
				addPage(&r, test.changes, page+1)
				if encoded, err := json.Marshal(r); err != nil || len(encoded) > pageBytes+10_000 {
					t.Errorf("page %d has %d bytes, error %v", page+1, len(encoded), err)
				}
				if len(r.Changes) == 0 || len(r.Changes) > pageChanges || r.Pages != first.Pages || r.Changed != first.Changed ||
					r.Drifted != first.Drifted {
					t.Errorf("page %d has %d changes, and says %d changes, %d drift, %d pages", page+1, len(r.Changes), r.Changed, r.Drifted, r.Pages)
				}
				texts, statements, drift = append(texts, r.Changes...), append(statements, r.Statements...), append(drift, r.Drift...)
			}
			var want []string
			for _, c := range test.changes {
				want = append(want, short(c.Text, changeBytes))
			}
			if !slices.Equal(texts, want) || len(statements) != len(want) || len(drift) != first.Drifted {
				t.Errorf("the pages together have %d changes, %d statements, %d drift: want %d, %[4]d, %d", len(texts), len(statements), len(drift),
					len(want), first.Drifted)
			}
		})
	}
}
