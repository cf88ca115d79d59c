package steps

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	databases "github.com/rotate-user/rotate-user/devstack/rds"
	endpoint "github.com/rotate-user/rotate-user/devstack/secretsmanager"
	"github.com/rotate-user/rotate-user/internal/mysqld"
	"github.com/rotate-user/rotate-user/internal/mysqld/mysqldtest"
	"github.com/rotate-user/rotate-user/internal/rds"
	"github.com/rotate-user/rotate-user/rotation"
)

// managed is a lab with a master user that RDS manages.
type managed struct {
	*lab
	rds    *databases.Server
	master *databases.Master
}

func newManagedLab(t *testing.T, s *mysqld.Server, cluster bool) managed {
	t.Helper()
	l := newLab(t, s)
	m := managed{lab: l, rds: databases.New(databases.Options{Region: "eu-west-1"})}
	serve := func(h http.Handler) aws.Config {
		web := httptest.NewServer(h)
		t.Cleanup(web.Close)
		return aws.Config{Region: "eu-west-1", BaseEndpoint: &web.URL, Credentials: credentials.NewStaticCredentialsProvider("test", "test", "")}
	}
	l.activities.Databases = rds.New(serve(m.rds))
	name := "m" + l.user
	l.sql("CREATE USER " + name + "@'%' IDENTIFIED BY 'Managed.Passw0rd'")
	t.Cleanup(func() { l.sql("DROP USER " + name + "@'%'") })
	l.sql("GRANT ALL ON *.* TO " + name + "@'%' WITH GRANT OPTION")
	engine := s.Engine
	arn := m.rds.PutInstance(databases.Instance{Identifier: "one", Engine: engine, Host: s.Host, Port: s.Port})
	if cluster {
		arn = m.rds.PutCluster(databases.Cluster{Identifier: "many", Engine: engine, Host: s.Host, ReaderHost: "reader.invalid", Port: s.Port})
	}
	var err error
	service := secretsmanager.NewFromConfig(serve(l.sm.ForService("rds")))
	if m.master, err = databases.Manage(t.Context(), service, l.admin, arn, name, "Managed.Passw0rd"); err != nil {
		t.Fatal(err)
	}
	l.put(map[string]any{"username": l.user, "password": "First.Passw0rd", "masterarn": m.master.SecretARN})
	l.settle()
	return m
}

func TestAManagedMasterRotatesAUser(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		for _, cluster := range []bool{false, true} {
			m := newManagedLab(t, s, cluster)
			m.rotate()
			m.mustLogIn("AWSCURRENT", m.user+"_clone")
			m.mustLogIn("AWSPREVIOUS", m.user)
			m.rotate()
			m.mustLogIn("AWSCURRENT", m.user)
			operation := map[bool]string{false: "DescribeDBInstances", true: "DescribeDBClusters"}[cluster]
			if calls := m.rds.Calls(); calls[operation] != 2 || len(calls) != 1 {
				t.Errorf("two rotations made %v RDS calls: want one each", calls)
			}
		}
	})
}

func TestAMasterIsRotatedInTheMiddleOfARotation(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		m := newManagedLab(t, s, false)
		// Without kept connections, the administrator has to log in for every step.
		rotateMaster := func() {
			t.Helper()
			if err := m.master.Rotate(t.Context()); err != nil {
				t.Fatal(err)
			}
			m.settle()
			m.dialer.Close()
		}
		r, err := m.clone()
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range steps {
			rotateMaster()
			if err := m.step(name, &r.Rotation); err != nil {
				t.Fatalf("%s after a rotation of the master: %v", name, err)
			}
		}
		m.mustLogIn("AWSCURRENT", m.user+"_clone")
	})
}

// TestAMasterIsReadInTheMomentOfItsRotation covers the moment at which RDS has changed the password
// in the database but not yet in the secret.
func TestAMasterIsReadInTheMomentOfItsRotation(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		m := newManagedLab(t, s, false)
		m.sql("ALTER USER m" + m.user + "@'%' IDENTIFIED BY 'Another.Passw0rd'")
		_, err := m.clone()
		wants(t, err, rotation.ErrorMasterRefused, true, "RDS may be rotating")
		m.sql("ALTER USER m" + m.user + "@'%' IDENTIFIED BY 'Managed.Passw0rd'")
		m.rotate()
	})
}

