package account

import (
	"crypto/x509"
	"errors"
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
		seconds, err := strconv.Atoi(rows[0].Text("seconds"))
		if idle := time.Duration(seconds) * time.Second; err != nil || idle < 2*idleTime || idle > 2*time.Minute {
			b.Errorf("the server ends an idle session after %v (%v)", idle, err)
		}
	})
}

// What is trusted may change while the worker runs. The next login goes by it, and neither a kept connection nor a TLS session
// from before does.
func TestTrustMayChange(t *testing.T) {
	each(t, func(b *bench) {
		good := &Trust{RootCAs: b.dialer.RootCAs}
		now := good
		d := &Dialer{Trust: func() *Trust { return now }}
		defer d.Close()
		logins := func() (login, admin error) {
			_, login = d.Login(b.Context(), b.endpoint(), b.server.AdminUser, b.server.AdminPassword)
			a, admin := d.Admin(b.Context(), b.endpoint(), b.server.AdminUser, b.server.AdminPassword)
			if admin == nil {
				admin = a.Close()
			}
			return login, admin
		}
		for range 2 {
			now = good
			if login, admin := logins(); login != nil || admin != nil {
				b.Fatalf("%v; %v", login, admin)
			}
			now = &Trust{RootCAs: x509.NewCertPool()}
			login, admin := logins()
			for _, err := range []error{login, admin} {
				if _, unknown := errors.AsType[x509.UnknownAuthorityError](err); !unknown {
					b.Errorf("a server whose authority is no longer trusted: %v", err)
				}
			}
		}
	})
}
