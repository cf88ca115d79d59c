package account

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"sync"

	"github.com/rotate-user/rotate-user/internal/panics"
	"github.com/rotate-user/rotate-user/internal/password"
)

// Stored is an account's password as its server stores it.
type Stored struct {
	Account Name
	Locked  bool // no login succeeds, whatever the password

	plugin, hash string
}

// Matches reports whether pw is the account's password. It asks no server: no failed login is counted, and nothing between
// here and the server can answer for it. Its error is that the account does not log in by a password that is known here.
func (s Stored) Matches(pw string) (bool, error) {
	ok, err := password.Matches(s.plugin, s.hash, pw)
	if err != nil {
		return false, fmt.Errorf("compare the password of %s: %w", s.Account, err)
	}
	return ok, nil
}

// Bears reports whether there is no password, but the mark with which this package created the account.
func (s Stored) Bears(mark string) bool { return password.IsUnmatchable(s.plugin, s.hash, mark) }

// Unset reports whether there is no password, but the mark with which this package created or revoked the account.
func (s Stored) Unset(mark string) bool { return s.Bears(mark) || s.Bears(revokedMark(mark)) }

// Digest stands for what is stored. It changes whenever a password is set that has a salt, to the same one too. Without a salt,
// as in mysql_native_password, guesses can be tried on it: it is for passwords that cannot be guessed.
func (s Stored) Digest() string {
	sum := sha256.Sum256([]byte(s.plugin + "\x00" + s.hash))
	return hex.EncodeToString(sum[:16])
}

// Keyed is a Digest of any password: only who has the key can try guesses on it.
func (s Stored) Keyed(key string) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(s.plugin + "\x00" + s.hash))
	return hex.EncodeToString(mac.Sum(nil)[:16])
}

func (s *state) stored() Stored {
	return Stored{Account: s.name, Locked: s.locked, plugin: s.plugin, hash: s.hash}
}

// Stored reads the passwords of all accounts of these user names.
func (a *Admin) Stored(ctx context.Context, users ...string) ([]Stored, error) {
	if err := a.survey(ctx); err != nil {
		return nil, err
	}
	states, err := a.readAccounts(ctx, users)
	if err != nil {
		return nil, fmt.Errorf("read the accounts of %s: %w", quoteValues(users), a.deniedRead(ctx, err))
	}
	var all []Stored
	for _, s := range states {
		all = append(all, s.stored())
	}
	return all, nil
}

// prove begins to hold what the server stores against what the secret says, and returns a function that waits until that
// is done. It needs nothing of this session, which may go on.
func (a *Admin) prove(ctx context.Context, p Pair, ps *pairState) (wait func() error) {
	fresh := a.bearsMark(p, ps.standby)
	done := sync.OnceValue(func() (err error) {
		defer panics.Into(&err)
		if err := p.checkSource(ps.source); err != nil {
			return err
		}
		login := sync.OnceValue(func() (err error) {
			defer panics.Into(&err)
			if p.Proof == nil {
				return nil
			}
			return p.Proof()
		})
		go func() { _ = login() }() // its error is that of the call below
		// The login is waited for in any case.
		if err := p.checkStandby(ctx, ps, fresh || ps.standby != nil && a.revoked(p, ps.standby)); err != nil {
			_ = login()
			return err
		}
		return login()
	})
	go func() { _ = done() }()
	return done
}

func (p Pair) checkSource(s *state) error {
	if p.Password == "" || p.SourceStored != "" && p.SourceStored == s.stored().Digest() {
		return nil
	}
	ok, err := s.stored().Matches(p.Password)
	if err != nil {
		return err
	}
	if !ok {
		return refuse(WrongPassword, "the server stores another password for %s: store the right one in the secret, or ALTER USER %s to the one that is there", s.name, s.name)
	}
	return nil
}

// checkStandby refuses an account that nothing shows to be the other half of the pair, and one whose password is not the
// secret's: whoever set it uses it. unset says that its password is none that anybody knows.
func (p Pair) checkStandby(ctx context.Context, ps *pairState, unset bool) error {
	s := ps.standby
	if s == nil || unset {
		return nil
	}
	known := p.Owned && p.Known == nil
	if p.Known != nil {
		var err error
		if known, err = p.Known(ctx, s.stored()); err != nil {
			return err
		}
	}
	switch {
	case (known || p.Owned) && p.Force:
		ps.foreign = !known
		return nil
	case (known || p.Owned) && s.locked:
		// To unlock it by hand is not advised: its password may be one that leaked, and whose revocation was cut off.
		return refuse(StandbyLocked, "%s was locked by hand, or by a revocation that was cut off: if it may be used again, rotate with Force,"+
			" which ends its sessions and replaces its password before it lets the account log in", s.name)
	case known:
		return nil
	case p.Owned:
		return refuse(ForeignPassword, "the password of %s is none that this secret ever had: it was set by hand, or by the rotation of another secret, and whoever uses it would be refused;"+
			" find out who does, or rotate with Force to replace it", s.name)
	}
	return refuse(NotOurs, "an account %s exists and nothing shows that it is the other half of %s: if it is, name it as CloneUsername; otherwise rename it or choose another name",
		s.name, ps.source.name)
}

// bearsMark reports whether a standby is known by its mark to have been made for this pair, and never to have had a password.
func (a *Admin) bearsMark(p Pair, standby *state) bool {
	if standby == nil {
		return false
	}
	for _, mark := range []string{p.Mark, p.EarlierMark} {
		if mark != "" && password.IsUnmatchable(standby.plugin, standby.hash, mark) {
			return true
		}
	}
	return false
}
