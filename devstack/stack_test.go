package main

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rotate-user/rotate-user/devstack/stack"
	"github.com/rotate-user/rotate-user/internal/mysqld/mysqldtest"
)

func TestStackIsKeptInItsDataDirectory(t *testing.T) {
	t.Parallel()
	for _, p := range mysqldtest.Programs(t) {
		t.Run(p.Engine, func(t *testing.T) {
			t.Parallel()
			o := stack.Options{Dir: t.TempDir(), DataDir: t.TempDir(), Mysqld: p.Engine, MySQLPort: freePort(t)}
			var versions []string
			for range 2 {
				s, err := stack.Start(t.Context(), o)
				if err != nil {
					t.Fatal(err)
				}
				version, c, err := s.Read(t.Context(), stack.MasterSecret, "AWSCURRENT")
				if err != nil {
					t.Fatal(err)
				}
				if c.Engine != p.Engine || c.Port != o.MySQLPort {
					t.Errorf("the master secret names %s on port %d", c.Engine, c.Port)
				}
				db, err := s.Open(c.Username, c.Password)
				if err != nil {
					t.Fatal(err)
				}
				if err := db.PingContext(t.Context()); err != nil {
					t.Errorf("login with the master secret: %v", err)
				}
				db.Close()
				versions = append(versions, version)
				if err := s.Stop(); err != nil {
					t.Fatal(err)
				}
			}
			if versions[0] != versions[1] {
				t.Errorf("the master secret has changed from version %s to %s", versions[0], versions[1])
			}
		})
	}
}

func TestStackNamesTheFlagOfATakenPort(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	for flag, o := range map[string]stack.Options{
		"--temporal-port":       {TemporalPort: port},
		"--ui-port":             {UIPort: port},
		"--secretsmanager-port": {SecretsManagerPort: port},
		"--mysql-port":          {MySQLPort: port},
	} {
		o.Dir = t.TempDir()
		s, err := stack.Start(t.Context(), o)
		if err == nil {
			t.Errorf("%s: started on a taken port: %v", flag, s.Stop())
		} else if !strings.Contains(err.Error(), flag) {
			t.Errorf("want an error that names %s: %v", flag, err)
		}
	}
}

func TestEnvironmentFile(t *testing.T) {
	t.Parallel()
	s, err := stack.Start(t.Context(), stack.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop()
	r := running{Stack: s, bin: "/bin dir"}
	forget, err := r.writeEnvironment()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"env", "my.cnf"} {
		info, err := os.Stat(filepath.Join(s.Dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", name, info.Mode())
		}
	}
	_, master, err := s.Read(t.Context(), stack.MasterSecret, "AWSCURRENT")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(s.Dir, "env"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), master.Password) {
		t.Error("the administrator's password is in the environment file")
	}
	shell := func(script string) string {
		cmd := exec.CommandContext(t.Context(), "sh", "-c", ". ./env; "+script)
		cmd.Dir = s.Dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", script, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	if got, want := shell(`echo "$TEMPORAL_ADDRESS"`), s.Temporal.Address(); got != want {
		t.Errorf("TEMPORAL_ADDRESS is %q, want %q", got, want)
	}
	if got := shell(`echo "$AWS_REGION $AWS_DEFAULT_REGION"`); got != "us-east-1 us-east-1" {
		t.Errorf("AWS_REGION and AWS_DEFAULT_REGION are %q", got)
	}
	if got := shell(`echo "$PATH"`); !strings.HasPrefix(got, "/bin dir:/") {
		t.Errorf("PATH is %q", got)
	}
	for _, client := range []string{"mariadb", "mysql"} {
		if _, err := exec.LookPath(client); err != nil {
			continue
		}
		if got := shell(client + ` --defaults-file="$MYSQL_OPTION_FILE" -N -e "SELECT CURRENT_USER()"`); !strings.HasPrefix(got, s.Admin+"@") {
			t.Errorf("%s logs in as %q", client, got)
		}
	}
	forget()
	for _, name := range []string{"env", "my.cnf"} {
		if _, err := os.Stat(filepath.Join(s.Dir, name)); !os.IsNotExist(err) {
			t.Errorf("%s remains: %v", name, err)
		}
	}
}

func TestAManagedMasterIsKept(t *testing.T) {
	t.Parallel()
	for _, p := range mysqldtest.Programs(t) {
		t.Run(p.Engine, func(t *testing.T) {
			t.Parallel()
			o := stack.Options{Dir: t.TempDir(), DataDir: t.TempDir(), Mysqld: p.Engine, MySQLPort: freePort(t), ManagedMaster: true}
			var secrets []string
			for range 2 {
				s, err := stack.Start(t.Context(), o)
				if err != nil {
					t.Fatal(err)
				}
				secrets = append(secrets, s.MasterID)
				if err := s.Managed.Rotate(t.Context()); err != nil {
					t.Fatal(err)
				}
				_, c, err := s.Read(t.Context(), s.MasterID, "AWSCURRENT")
				if err != nil {
					t.Fatal(err)
				}
				if c.Host != "" || c.Engine != "" {
					t.Errorf("the managed secret names a server: %s %s", c.Engine, c.Host)
				}
				db, err := s.Open(c.Username, c.Password)
				if err != nil {
					t.Fatal(err)
				}
				if err := db.PingContext(t.Context()); err != nil {
					t.Errorf("login with the managed secret: %v", err)
				}
				db.Close()
				if !slices.ContainsFunc(s.Variables(), func(v stack.Variable) bool { return v.Name == "AWS_ENDPOINT_URL_RDS" }) {
					t.Error("no variable points to the RDS endpoint")
				}
				if err := s.Stop(); err != nil {
					t.Fatal(err)
				}
			}
			if secrets[0] != secrets[1] || !strings.HasPrefix(secrets[0], "rds!db-") {
				t.Errorf("the managed secrets are %q: want one", secrets)
			}
		})
	}
}
