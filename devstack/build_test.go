package main

import (
	"debug/buildinfo"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rotate-user/rotate-user/devstack/stack"
)

// TestTheWorkerUnderTestHasItsOwnDependencies checks that the tested worker is built with the
// dependencies of the root module, as a release is. The devstack module needs other versions of
// some of them.
func TestTheWorkerUnderTestHasItsOwnDependencies(t *testing.T) {
	t.Parallel()
	root, err := stack.Repository(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	bin, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	list := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Path}} {{.Version}}", "all")
	list.Dir, list.Env = root, append(os.Environ(), "GOWORK=off")
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for line := range strings.Lines(string(out)) {
		path, version, _ := strings.Cut(strings.TrimSpace(line), " ")
		want[path] = version
	}
	for _, program := range []string{"worker", "starter"} {
		info, err := buildinfo.ReadFile(filepath.Join(bin, program))
		if err != nil {
			t.Fatal(err)
		}
		if len(info.Deps) == 0 {
			t.Errorf("%s: no dependencies", program)
		}
		for _, dep := range info.Deps {
			if dep.Version != want[dep.Path] {
				t.Errorf("%s has %s %s; the root module has %s", program, dep.Path, dep.Version, want[dep.Path])
			}
		}
	}
}
