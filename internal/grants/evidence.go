package grants

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/rotate-user/rotate-user/internal/password"
)

// CheckSourcePassword refuses an account for which the server stores a different password than the
// secret.
func (p Pair) CheckSourcePassword(s *Account) error {
	if p.Password == "" || p.SourceStored != "" && p.SourceStored == s.Stored().Digest() {
		return nil
	}
	ok, err := s.Stored().Matches(p.Password)
	if err != nil {
		return err
	}
	if !ok {
		return Refuse(WrongPassword, "the server stores another password for %s than the secret:"+
			" store the right one in the secret, or set the one in the secret with ALTER USER %s", s.Name, s.Name)
	}
	return nil
}

// CheckStandbyPassword refuses an account without evidence that it is the other one of the pair. It
// also refuses an account whose password is not one of the secret's, because clients that use that
// password would be refused. A standby without a usable password passes.
func (p Pair) CheckStandbyPassword(ctx context.Context, ps *Snapshot) error {
	s := ps.Standby
	if s == nil || p.BearsMark(s) || p.Revoked(s) {
		return nil
	}
	known := p.Owned && p.Known == nil
	if p.Known != nil {
		var err error
		if known, err = p.Known(ctx, s.Stored()); err != nil {
			return err
		}
	}
	switch {
	case (known || p.Owned) && p.Force:
		ps.foreign = !known
		return nil
	case (known || p.Owned) && s.Locked:
		// The message does not advise unlocking the account: its password may be a leaked one whose
		// revocation was cut off.
		return Refuse(StandbyLocked, "%s was locked by hand, or by a revocation that was cut off: if it may be used again, rotate with Force,"+
			" which ends its sessions and replaces its password before the account can log in", s.Name)
	case known:
		return nil
	case p.Owned:
		return Refuse(ForeignPassword, "the password of %s was never this secret's: it was set by hand, or by the rotation of another secret,"+
			" and clients that use it would be refused;"+
			" find them, or rotate with Force to replace the password", s.Name)
	}
	return Refuse(NotOurs, "account %s exists, but nothing shows that it is the other account of the pair of %s:"+
		" if it is, set CloneUsername to it; otherwise rename it, or choose another CloneUsername",
		s.Name, ps.Source.Name)
}

// BearsMark reports whether the standby's mark shows that it was made for this pair and has never had a password.
func (p Pair) BearsMark(standby *Account) bool {
	if standby == nil {
		return false
	}
	for _, mark := range []string{p.Mark, p.EarlierMark} {
		if mark != "" && password.IsUnmatchable(standby.Plugin, standby.hash, mark) {
			return true
		}
	}
	return false
}

// Revoked reports whether a revocation of this pair, rather than an operator, locked the account.
// Its hash shows this. The mark of earlier releases does not name a secret, and counts only for an
// account that is known to belong to the pair.
func (p Pair) Revoked(s *Account) bool {
	return password.IsUnmatchable(s.Plugin, s.hash, RevokedMark(p.Mark)) ||
		p.Owned && password.IsUnmatchable(s.Plugin, s.hash, RevokedMark(s.Name.String()))
}

// RevokedMark returns the mark from which the hash of a revoked account is derived.
func RevokedMark(mark string) string { return "revoked " + mark }

// RefuseAbsent refuses an account that was not found.
func RefuseAbsent(s *Account, n Name) error {
	if s != nil {
		return nil
	}
	return Refuse(NoSuchAccount, "account %s does not exist on this server", n)
}

// RefuseUnreadable refuses an administrator that cannot read the grant tables. Its own grants,
// which the server shows to every account, tell what else it lacks.
func RefuseUnreadable(n Name, grants []string) error {
	creates := false
	for _, line := range grants {
		if global := globalLine.FindStringSubmatch(line); global != nil {
			list := strings.Split(global[1], ", ")
			creates = creates || slices.Contains(list, "CREATE USER") || slices.Contains(list, "ALL PRIVILEGES")
		}
	}
	what, statements := "SELECT on `mysql`.*", fmt.Sprintf("GRANT SELECT ON `mysql`.* TO %s", n)
	if !creates {
		what, statements = what+"; CREATE USER on *.*", statements+fmt.Sprintf("; GRANT CREATE USER ON *.* TO %s", n)
	}
	return Refuse(MissingRight, "administrator %s lacks %s: %s. It also needs each right of the account WITH GRANT OPTION,"+
		" and SYSTEM_USER if the account has it; once it can read the grant tables, the missing ones will be listed", n, what, statements)
}

// CheckNames refuses a user name that is too long for the server, or whose clone would be.
func (s *Server) CheckNames(n Name, standby string) error {
	limit, length := s.LongestUser(), utf8.RuneCountInString(standby)
	if own := utf8.RuneCountInString(n.User); limit > 0 && own > limit {
		return Refuse(NameTooLong, "the name %s has %d characters, but this server allows %d", n, own, limit)
	}
	if limit <= 0 || length <= limit {
		return nil
	}
	return Refuse(NameTooLong, "the standby account of %s would be %s, whose name has %d characters, but this server allows %d: "+
		"choose a user name of at most %d characters",
		n, QuoteUser(standby), length, limit, limit-length+utf8.RuneCountInString(n.User))
}