func TestWhereAMasterLogsIn(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		here := rotation.MasterServer{MasterHost: s.Host, MasterPort: s.Port, MasterEngine: s.Engine}
		bare := func(m managed) { // a secret like RDS's, without tags
			_, err := m.client.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("bare"),
				SecretString: aws.String(`{"username":"m` + m.user + `","password":"Managed.Passw0rd"}`)})
			if err != nil {
				t.Fatal(err)
			}
			m.input.MasterSecretID = "bare"
			m.put(map[string]any{"username": m.user, "password": "First.Passw0rd"})
			m.settle()
		}
		for _, tt := range []struct {
			name  string
			given func(managed)
			kind  string // of the error; empty if the rotation works
			text  string
			retry bool
		}{
			{"no tags", bare, rotation.ErrorNoMasterServer, "MasterHost, MasterPort and MasterEngine", false},
			{"no tags, and the server in the input", func(m managed) { bare(m); m.input.MasterServer = here }, "", "", false},
			{"another server in the input", func(m managed) {
				bare(m)
				m.input.MasterServer = rotation.MasterServer{MasterHost: "127.0.0.1", MasterPort: 1, MasterEngine: "mysql"}
			}, rotation.ErrorUnreachable, "127.0.0.1:1", true},
			{"a server in the input that the master secret contradicts", func(m managed) {
				m.put(map[string]any{"username": m.user, "password": "First.Passw0rd", "masterarn": "master"})
				m.settle()
				m.input.MasterServer = rotation.MasterServer{MasterHost: "127.0.0.1", MasterPort: 1, MasterEngine: "mysql"}
			}, rotation.ErrorOtherServer, "MasterHost and MasterPort are 127.0.0.1:1", false},
			{"a server in the input that the master secret names too", func(m managed) {
				m.put(map[string]any{"username": m.user, "password": "First.Passw0rd", "masterarn": "master"})
				m.settle()
				m.input.MasterServer = here
			}, "", "", false},
			{"RDS denies", func(m managed) { m.rds.Intercept(databases.Denied) }, rotation.ErrorAccessDenied,
				"rds:DescribeDBInstances on arn:aws:rds:eu-west-1:123456789012:db:one", false},
			{"RDS throttles", func(m managed) { m.rds.Intercept(databases.Throttled) }, rotation.ErrorThrottled, "Rate exceeded", true},
			{"the instance is being created", func(m managed) { m.rds.PutInstance(databases.Instance{Identifier: "one", Engine: "mysql"}) },
				rotation.ErrorUnreachable, "no address yet", true},
			{"another engine", func(m managed) {
				m.rds.PutInstance(databases.Instance{Identifier: "one", Engine: "postgres", Host: "h", Port: 1})
			}, rotation.ErrorNoMasterServer, "its engine is postgres", false},
			{"the tags may not be read", func(m managed) {
				m.sm.Intercept(func(c endpoint.Call) endpoint.Fault {
					if c.Operation == "DescribeSecret" && c.SecretID == m.master.SecretARN {
						return endpoint.Denied(c)
					}
					return endpoint.Fault{}
				})
			}, rotation.ErrorAccessDenied, "by its tags", false},
			{"another port in the user's secret, to which the administrator does not connect", func(m managed) {
				m.put(map[string]any{"username": m.user, "password": "First.Passw0rd", "masterarn": m.master.SecretARN, "port": 1})
				m.settle()
			}, rotation.ErrorUnreachable, "127.0.0.1:1, the address in secret app", true},
		} {
			t.Run(tt.name, func(t *testing.T) {
				m := newManagedLab(t, s, false)
				tt.given(m)
				if tt.kind == "" {
					m.rotate()
					m.mustLogIn("AWSCURRENT", m.user+"_clone")
					return
				}
				before := m.snapshot()
				_, err := m.clone()
				wants(t, err, tt.kind, tt.retry, tt.text)
				if after := m.snapshot(); strings.TrimSpace(after) != strings.TrimSpace(before) {
					t.Error("the refused rotation changed something")
				}
			})
		}
	})
}
