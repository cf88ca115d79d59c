package workflows

import (
	"testing"
	"time"

	"go.temporal.io/sdk/temporal"

	"github.com/rotate-user/rotate-user/rotation"
)

// TestWaitsBetweenTriesGrow checks that a step that keeps failing is repeated soon at first, and then less and less often.
func TestWaitsBetweenTriesGrow(t *testing.T) {
	t.Parallel()
	err := temporal.NewApplicationError("db does not answer", rotation.ErrorUnreachable)
	for _, c := range []struct {
		name     string
		attempts int
		want     time.Duration
	}{
		{rotation.SetPassword, 0, 5 * time.Second},
		{rotation.SetPassword, 4, 10 * time.Second},
		{rotation.SetPassword, 5, 20 * time.Second},
		{rotation.SetPassword, 6, 40 * time.Second},
		{rotation.SetPassword, 7, time.Minute},
		{rotation.SetPassword, 100, time.Minute},
		{rotation.RevokePrevious, 7, 80 * time.Second},
		{rotation.RevokePrevious, 100, time.Hour},
	} {
		if got, _ := betweenTries(c.name, c.attempts, err); got != c.want {
			t.Errorf("%s after %d attempts: wait %v, want %v", c.name, c.attempts, got, c.want)
		}
	}
}
