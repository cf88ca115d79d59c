// Package panics turns a panic into an error at the top of a goroutine, where it would otherwise
// end the process.
package panics

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
)

// Error reports that there was a panic, of what kind, and where. It leaves out the panic's message
// unless the runtime wrote it: the runtime's messages name only indexes and types, but any other
// may contain a password.
type Error struct {
	what, where string
}

func (e *Error) Error() string { return "panic at " + e.where + ": " + e.what }

// Into sets *err if the function that defers it panics.
func Into(err *error) {
	if p := recover(); p != nil {
		*err = New(p)
	}
}

// New returns the error for a panic that its caller, a deferred function, has recovered.
func New(p any) *Error {
	e := &Error{what: fmt.Sprintf("a value of type %T", p), where: origin()}
	if err, ok := p.(error); ok {
		if r, ok := errors.AsType[runtime.Error](err); ok {
			e.what = r.Error()
		}
	}
	return e
}

// origin returns the line that panicked, which is the first one below the runtime's own frames.
func origin() string {
	callers := make([]uintptr, 64)
	frames := runtime.CallersFrames(callers[:runtime.Callers(1, callers)])
	panicking := false
	for {
		f, more := frames.Next()
		inRuntime := strings.HasPrefix(f.Function, "runtime.")
		if panicking && !inRuntime {
			return fmt.Sprintf("%s:%d", filepath.Base(f.File), f.Line)
		}
		panicking = panicking || inRuntime && strings.Contains(f.Function, "panic")
		if !more {
			return "an unknown line"
		}
	}
}
