package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rotate-user/rotate-user/devstack/stack"
)

func TestCommandsOfAPage(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	page := `# Page
Text with ` + "`starter list`, `--flag`, `worker health` and `starter`" + `.
| ` + "`starter list -o wide\\|json`" + ` |

` + "```" + `
starter list      # all

A=1 starter start \
  --secret-id x
app() {
  starter status "$1"
}
` + "```" + `

   ` + "```" + `
   $ app x | jq '
     .a'
   {"a": 1}
   $ app y
   starter: there is no y
   ` + "```" + `
` + "```json\n{}\n```\n"
	if err := os.WriteFile(filepath.Join(root, "page.md"), []byte(page), 0o600); err != nil {
		t.Fatal(err)
	}
	blocks, mentions, err := readPage(root, "page.md")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	add := func(c docCommand) {
		program, function := c.program()
		got = append(got, strings.Join([]string{c.String(), program, function, c.text}, "|"))
		if c.fails() != (c.text == "app y") {
			t.Errorf("%s fails: %v", c.text, c.fails())
		}
	}
	for _, c := range mentions {
		add(c)
	}
	for _, b := range blocks {
		if b.language != "" {
			continue
		}
		commands, err := b.commands()
		if err != nil {
			t.Error(err)
		}
		for _, c := range commands {
			add(c)
		}
	}
	want := []string{
		"page.md:2|starter||starter list",
		"page.md:2|worker||worker health",
		"page.md:3|starter||starter list -o wide|json",
		"page.md:6|starter||starter list      # all",
		"page.md:8|starter||A=1 starter start \\\n  --secret-id x",
		"page.md:10||app|app() {\n  starter status \"$1\"\n}",
		"page.md:16|app||app x | jq '\n  .a'",
		"page.md:19|app||app y",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, err := (docBlock{page: "p", line: 1, lines: []string{"echo 'a"}}).commands(); err == nil {
		t.Error("a quote without end is no error")
	}
}

func parser(t *testing.T) *docChecker {
	t.Helper()
	bin, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	root, err := stack.Repository(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return &docChecker{running: running{Stack: &stack.Stack{}, bin: bin}, root: root, functions: map[string]string{}}
}

func TestCommandsThatDoNotExistAreFound(t *testing.T) {
	t.Parallel()
	for text, right := range map[string]bool{
		"starter list --older-than 60d -o wide >file  # text": true,
		"starter list --older-than soon":                      false,
		"starter list --older":                                false,
		"starter lists":                                       false,
		"starter fleet rotate status":                         true,
		"starter fleet rotate statuses":                       false,
		"starter status --secret-id NAME":                     true,
		"worker health":                                       true,
		"worker --tls-ca-file f":                              true,
		"A=b worker":                                          true,
		"worker start":                                        false,
		"make up ARGS='--ui-port 1'":                          true,
		"make everything":                                     false,
	} {
		d := parser(t)
		if d.parse(t.Context(), docCommand{page: "p", line: 1, text: text}); len(d.failures) == 0 != right {
			t.Errorf("%s: %v", text, d.failures)
		}
	}
}

// make docs-check also runs them.
func TestCommandsOfTheDocumentationExist(t *testing.T) {
	t.Parallel()
	d := parser(t)
	pages, err := docFiles(d.root)
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range pages {
		blocks, all, err := readPage(d.root, page)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range blocks {
			commands, err := d.block(b)
			if err != nil {
				t.Error(err)
			}
			all = append(all, commands...)
		}
		for _, c := range all {
			d.parse(t.Context(), c)
		}
	}
	for _, failure := range d.failures {
		t.Error(failure)
	}
	if d.parsed < 30 || d.mentions < 30 {
		t.Errorf("only %d commands and %d mentions were found", d.parsed, d.mentions)
	}
}
