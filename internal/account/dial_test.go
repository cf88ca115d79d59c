package account

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"strconv"
	"testing"
	"time"
)

// TestServerEndsAbandonedSessions checks the setting that releases the lock of a worker that has
// vanished. The session must survive the pauses of a living worker, in the pool or between two
// statements.
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

// The trusted authorities may change while the worker runs. They apply from the next login on, for
// which neither a kept connection nor an earlier TLS session is used.
func TestNewTrustAppliesToTheNextLogin(t *testing.T) {
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

// TestLoginOnServersWithRSAKeyExchangeOnly checks that the worker can connect to a server whose TLS
// is like that of community builds of MySQL 5.7, and that it prefers better key exchanges.
func TestLoginOnServersWithRSAKeyExchangeOnly(t *testing.T) {
	certificate, roots := testCertificate(t)
	for name, tt := range map[string]struct {
		suites []uint16
		max    uint16
		want   uint16
	}{
		"RSA only": {[]uint16{tls.TLS_RSA_WITH_AES_256_GCM_SHA384}, tls.VersionTLS12, tls.TLS_RSA_WITH_AES_256_GCM_SHA384},
		"both": {[]uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}, tls.VersionTLS12,
			tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256},
		"TLS 1.3": {nil, tls.VersionTLS13, tls.TLS_AES_128_GCM_SHA256},
	} {
		near, far := net.Pipe()
		d := &Dialer{RootCAs: roots}
		c, _ := d.config(Endpoint{Host: "127.0.0.1", Port: 1, TLS: true}, "u", "p")
		client := tls.Client(near, c.TLS)
		server := tls.Server(far, &tls.Config{Certificates: []tls.Certificate{certificate}, CipherSuites: tt.suites, MaxVersion: tt.max})
		go func() { _ = server.Handshake() }() // the client reports errors
		if err := client.Handshake(); err != nil {
			t.Errorf("%s: %v", name, err)
		} else if got := client.ConnectionState().CipherSuite; got != tt.want {
			t.Errorf("%s: %s, want %s", name, tls.CipherSuiteName(got), tls.CipherSuiteName(tt.want))
		}
		near.Close()
		far.Close()
	}
}

// testCertificate returns a certificate for 127.0.0.1 with an RSA key, and the authority that
// signed it.
func testCertificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageKeyEncipherment | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
}
