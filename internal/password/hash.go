package password

import (
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"filippo.io/edwards25519"
	base64crypt "github.com/go-crypt/x/base64"
	"github.com/go-crypt/x/crypt"
)

// The authentication plugins whose hashes this package can make, as the servers spell them. Ed25519
// is MariaDB's, the SHA-2 ones are MySQL's. MariaDB's parsec is missing because go-sql-driver does
// not support it.
const (
	Native      = "mysql_native_password"
	CachingSHA2 = "caching_sha2_password"
	SHA256      = "sha256_password"
	Ed25519     = "ed25519"
)

// ErrUnsupportedPlugin reports that an account does not log in with a password, or with a plugin
// that this package does not know.
var ErrUnsupportedPlugin = errors.New("unsupported authentication plugin")

// Storage is how caching_sha2_password stores a password. The other plugins have no choice. Every
// version reads the format of the zero value, but a server's settings may require more.
type Storage struct {
	// PBKDF2 selects MySQL 9's format "$B$", which caching_sha2_password_storage_format calls
	// PBKDF2_SHA512. If false, the format is "$A$" (CRYPT5).
	PBKDF2 bool
	// Rounds is the number of iterations. A hash stores it in thousands, rounded up, from 5 to
	// 4095.
	Rounds int
}

// StorageOf returns how a hash is stored, and reports whether it is a readable hash of
// caching_sha2_password.
func StorageOf(plugin, hash string) (Storage, bool) {
	if plugin != CachingSHA2 {
		return Storage{}, false
	}
	h, err := parseCachingSHA2(hash)
	return h.storage, err == nil
}

func (s Storage) thousands() int { return min(max((s.Rounds+999)/1000, minRounds/1000), 0xFFF) }

// Hash is the zero Storage's Hash.
func Hash(plugin, password string) ([]byte, error) { return Storage{}.Hash(plugin, password) }

// Hash computes what the server stores for a password, so that the password itself need not be
// sent: MariaDB writes statements with passwords to its general log, binary log and statement
// history. Each call uses a new salt.
//
// For every plugin, the result is ASCII without quotes or backslashes.
func (s Storage) Hash(plugin, password string) ([]byte, error) {
	if password == "" {
		return nil, errors.New("empty password")
	}
	salt := make([]byte, saltSize)
	rand.Read(salt) // never fails, according to its documentation
	switch plugin {
	case Native:
		return fmt.Appendf(nil, "*%X", nativeDigest(password)), nil
	case CachingSHA2:
		return s.cachingSHA2(readable(salt), password)
	case SHA256:
		return sha256Password(readable(salt), sha256Crypt(password, readable(salt), sha256Rounds)), nil
	case Ed25519:
		key, err := ed25519Digest(password)
		if err != nil {
			return nil, err
		}
		return ed25519Key(key), nil
	}
	return nil, fmt.Errorf("%w %q", ErrUnsupportedPlugin, plugin)
}

// Unmatchable is the zero Storage's Unmatchable.
func Unmatchable(plugin, mark string) ([]byte, error) { return Storage{}.Unmatchable(plugin, mark) }

// IsUnmatchable reports whether a hash is the one that Unmatchable makes from the mark, in any
// storage format.
func IsUnmatchable(plugin, hash, mark string) bool {
	s, _ := StorageOf(plugin, hash) // the zero value, if the plugin has no choice
	marked, err := s.Unmatchable(plugin, mark)
	return err == nil && hash == string(marked)
}

