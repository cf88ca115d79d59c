package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"go.temporal.io/sdk/workflow"

	"github.com/rotate-user/rotate-user/activities"
	"github.com/rotate-user/rotate-user/workflows"
)

var discard = slog.New(slog.DiscardHandler)

// configured reads a configuration as main does.
func configured(t *testing.T, environment map[string]string, args ...string) (config, error) {
	t.Helper()
	var c config
	lookup := func(name string) (string, bool) { value, ok := environment[name]; return value, ok }
	cmd := newCommand(lookup, new(bool))
	cmd.ResetFlags()
	c.addFlags(cmd.Flags())
	if err := cmd.ParseFlags(args); err != nil {
		return c, err
	}
	if err := setFromEnvironment(cmd.Flags(), lookup); err != nil {
		return c, err
	}
	c.fromEnvironment(lookup)
	return c, c.validate()
}

func TestDefaults(t *testing.T) {
	c, err := configured(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	options := c.workerOptions()
	if c.taskQueue != "rotate-user" || options.MaxConcurrentActivityExecutionSize != 16 ||
		c.pacedOptions().TaskQueueActivitiesPerSecond != 10 {
		t.Errorf("%+v, %+v", c, options)
	}
	if options.WorkerStopTimeout <= workflows.StepTimeout {
		t.Errorf("a stopping worker waits %s, and a step may last %s", options.WorkerStopTimeout, workflows.StepTimeout)
	}
	if options.DeploymentOptions.UseVersioning {
		t.Error("versioned although nobody asked")
	}
}

func TestFlagsWinOverEnvironment(t *testing.T) {
	environment := map[string]string{
		"ROTATE_USER_TASK_QUEUE":                "from-environment",
		"ROTATE_USER_MAX_CONCURRENT_ACTIVITIES": "3",
		"ROTATE_USER_METRICS_ADDRESS":           "",
		"ROTATE_USER_ALLOWED_MASTER_SECRETS":    "prod/admin, test/*",
		"ROTATE_USER_TLS_SERVER_NAME":           "10.0.0.5=p:i,10.0.0.6=p:j",
		"TEMPORAL_DEPLOYMENT_NAME":              "rotate-user",
		"TEMPORAL_WORKER_BUILD_ID":              "v7",
	}
	c, err := configured(t, environment, "--task-queue", "from-flag")
	if err != nil {
		t.Fatal(err)
	}
	if c.taskQueue != "from-flag" || c.maxConcurrentActivities != 3 || c.metricsAddress != "" {
		t.Errorf("%+v", c)
	}
	if got := c.masters(); !slices.Equal(got, []activities.MasterPattern{"prod/admin", "test/*"}) {
		t.Errorf("allowed master secrets are %q", got)
	}
	if got, err := c.serverNames(); err != nil || got["10.0.0.5"] != "p:i" || got["10.0.0.6"] != "p:j" {
		t.Errorf("server names are %q, %v", got, err)
	}
	versioning := c.workerOptions().DeploymentOptions
	if !versioning.UseVersioning || versioning.Version.BuildID != "v7" ||
		versioning.DefaultVersioningBehavior != workflow.VersioningBehaviorAutoUpgrade {
		t.Errorf("%+v", versioning)
	}
}

func TestEveryFlagHasItsVariable(t *testing.T) {
	newCommand(os.LookupEnv, new(bool)).Flags().VisitAll(func(f *pflag.Flag) {
		if !strings.HasSuffix(f.Usage, "["+variable(f.Name)+"]") {
			t.Errorf("--%s does not say its variable: %s", f.Name, f.Usage)
		}
	})
}

func TestRefusedConfiguration(t *testing.T) {
	tests := []struct {
		name        string
		environment map[string]string
		args        []string
		says        string
	}{
		{"no queue", nil, []string{"--task-queue", ""}, "--task-queue"},
		{"no activities", nil, []string{"--max-concurrent-activities", "0"}, "--max-concurrent-activities"},
		{"too many activities", nil, []string{"--max-concurrent-activities", "1001"}, "--max-concurrent-activities"},
		{"no number", map[string]string{"ROTATE_USER_MAX_CONCURRENT_ACTIVITIES": "many"}, nil, "ROTATE_USER_MAX_CONCURRENT_ACTIVITIES"},
		{"negative rate", nil, []string{"--max-rotations-per-second", "-1"}, "--max-rotations-per-second"},
		{"no rate", nil, []string{"--max-rotations-per-second", "NaN"}, "--max-rotations-per-second"},
		{"blank master secret", map[string]string{"ROTATE_USER_ALLOWED_MASTER_SECRETS": "prod/admin, "}, nil, "--allowed-master-secrets"},
		{"asterisk inside", nil, []string{"--allowed-master-secrets", "prod/*/admin"}, "--allowed-master-secrets"},
		{"certificate alone", nil, []string{"--tls-cert-file", "x"}, "--tls-key-file"},
		{"no name of the server", nil, []string{"--tls-server-name", "10.0.0.5"}, "--tls-server-name: \"10.0.0.5\" is not HOST=NAME"},
		{"empty name of the server", nil, []string{"--tls-server-name", "10.0.0.5="}, "is not HOST=NAME"},
		{"name of no server", nil, []string{"--tls-server-name", "=p:i"}, "is not HOST=NAME"},
		{"name of a server's port", nil, []string{"--tls-server-name", "db.example:3306=p:i"}, "without a port"},
		{"two names of a server", nil, []string{"--tls-server-name", "db=p:i", "--tls-server-name", "DB=p:j"}, "two names"},
		{"no port", nil, []string{"--metrics-address", "localhost"}, "--metrics-address"},
		{"level", nil, []string{"--log-level", "loud"}, "--log-level"},
		{"format", nil, []string{"--log-format", "xml"}, "--log-format"},
		{"half a version", map[string]string{"TEMPORAL_WORKER_BUILD_ID": "7"}, nil, "TEMPORAL_DEPLOYMENT_NAME"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, err := configured(t, test.environment, test.args...); err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("the error does not say %q: %v", test.says, err)
			}
		})
	}
}

