package check

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The Helm commands of the documentation render the chart with the values beside them.
func TestDocumentation(t *testing.T) {
	block := regexp.MustCompile("(?ms)^( *)```(yaml)?\n(.*?)^ *```$")
	values := filepath.Join(t.TempDir(), "values.yaml")
	var files []string // each adds to those before
	commands := 0
	for _, m := range block.FindAllStringSubmatch(read(t, "../../docs/deploy.md"), -1) {
		text := regexp.MustCompile("(?m)^"+m[1]).ReplaceAllString(m[3], "")
		if m[2] == "yaml" {
			files = append(files, "--values", values+string(rune('0'+len(files))))
			if err := os.WriteFile(files[len(files)-1], []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			continue
		}
		command, ok := strings.CutPrefix(strings.TrimSpace(text), "helm upgrade --install rotate-user deploy/helm/rotate-user ")
		if !ok {
			continue
		}
		args, ok := strings.CutSuffix(command, " --values values.yaml")
		if !ok {
			t.Errorf("%s: the test does not know this command", command)
		}
		commands++
		all := decode(t, template(t, append(strings.Fields(args), files...)...))
		if len(all.deployments) != commands || all.deployments[0].Namespace != "rotate-user" {
			t.Errorf("%s: %d deployments", command, len(all.deployments))
		}
	}
	if commands != 2 {
		t.Errorf("%d commands were found", commands)
	}
}
