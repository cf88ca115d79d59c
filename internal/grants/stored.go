package grants

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/rotate-user/rotate-user/internal/password"
)

// Stored is an account's password as its server stores it.
type Stored struct {
	Account Name
	Locked  bool // no login succeeds, whatever the password
	Expired bool // no statement succeeds until a new password is set

	plugin, hash string
}

// NewStored returns what the server stores after a hash was set.
func NewStored(account Name, plugin, hash string) Stored {
	return Stored{Account: account, plugin: plugin, hash: hash}
}

// Matches reports whether pw is the account's password. It does not ask the server, so no failed
// login is counted, and nothing between here and the server can answer in its place. It returns an
// error if the account does not log in with a password of a known kind.
func (s Stored) Matches(pw string) (bool, error) {
	ok, err := password.Matches(s.plugin, s.hash, pw)
	if err != nil {
		return false, fmt.Errorf("compare the password of %s: %w", s.Account, err)
	}
	return ok, nil
}

// Usable reports whether the right password lets anyone run a statement.
func (s Stored) Usable() bool { return !s.Locked && !s.Expired }

// Bears reports whether the account has, instead of a password, the mark with which this package
// created it.
func (s Stored) Bears(mark string) bool { return password.IsUnmatchable(s.plugin, s.hash, mark) }

// Unset reports whether the account has, instead of a password, the mark with which this package
// created or revoked it.
func (s Stored) Unset(mark string) bool { return s.Bears(mark) || s.Bears(RevokedMark(mark)) }

// Digest returns a digest of what is stored. If the hash has a salt, the digest changes whenever a
// password is set, even to the same one. If it has none, as with mysql_native_password, passwords
// can be tried against the digest, so it must be used only with random passwords.
func (s Stored) Digest() string {
	sum := sha256.Sum256([]byte(s.plugin + "\x00" + s.hash))
	return hex.EncodeToString(sum[:16])
}

// Keyed is a Digest that is safe for any password: passwords can be tried against it only with the
// key.
func (s Stored) Keyed(key string) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(s.plugin + "\x00" + s.hash))
	return hex.EncodeToString(mac.Sum(nil)[:16])
}

// Stored returns what the server stores for logins as the account.
func (s *Account) Stored() Stored {
	return Stored{Account: s.Name, Locked: s.Locked, Expired: s.Expired, plugin: s.Plugin, hash: s.hash}
}
