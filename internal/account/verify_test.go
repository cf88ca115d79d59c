package account

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rotate-user/rotate-user/internal/mysqld"
	"github.com/rotate-user/rotate-user/internal/mysqld/mysqldtest"
	"github.com/rotate-user/rotate-user/internal/privateca"
)

// TestServerWhoseCertificateNamesNoHost logs in to servers with certificates like those of Google
// Cloud SQL, which have only a common name.
func TestServerWhoseCertificateNamesNoHost(t *testing.T) {
	const name = "my-project:my-instance"
	mysqldtest.EachProgram(t, func(t *testing.T, p mysqld.Program) {
		s, err := p.Start(t.Context(), mysqld.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Stop(); err != nil {
				t.Error(err)
			}
		})
		roots := reissue(t, s, name)
		for _, tt := range []struct {
			host, name string
			roots      *x509.CertPool
			verified   bool
		}{
			{"127.0.0.1", name, roots, true},
			{"", "", roots, false},
			{"127.0.0.1", "my-project:my-other-instance", roots, false},
			{"127.0.0.1", "", roots, false},
			{"127.0.0.2", name, roots, false},
			{"127.0.0.1", name, x509.NewCertPool(), false},
		} {
			d := &Dialer{RootCAs: tt.roots, ServerNames: map[string]string{}}
			if tt.host != "" {
				d.ServerNames[tt.host] = tt.name
			}
			ep := Endpoint{Host: s.Host, Port: s.Port, TLS: true}
			for range 2 { // the second time the TLS session is resumed
				_, login := d.Login(t.Context(), ep, s.AdminUser, s.AdminPassword)
				a, admin := d.Admin(t.Context(), ep, s.AdminUser, s.AdminPassword)
				if admin == nil {
					admin = a.Close()
				}
				for _, err := range []error{login, admin} {
					_, unverified := errors.AsType[*tls.CertificateVerificationError](err)
					if unverified == tt.verified || tt.verified && err != nil {
						t.Errorf("%q=%q, %d authorities: %v", tt.host, tt.name, len(tt.roots.Subjects()), err) //nolint:staticcheck // not the system's pool
					}
				}
			}
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}

// reissue replaces a running server's certificate with one that has only a common name, and returns
// the authority.
func reissue(t *testing.T, s *mysqld.Server, name string) *x509.CertPool {
	t.Helper()
	db, err := s.Open(s.AdminUser, s.AdminPassword)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.PingContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(s.CAFile)
	ca, err := privateca.Load(s.CAFile, filepath.Join(dir, "ca-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := ca.ForServerWithoutHost(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := privateca.Save(certificate, filepath.Join(dir, "server.pem"), filepath.Join(dir, "server-key.pem")); err != nil {
		t.Fatal(err)
	}
	reload := "ALTER INSTANCE RELOAD TLS"
	if s.Engine == mysqld.MariaDB {
		reload = "FLUSH SSL"
	}
	if _, err := db.ExecContext(t.Context(), reload); err != nil {
		t.Fatal(err)
	}
	roots, err := s.RootCAs()
	if err != nil {
		t.Fatal(err)
	}
	return roots
}

// TestNameInTheCertificate checks which certificates the name that is expected at a host accepts. The
// chain is verified whatever the name.
func TestNameInTheCertificate(t *testing.T) {
	ca, err := privateca.New()
	if err != nil {
		t.Fatal(err)
	}
	other, err := privateca.New()
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca.PEM()) {
		t.Fatal("no authority")
	}
	issued := func(c tls.Certificate, err error) tls.Certificate {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	common, hosts := issued(ca.ForServerWithoutHost("project:instance")), issued(ca.ForServer("db.example", "10.0.0.5"))
	for about, tt := range map[string]struct {
		certificate tls.Certificate
		host, name  string
		says        string // empty if the server is verified
	}{
		"common name":              {common, "10.0.0.5", "project:instance", ""},
		"common name in capitals":  {common, "10.0.0.5", "Project:Instance", `for ["project:instance"], not for "Project:Instance"`},
		"beginning of common name": {common, "10.0.0.5", "project", "not for"},
		"no name":                  {common, "10.0.0.5", "", "is empty"},
		"host name":                {hosts, "10.0.0.6", "db.example", ""},
		"address":                  {hosts, "tunnel.example", "10.0.0.5", ""},
		"the host itself":          {hosts, "db.example", "other.example", `for ["db.example" "db.example" "10.0.0.5"], not for "other.example"`},
		"host in capitals":         {common, "DB.example", "project:instance", ""},
		"another authority":        {issued(other.ForServerWithoutHost("project:instance")), "10.0.0.5", "project:instance", "unknown authority"},
		"a client's certificate":   {issued(ca.ForClient("project:instance")), "10.0.0.5", "project:instance", "incompatible key usage"},
	} {
		d := &Dialer{RootCAs: roots, ServerNames: map[string]string{strings.ToLower(tt.host): tt.name}}
		for version, highest := range map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13} {
			c, _ := d.config(Endpoint{Host: tt.host, Port: 3306, TLS: true}, "u", "p")
			l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{tt.certificate}, MaxVersion: highest})
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				if far, err := l.Accept(); err == nil {
					_ = far.(*tls.Conn).Handshake() // the client reports errors
					far.Close()
				}
			}()
			near, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			err = tls.Client(near, c.TLS).HandshakeContext(t.Context())
			_, unverified := errors.AsType[*tls.CertificateVerificationError](err)
			if tt.says == "" && err != nil || tt.says != "" && (!unverified || !strings.Contains(err.Error(), tt.says)) {
				t.Errorf("%s, %s: %v", about, version, err)
			}
			near.Close()
			l.Close()
		}
	}
}
