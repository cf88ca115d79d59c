package secretsmanager_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sm "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

const (
	lower       = "abcdefghijklmnopqrstuvwxyz"
	upper       = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digits      = "0123456789"
	punctuation = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
)

func TestGetRandomPassword(t *testing.T) {
	e := newEndpoint(t, "")
	const tooShort = "InvalidParameterException: Password length is too short based on the required types."
	for _, tt := range []struct {
		name     string
		in       sm.GetRandomPasswordInput
		length   int
		allowed  string
		required []string // one of each of these must be there
		err      string
	}{
		{name: "default", length: 32, allowed: lower + upper + digits + punctuation, required: []string{lower, upper, digits, punctuation}},
		{name: "shortest", in: sm.GetRandomPasswordInput{PasswordLength: aws.Int64(4)}, length: 4,
			allowed: lower + upper + digits + punctuation, required: []string{lower, upper, digits, punctuation}},
		{name: "too short", in: sm.GetRandomPasswordInput{PasswordLength: aws.Int64(3)}, err: tooShort},
		{name: "short with a type less", in: sm.GetRandomPasswordInput{PasswordLength: aws.Int64(3), ExcludePunctuation: aws.Bool(true)},
			length: 3, allowed: lower + upper + digits, required: []string{lower, upper, digits}},
		{name: "one", in: sm.GetRandomPasswordInput{PasswordLength: aws.Int64(1), RequireEachIncludedType: aws.Bool(false)},
			length: 1, allowed: lower + upper + digits + punctuation},
		{name: "digits", in: sm.GetRandomPasswordInput{ExcludeLowercase: aws.Bool(true), ExcludeUppercase: aws.Bool(true), ExcludePunctuation: aws.Bool(true)},
			length: 32, allowed: digits},
		{name: "space", in: sm.GetRandomPasswordInput{PasswordLength: aws.Int64(4096), IncludeSpace: aws.Bool(true)},
			length: 4096, allowed: lower + upper + digits + punctuation + " ", required: []string{" "}},
		{name: "excluded", in: sm.GetRandomPasswordInput{PasswordLength: aws.Int64(120), ExcludeCharacters: aws.String("xyzDje@?!.")},
			length: 120, allowed: strings.NewReplacer("x", "", "y", "", "z", "", "D", "", "j", "", "e", "", "@", "", "?", "", "!", "", ".", "").Replace(lower + upper + digits + punctuation)},
		{name: "excluded is literal", in: sm.GetRandomPasswordInput{PasswordLength: aws.Int64(4096), ExcludeCharacters: aws.String(`[\]^-a%d`)},
			length: 4096, allowed: "bcefghijklmnopqrstuvwxyz" + upper + digits + "!\"#$&'()*+,./:;<=>?@_`{|}~"},
		{name: "a type excluded by characters", in: sm.GetRandomPasswordInput{PasswordLength: aws.Int64(3),
			ExcludeCharacters: aws.String(digits)},
			length: 3, allowed: lower + upper + punctuation, required: []string{lower, upper, punctuation}},
		{name: "nothing left", in: sm.GetRandomPasswordInput{ExcludeCharacters: aws.String(lower + upper + digits + punctuation)},
			err: "InvalidParameterException"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			seen := map[string]bool{}
			for range 20 {
				out, err := e.GetRandomPassword(ctx, &tt.in)
				expect(t, err, tt.err)
				if err != nil {
					return
				}
				p := *out.RandomPassword
				seen[p] = true
				if len(p) != tt.length {
					t.Errorf("length %d, want %d", len(p), tt.length)
				}
				if i := strings.IndexFunc(p, func(r rune) bool { return !strings.ContainsRune(tt.allowed, r) }); i >= 0 {
					t.Errorf("contains %q", p[i])
				}
				for _, r := range tt.required {
					if !strings.ContainsAny(p, r) {
						t.Errorf("%q has none of %q", p, r)
					}
				}
			}
			if tt.length > 8 && len(seen) != 20 {
				t.Errorf("only %d of 20 are different", len(seen))
			}
		})
	}
}
