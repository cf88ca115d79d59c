package activities

import (
	"fmt"
	"time"
)

// refusal is a decision of ours that nothing may be written. It says what to do.
type refusal struct {
	reason, message string
	// until is from when it no longer holds; zero where only people can mend it.
	until time.Time
}

func (r *refusal) Error() string { return r.message }

func refuse(reason, format string, args ...any) error {
	return &refusal{reason: reason, message: fmt.Sprintf(format, args...)}
}

func refuseUntil(until time.Time, reason, format string, args ...any) error {
	return &refusal{reason: reason, message: fmt.Sprintf(format, args...), until: until}
}
