package password

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Matches reports whether a server that stored the hash would accept the password. It does not ask
// the server: a login could be refused for other reasons, and a wrong password counts against the
// account's FAILED_LOGIN_ATTEMPTS.
//
// An empty hash belongs to an account without a password. Only the empty password matches it,
// except with Ed25519, where nothing does; servers answer logins in the same way. The empty
// password matches no other hash, except the one that MariaDB 11.8 stores for it with Ed25519. An error either wraps ErrUnsupportedPlugin or says why the hash
// is invalid, without repeating it.
func Matches(plugin, hash, password string) (bool, error) {
	switch plugin {
	case Native, CachingSHA2, SHA256, Ed25519:
	default:
		return false, fmt.Errorf("%w %q", ErrUnsupportedPlugin, plugin)
	}
	if hash == "" {
		return password == "" && plugin != Ed25519, nil
	}
	h, err := parse(plugin, hash)
	if err != nil {
		return false, fmt.Errorf("invalid stored hash of %s: %w", plugin, err)
	}
	if password == "" && plugin != Ed25519 || len(password) > maxPassword && (plugin == CachingSHA2 || plugin == SHA256) {
		return false, nil
	}
	var digest []byte
	switch plugin {
	case Native:
		digest = nativeDigest(password)
	case Ed25519:
		digest, err = ed25519Digest(password)
	default:
		digest, err = h.sha2(password)
	}
	if err != nil {
		return false, fmt.Errorf("hash for %s: %w", plugin, err)
	}
	return hmac.Equal(digest, h.digest), nil
}

// maxPassword is the longest password, in bytes, that the SHA-2 plugins accept. A longer one is not
// hashed, because the work grows with the square of its length. The number of rounds needs no such
// limit: three digits cannot ask for more than seconds of work.
const maxPassword = 256

// parsed holds the parts of a stored hash. The digest has the form that the plugin's function
// computes.
type parsed struct {
	storage Storage // of the SHA-2 plugins
	salt    string  // any bytes
	digest  []byte
}

// sha2 computes the digest of a password as a SHA-2 plugin does with this storage and salt.
func (h parsed) sha2(password string) ([]byte, error) {
	if h.storage.PBKDF2 {
		return pbkdf2.Key(sha512.New, password, []byte(h.salt), h.storage.Rounds, sha512.Size)
	}
	return []byte(sha256Crypt(password, h.salt, h.storage.Rounds)), nil
}

// parse splits a hash into its parts. Its errors do not repeat the hash.
func parse(plugin, hash string) (parsed, error) {
	switch plugin {
	case Native:
		text, ok := strings.CutPrefix(hash, "*")
		digest, err := hex.DecodeString(text)
		if !ok || err != nil || len(digest) != len(nativeDigest("")) {
			return parsed{}, errors.New(`it is not "*" and 40 hexadecimal digits`)
		}
		return parsed{digest: digest}, nil
	case CachingSHA2:
		return parseCachingSHA2(hash)
	case SHA256:
		return parseSHA256(hash)
	case Ed25519:
		digest, ok := decode(base64.RawStdEncoding, hash, 32)
		if !ok {
			return parsed{}, errors.New("it is not 32 bytes of base64 without padding")
		}
		return parsed{digest: digest}, nil
	}
	return parsed{}, fmt.Errorf("%w %q", ErrUnsupportedPlugin, plugin)
}

// parseCachingSHA2 parses "$A$" or, for PBKDF2, "$B$", the rounds in thousands as three hexadecimal
// digits, "$", 20 bytes of salt and the digest.
func parseCachingSHA2(hash string) (parsed, error) {
	const header = len("$A$005$")
	if len(hash) < header+saltSize || hash[0] != '$' || hash[2] != '$' || hash[header-1] != '$' {
		return parsed{}, errors.New(`it does not begin with "$A$" or "$B$", three digits, "$" and 20 bytes of salt`)
	}
	thousands, err := strconv.ParseUint(hash[3:header-1], 16, 12)
	if err != nil || thousands == 0 {
		return parsed{}, errors.New("its number of rounds is not three hexadecimal digits above 000")
	}
	h := parsed{storage: Storage{Rounds: int(thousands) * 1000}, salt: hash[header : header+saltSize]}
	digest := hash[header+saltSize:]
	switch hash[1] {
	case 'A':
		// MySQL stores such a hash if told to, and then refuses every login.
		if h.storage.Rounds < minRounds || strings.Contains(h.salt, "$") {
			return parsed{}, fmt.Errorf(`it has fewer than %d rounds or "$" in its salt, which no server makes`, minRounds)
		}
		if h.digest = []byte(digest); !isCryptDigest(digest) {
			return parsed{}, errCryptDigest
		}
	case 'B':
		var ok bool
		h.storage.PBKDF2 = true
		if h.digest, ok = decode(base64.StdEncoding, digest, sha512.Size); !ok {
			return parsed{}, errors.New("its digest is not 64 bytes of base64")
		}
	default:
		return parsed{}, errors.New(`its format is neither "$A$" nor "$B$"`)
	}
	return h, nil
}

// parseSHA256 parses "$5$", 20 bytes of salt, "$" and the digest. MySQL also stores a hash with a
// salt of another length, or with the "rounds=" of crypt(3), if told to, and then refuses every
// login.
func parseSHA256(hash string) (parsed, error) {
	rest, ok := strings.CutPrefix(hash, "$5$")
	if !ok {
		return parsed{}, errors.New(`it does not begin with "$5$"`)
	}
	salt, digest, ok := strings.Cut(rest, "$")
	if !ok || len(salt) != saltSize {
		return parsed{}, fmt.Errorf(`"$5$" is not followed by %d bytes of salt and "$"`, saltSize)
	}
	if !isCryptDigest(digest) {
		return parsed{}, errCryptDigest
	}
	return parsed{storage: Storage{Rounds: sha256Rounds}, salt: salt, digest: []byte(digest)}, nil
}

var errCryptDigest = errors.New("its digest is not 43 characters of crypt(3)")

// decode decodes size bytes of base64. It checks the length because the package base64 skips line
// breaks.
func decode(e *base64.Encoding, text string, size int) ([]byte, bool) {
	b, err := e.Strict().DecodeString(text)
	return b, err == nil && len(b) == size && len(text) == e.EncodedLen(size)
}

func isCryptDigest(s string) bool {
	return len(s) == 43 && strings.Trim(s, cryptAlphabet) == ""
}
