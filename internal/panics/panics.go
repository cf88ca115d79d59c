// Package panics turns a panic into an error at the edge of a goroutine, where it would otherwise end the process.
package panics

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
)

// Error says that there was a panic, of which kind, and where. The text of a panic is left out unless the runtime wrote it,
// which names indexes and types only: any other may hold a password.
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

// New is the error of a panic that the caller, a deferred function, has recovered.
func New(p any) *Error {
	e := &Error{what: fmt.Sprintf("a value of type %T", p), where: origin()}
	if err, ok := p.(error); ok {
		if r, ok := errors.AsType[runtime.Error](err); ok {
			e.what = r.Error()
		}
	}
	return e
}

// origin is the line that panicked: the first one below the runtime's own.
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
