package rotation_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/rotate-user/rotate-user/rotation"
)

// TestImportersCanNameEveryType checks that no field of the contract has a type that only this
// module can name.
func TestImportersCanNameEveryType(t *testing.T) {
	t.Parallel()
	named := map[reflect.Type]bool{
		reflect.TypeFor[rotation.Account]():        true,
		reflect.TypeFor[rotation.Duration]():       true,
		reflect.TypeFor[rotation.RotationRules]():  true,
		reflect.TypeFor[rotation.PasswordPolicy](): true,
	}
	seen := map[reflect.Type]bool{}
	var look func(of reflect.Type, where string)
	look = func(of reflect.Type, where string) {
		if seen[of] {
			return
		}
		seen[of] = true
		if strings.Contains(of.PkgPath(), "/internal/") && !named[of] {
			t.Errorf("%s has the type %s: give it a name in package rotation", where, of)
		}
		switch of.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Map:
			look(of.Elem(), where)
		case reflect.Struct:
			for i := range of.NumField() {
				if f := of.Field(i); f.IsExported() {
					look(f.Type, where+"."+f.Name)
				}
			}
		}
	}
	for name, value := range contract {
		look(reflect.TypeOf(value), name)
	}
	for method := range reflect.TypeFor[rotation.Activities]().Methods() {
		for i := range method.Type.NumIn() {
			look(method.Type.In(i), method.Name)
		}
		for i := range method.Type.NumOut() {
			look(method.Type.Out(i), method.Name)
		}
	}
}
