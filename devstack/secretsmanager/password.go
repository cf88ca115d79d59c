package secretsmanager

import (
	cryptorand "crypto/rand"
	"encoding/binary"
	"math/rand/v2"
	"strings"
)

// random uses the system's generator. It is safe for concurrent use.
var random = rand.New(system{})

type system struct{}

func (system) Uint64() uint64 {
	var b [8]byte
	cryptorand.Read(b[:])
	return binary.NativeEndian.Uint64(b[:])
}

type getRandomPasswordInput struct {
	PasswordLength          *int64
	ExcludeCharacters       string
	ExcludeLowercase        bool
	ExcludeUppercase        bool
	ExcludeNumbers          bool
	ExcludePunctuation      bool
	IncludeSpace            bool
	RequireEachIncludedType *bool
}

type getRandomPasswordOutput struct {
	RandomPassword string
}

func (s caller) getRandomPassword(in *getRandomPasswordInput) (getRandomPasswordOutput, error) {
	var out getRandomPasswordOutput
	length := int64(32)
	if in.PasswordLength != nil {
		length = *in.PasswordLength
	}
	if length < 1 || length > 4096 {
		return out, errorf(invalidParameter, "PasswordLength must be between 1 and 4096, not %d.", length)
	}
	if err := checkLength("ExcludeCharacters", len(in.ExcludeCharacters), 0, 4096); err != nil {
		return out, err
	}

	var all string
	var required []string
	include := func(excluded bool, characters string, require bool) {
		if excluded {
			return
		}
		characters = strings.Map(func(r rune) rune {
			if strings.ContainsRune(in.ExcludeCharacters, r) {
				return -1
			}
			return r
		}, characters)
		all += characters
		if require && characters != "" {
			required = append(required, characters)
		}
	}
	require := in.RequireEachIncludedType == nil || *in.RequireEachIncludedType
	include(in.ExcludeLowercase, "abcdefghijklmnopqrstuvwxyz", require)
	include(in.ExcludeUppercase, "ABCDEFGHIJKLMNOPQRSTUVWXYZ", require)
	include(in.ExcludeNumbers, "0123456789", require)
	include(in.ExcludePunctuation, "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", require)
	include(!in.IncludeSpace, " ", false) // a space is allowed, not required
	if all == "" {
		return out, errorf(invalidParameter, "No characters are left to make a password of.")
	}
	if int(length) < len(required) {
		return out, errorf(invalidParameter, "Password length is too short based on the required types.")
	}

	// One of each required type first, then any, then all shuffled.
	b := make([]byte, length)
	for i := range b {
		from := all
		if i < len(required) {
			from = required[i]
		}
		b[i] = from[random.IntN(len(from))]
	}
	random.Shuffle(len(b), func(i, j int) { b[i], b[j] = b[j], b[i] })
	out.RandomPassword = string(b)
	return out, nil
}
