package workflows

import (
	"testing"

	"go.temporal.io/sdk/temporal"

	"github.com/rotate-user/rotate-user/rotation"
)

// The type of the error stays in the search attribute until a rotation succeeds. A later success
// does not change the attribute.
func TestTheErrorOfTheLastRotationIsASearchAttribute(t *testing.T) {
	t.Parallel()
	failed, succeeded := rotation.Rotation{Error: "no", ErrorType: rotation.ErrorEdited}, rotation.Rotation{VersionID: "v"}
	for _, test := range []struct {
		rotations []rotation.Rotation
		want      string
	}{
		{nil, "as it was"},
		{[]rotation.Rotation{failed, succeeded}, rotation.ErrorEdited},
		{[]rotation.Rotation{succeeded, failed}, ""},
		{[]rotation.Rotation{succeeded, succeeded, failed}, "as it was"},
	} {
		before := rotation.RotationErrorKey.ValueSet("as it was")
		updates := append([]temporal.SearchAttributeUpdate{before}, searchAttributes(rotation.Status{Rotations: test.rotations})...)
		got, _ := temporal.NewSearchAttributes(updates...).GetKeyword(rotation.RotationErrorKey)
		if got != test.want {
			t.Errorf("after %+v: RotationError is %q, want %q", test.rotations, got, test.want)
		}
	}
}
