package rotation_test

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"testing"
	"time"

	"github.com/rotate-user/rotate-user/internal/schedule"
	"github.com/rotate-user/rotate-user/rotation"
)

// contract lists every type whose JSON other programs, or workflows started by an earlier release,
// depend on.
var contract = map[string]any{
	"RotateUserInput":       rotation.RotateUserInput{},
	"CreateUserInput":       rotation.CreateUserInput{},
	"DeleteUserInput":       rotation.DeleteUserInput{},
	"ValidateSecretInput":   rotation.ValidateSecretInput{},
	"RotateRequest":         rotation.RotateRequest{},
	"RescheduleRequest":     rotation.RescheduleRequest{},
	"Sender":                rotation.Sender{},
	"SecretSeen":            rotation.SecretSeen{},
	"Status":                rotation.Status{},
	"State":                 rotation.State{},
	"DeletionState":         rotation.DeletionState{},
	"DeletionKnown":         rotation.DeletionKnown{},
	"DeleteUserResult":      rotation.DeleteUserResult{},
	"CloneUserInput":        rotation.CloneUserInput{},
	"CloneUserResult":       rotation.CloneUserResult{},
	"StepInput":             rotation.StepInput{},
	"StagePasswordResult":   rotation.StagePasswordResult{},
	"SetPasswordResult":     rotation.SetPasswordResult{},
	"TestPasswordResult":    rotation.TestPasswordResult{},
	"PromotePasswordResult": rotation.PromotePasswordResult{},
	"RevokePreviousResult":  rotation.RevokePreviousResult{},
	"PlanRotationInput":     rotation.PlanRotationInput{},
	"PlanRotationResult":    rotation.PlanRotationResult{},
	"PlanInput":             rotation.PlanInput{},
	"PlanRotationsInput":    rotation.PlanRotationsInput{},
	"PlanRotationsResult":   rotation.PlanRotationsResult{},
	"PlanFleetInput":        rotation.PlanFleetInput{},
	"PlanFleetResult":       rotation.PlanFleetResult{},
	"LookAtCurrentInput":    rotation.LookAtCurrentInput{},
	"LookAtCurrentResult":   rotation.LookAtCurrentResult{},
	"CreateAccountInput":    rotation.CreateAccountInput{},
	"KnownSecret":           rotation.KnownSecret{},
	"ValidateSecretResult":  rotation.ValidateSecretResult{},
	"RecoverSecretInput":    rotation.RecoverSecretInput{},
	"RecoverSecretResult":   rotation.RecoverSecretResult{},
	"FindAccountsInput":     rotation.FindAccountsInput{},
	"SyncFleetInput":        rotation.SyncFleetInput{},
	"SyncRequest":           rotation.SyncRequest{},
	"FleetState":            rotation.FleetState{},
	"FleetStatus":           rotation.FleetStatus{},
	"RotateFleetInput":      rotation.RotateFleetInput{},
	"RotateFleetState":      rotation.RotateFleetState{},
	"RotateFleetStatus":     rotation.RotateFleetStatus{},
	"LookAtRotationsInput":  rotation.LookAtRotationsInput{},
	"LookAtRotationsResult": rotation.LookAtRotationsResult{},
	"ListSecretsInput":      rotation.ListSecretsInput{},
	"ListSecretsResult":     rotation.ListSecretsResult{},
	"ListRotationsInput":    rotation.ListRotationsInput{},
	"ListRotationsResult":   rotation.ListRotationsResult{},
}

// TestContractJSON compares the JSON of each type, with every field set, with a recording. You may
// add new optional fields to the recording, but must not change or remove anything.
func TestContractJSON(t *testing.T) {
	t.Parallel()
	all := map[string]any{}
	for name, zero := range contract {
		v := reflect.New(reflect.TypeOf(zero))
		fill(v.Elem(), name)
		all[name] = v.Interface()
	}
	var got bytes.Buffer
	enc := json.NewEncoder(&got)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "\t")
	if err := enc.Encode(all); err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/contract.json"
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("the contract's JSON differs from %s: run UPDATE=1 go test -run %s and check the difference", golden, t.Name())
	}
}

// fill sets every exported field to a value other than its zero value.
func fill(v reflect.Value, name string) {
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(time.Date(2024, time.February, 29, 12, 30, 0, 0, time.UTC)))
		return
	case schedule.Duration:
		v.Set(reflect.ValueOf(schedule.Duration(2 * time.Hour)))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(name)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Uint8:
		v.SetUint(7)
	case reflect.Int, reflect.Int64, reflect.Int32:
		v.SetInt(7)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), name)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), name)
	case reflect.Map:
		elem := reflect.New(v.Type().Elem()).Elem()
		fill(elem, name)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("key").Convert(v.Type().Key()), elem)
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() {
				fill(v.Field(i), f.Name)
			}
		}
	default:
		panic("no value for " + v.Type().String())
	}
}
