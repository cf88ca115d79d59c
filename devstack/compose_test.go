package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

func loadCompose(t *testing.T) *types.Project {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{"../docker-compose.yml"}, cli.WithProfiles([]string{"tools"}))
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return project
}

func TestComposeFile(t *testing.T) {
	project := loadCompose(t)
	for name, service := range project.Services {
		for _, port := range service.Ports {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("%s publishes port %s on %q, for the whole network", name, port.Published, port.HostIP)
			}
		}
		for dependency, how := range service.DependsOn {
			health := project.Services[dependency].HealthCheck
			if how.Condition == types.ServiceConditionHealthy && (health == nil || len(health.Test) == 0) {
				t.Errorf("%s waits until %s is healthy, but %[2]s has no health check", name, dependency)
			}
		}
		for variable := range service.Environment {
			if strings.Contains(variable, "PASSWORD") && !strings.HasSuffix(variable, "_FILE") {
				t.Errorf("%s has a password in %s", name, variable)
			}
		}
	}
	// The Secrets Manager endpoint keeps nothing across a restart, so nothing else may either: it
	// would not match.
	for name := range project.Volumes {
		if name != "setup" {
			t.Errorf("volume %s outlives the secrets", name)
		}
	}
	if !slices.Contains(project.Services["mysql"].Tmpfs, "/var/lib/mysql") {
		t.Error("the image keeps MySQL's data in a volume of its own unless there is another file system")
	}
	if command := strings.Join(project.Services["temporal"].Command, " "); strings.Contains(command, "--db-filename") {
		t.Errorf("Temporal keeps its state across restarts: %s", command)
	}
	for _, name := range []string{"worker", "starter"} {
		s := project.Services[name]
		if !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) || !slices.Contains(s.SecurityOpt, "no-new-privileges:true") {
			t.Errorf("%s has privileges that it does not need", name)
		}
	}
	worker := project.Services["worker"]
	if worker.HealthCheck == nil || !slices.Equal(worker.HealthCheck.Test, []string{"CMD", "worker", "health"}) {
		t.Error("the worker has no health check")
	}
	if project.Services["starter"].DependsOn["worker"].Condition != types.ServiceConditionHealthy {
		t.Error("the starter does not wait until the worker is healthy")
	}
	for _, name := range []string{"mysql", "temporal", "secretsmanager"} {
		if _, ok := worker.DependsOn[name]; !ok {
			t.Errorf("the worker does not wait for %s", name)
		}
	}
	for variable, want := range map[string]string{
		"TEMPORAL_ADDRESS":                 "temporal:7233",
		"AWS_ENDPOINT_URL_SECRETS_MANAGER": "http://secretsmanager:4584",
		"ROTATE_USER_TLS_CA_FILE":          "/setup/ca.pem",
	} {
		if got := worker.Environment[variable]; got == nil || *got != want {
			t.Errorf("the worker's %s is not %s", variable, want)
		}
	}
}

// TestImagesArePinned: the content of a floating tag changes, so the tests would say nothing about
// it.
func TestImagesArePinned(t *testing.T) {
	for name, service := range loadCompose(t).Services {
		_, tag, _ := strings.Cut(service.Image, ":")
		if ours := strings.HasPrefix(service.Image, "rotate-user"); !ours && strings.Count(tag, ".") != 2 {
			t.Errorf("%s has the image %s, which is not pinned to a release", name, service.Image)
		}
	}
}

func TestDockerfilesCopyWhatIsBuilt(t *testing.T) {
	const module = "github.com/rotate-user/rotate-user"
	project := loadCompose(t)
	for _, c := range []struct {
		service, module string
		programs        []string
	}{
		{"worker", ".", []string{"./worker", "./starter"}},
		{"setup", "devstack", []string{"./endpoint"}},
		{"secretsmanager", "devstack", []string{"./endpoint"}},
	} {
		build := project.Services[c.service].Build
		if build == nil {
			t.Fatalf("%s is not built", c.service)
		}
		dockerfile, err := os.ReadFile(filepath.Join(build.Context, build.Dockerfile))
		if err != nil {
			t.Fatal(err)
		}
		ignore, err := os.ReadFile(filepath.Join(build.Context, ".dockerignore"))
		if err != nil {
			t.Fatal(err)
		}
		var copied []string
		for _, line := range regexp.MustCompile(`(?m)^COPY ([a-z./ ]+) \S+$`).FindAllStringSubmatch(string(dockerfile), -1) {
			for _, name := range strings.Fields(line[1]) {
				copied = append(copied, name)
				if _, err := os.Stat(filepath.Join(build.Context, name)); err != nil {
					t.Error(err)
				}
				top, _, _ := strings.Cut(name, "/")
				if !strings.Contains(string(ignore), "\n!"+name+"\n") && !strings.Contains(string(ignore), "\n!"+top+"\n") {
					t.Errorf(".dockerignore excludes %s from the build", name)
				}
			}
		}
		list := exec.CommandContext(t.Context(), "go", append([]string{"list", "-deps"}, c.programs...)...)
		list.Dir, list.Env = filepath.Join(build.Context, c.module), append(os.Environ(), "GOWORK=off")
		packages, err := list.Output()
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range strings.Fields(string(packages)) {
			name, ours := strings.CutPrefix(p, module+"/")
			has := func(dir string) bool { return name == dir || strings.HasPrefix(name, dir+"/") }
			if ours && !slices.ContainsFunc(copied, has) {
				t.Errorf("the Dockerfile of %s does not copy package %s", c.service, p)
			}
		}
	}
}
