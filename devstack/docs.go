package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/rotate-user/rotate-user/devstack/stack"
)

func newDocsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "docs",
		Short: "Run or parse every command in the documentation",
		Long: `Run every command in the documentation on a separate stack. A command that cannot run there is parsed by its own program, or only
by the shell. The last line counts each kind.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c := newConsole(cmd.OutOrStdout())
			dir, err := os.MkdirTemp("", "rotate-user-docs-")
			if err != nil {
				return err
			}
			defer os.RemoveAll(dir)
			return checkDocs(cmd.Context(), c, dir)
		},
	}
}

// docChecker checks the documentation of the repository at root.
type docChecker struct {
	running
	root      string
	functions map[string]string // shell functions that the pages define
	failures  []string
	// ran counts the commands that were run, parsed those that only their program parsed, and
	// unchecked those that only the shell parsed. mentions counts commands in sentences and tables;
	// their program parsed them.
	ran, parsed, unchecked, mentions int
	notes                            []string // why commands were not run
}

func checkDocs(ctx context.Context, c console, dir string) (err error) {
	root, err := stack.Repository(ctx)
	if err != nil {
		return err
	}
	bin, err := stack.Build(ctx, root, dir)
	if err != nil {
		return err
	}
	s, err := stack.Start(ctx, stack.Options{Dir: filepath.Join(dir, stateDir)})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	d := &docChecker{running: running{Stack: s, bin: bin}, root: root, functions: map[string]string{}}
	if d.worker, err = s.StartWorker(ctx, filepath.Join(bin, "worker"), "worker"); err != nil {
		return err
	}
	if _, err := d.writeEnvironment(); err != nil {
		return err
	}
	pages, err := docFiles(root)
	if err != nil {
		return err
	}
	for _, page := range pages {
		if err := d.check(ctx, page); err != nil {
			return err
		}
	}
	for _, note := range d.notes {
		c.printf("not run: %s\n", note)
	}
	for _, failure := range d.failures {
		c.printf("FAILED   %s\n", failure)
	}
	c.printf("%d commands were run, %d were only parsed by their own program, "+
		"and %d only by the shell. %d mentions in sentences and tables were parsed.\n",
		d.ran, d.parsed, d.unchecked, d.mentions)
	if len(d.failures) > 0 {
		return fmt.Errorf("%d failures", len(d.failures))
	}
	return nil
}

func docFiles(root string) ([]string, error) {
	found, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	pages := []string{"README.md"}
	for _, f := range found {
		pages = append(pages, "docs/"+filepath.Base(f))
	}
	return pages, err
}

func (d *docChecker) failed(where fmt.Stringer, format string, args ...any) {
	d.failures = append(d.failures, fmt.Sprintf("%s: %s", where, fmt.Sprintf(format, args...)))
}

// check checks one page. Its commands are run in order, in one shell.
func (d *docChecker) check(ctx context.Context, page string) error {
	blocks, inline, err := readPage(d.root, page)
	if err != nil {
		return err
	}
	settings, runs := d.docPages()[page]
	var script []docCommand
	for _, b := range blocks {
		commands, err := d.block(b)
		if err != nil {
			d.failures = append(d.failures, err.Error())
			continue
		}
		before := "" // why a command before in the block is not run, if a program is missing
		for _, c := range commands {
			c.text = strings.NewReplacer(settings.replace...).Replace(c.text)
			program, function := c.program()
			if function != "" {
				d.functions[function] = c.text
			}
			reason := settings.why(c.text)
			if reason == "" {
				reason = cmp.Or(before, d.whyNot(c, program, runs))
			}
			if strings.HasSuffix(reason, notInstalled) {
				before = reason
			}
			if reason == "" {
				script = append(script, c)
				continue
			}
			d.notes = append(d.notes, fmt.Sprintf("%s: %s: %s", c, firstLine(c.text), reason))
			d.parse(ctx, c)
		}
	}
	for _, c := range inline {
		d.parse(ctx, c)
	}
	return d.run(ctx, page, settings, script)
}

// block returns the commands of a block, and checks one in another language.
func (d *docChecker) block(b docBlock) ([]docCommand, error) {
	text := strings.Join(b.lines, "\n")
	var err error
	switch b.language {
	case "":
		return b.commands()
	case "json": // may be some elements of a list
		if err = json.Unmarshal([]byte(text), new(any)); err != nil {
			err = json.Unmarshal([]byte("["+text+"]"), new(any))
		}
	case "yaml":
		err = yaml.Unmarshal([]byte(text), new(any))
	}
	if err != nil {
		return nil, fmt.Errorf("%s:%d: %w", b.page, b.line, err)
	}
	return nil, nil
}

// whyNot returns the reason why a command cannot be run on the dev stack.
func (d *docChecker) whyNot(c docCommand, program string, runs bool) string {
	switch {
	case !runs:
		return "it needs what the dev stack does not have"
	case program == "make":
		return "the stack is already running"
	case program == "worker" && !strings.Contains(c.text, " health"):
		return "a worker is already running"
	case program == "temporal" && strings.Contains(c.text, " deployment "):
		return "the worker on the stack has no version"
	}
	if reason, ok := outside[program]; ok {
		return reason
	}
	for name, body := range d.functions {
		if program == name {
			c.text += body
		}
	}
	for _, needed := range []string{"aws", "jq", "mysql", "temporal"} {
		if regexp.MustCompile(`(^|[\s(])`+needed+` `).MatchString(c.text) && !installed(needed) {
			return needed + notInstalled
		}
	}
	return ""
}

const notInstalled = " is not installed"

// outside are programs that are not run, with the reason.
var outside = map[string]string{
	"git":   "it would clone the repository",
	"cd":    "it would enter the clone",
	"go":    "it takes too long",
	"curl":  "it downloads from the internet",
	"vault": "the dev stack has no Vault",
}

func installed(program string) bool {
	_, err := exec.LookPath(program)
	return err == nil
}

func firstLine(text string) string {
	line, rest, _ := strings.Cut(text, "\n")
	if rest != "" {
		line += " ..."
	}
	return line
}

// parse makes the program of a command parse it, without any effect.
func (d *docChecker) parse(ctx context.Context, c docCommand) {
	program, _ := c.program()
	text := regexp.MustCompile(`go run \./(starter|worker)`).ReplaceAllString(c.text, "$1")
	text = regexp.MustCompile(`\s(>\S+)?\s*(#.*)?$`).ReplaceAllString(text+" ", "")
	switch {
	case program == "starter" || program == "worker" || program == "temporal" && installed("temporal"):
		text += " --help"
	case program == "aws" && installed("aws"):
		text = regexp.MustCompile(`file://\S+`).ReplaceAllString(text, "text") + " --generate-cli-skeleton input"
	case program == "make":
		text = "make -C " + shellQuote(d.root) + " --dry-run " + strings.TrimPrefix(text, "make ")
	default:
		d.unchecked++
		return
	}
	if c.inline {
		d.mentions++
	} else {
		d.parsed++
	}
	cmd := exec.CommandContext(ctx, "bash", "-c", text)
	cmd.Env = append(slices.Clone(d.Environment()), "PATH="+d.bin+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		d.failed(c, "%s: %v\n%s", firstLine(c.text), err, out)
		return
	}
	if program == "starter" || program == "worker" {
		if path := commandPath(text); !strings.Contains(string(out), "\n  "+path+" ") && !strings.Contains(string(out), "\n  "+path+"\n") {
			d.failed(c, "there is no command %s", path)
		}
	}
}

// commandPath returns the words before the first flag. Placeholders are not commands.
func commandPath(text string) string {
	var path []string
	for _, word := range strings.Fields(regexp.MustCompile(`^([A-Z_]+=\S* +)*`).ReplaceAllString(text, "")) {
		if strings.HasPrefix(word, "-") || strings.ToLower(word) != word {
			break
		}
		path = append(path, word)
	}
	return strings.Join(path, " ")
}

// run runs commands one after another in one shell, and checks their exit codes.
func (d *docChecker) run(ctx context.Context, page string, p docPage, commands []docCommand) error {
	var script strings.Builder
	script.WriteString(". " + stateDir + "/env\n")
	for _, text := range p.setup {
		fmt.Fprintf(&script, "{ %s; } >setup.log 2>&1 || { cat setup.log; echo '@@setup'; }\n", text)
	}
	for n, c := range commands {
		fmt.Fprintf(&script, "echo '@@begin %d'\n%s\nprintf '\\n@@end %d %%d\\n' $?\n", n, c.text, n)
	}
	address := strings.TrimSuffix(strings.TrimPrefix(d.worker.MetricsURL, "http://"), "/metrics")
	dir := filepath.Dir(d.Dir)
	if err := os.WriteFile(filepath.Join(dir, "page.sh"), []byte(script.String()), 0o600); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "bash", "page.sh")
	cmd.Dir = dir
	cmd.Env = append(slices.Clone(d.Environment()), "ROTATE_USER_METRICS_ADDRESS="+address, "AWS_PAGER=")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", page, err, out)
	}
	if before, _, ok := strings.Cut(string(out), "@@setup\n"); ok {
		d.failures = append(d.failures, page+": the setup fails: "+before)
	}
	for n, c := range commands {
		d.ran++
		_, rest, _ := strings.Cut(string(out), fmt.Sprintf("@@begin %d\n", n))
		printed, end, _ := strings.Cut(rest, fmt.Sprintf("\n@@end %d ", n))
		var code int
		if _, err := fmt.Sscan(end, &code); err != nil {
			d.failed(c, "%s did not finish: %v\n%s", firstLine(c.text), err, printed)
			continue
		}
		if want := p.code(c.text); code != want && !(c.fails() && code != 0) || c.fails() && code == 0 {
			d.failed(c, "%s: exit code %d\n%s", firstLine(c.text), code, printed)
		}
	}
	return nil
}
