package account

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
)

// tlsConfig returns how to verify the server of a host, and the Trust that this uses.
func (d *Dialer) tlsConfig(host string) (*tls.Config, *Trust) {
	trust, sessions := d.trust()
	roots, certificates := d.RootCAs, d.Certificates
	if trust != nil {
		roots, certificates = trust.RootCAs, trust.Certificates
	}
	c := &tls.Config{
		RootCAs:      roots,
		Certificates: certificates,
		ServerName:   host,
		MinVersion:   tls.VersionTLS12,
		CipherSuites: cipherSuites(),

		ClientSessionCache: sessions,
	}
	if name, ok := d.ServerNames[strings.ToLower(host)]; ok {
		// Go would compare the host, and only with the names that are for hosts. VerifyConnection
		// does the whole verification instead. It is called for resumed sessions too.
		c.InsecureSkipVerify = true
		c.VerifyConnection = func(s tls.ConnectionState) error { return verify(s.PeerCertificates, roots, name) }
	}
	return c, trust
}

// verify verifies a server's certificate as package crypto/tls does, except that it also accepts a
// certificate whose common name is the given one. The certificates of Google Cloud SQL have nothing
// but a common name, such as "project:instance". Certificates of public authorities repeat their
// common name among the host names, which the authority has checked, so it says nothing that these do
// not say.
func verify(certificates []*x509.Certificate, roots *x509.CertPool, name string) error {
	err := verifyChain(certificates, roots)
	if err == nil {
		err = verifyName(certificates[0], name)
	}
	if err != nil {
		return &tls.CertificateVerificationError{UnverifiedCertificates: certificates, Err: err}
	}
	return nil
}

func verifyChain(certificates []*x509.Certificate, roots *x509.CertPool) error {
	if len(certificates) == 0 {
		return errors.New("the server has shown no certificate")
	}
	options := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool()}
	for _, c := range certificates[1:] {
		options.Intermediates.AddCert(c)
	}
	_, err := certificates[0].Verify(options) // nil roots are the system's, and the usage is that of a server
	return err
}

func verifyName(c *x509.Certificate, name string) error {
	if name == "" { // Verify would not compare it
		return errors.New("the name that the certificate must have is empty")
	}
	if c.Subject.CommonName == name || c.VerifyHostname(name) == nil {
		return nil
	}
	names := append([]string{c.Subject.CommonName}, c.DNSNames...)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	return fmt.Errorf("the certificate is for %q, not for %q, which the worker's --tls-server-name expects", names, name)
}
