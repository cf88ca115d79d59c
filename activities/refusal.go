package activities

import (
	"fmt"
	"time"

	"github.com/rotate-user/rotate-user/internal/grants"
)

// refuse returns the error of a failed check, which says what to do.
func refuse(reason, format string, args ...any) error { return grants.Refuse(reason, format, args...) }

// refuseUntil returns the error of a check that will succeed from a given time on.
func refuseUntil(until time.Time, reason, format string, args ...any) error {
	return &grants.Refusal{Reason: reason, Message: fmt.Sprintf(format, args...), Until: until}
}
