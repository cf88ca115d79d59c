package main

import (
	"fmt"
	"io"

	"github.com/rotate-user/rotate-user/internal/plaintext"
	"github.com/rotate-user/rotate-user/rotation"
)

// progress prints each step of a rotation when it has ended. On a terminal it also shows the
// current step.
type progress struct {
	out     io.Writer // nil shows nothing
	live    bool
	printed int
	drawn   bool // the last line shows the current step
}

func (p *progress) show(steps []rotation.Step) {
	if p.out == nil || len(steps) < p.printed {
		return
	}
	for _, step := range steps[p.printed:] {
		if step.EndedAt.IsZero() {
			if p.live && !p.drawn {
				fmt.Fprint(p.out, stepLine(step))
				p.drawn = true
			}
			return
		}
		p.erase()
		fmt.Fprintln(p.out, stepLine(step))
		p.printed++
	}
}

// fail shows the steps of a failed rotation, the last of which failed.
func (p *progress) fail(steps []rotation.Step) {
	p.show(steps)
	p.erase()
	if last := len(steps) - 1; p.out != nil && last >= 0 && steps[last].EndedAt.IsZero() {
		fmt.Fprintf(p.out, "  ✗ %s\n", steps[last].Name)
	}
}

// pause ends the line of the current step, so that a message can follow.
func (p *progress) pause() {
	if p.drawn {
		fmt.Fprintln(p.out)
		p.drawn = false
	}
}

func (p *progress) erase() {
	if p.drawn {
		fmt.Fprint(p.out, "\r\033[K")
		p.drawn = false
	}
}

func stepLine(s rotation.Step) string {
	if s.EndedAt.IsZero() {
		return fmt.Sprintf("  … %s", plaintext.Line(s.Name))
	}
	return fmt.Sprintf("  ✓ %-15s  %6s  %s", s.Name, took(s.StartedAt, s.EndedAt), plaintext.Line(s.Text))
}
