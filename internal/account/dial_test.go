package account

import (
	"strconv"
	"testing"
	"time"
)

// TestServerEndsAbandonedSessions looks at the setting that frees the lock of a worker that is gone without a word. The
// session must outlive a pause that a living worker makes, in the pool or between two statements.
func TestServerEndsAbandonedSessions(t *testing.T) {
	each(t, func(b *bench) {
		rows, err := b.admin.query(b.Context(), "SELECT @@SESSION.wait_timeout AS seconds")
		if err != nil {
			b.Fatal(err)
		}
		seconds, err := strconv.Atoi(rows[0].text("seconds"))
		if idle := time.Duration(seconds) * time.Second; err != nil || idle < 2*idleTime || idle > 2*time.Minute {
			b.Errorf("the server ends an idle session after %v (%v)", idle, err)
		}
	})
}
