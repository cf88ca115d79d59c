package grants

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/rotate-user/rotate-user/internal/password"
)

// CheckSourcePassword refuses an account for which the server stores another password than the secret.
func (p Pair) CheckSourcePassword(s *Account) error {
	if p.Password == "" || p.SourceStored != "" && p.SourceStored == s.Stored().Digest() {
		return nil
	}
	ok, err := s.Stored().Matches(p.Password)
	if err != nil {
		return err
	}
	if !ok {
		return Refuse(WrongPassword, "the server stores another password for %s: store the right one in the secret, or ALTER USER %s to the one that is there", s.Name, s.Name)
	}
	return nil
}

// CheckStandbyPassword refuses an account that nothing shows to be the other half of the pair, and one whose password is not the
// secret's, because clients that know that password would be refused. A standby without a usable password passes.
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
		// The message does not advise to unlock it by hand: its password may be a leaked one whose revocation was cut off.
		return Refuse(StandbyLocked, "%s was locked by hand, or by a revocation that was cut off: if it may be used again, rotate with Force,"+
			" which ends its sessions and replaces its password before it lets the account log in", s.Name)
	case known:
		return nil
	case p.Owned:
		return Refuse(ForeignPassword, "the password of %s is none that this secret ever had: it was set by hand, or by the rotation of another secret, and clients that use it would be refused;"+
			" find out which do, or rotate with Force to replace it", s.Name)
	}
	return Refuse(NotOurs, "an account %s exists and nothing shows that it is the other half of %s: if it is, name it as CloneUsername; otherwise rename it or choose another name",
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

// Revoked reports whether a revocation of this pair took the account's password, so that it was not locked by hand. Its hash shows
// this. The mark of earlier releases names no secret, and counts only for an account that is known to belong to the pair.
func (p Pair) Revoked(s *Account) bool {
	return password.IsUnmatchable(s.Plugin, s.hash, RevokedMark(p.Mark)) ||
		p.Owned && password.IsUnmatchable(s.Plugin, s.hash, RevokedMark(s.Name.String()))
}

// RevokedMark returns the mark from which the hash of a revoked account is made.
func RevokedMark(mark string) string { return "revoked " + mark }

// RefuseAbsent refuses an account that was not found.
func RefuseAbsent(s *Account, n Name) error {
	if s != nil {
		return nil
	}
	return Refuse(NoSuchAccount, "there is no account %s on this server", n)
}

// RefuseUnreadable refuses an administrator that cannot read the grant tables. The server shows every account its own grants, in
// which the refusal looks for what else the administrator lacks.
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
	return Refuse(MissingRight, "administrator %s lacks %s: %s. It needs each right of the account WITH GRANT OPTION besides,"+
		" and SYSTEM_USER if the account has it; which of them it lacks is listed once it can read the grant tables", n, what, statements)
}

// CheckNames refuses a user name that is too long for the server, or whose clone would be.
func (s *Server) CheckNames(n Name, standby string) error {
	limit, length := s.LongestUser(), utf8.RuneCountInString(standby)
	if own := utf8.RuneCountInString(n.User); limit > 0 && own > limit {
		return Refuse(NameTooLong, "the name %s has %d characters and this server allows %d", n, own, limit)
	}
	if limit <= 0 || length <= limit {
		return nil
	}
	return Refuse(NameTooLong, "the standby account of %s would be %s, whose name has %d characters where this server allows %d: choose a user name of at most %d characters",
		n, QuoteUser(standby), length, limit, limit-length+utf8.RuneCountInString(n.User))
}
