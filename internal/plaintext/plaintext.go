// Package plaintext makes text from outside safe to display. Others choose the names of accounts,
// tables, programs and hosts, and servers choose their answers. Any of them may contain terminal
// escape sequences, line breaks, right-to-left overrides, or Markdown.
package plaintext

import (
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Line returns text as one line that a terminal prints literally. Control characters, line breaks,
// invisible characters, characters that change the direction of text, and bytes that are not UTF-8
// become visible escapes such as \n, \x1b or \u202e. Everything else is unchanged, so applying Line
// twice changes nothing more.
func Line(text string) string {
	if shown(text) {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			b.WriteString(`\x`)
			b.WriteByte(hexDigits[text[i]>>4])
			b.WriteByte(hexDigits[text[i]&15])
		case unicode.IsGraphic(r):
			b.WriteRune(r)
		default:
			quoted := strconv.QuoteRune(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		}
		i += size
	}
	return b.String()
}

const hexDigits = "0123456789abcdef"

func shown(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsGraphic(r) })
}

// Code returns text as a Markdown code span on one line. Nothing inside a code span is a link, HTML
// or formatting, and quotes and dashes are not replaced, so that a statement can be copied.
func Code(text string) string {
	text = Line(text)
	if text == "" {
		return ""
	}
	longest, run := 0, 0
	for _, r := range text {
		if run++; r != '`' {
			run = 0
		}
		longest = max(longest, run)
	}
	fence := strings.Repeat("`", longest+1)
	if longest > 0 || text[0] == ' ' && text[len(text)-1] == ' ' { // Markdown strips one space from both ends
		text = " " + text + " "
	}
	return fence + text + fence
}

// Link returns a Markdown link whose text is code, to the page with the given id under a path. The id is escaped, the path is not.
func Link(text, path, id string) string {
	return "[" + Code(text) + "](" + path + url.PathEscape(id) + ")"
}

// Count returns a number with its noun: "1 change", "2 changes".
func Count(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return strconv.Itoa(n) + " " + noun
}

// Cut shortens text to at most n bytes and, if it did, appends an ellipsis.
func Cut(text string, n int) string {
	if len(text) <= n {
		return text
	}
	return strings.ToValidUTF8(text[:n], "") + "…"
}
