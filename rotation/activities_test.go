package rotation_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/rotate-user/rotate-user/rotation"
)

// TestActivityNames compares the constants with the names that Temporal derives from the methods.
func TestActivityNames(t *testing.T) {
	t.Parallel()
	names := []string{
		rotation.CloneUser, rotation.StagePassword, rotation.SetPassword, rotation.TestPassword, rotation.PromotePassword,
		rotation.RevokePrevious, rotation.PlanRotation, rotation.ValidateSecret, rotation.LookAtCurrent, rotation.RecoverSecret,
		rotation.CreateAccount, rotation.StoreSecret, rotation.FindAccounts, rotation.DeleteSecret, rotation.LookAtSecret,
		rotation.LockAccounts, rotation.UnlockAccounts, rotation.DropAccounts, rotation.ListSecrets, rotation.ListRotations,
		rotation.LookAtRotations, rotation.PlanRotations,
	}
	var methods []string
	for m := range reflect.TypeFor[rotation.Activities]().Methods() {
		methods = append(methods, m.Name)
	}
	slices.Sort(names)
	if !slices.Equal(names, methods) {
		t.Errorf("the constants are\n%s\nand the methods of rotation.Activities\n%s", strings.Join(names, "\n"), strings.Join(methods, "\n"))
	}
}
