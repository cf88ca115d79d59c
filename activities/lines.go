package activities

import (
	"fmt"
	"strings"
	"time"

	"github.com/rotate-user/rotate-user/internal/grants"
	"github.com/rotate-user/rotate-user/internal/plaintext"
)

// sessions returns a line for each host and program that is logged in. A program chooses its own
// name, which may contain anything.
func sessions(all []grants.Session) []string {
	var lines []string
	for _, s := range all {
		line := fmt.Sprintf("%d from %s", s.Count, s.Host)
		if s.Program != "" {
			line += " (" + s.Program + ")"
		}
		lines = append(lines, plaintext.Line(line))
	}
	return lines
}

const (
	maxLines  = 20
	lineBytes = 1000 // of each line
	textBytes = 4000 // of an error
)

// lines returns at most twenty readable lines, so that results stay small in the history.
func lines(all []string) []string {
	var some []string
	for _, line := range all[:min(len(all), maxLines)] {
		some = append(some, short(plaintext.Line(line), lineBytes))
	}
	if len(all) > maxLines {
		some = append(some, fmt.Sprintf("and %d more", len(all)-maxLines))
	}
	return some
}

// short shortens a text to a number of bytes. This keeps what a workflow passes from run to run
// below Temporal's limit, which would end the workflow.
func short(text string, bytes int) string {
	if len(text) <= bytes {
		return text
	}
	return strings.ToValidUTF8(text[:bytes], "") + " …"
}

// spell lists accounts in a message.
func spell(names []grants.Name) string {
	var all []string
	for _, n := range names {
		all = append(all, n.String())
	}
	return strings.Join(all, " and ")
}

// utc formats a time for a message.
func utc(t time.Time) string { return t.UTC().Format(time.RFC3339) }
