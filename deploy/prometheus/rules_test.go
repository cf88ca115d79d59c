// Package prometheus has the alert rules for Prometheus. Its tests check them, and the dashboard for Grafana, with promtool.
package prometheus

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// promtool runs promtool, which Prometheus's own package has.
func promtool(t *testing.T, args ...string) {
	t.Helper()
	path, err := exec.LookPath("promtool")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("promtool is missing: run deploy/prometheus/install-promtool.sh")
		}
		t.Skip("promtool is missing: run deploy/prometheus/install-promtool.sh")
	}
	if out, err := exec.CommandContext(t.Context(), path, args...).CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

type rule struct {
	Alert       string            `yaml:"alert,omitempty"`
	Record      string            `yaml:"record,omitempty"`
	Expr        string            `yaml:"expr"`
	For         string            `yaml:"for,omitempty"`
	Labels      map[string]string `yaml:"labels,omitempty"`
	Annotations map[string]string `yaml:"annotations,omitempty"`
}

type group struct {
	Name  string `yaml:"name"`
	Rules []rule `yaml:"rules"`
}

type ruleFile struct {
	Groups []group `yaml:"groups"`
}

func alerts(t *testing.T) []rule {
	t.Helper()
	var file ruleFile
	decoder := yaml.NewDecoder(bytes.NewReader(read(t, "rules.yaml")))
	decoder.KnownFields(true)
	if err := decoder.Decode(&file); err != nil {
		t.Fatal(err)
	}
	var all []rule
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	return all
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestRules(t *testing.T) {
	promtool(t, "check", "rules", "rules.yaml")
	promtool(t, "test", "rules", "rules_test.yaml")
}

// Whoever an alert wakes finds out what to do.
func TestEveryAlertHasATestAndARunbook(t *testing.T) {
	runbooks, tests := string(read(t, "../../docs/runbooks.md")), string(read(t, "rules_test.yaml"))
	var names []string
	for _, r := range alerts(t) {
		names = append(names, r.Alert)
		if !strings.Contains(runbooks, "\n## "+r.Alert+"\n") {
			t.Errorf("docs/runbooks.md has no section %s", r.Alert)
		}
		if want := "https://github.com/rotate-user/rotate-user/blob/main/docs/runbooks.md#" + strings.ToLower(r.Alert); r.Annotations["runbook_url"] != want {
			t.Errorf("%s: runbook_url is %q, want %q", r.Alert, r.Annotations["runbook_url"], want)
		}
		severity := r.Labels["severity"]
		_, section, _ := strings.Cut(runbooks, "\n## "+r.Alert+"\n\n*")
		if said, _, _ := strings.Cut(section, ".*"); strings.ToLower(said) != severity || severity != "critical" && severity != "warning" {
			t.Errorf("%s: severity is %q, in the runbook %q", r.Alert, severity, said)
		}
		for _, annotation := range []string{"summary", "description"} {
			if r.Annotations[annotation] == "" {
				t.Errorf("%s has no %s", r.Alert, annotation)
			}
		}
		if !strings.Contains(strings.ReplaceAll(tests, "RotateUserThrottled.*", "RotateUserThrottledByAWS RotateUserThrottledByTemporal"), r.Alert) {
			t.Errorf("rules_test.yaml does not test %s", r.Alert)
		}
	}
	for _, heading := range regexp.MustCompile(`(?m)^## (.+)$`).FindAllStringSubmatch(runbooks, -1) {
		if !slices.Contains(names, heading[1]) {
			t.Errorf("docs/runbooks.md explains %s, which is not an alert", heading[1])
		}
	}
}

type dashboard struct {
	UID        string `json:"uid"`
	Templating struct {
		List []struct {
			Name string `json:"name"`
		} `json:"list"`
	} `json:"templating"`
	Panels []struct {
		ID      int `json:"id"`
		Title   string
		Type    string
		GridPos struct {
			X, Y, W, H int
		} `json:"gridPos"`
		Targets []struct {
			Expr string `json:"expr"`
		} `json:"targets"`
	} `json:"panels"`
}

func TestDashboard(t *testing.T) {
	var d dashboard
	if err := json.Unmarshal(read(t, "../grafana/rotate-user.json"), &d); err != nil {
		t.Fatal(err)
	}
	known := []string{"__rate_interval"}
	for _, v := range d.Templating.List {
		known = append(known, v.Name)
	}
	variable := regexp.MustCompile(`\$(\w+)`)
	type cell struct{ x, y int }
	taken := map[cell]string{}
	ids := map[int]bool{}
	var rules []rule
	for _, p := range d.Panels {
		if ids[p.ID] {
			t.Errorf("two panels have the id %d", p.ID)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := taken[cell{x, y}]; other != "" {
					t.Fatalf("%s covers %s", p.Title, other)
				}
				taken[cell{x, y}] = p.Title
			}
		}
		if (p.Type == "row") != (len(p.Targets) == 0) {
			t.Errorf("panel %s has %d queries", p.Title, len(p.Targets))
		}
		for _, target := range p.Targets {
			for _, v := range variable.FindAllStringSubmatch(target.Expr, -1) {
				if !slices.Contains(known, v[1]) {
					t.Errorf("%s: the dashboard has no variable %s", p.Title, v[1])
				}
			}
			expr := strings.ReplaceAll(target.Expr, "$__rate_interval", "5m")
			rules = append(rules, rule{Record: fmt.Sprintf("panel_%d", len(rules)), Expr: variable.ReplaceAllString(expr, "x")})
		}
	}
	if len(rules) < 20 {
		t.Errorf("%d queries: the dashboard was not read as it is", len(rules))
	}
	data, err := yaml.Marshal(ruleFile{Groups: []group{{Name: "dashboard", Rules: rules}}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "dashboard.yaml")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "check", "rules", file)
}
