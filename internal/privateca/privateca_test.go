package privateca

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The authority is saved and loaded in between.
func TestServerAndClientTrustEachOther(t *testing.T) {
	dir := t.TempDir()
	certificateFile, keyFile := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "ca-key.pem")
	made, err := New()
	if err != nil {
		t.Fatal(err)
	}
	if err := made.Save(certificateFile, keyFile); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(keyFile); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key's file: %v, %v", info.Mode(), err)
	}
	ca, err := Load(certificateFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	pool, err := Pool(certificateFile)
	if err != nil {
		t.Fatal(err)
	}
	server, err := ca.ForServer("localhost", "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	client, err := ca.ForClient("operator")
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"localhost", "127.0.0.1"} {
		near, far := net.Pipe()
		serving := tls.Server(near, &tls.Config{Certificates: []tls.Certificate{server}, ClientCAs: pool,
			ClientAuth: tls.RequireAndVerifyClientCert})
		done := make(chan error, 1)
		go func() { done <- serving.Handshake() }()
		calling := tls.Client(far, &tls.Config{RootCAs: pool, ServerName: host, Certificates: []tls.Certificate{client}})
		if err := calling.Handshake(); err != nil {
			t.Errorf("%s: client: %v", host, err)
		}
		if err := <-done; err != nil {
			t.Errorf("%s: server: %v", host, err)
		}
		if got := serving.ConnectionState().PeerCertificates[0].Subject.CommonName; got != "operator" {
			t.Errorf("%s: the server sees client %q", host, got)
		}
	}
}

func TestPoolRefusesAFileWithoutCertificate(t *testing.T) {
	file := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, pool := range map[string]func(...string) (*x509.CertPool, error){"Pool": Pool, "SystemPool": SystemPool} {
		if _, err := pool(file); err == nil || !strings.Contains(err.Error(), "no certificate in "+file) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
