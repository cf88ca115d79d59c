package mysqld

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Certificates outlive any data directory that somebody keeps.
const certificateLife = 20 * 365 * 24 * time.Hour

// ensureCertificates makes the authority and the server's certificate unless the directory has them.
func ensureCertificates(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, "server-key.pem")); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	ca := &x509.Certificate{
		Subject:               pkix.Name{Organization: []string{"rotate-user"}, CommonName: "private test CA"},
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	caDER, err := issue(ca, ca, caKey.Public(), caKey)
	if err != nil {
		return err
	}
	if ca, err = x509.ParseCertificate(caDER); err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := issue(&x509.Certificate{
		Subject:     pkix.Name{Organization: []string{"rotate-user"}, CommonName: "localhost"},
		DNSNames:    []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, ca, key.Public(), caKey)
	if err != nil {
		return err
	}
	return errors.Join(
		writeCertificate(filepath.Join(dir, "ca.pem"), caDER),
		writeKey(filepath.Join(dir, "ca-key.pem"), caKey),
		writeCertificate(filepath.Join(dir, "server.pem"), der),
		writeKey(filepath.Join(dir, "server-key.pem"), key), // last: its presence says that all are there
	)
}

func issue(template, parent *x509.Certificate, public crypto.PublicKey, signer crypto.Signer) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	template.SerialNumber = serial
	template.NotBefore = time.Now().Add(-24 * time.Hour)
	template.NotAfter = time.Now().Add(certificateLife)
	return x509.CreateCertificate(rand.Reader, template, parent, public, signer)
}

func writeCertificate(path string, der []byte) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644)
}

func writeKey(path string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
}

// RootCAs holds the server's certificate authority and nothing else.
func (s *Server) RootCAs() (*x509.CertPool, error) {
	data, err := os.ReadFile(s.CAFile)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("no certificate in %s", s.CAFile)
	}
	return pool, nil
}

// ClientCertificate issues a certificate under the server's authority, for accounts that require one. The server knows
// such a client as subject "/O=rotate-user/CN=<name>", issued by "/O=rotate-user/CN=private test CA".
func (s *Server) ClientCertificate(name string) (tls.Certificate, error) {
	dir := filepath.Dir(s.CAFile)
	pair, err := tls.LoadX509KeyPair(s.CAFile, filepath.Join(dir, "ca-key.pem"))
	if err != nil {
		return tls.Certificate{}, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	der, err := issue(&x509.Certificate{
		Subject:     pkix.Name{Organization: []string{"rotate-user"}, CommonName: name},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, pair.Leaf, key.Public(), pair.PrivateKey.(crypto.Signer))
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}
