package password_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/rotate-user/rotate-user/internal/password"
)

const (
	lower   = "abcdefghijklmnopqrstuvwxyz"
	upper   = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digits  = "0123456789"
	special = "-._"
)

func count(text, class string) int {
	n := 0
	for _, r := range text {
		if strings.ContainsRune(class, r) {
			n++
		}
	}
	return n
}

func TestGenerateMeetsEveryPolicy(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := password.Policy{
			Length:  rapid.IntRange(0, 100).Draw(t, "length"),
			Lower:   rapid.IntRange(0, 30).Draw(t, "lower"),
			Upper:   rapid.IntRange(0, 30).Draw(t, "upper"),
			Digits:  rapid.IntRange(0, 30).Draw(t, "digits"),
			Special: rapid.IntRange(0, 30).Draw(t, "special"),
			NoWords: rapid.Bool().Draw(t, "no words"),
		}
		got, err := password.Generate(p)
		if err != nil {
			t.Fatalf("%+v: %v", p, err)
		}
		if len(got) < max(32, p.Length) || len(got) > 255 {
			t.Errorf("%+v: %d characters", p, len(got))
		}
		for class, want := range map[string]int{lower: p.Lower, upper: p.Upper, digits: p.Digits, special: p.Special} {
			if n := count(got, class); n < max(2, want) {
				t.Errorf("%+v: %d of %q in %q", p, n, class, got)
			}
		}
		if count(got, lower+upper+digits+special) != len(got) || count(got[:1], lower+upper) != 1 {
			t.Errorf("%+v: %q has a character of no class, or does not begin with a letter", p, got)
		}
		if p.NoWords {
			for i := range len(got) - 3 {
				if count(got[i:i+4], special) == 0 {
					t.Errorf("%+v: %q has room for the word %q", p, got, got[i:i+4])
				}
			}
		}
	})
}

func TestGenerateRefuses(t *testing.T) {
	for _, c := range []struct {
		policy password.Policy
		want   string
	}{
		{password.Policy{Length: 256}, "256 characters"},
		{password.Policy{Lower: 100, Upper: 100, Digits: 100}, "302 characters"},
		{password.Policy{Special: 1 << 40}, "special character"},
	} {
		got, err := password.Generate(c.policy)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %q, %v; want an error with %q", c.policy, got, err, c.want)
		}
	}
}

// Each character must occur in each position but the first about as often as in the others. A
// biased draw or shuffle would fail.
func TestGenerateIsUniform(t *testing.T) {
	const runs = 20000
	var inPlace [32]map[byte]int
	for i := range inPlace {
		inPlace[i] = map[byte]int{}
	}
	seen := map[string]bool{}
	for range runs {
		text, err := password.Generate(password.Policy{})
		if err != nil {
			t.Fatal(err)
		}
		if len(text) != 32 || seen[text] {
			t.Fatalf("%d characters, or the same password twice", len(text))
		}
		seen[text] = true
		for i := range len(text) {
			inPlace[i][text[i]]++
		}
	}
	for i, counts := range inPlace[1:] {
		for j, other := range inPlace[1:] {
			for _, c := range "aZ5_" {
				// About 200 to 500 are expected, and ten standard deviations never happen.
				a, b := counts[byte(c)], other[byte(c)]
				if d := float64(a - b); d*d > 100*float64(a+b) {
					t.Fatalf("%q occurs %d times in position %d and %d times in position %d", c, a, i+1, b, j+1)
				}
			}
		}
	}
}
