package stack

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Repository returns the root of the repository that contains the working directory.
func Repository(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/rotate-user/rotate-user").Output()
	if err != nil {
		return "", fmt.Errorf("not in a repository of rotate-user: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// Build builds the worker and the starter in the directory bin of dir, and returns that directory.
// It builds them as for a release: in their own module at root, with the dependencies of its go.mod
// rather than those of this module.
func Build(ctx context.Context, root, dir string, tags ...string) (string, error) {
	bin := filepath.Join(dir, "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return "", err
	}
	build := exec.CommandContext(ctx, "go", "build", "-ldflags=-s -w", "-tags", strings.Join(tags, ","), "-o", bin+string(filepath.Separator),
		"./worker", "./starter")
	build.Dir = root
	build.Env = append(os.Environ(), "GOWORK=off")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build ./worker ./starter: %w\n%s", err, out)
	}
	return bin, nil
}