func TestDialer(t *testing.T) {
	dir := t.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	certFile, keyFile := write("cert.pem", "CERTIFICATE", certificate), write("key.pem", "PRIVATE KEY", private)

	c := config{tlsCAFile: certFile, tlsCertFile: certFile, tlsKeyFile: keyFile}
	dialer, err := c.dialer(discard)
	if err != nil {
		t.Fatal(err)
	}
	system, err := x509.SystemCertPool()
	if err != nil {
		t.Fatal(err)
	}
	trust := dialer.Trust()
	if trust.RootCAs.Equal(system) {
		t.Error("the certificate of the file is not among the roots")
	}
	own, err := x509.ParseCertificate(certificate)
	if err != nil {
		t.Fatal(err)
	}
	system.AddCert(own)
	if !trust.RootCAs.Equal(system) {
		t.Error("the roots are not the system's and that of the file")
	}
	if len(trust.Certificates) != 1 || !slices.Equal(trust.Certificates[0].Certificate[0], certificate) {
		t.Error("the client certificate is not that of the file")
	}

	for _, c := range []config{
		{tlsCAFile: filepath.Join(dir, "missing.pem")},
		{tlsCAFile: keyFile},
		{tlsCertFile: certFile, tlsKeyFile: certFile},
	} {
		if _, err := c.dialer(discard); err == nil {
			t.Errorf("%+v was accepted", c)
		}
	}

	c.tlsServerNames = []string{"DB.example=p:i", "::1 = p:j"}
	if dialer, err = c.dialer(discard); err != nil || !maps.Equal(dialer.ServerNames, map[string]string{"db.example": "p:i", "::1": "p:j"}) {
		t.Errorf("%+v, %v", dialer, err)
	}
	if dialer, err := (&config{}).dialer(discard); err != nil || dialer.RootCAs != nil || dialer.Certificates != nil || dialer.Trust != nil {
		t.Errorf("without files: %+v, %v", dialer, err)
	}
}
