package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// docCommand is a command that a page shows.
type docCommand struct {
	page string // such as docs/tutorial.md
	line int
	text string
	// output is what the page shows below the command.
	output []string
	// inline means that it stands in a sentence or a table, and need not be complete.
	inline bool
}

func (c docCommand) String() string { return fmt.Sprintf("%s:%d", c.page, c.line) }

// fails reports whether the page shows that the command fails.
func (c docCommand) fails() bool {
	for _, line := range c.output {
		if strings.HasPrefix(line, "starter: ") || strings.HasPrefix(line, "ERROR ") {
			return true
		}
	}
	return false
}

// docBlock is a fenced block of a page.
type docBlock struct {
	page     string
	line     int // of its first line
	language string
	lines    []string
}

var (
	fence  = regexp.MustCompile("^( *)```(\\w*)$")
	inline = regexp.MustCompile("`((?:starter|worker) [a-z-][^`]*)`")
)

// readPage returns the blocks of a page, and the commands outside of them.
func readPage(root, page string) (blocks []docBlock, commands []docCommand, err error) {
	text, err := os.ReadFile(filepath.Join(root, page))
	if err != nil {
		return nil, nil, err
	}
	var open *docBlock
	indent := ""
	for n, line := range strings.Split(string(text), "\n") {
		m := fence.FindStringSubmatch(line)
		switch {
		case m != nil && open == nil:
			indent = m[1]
			open = &docBlock{page: page, line: n + 2, language: m[2]}
		case m != nil:
			blocks = append(blocks, *open)
			open = nil
		case open != nil:
			open.lines = append(open.lines, strings.TrimPrefix(line, indent))
		default:
			for _, m := range inline.FindAllStringSubmatch(line, -1) {
				commands = append(commands, docCommand{page: page, line: n + 1, text: strings.ReplaceAll(m[1], `\|`, "|"), inline: true})
			}
		}
	}
	if open != nil {
		return nil, nil, fmt.Errorf("%s:%d: the block has no end", page, open.line)
	}
	return blocks, commands, nil
}

const prompt = "$ "

// commands returns the commands of a block. If a line begins with a prompt, the others are output.
func (b docBlock) commands() ([]docCommand, error) {
	prompts := strings.Contains("\n"+strings.Join(b.lines, "\n"), "\n"+prompt)
	var all []docCommand
	pending := ""
	for n, line := range b.lines {
		text, begins := strings.CutPrefix(line, prompt)
		switch {
		case pending != "":
			pending += "\n" + line
		case prompts && !begins:
			if len(all) > 0 {
				all[len(all)-1].output = append(all[len(all)-1].output, line)
			}
			continue
		case strings.TrimSpace(text) == "" || strings.HasPrefix(text, "#"):
			continue
		default:
			all = append(all, docCommand{page: b.page, line: b.line + n})
			pending = text
		}
		if complete(pending) {
			all[len(all)-1].text, pending = pending, ""
		}
	}
	if pending != "" {
		return nil, fmt.Errorf("%s: bash cannot parse this: %s", all[len(all)-1], pending)
	}
	return all, nil
}

// complete reports whether bash can parse a text.
func complete(text string) bool {
	return !strings.HasSuffix(text, `\`) && exec.Command("bash", "-n", "-c", text).Run() == nil
}

var assignment = regexp.MustCompile(`^[A-Z_]+=\S* +`)

// program returns the program that a command runs, and the function that it defines if it does that.
func (c docCommand) program() (program, function string) {
	text := c.text
	for assignment.MatchString(text) {
		text = assignment.ReplaceAllString(text, "")
	}
	for _, name := range []string{"starter", "worker"} {
		if strings.HasPrefix(text, "go run ./"+name) {
			return name, ""
		}
	}
	word, _, _ := strings.Cut(strings.Fields(text)[0], "\n")
	if name, ok := strings.CutSuffix(word, "()"); ok {
		return "", name
	}
	return word, ""
}
