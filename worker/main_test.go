package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rotate-user/rotate-user/internal/program"
)

func TestExitCodes(t *testing.T) {
	for _, test := range []struct {
		name        string
		args        []string
		environment map[string]string
		code        int
		says        string
	}{
		{"version", []string{"--version"}, nil, program.Done, "worker version " + program.Version()},
		{"help", []string{"--help"}, nil, program.Done, program.ExitCodes},
		{"completion", []string{"completion", "bash"}, nil, program.Done, "bash completion"},
		{"completion is listed", []string{"--help"}, nil, program.Done, "Generate the autocompletion script"},
		{"values are completed", []string{"__complete", "--log-format", ""}, nil, program.Done, "text\njson\n"},
		{"unknown flag", []string{"--tasks"}, nil, program.WrongUsage, "unknown flag: --tasks\nSee worker --help"},
		{"unknown flag of health", []string{"health", "--tasks"}, nil, program.WrongUsage, "See worker health --help"},
		{"argument", []string{"rotate-user"}, nil, program.WrongUsage, "rotate-user"},
		{"wrong environment", nil, map[string]string{"ROTATE_USER_LOG_LEVEL": "loud"}, program.WrongUsage, "--log-level"},
		{"not healthy", []string{"health", "--metrics-address", "127.0.0.1:1"}, nil, program.Failed, "connection refused"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out, errs bytes.Buffer
			lookup := func(name string) (string, bool) { value, ok := test.environment[name]; return value, ok }
			if code := execute(t.Context(), test.args, lookup, &out, &errs); code != test.code {
				t.Errorf("exit code %d, want %d", code, test.code)
			}
			if said := out.String() + errs.String(); !strings.Contains(said, test.says) {
				t.Errorf("%s\ndoes not say %q", said, test.says)
			}
		})
	}
}

// TestBuiltInFlagsHaveNoVariable checks that the names which a deployment may well give to its own variables do not matter.
func TestBuiltInFlagsHaveNoVariable(t *testing.T) {
	environment := map[string]string{"ROTATE_USER_VERSION": "v1.2.3", "ROTATE_USER_HELP": "x", "ROTATE_USER_LOG_LEVEL": "debug"}
	lookup := func(name string) (string, bool) { value, ok := environment[name]; return value, ok }
	cmd := newCommand(lookup, new(bool))
	cmd.InitDefaultVersionFlag()
	cmd.InitDefaultHelpFlag()
	if err := setFromEnvironment(cmd.Flags(), lookup); err != nil {
		t.Error(err)
	}
	if level := cmd.Flags().Lookup("log-level").Value.String(); level != "debug" {
		t.Errorf("--log-level is %s", level)
	}
}

// TestStopTimeoutIsTheSameEverywhere compares the help with the documentation and the compose file.
func TestStopTimeoutIsTheSameEverywhere(t *testing.T) {
	var out, errs bytes.Buffer
	execute(t.Context(), []string{"--help"}, os.LookupEnv, &out, &errs)
	if !strings.Contains(out.String(), "Give it "+seconds(killAfter)) {
		t.Errorf("the help does not say %s:\n%s", seconds(killAfter), &out)
	}
	if killAfter <= stopTimeout {
		t.Errorf("a worker that takes %s to stop is killed after %s", stopTimeout, killAfter)
	}
	compose, err := os.ReadFile("../docker-compose.yml")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(compose), "stop_grace_period: 90s") || killAfter.Seconds() != 90 {
		t.Errorf("docker-compose.yml has another stop_grace_period than %s", killAfter)
	}
	for file, text := range map[string]string{
		"values.yaml":        "terminationGracePeriodSeconds: %.0f\n",
		"values.schema.json": `"terminationGracePeriodSeconds": {"type": "integer", "minimum": %.0f}`,
	} {
		chart, err := os.ReadFile(filepath.Join("../deploy/helm/rotate-user", file))
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf(text, killAfter.Seconds()); !strings.Contains(string(chart), want) {
			t.Errorf("the chart's %s does not have %q", file, want)
		}
	}
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	var says []string
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if strings.Contains(line, "SIGTERM") && strings.Contains(line, seconds(killAfter)) {
				says = append(says, page)
			}
		}
	}
	if len(says) == 0 {
		t.Errorf("no page of docs says in a line on SIGTERM that a worker needs %s to stop", seconds(killAfter))
	}
}
