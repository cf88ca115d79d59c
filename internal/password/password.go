// Package password generates passwords and computes the hashes that servers store for them.
package password

import (
	"crypto/rand"
	"fmt"
	"math/big"
	"strings"
)

// Policy says what a password must contain beyond what every generated password has: 32 characters,
// two of each class. The zero value adds nothing. Counts below those minimums have no effect, so no
// policy makes a password weaker.
//
// The fields correspond to MySQL's validate_password ("The Password Validation Component" in its
// manual; policies LOW and MEDIUM, where mixed_case_count is both Lower and Upper) and to MariaDB's
// simple_password_check. Their rule that a password must not be the account's name, forwards or
// backwards, has no field: a random password is never that.
type Policy struct {
	// Length is the minimum in characters. It is at most 255, the limit of MySQL's sha256_password.
	Length int `json:"Length,omitempty"`
	// The minimum number of characters of each class.
	Lower   int `json:"Lower,omitempty"`
	Upper   int `json:"Upper,omitempty"`
	Digits  int `json:"Digits,omitempty"`
	Special int `json:"Special,omitempty"`
	// NoWords excludes all words of a dictionary that only the server can read (validate_password's
	// policy STRONG). Such words have at least four characters, so none fits if every fourth
	// character of the password is a special one.
	NoWords bool `json:"NoWords,omitempty"`
}

// The character classes. The special characters have no meaning in a URL (RFC 3986, "unreserved"),
// a data source name, a configuration file, SQL or, except at the start of a word, a shell. "~" is
// unreserved too, but it is an operator in unquoted values of PHP's .ini files (parse_ini_file).
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
	wordLength  = 4 // the shortest word in a server's dictionary
)

// Generate returns a random password that meets the policy. It consists of ASCII letters, digits
// and "-._", and begins with a letter. With the zero policy no password has a probability above
// 2^-165, with NoWords 2^-140. The error says why no password can meet the policy.
func Generate(p Policy) (string, error) {
	length := max(p.Length, minLength)
	if length > maxLength {
		return "", fmt.Errorf("the policy requires %d characters, but a password has at most %d", length, maxLength)
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
			return "", fmt.Errorf("the policy requires a %[2]s %[1]d times, but a password has at most %[3]d characters", c.count, c.name, maxLength)
		}
		for range max(c.count, minPerClass) {
			required += pick(c.all)
		}
	}
	if p.NoWords {
		// Every fourth character is an additional special one. This usually gives more special
		// characters than required.
		length = max(length, (len(required)*wordLength+wordLength-2)/(wordLength-1))
	}
	if length = max(length, len(required)); length > maxLength {
		return "", fmt.Errorf("the policy requires %d characters, but a password has at most %d", length, maxLength)
	}
	breaks := 0
	if p.NoWords {
		breaks = length / wordLength
	}
	free := []byte(required)
	for len(free) < length-breaks {
		free = append(free, pick(alphabet)...)
	}
	// The first character is a letter, because a shell or a command may interpret any other one.
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

// pick returns one character, chosen uniformly.
func pick(from string) string {
	i := below(len(from))
	return from[i : i+1]
}

// shuffle permutes the characters uniformly (Fisher-Yates).
func shuffle(b []byte) {
	for i := len(b) - 1; i > 0; i-- {
		j := below(i + 1)
		b[i], b[j] = b[j], b[i]
	}
}

func below(n int) int {
	i, err := rand.Int(rand.Reader, big.NewInt(int64(n)))
	if err != nil {
		panic(err) // rand.Reader never fails, according to its documentation
	}
	return int(i.Int64())
}
