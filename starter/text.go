package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf16"

	"github.com/rotate-user/rotate-user/internal/plaintext"
)

// printable makes text of several lines safe for a terminal. Use plaintext.Line first for a value that may contain line breaks.
func printable(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = plaintext.Line(line)
	}
	return strings.Join(lines, "\n")
}

// escapeJSON escapes the characters that encoding/json leaves alone and a terminal interprets.
func escapeJSON(text string) string {
	var b strings.Builder
	for _, r := range text {
		if r == '\n' || unicode.IsGraphic(r) {
			b.WriteRune(r)
			continue
		}
		for _, unit := range utf16.Encode([]rune{r}) {
			fmt.Fprintf(&b, "\\u%04x", unit)
		}
	}
	return b.String()
}

// pairs prints names and values in two columns, without those whose value is empty.
func pairs(w io.Writer, namesAndValues ...string) {
	var rows [][]string
	for pair := range slices.Chunk(namesAndValues, 2) {
		if pair[1] != "" {
			rows = append(rows, pair)
		}
	}
	columns(w, rows)
}

func section(w io.Writer, title string, lines []string) {
	if len(lines) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s:\n", title)
	for _, line := range lines {
		fmt.Fprintln(w, "  "+plaintext.Line(line))
	}
}

// columns prints aligned columns without trailing spaces.
func columns(w io.Writer, rows [][]string) {
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = plaintext.Line(cell)
		}
		fmt.Fprintln(t, strings.Join(cells, "\t"))
	}
	t.Flush() // writing to a strings.Builder never fails
	for line := range strings.Lines(b.String()) {
		fmt.Fprintln(w, strings.TrimRight(line, " \n"))
	}
}

// date returns a time and how far it is from now.
func date(t, now time.Time) string {
	if t.IsZero() {
		return ""
	}
	text := t.UTC().Format("2006-01-02 15:04 UTC")
	switch d := t.Sub(now); {
	case d >= time.Second:
		return text + " (in " + roughly(d) + ")"
	case d <= -time.Second:
		return text + " (" + roughly(-d) + " ago)"
	default:
		return text + " (now)"
	}
}

// roughly returns a duration in its largest unit.
func roughly(d time.Duration) string {
	units := []struct {
		name   string
		length time.Duration
	}{{"day", 24 * time.Hour}, {"hour", time.Hour}, {"minute", time.Minute}, {"second", time.Second}}
	for _, u := range units {
		n := int((d + u.length/2) / u.length)
		if n >= 1 && d >= u.length {
			return plaintext.Count(n, u.name)
		}
	}
	return "a moment"
}

// took returns how long something lasted.
func took(from, to time.Time) string {
	if from.IsZero() || to.IsZero() {
		return "-"
	}
	switch d := to.Sub(from); {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	default:
		return d.Round(time.Second).String()
	}
}

func joined(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), ", ")
}

// quoted quotes a word for a shell if necessary.
func quoted(word string) string {
	if word == "" || !strings.ContainsFunc(word, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("_-./:@", r)
	}) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// firstOf returns the text that tells the reader that a list is incomplete, or "".
func firstOf(shown, all int) string {
	if shown == all {
		return ""
	}
	return fmt.Sprintf(", the first %d of %d", shown, all)
}
