package panics_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/rotate-user/rotate-user/internal/panics"
)

func TestInto(t *testing.T) {
	var none []int
	var empty map[string]int
	for _, c := range []struct {
		name string
		f    func()
		want string // empty: no error
	}{
		{"none", func() {}, ""},
		{"index", func() { _ = none[len(t.Name())] }, "index out of range"},
		{"nil map", func() { empty["x"] = 1 }, "nil map"},
		{"wrapped", func() {
			defer func() { panic(fmt.Errorf("Aa1-secret: %w", recover().(error))) }()
			_ = none[len(t.Name())]
		}, "index out of range"},
		{"text", func() { panic("Aa1-secret") }, "a value of type string"},
		{"error", func() { panic(errors.New("Aa1-secret")) }, "a value of type *errors.errorString"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := func() (err error) {
				defer panics.Into(&err)
				c.f()
				return nil
			}()
			if c.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "panics_test.go:") ||
				strings.Contains(err.Error(), "Aa1") {
				t.Errorf("got %v, want %q at a line of this file", err, c.want)
			}
		})
	}
}

// The error that the function was about to return is lost.
func TestIntoReplacesTheError(t *testing.T) {
	err := func() (err error) {
		defer panics.Into(&err)
		err = errors.New("before")
		panic(0)
	}()
	if _, ok := errors.AsType[*panics.Error](err); !ok {
		t.Errorf("got %v", err)
	}
}
