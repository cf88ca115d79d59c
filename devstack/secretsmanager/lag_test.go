package secretsmanager_test

import (
	"net/http/httptest"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sm "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/google/go-cmp/cmp"

	"github.com/rotate-user/rotate-user/devstack/secretsmanager"
)

func TestReadsLagBehindWrites(t *testing.T) {
	const lag = 300 * time.Millisecond
	c := &clock{now: start}
	server, err := secretsmanager.New(secretsmanager.Options{Now: c.Now, Lag: lag})
	if err != nil {
		t.Fatal(err)
	}
	serve := func(s *httptest.Server) string { t.Cleanup(s.Close); return s.URL }
	url := serve(httptest.NewServer(server))
	e := &endpoint{client(url), server, url, c}
	present := &endpoint{client(serve(httptest.NewServer(server.WithoutLag()))), server, url, c}

	e.create(t, "s", "v1", "a")
	if _, err := e.get("s", "", ""); err == nil {
		t.Error("a secret is there at once")
	}
	if _, err := present.get("s", "", ""); err != nil {
		t.Errorf("without a lag: %v", err)
	}
	if _, err := e.CreateSecret(ctx, &sm.CreateSecretInput{Name: aws.String("s"), SecretString: aws.String("b")}); err == nil {
		t.Error("a name can be given twice within the lag")
	}
	c.add(lag)
	if _, err := e.get("s", "", ""); err != nil {
		t.Errorf("after the lag: %v", err)
	}

	put := func(e *endpoint, version string, labels ...string) {
		t.Helper()
		if _, err := e.put("s", version, version, labels...); err != nil {
			t.Fatal(err)
		}
	}
	put(e, "v2", "AWSPENDING")
	c.add(lag / 2)
	if err := e.move("s", "AWSCURRENT", "v1", "v2"); err != nil {
		t.Errorf("a move is refused where the truth allows it: %v", err)
	}
	for _, want := range []map[string]string{
		{"v1": "AWSCURRENT"},
		{"v1": "AWSCURRENT", "v2": "AWSPENDING"},
		{"v1": "AWSPREVIOUS", "v2": "AWSCURRENT AWSPENDING"},
	} {
		if diff := cmp.Diff(want, e.labels(t, "s")); diff != "" {
			t.Error(diff)
		}
		_, err := e.get("s", "v2", "")
		if _, found := want["v2"]; found != (err == nil) {
			t.Errorf("v2 is read with the error %v: want as DescribeSecret has it", err)
		}
		c.add(lag / 2)
	}

	put(e, "v3", "AWSPENDING")
	put(present, "v4")
	if diff := cmp.Diff(map[string]string{"v1": "", "v2": "AWSPREVIOUS", "v3": "AWSPENDING", "v4": "AWSCURRENT"},
		e.labels(t, "s")); diff != "" {
		t.Errorf("a write without lag is not seen at once: %s", diff)
	}

	if _, err := e.DeleteSecret(ctx, &sm.DeleteSecretInput{SecretId: aws.String("s"),
		ForceDeleteWithoutRecovery: aws.Bool(true)}); err != nil {
		t.Fatal(err)
	}
	if _, err := e.get("s", "", ""); err != nil {
		t.Errorf("a deletion is seen at once: %v", err)
	}
	c.add(lag)
	if _, err := e.get("s", "", ""); err == nil {
		t.Error("a deletion is never seen")
	}
}

func TestAReadOnlySecretIsRead(t *testing.T) {
	for _, tt := range []struct{ region, service, want string }{
		{"eu-west-1", "", "InvalidParameterException: Operation not permitted on a replica secret. Call must be made in primary " +
			"secret's region."},
		{"", "rds", "InvalidRequestException"},
	} {
		e := newEndpoint(t, "")
		e.create(t, "s", "v1", "a")
		if err := e.server.MakeReadOnly("s", tt.region, tt.service); err != nil {
			t.Fatal(err)
		}
		d, err := e.DescribeSecret(ctx, &sm.DescribeSecretInput{SecretId: aws.String("s")})
		if err != nil || aws.ToString(d.PrimaryRegion) != tt.region || aws.ToString(d.OwningService) != tt.service {
			t.Errorf("described as of region %v and service %v, %v", d.PrimaryRegion, d.OwningService, err)
		}
		if _, err := e.get("s", "", ""); err != nil {
			t.Error(err)
		}
		_, err = e.put("s", "v2", "b")
		expect(t, err, tt.want)
		expect(t, e.move("s", "label", "", "v1"), tt.want)
		_, err = e.DeleteSecret(ctx, &sm.DeleteSecretInput{SecretId: aws.String("s")})
		expect(t, err, tt.want)
	}
}
