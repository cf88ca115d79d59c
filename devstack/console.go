package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// console prints text for people, in color on a terminal.
type console struct {
	w      io.Writer
	colour bool
}

func newConsole(w io.Writer) console {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" {
		return console{w: w}
	}
	return console{w: w, colour: term.IsTerminal(int(f.Fd()))}
}

const (
	bold  = "1"
	dim   = "2"
	red   = "31"
	green = "32"
	cyan  = "36"
)

func (c console) style(style, text string) string {
	if !c.colour {
		return text
	}
	return "\x1b[" + style + "m" + text + "\x1b[0m"
}

func (c console) printf(format string, args ...any) { fmt.Fprintf(c.w, format, args...) }

// title prints the title of a step of the tutorial.
func (c console) title(number int, text string) {
	c.printf("\n%s  %s\n", c.style(bold+";"+cyan, fmt.Sprintf("Step %d", number)), c.style(bold, text))
}

// say prints lines of explanation.
func (c console) say(lines ...string) {
	for _, l := range lines {
		if l != "" {
			l = "        " + l
		}
		c.printf("%s\n", l)
	}
}

// command prints a command as a user would type it.
func (c console) command(args []string) {
	quoted := make([]string, len(args))
	for i, a := range args {
		quoted[i] = shellQuote(a)
	}
	c.printf("\n      %s %s\n", c.style(dim, "$"), c.style(bold, strings.Join(quoted, " ")))
}

// check prints the result of a check.
func (c console) check(ok bool, text string) {
	mark := c.style(green, "✓")
	if !ok {
		mark = c.style(red, "✗")
	}
	c.printf("      %s %s\n", mark, text)
}

// rows prints names and values in two columns.
func (c console) rows(rows [][2]string) {
	width := 0
	for _, r := range rows {
		width = max(width, len(r[0]))
	}
	for _, r := range rows {
		c.printf("        %s  %s\n", c.style(dim, fmt.Sprintf("%-*s", width, r[0])), r[1])
	}
}

// indented prints lines with an indentation.
type indented struct {
	w      io.Writer
	inLine bool
}

func (i *indented) Write(b []byte) (int, error) {
	for line := range strings.Lines(string(b)) {
		if !i.inLine && line != "\n" {
			line = "        " + line
		}
		i.inLine = !strings.HasSuffix(line, "\n")
		if _, err := io.WriteString(i.w, line); err != nil {
			return 0, err
		}
	}
	return len(b), nil
}

// shellQuote quotes text as one word of a POSIX shell.
func shellQuote(text string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:=,@%+", r)
	}
	if text != "" && strings.IndexFunc(text, func(r rune) bool { return !plain(r) }) < 0 {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
