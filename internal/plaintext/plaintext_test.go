package plaintext

import (
	"strings"
	"testing"
	"unicode"
)

func TestCount(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]string{0: "0 changes", 1: "1 change", 2: "2 changes"} {
		if got := Count(n, "change"); got != want {
			t.Errorf("%d: %q", n, got)
		}
	}
}

func TestLine(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"", ""},
		{"'app'@'%' on `shop`.*", "'app'@'%' on `shop`.*"},
		{"Grüße, 日本, 👍", "Grüße, 日本, 👍"},
		{"red \x1b[31m, \x1b]8;;http://evil\x07link", `red \x1b[31m, \x1b]8;;http://evil\alink`},
		{"one\ntwo\r\nthree\ttab", `one\ntwo\r\nthree\ttab`},
		{"c1 \u009b31m", `c1 \u009b31m`},
		{"del \x7f", `del \x7f`},
		{"bidi \u202egpj.exe\u202c \u2066x\u2069", `bidi \u202egpj.exe\u202c \u2066x\u2069`},
		{"zero\u200bwidth\ufeff", `zero\u200bwidth\ufeff`},
		{"lines \u2028 \u2029", `lines \u2028 \u2029`},
		{"bytes \xff\xfe", `bytes \xff\xfe`},
		{"replaced \ufffd", "replaced \ufffd"},
		{`back\slash`, `back\slash`},
	} {
		got := Line(test.text)
		if got != test.want {
			t.Errorf("Line(%q) is %q, want %q", test.text, got, test.want)
		}
		if again := Line(got); again != got {
			t.Errorf("Line(%q) is %q the second time", got, again)
		}
	}
}

func TestCode(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"", ""},
		{"app", "`app`"},
		{"[click](http://evil) <img src=x>", "`[click](http://evil) <img src=x>`"},
		{"grant on `shop`.*", "`` grant on `shop`.* ``"},
		{"`` end```", "```` `` end``` ````"},
		{"a\n\n# head", "`a\\n\\n# head`"},
		{" x ", "`  x  `"},
	} {
		if got := Code(test.text); got != test.want {
			t.Errorf("Code(%q) is %q, want %q", test.text, got, test.want)
		}
	}
}

func FuzzLine(f *testing.F) {
	f.Add("a\x1b\u202e\n`")
	f.Fuzz(func(t *testing.T, text string) {
		line := Line(text)
		if strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsGraphic(r) }) {
			t.Errorf("Line(%q) is %q", text, line)
		}
		code := Code(text)
		if text == "" {
			return
		}
		// The fence must not occur again within, or the span would end there.
		fence := code[:len(code)-len(strings.TrimLeft(code, "`"))]
		if inner := code[len(fence) : len(code)-len(fence)]; strings.Contains(inner, fence) {
			t.Errorf("Code(%q) is %q", text, code)
		}
	})
}

func TestLink(t *testing.T) {
	for _, tt := range []struct{ text, id, want string }{
		{"shop/app", "rotate-user/shop/app", "[`shop/app`](/x/rotate-user%2Fshop%2Fapp)"},
		{"a](b)`c", "a](b) c?#", "[`` a](b)`c ``](/x/a%5D%28b%29%20c%3F%23)"},
	} {
		if got := Link(tt.text, "/x/", tt.id); got != tt.want {
			t.Errorf("Link(%q, %q) = %s, want %s", tt.text, tt.id, got, tt.want)
		}
	}
}
