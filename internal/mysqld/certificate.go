package mysqld

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/rotate-user/rotate-user/internal/privateca"
)

// ensureCertificates creates the authority and the server's certificate unless they exist in the
// directory.
func ensureCertificates(dir string) error {
	// The server's key is written last, so its presence means that the other files are complete.
	key := filepath.Join(dir, "server-key.pem")
	if _, err := os.Stat(key); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	ca, err := privateca.New()
	if err != nil {
		return err
	}
	server, err := ca.ForServer("localhost", "127.0.0.1", "::1")
	if err != nil {
		return err
	}
	if err := ca.Save(filepath.Join(dir, "ca.pem"), filepath.Join(dir, "ca-key.pem")); err != nil {
		return err
	}
	return privateca.Save(server, filepath.Join(dir, "server.pem"), key)
}

// RootCAs returns a pool that contains only the server's certificate authority.
func (s *Server) RootCAs() (*x509.CertPool, error) { return privateca.Pool(s.CAFile) }

// ClientCertificate issues a certificate under the server's authority, for accounts that require
// one. The server sees such a client as subject "/O=rotate-user/CN=<name>", issued by
// "/O=rotate-user/CN=private test CA".
func (s *Server) ClientCertificate(name string) (tls.Certificate, error) {
	ca, err := privateca.Load(s.CAFile, filepath.Join(filepath.Dir(s.CAFile), "ca-key.pem"))
	if err != nil {
		return tls.Certificate{}, err
	}
	return ca.ForClient(name)
}