// Unmatchable returns a hash that the server accepts as valid but that no known password matches:
// bytes derived from the mark replace the digest. The same mark always gives the same hash, so the
// mark proves who created the account that has it.
func (s Storage) Unmatchable(plugin, mark string) ([]byte, error) {
	if mark == "" {
		return nil, errors.New("empty mark")
	}
	// The seed includes the plugin so that the hashes of two plugins share no bytes.
	seed := sha512.Sum512([]byte("rotate-user unmatchable\x00" + plugin + "\x00" + mark))
	salt, digest := seed[:saltSize], seed[32:]
	switch plugin {
	case Native:
		return fmt.Appendf(nil, "*%X", digest[:sha1.Size]), nil
	case CachingSHA2:
		if s.PBKDF2 {
			long := sha512.Sum512([]byte("rotate-user unmatchable\x00" + plugin + " PBKDF2\x00" + mark))
			return s.stored(readable(salt), base64.StdEncoding.EncodeToString(long[:])), nil
		}
		return s.stored(readable(salt), encodeCrypt([32]byte(digest))), nil
	case SHA256:
		return sha256Password(readable(salt), encodeCrypt([32]byte(digest))), nil
	case Ed25519:
		return ed25519Key(digest), nil
	}
	return nil, fmt.Errorf("%w %q", ErrUnsupportedPlugin, plugin)
}

const (
	saltSize     = 20
	minRounds    = 5000 // of caching_sha2_password: the default in MySQL 8.0 and 8.4; in 9.7 it is 10000
	sha256Rounds = 5000
)

func nativeDigest(password string) []byte {
	first := sha1.Sum([]byte(password))
	second := sha1.Sum(first[:])
	return second[:]
}

// ed25519Digest returns the public key that belongs to the password.
func ed25519Digest(password string) ([]byte, error) {
	digest := sha512.Sum512([]byte(password))
	scalar, err := edwards25519.NewScalar().SetBytesWithClamping(digest[:32])
	if err != nil {
		return nil, err
	}
	return new(edwards25519.Point).ScalarBaseMult(scalar).Bytes(), nil
}

// readable maps random bytes to the 64 characters of the crypt(3) alphabet, without bias.
func readable(random []byte) string {
	var b strings.Builder
	for _, c := range random {
		b.WriteByte(cryptAlphabet[c&63])
	}
	return b.String()
}

func (s Storage) cachingSHA2(salt, password string) ([]byte, error) {
	s.Rounds = s.thousands() * 1000
	digest, err := parsed{storage: s, salt: salt}.sha2(password)
	if err != nil {
		return nil, err
	}
	if s.PBKDF2 {
		return s.stored(salt, base64.StdEncoding.EncodeToString(digest)), nil
	}
	return s.stored(salt, string(digest)), nil
}

// stored returns "$A$" or "$B$", the rounds in thousands as three hexadecimal digits, "$", the salt
// and the digest.
func (s Storage) stored(salt, digest string) []byte {
	format := 'A'
	if s.PBKDF2 {
		format = 'B'
	}
	return fmt.Appendf(nil, "$%c$%03X$%s%s", format, s.thousands(), salt, digest)
}

func sha256Password(salt, digest string) []byte {
	return fmt.Appendf(nil, "$5$%s$%s", salt, digest)
}

// ed25519Key encodes the public key as 43 characters of base64 without padding.
func ed25519Key(key []byte) []byte {
	return base64.RawStdEncoding.AppendEncode(nil, key)
}

const cryptAlphabet = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// sha256Crypt computes Ulrich Drepper's SHA-256 crypt ("Unix crypt using SHA-256 and SHA-512",
// version 0.6) without its limit of 16 characters of salt, which the servers do not have either.
func sha256Crypt(password, salt string, rounds int) string {
	return string(crypt.KeySHACrypt(sha256.New, []byte(password), []byte(salt), rounds))
}

// encodeCrypt encodes a digest as step 22 of that paper prescribes: reordered, as 43 characters.
func encodeCrypt(digest [32]byte) string {
	var ordered []byte
	for i, j, k := 0, 10, 20; i != 30; i, j, k = k+1, i+1, j+1 {
		ordered = append(ordered, digest[k], digest[j], digest[i])
	}
	return string(base64crypt.EncodeCrypt(append(ordered, digest[30], digest[31])))
}
