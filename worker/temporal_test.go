package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// pair is a certificate that is its own authority, for a client and for a server on localhost.
type pair struct {
	certificate, key []byte // PEM
	tls              tls.Certificate
}

func newPair(t *testing.T, name string) pair {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"localhost", name}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	p := pair{
		certificate: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		key:         pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
	}
	if p.tls, err = tls.X509KeyPair(p.certificate, p.key); err != nil {
		t.Fatal(err)
	}
	return p
}

// replace puts a file in the place of another, as those who renew certificates do.
func replace(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path+".new", content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// temporalServer answers every call with Unimplemented. It passes on the name in the client's certificate for each connection,
// and the API key of each call.
func temporalServer(t *testing.T, own *pair) (address string, callers <-chan string, stop func()) {
	t.Helper()
	calls := make(chan string, 100)
	options := []grpc.ServerOption{grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		md, _ := metadata.FromIncomingContext(stream.Context())
		calls <- strings.Join(md.Get("authorization"), ",")
		return status.Error(codes.Unimplemented, "no such call")
	})}
	if own != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(&tls.Config{
			Certificates: []tls.Certificate{own.tls}, ClientAuth: tls.RequireAnyClientCert,
			VerifyPeerCertificate: func(raw [][]byte, _ [][]*x509.Certificate) error {
				c, err := x509.ParseCertificate(raw[0])
				if err == nil {
					calls <- c.DNSNames[1]
				}
				return err
			},
		})))
	}
	server := grpc.NewServer(options...)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	return listener.Addr().String(), calls, server.Stop
}

// TestTemporalCertificatesMayChange checks that a connection is made with the files of its moment: the client's certificate, its
// key, and the authority of the server.
func TestTemporalCertificatesMayChange(t *testing.T) {
	dir := t.TempDir()
	cert, key, ca := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), filepath.Join(dir, "ca.pem")
	t.Setenv("TEMPORAL_CONFIG_FILE", filepath.Join(dir, "none.toml"))
	t.Setenv("TEMPORAL_TLS_CLIENT_CERT_PATH", cert)
	t.Setenv("TEMPORAL_TLS_CLIENT_KEY_PATH", key)
	t.Setenv("TEMPORAL_TLS_SERVER_CA_CERT_PATH", ca)
	var options client.Options
	for i, name := range []string{"first", "second", "third"} {
		own, server := newPair(t, name), newPair(t, "server")
		replace(t, ca, server.certificate)
		replace(t, cert, own.certificate)
		replace(t, key, own.key)
		if i == 0 {
			var err error
			if options, err = clientOptions(discard); err != nil {
				t.Fatal(err)
			}
			options.Logger = log.NewStructuredLogger(discard)
		}
		address, callers, stop := temporalServer(t, &server)
		_, port, err := net.SplitHostPort(address)
		if err != nil {
			t.Fatal(err)
		}
		options.HostPort = net.JoinHostPort("localhost", port)
		c, err := client.NewLazyClient(options)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.CheckHealth(t.Context(), &client.CheckHealthRequest{}); err == nil || !strings.Contains(err.Error(), "no such call") {
			t.Fatalf("%s: %v", name, err)
		}
		c.Close()
		if got := <-callers; got != name {
			t.Errorf("the client showed the certificate %s, and the file holds %s", got, name)
		}
		stop()
	}
}

// TestTemporalAPIKeyMayChange checks that each call has the API key that the configuration file holds at that moment.
func TestTemporalAPIKeyMayChange(t *testing.T) {
	file := filepath.Join(t.TempDir(), "temporal.toml")
	t.Setenv("TEMPORAL_CONFIG_FILE", file)
	write := func(key string) {
		replace(t, file, []byte("[profile.default]\napi_key = \""+key+"\"\n[profile.default.tls]\ndisabled = true\n"))
	}
	write("first")
	options, err := clientOptions(discard)
	if err != nil {
		t.Fatal(err)
	}
	options.Logger = log.NewStructuredLogger(discard)
	address, callers, _ := temporalServer(t, nil)
	options.HostPort = address
	c, err := client.NewLazyClient(options)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	call := func() (key string) {
		if _, err := c.CheckHealth(t.Context(), &client.CheckHealthRequest{}); err == nil || !strings.Contains(err.Error(), "no such call") {
			t.Fatal(err)
		}
		for key = <-callers; len(callers) > 0; {
			key = <-callers
		}
		return key
	}
	for _, key := range []string{"first", "second", "third"} {
		write(key)
		if got := call(); got != "Bearer "+key {
			t.Errorf("the file holds %q, and a call has %q", key, got)
		}
	}
	replace(t, file, []byte("[profile.default"))
	if got := call(); got != "Bearer third" {
		t.Errorf("while the file cannot be read, a call has %q", got)
	}
}

// TestDatabaseCertificatesMayChange checks that the files of --tls-... are read again when they change, and that what was read
// before stays in use while they do not fit together.
func TestDatabaseCertificatesMayChange(t *testing.T) {
	dir := t.TempDir()
	c := config{tlsCAFile: filepath.Join(dir, "ca.pem"), tlsCertFile: filepath.Join(dir, "cert.pem"),
		tlsKeyFile: filepath.Join(dir, "key.pem")}
	first, second := newPair(t, "first"), newPair(t, "second")
	replace(t, c.tlsCAFile, first.certificate)
	replace(t, c.tlsCertFile, first.certificate)
	replace(t, c.tlsKeyFile, first.key)
	var logs strings.Builder
	c.logLevel, c.logFormat = "info", "text"
	logger, err := c.logger(&logs)
	if err != nil {
		t.Fatal(err)
	}
	dialer, err := c.dialer(logger)
	if err != nil {
		t.Fatal(err)
	}
	before := dialer.Trust()
	if dialer.Trust() != before || logs.Len() > 0 {
		t.Errorf("files are read again though they have not changed: %s", &logs)
	}
	replace(t, c.tlsCertFile, second.certificate)
	for range 2 {
		if dialer.Trust() != before {
			t.Error("a certificate is used without its key")
		}
	}
	if n := strings.Count(logs.String(), "cannot be used"); n != 1 {
		t.Errorf("%d warnings of one error: %s", n, &logs)
	}
	replace(t, c.tlsKeyFile, second.key)
	replace(t, c.tlsCAFile, second.certificate)
	after := dialer.Trust()
	if string(after.Certificates[0].Certificate[0]) != string(second.tls.Certificate[0]) || after.RootCAs.Equal(before.RootCAs) {
		t.Error("the files have changed and were not read again")
	}
}
