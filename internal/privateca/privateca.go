// Package privateca issues certificates for the private servers of tests and demonstrations, and for their clients.
package privateca

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
	"math/big"
	"net"
	"os"
	"time"
)

// Certificates must outlive every data directory that is kept.
const lifetime = 20 * 365 * 24 * time.Hour

// CA is a certificate authority.
type CA struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

// New makes an authority.
func New() (*CA, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		Subject:               subject("private test CA"),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := issue(template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	return &CA{certificate, key}, err
}

// Load reads an authority that Save wrote.
func Load(certificateFile, keyFile string) (*CA, error) {
	pair, err := tls.LoadX509KeyPair(certificateFile, keyFile)
	if err != nil {
		return nil, err
	}
	key, ok := pair.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("the key in %s cannot sign", keyFile)
	}
	return &CA{pair.Leaf, key}, nil
}

// Save writes the authority's certificate and key.
func (ca *CA) Save(certificateFile, keyFile string) error {
	return Save(tls.Certificate{Certificate: [][]byte{ca.certificate.Raw}, PrivateKey: ca.key}, certificateFile, keyFile)
}

// PEM returns the authority's certificate.
func (ca *CA) PEM() []byte { return encode("CERTIFICATE", ca.certificate.Raw) }

// ForServer issues a certificate for a server that clients find by these names and IP addresses.
func (ca *CA) ForServer(hosts ...string) (tls.Certificate, error) {
	template := &x509.Certificate{
		Subject:     subject(hosts[0]),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	return ca.sign(template)
}

// ForServerWithoutHost issues a certificate for a server, which has only a common name, like those of Google Cloud SQL.
func (ca *CA) ForServerWithoutHost(name string) (tls.Certificate, error) {
	return ca.sign(&x509.Certificate{
		Subject:     subject(name),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
}

// ForClient issues a certificate for a client, which servers know as subject "/O=rotate-user/CN=<name>".
func (ca *CA) ForClient(name string) (tls.Certificate, error) {
	return ca.sign(&x509.Certificate{
		Subject:     subject(name),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
}

func (ca *CA) sign(template *x509.Certificate) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	der, err := issue(template, ca.certificate, key.Public(), ca.key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

func subject(name string) pkix.Name {
	return pkix.Name{Organization: []string{"rotate-user"}, CommonName: name}
}

func issue(template, parent *x509.Certificate, public crypto.PublicKey, signer crypto.Signer) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	template.SerialNumber = serial
	template.NotBefore = time.Now().Add(-24 * time.Hour) // clocks differ
	template.NotAfter = time.Now().Add(lifetime)
	return x509.CreateCertificate(rand.Reader, template, parent, public, signer)
}

// Save writes a certificate and its key as PEM. Only the owner can read the key.
func Save(c tls.Certificate, certificateFile, keyFile string) error {
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(certificateFile, encode("CERTIFICATE", c.Certificate[0]), 0o644),
		os.WriteFile(keyFile, encode("PRIVATE KEY", key), 0o600),
	)
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// Pool returns the authorities in the files, and no others.
func Pool(files ...string) (*x509.CertPool, error) {
	return add(x509.NewCertPool(), files...)
}

// SystemPool returns the system's authorities and those in the files.
func SystemPool(files ...string) (*x509.CertPool, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, err
	}
	return add(pool, files...)
}

func add(pool *x509.CertPool, files ...string) (*x509.CertPool, error) {
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		if !pool.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("no certificate in %s", file)
		}
	}
	return pool, nil
}
