// Package password makes passwords and the hashes that servers store for them.
package password

import (
	"crypto/rand"
	"fmt"
	"math/big"
	"strings"
)

// Policy says what a password must have, beyond what every generated password has: 32 characters, two of each class.
// The zero value adds nothing. Counts below those of every password change nothing, so no policy makes a weaker one.
//
// Classes and counts are those of MySQL's validate_password ("The Password Validation Component" in its manual; the
// policies LOW and MEDIUM, mixed_case_count being both Lower and Upper) and of MariaDB's simple_password_check. That a
// password must not be the account's name, forwards or backwards, needs no care: chance will not make it so.
type Policy struct {
	// Length in characters, at least; 255 at most, where MySQL's sha256_password ends.
	Length int `json:"Length,omitempty"`
	// Characters of each class, at least.
	Lower   int `json:"Lower,omitempty"`
	Upper   int `json:"Upper,omitempty"`
	Digits  int `json:"Digits,omitempty"`
	Special int `json:"Special,omitempty"`
	// NoWords keeps the words of a dictionary out that cannot be read from here (validate_password's policy STRONG).
	// Such a word has four characters or more: none of it fits where every fourth character is a special one.
	NoWords bool `json:"NoWords,omitempty"`
}

// The classes. The special characters are those that mean nothing in a URL (RFC 3986, "unreserved"), in a data source
// name, a configuration file, SQL or, past a word's beginning, a shell. "~", which is unreserved too, is an operator in a value
// without quotes of PHP's .ini files (parse_ini_file).
const (
	lower   = "abcdefghijklmnopqrstuvwxyz"
	upper   = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digits  = "0123456789"
	special = "-._"

	alphabet = lower + upper + digits + special
)

const (
	minLength   = 32
	maxLength   = 255
	minPerClass = 2
	wordLength  = 4 // of the shortest word in a dictionary
)

// Generate makes a password that meets the policy, of ASCII letters, digits and "-._", a letter first. By the zero
// policy no password has a chance above 2^-165, with NoWords 2^-140. The error says why none can meet the policy.
func Generate(p Policy) (string, error) {
	length := max(p.Length, minLength)
	if length > maxLength {
		return "", fmt.Errorf("a password of %d characters is asked for, and the limit is %d", length, maxLength)
	}
	classes := []struct {
		name, all string
		count     int
	}{
		{"lower-case letter", lower, p.Lower},
		{"upper-case letter", upper, p.Upper},
		{"digit", digits, p.Digits},
		{"special character", special, p.Special},
	}
	var required string
	for _, c := range classes {
		if c.count > maxLength {
			return "", fmt.Errorf("%d times a %s is asked for, and the limit is %d characters in all", c.count, c.name, maxLength)
		}
		for range max(c.count, minPerClass) {
			required += pick(c.all)
		}
	}
	if p.NoWords {
		// Every fourth character is special besides, which is more of them than required, seldom fewer.
		length = max(length, (len(required)*wordLength+wordLength-2)/(wordLength-1))
	}
	if length = max(length, len(required)); length > maxLength {
		return "", fmt.Errorf("a password of %d characters is asked for, and the limit is %d", length, maxLength)
	}
	breaks := 0
	if p.NoWords {
		breaks = length / wordLength
	}
	free := []byte(required)
	for len(free) < length-breaks {
		free = append(free, pick(alphabet)...)
	}
	// A letter first: a shell or a command may take another character in front for something else.
	for shuffle(free); !strings.ContainsRune(lower+upper, rune(free[0])); {
		shuffle(free)
	}
	if !p.NoWords {
		return string(free), nil
	}
	var text []byte
	for i := range length {
		if i%wordLength == wordLength-1 {
			text = append(text, pick(special)...)
			continue
		}
		text, free = append(text, free[0]), free[1:]
	}
	return string(text), nil
}

// pick draws one character, each as likely as the others.
func pick(from string) string {
	i := below(len(from))
	return from[i : i+1]
}

// shuffle brings the characters into an order that chance decides, each as likely as the others (Fisher and Yates).
func shuffle(b []byte) {
	for i := len(b) - 1; i > 0; i-- {
		j := below(i + 1)
		b[i], b[j] = b[j], b[i]
	}
}

func below(n int) int {
	i, err := rand.Int(rand.Reader, big.NewInt(int64(n)))
	if err != nil {
		panic(err) // rand.Reader never fails, says its documentation
	}
	return int(i.Int64())
}
