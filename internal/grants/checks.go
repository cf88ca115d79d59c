package grants

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/rotate-user/rotate-user/internal/password"
)

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
// secret's: whoever set it uses it. unset says that its password is none that anybody knows.
func (p Pair) CheckStandbyPassword(ctx context.Context, ps *Snapshot, unset bool) error {
	s := ps.Standby
	if s == nil || unset {
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
		// To unlock it by hand is not advised: its password may be one that leaked, and whose revocation was cut off.
		return Refuse(StandbyLocked, "%s was locked by hand, or by a revocation that was cut off: if it may be used again, rotate with Force,"+
			" which ends its sessions and replaces its password before it lets the account log in", s.Name)
	case known:
		return nil
	case p.Owned:
		return Refuse(ForeignPassword, "the password of %s is none that this secret ever had: it was set by hand, or by the rotation of another secret, and whoever uses it would be refused;"+
			" find out who does, or rotate with Force to replace it", s.Name)
	}
	return Refuse(NotOurs, "an account %s exists and nothing shows that it is the other half of %s: if it is, name it as CloneUsername; otherwise rename it or choose another name",
		s.Name, ps.Source.Name)
}

// BearsMark reports whether a standby is known by its mark to have been made for this pair, and never to have had a password.
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

// ownAccounts are kept by servers and clouds for themselves.
func ownAccount(user string) bool {
	switch user {
	case "", "root", "mysql", "mariadb.sys":
		return true
	}
	return strings.HasPrefix(user, "mysql.") || strings.HasPrefix(user, "rds")
}

// RefusePlugin refuses an account that logs in by something else than a password of which a hash can be made.
func (server *Server) RefusePlugin(s *Account) error {
	if s.Plugin == "parsec" {
		return Refuse(NoPassword, "%s logs in by parsec, which of all clients only MariaDB Connector/J 3.5, npm mariadb and MariaDB's own client 11.8 know."+
			" The worker's driver does not, so it could prove no password: run ALTER USER %s IDENTIFIED VIA ed25519 USING PASSWORD('…'),"+
			" or VIA mysql_native_password for clients without ed25519, and store that password in the secret", s.Name, s.Name)
	}
	clause := "IDENTIFIED WITH " + password.CachingSHA2 + " BY '…'"
	if server.IsMariaDB() {
		clause = "IDENTIFIED VIA ed25519 USING PASSWORD('…'), or VIA mysql_native_password"
	} else if server.DefaultPlugin() == password.Native {
		clause = "IDENTIFIED WITH " + password.Native + " BY '…'"
	}
	return Refuse(NoPassword, "%s logs in by %s, which is not a password that can be rotated: run ALTER USER %s %s, and store that password in the secret",
		s.Name, s.Plugin, s.Name, clause)
}

// Check refuses what must not be rotated. fresh says that the standby is known by its mark to be new.
func (server *Server) Check(p Pair, ps *Snapshot, administrator Name, certificates bool) (fresh bool, err error) {
	source, standby, other := ps.Source, ps.Standby, Name{p.Standby, ps.Source.Name.Host}
	if err := CheckChangeable(source.Name, administrator); err != nil {
		return false, err
	}
	if err := CheckChangeable(other, administrator); err != nil {
		return false, err
	}
	switch {
	case other.Same(source.Name):
		return false, Refuse(AmbiguousPair, "%s cannot be its own clone: name another", source.Name)
	case source.IsRole:
		return false, Refuse(Role, "%s is a role: name an account that logs in", source.Name)
	case source.several:
		return false, Refuse(NoPassword, "%s logs in by several ways or factors: only accounts with one password can be rotated", source.Name)
	case source.Locked:
		return false, Refuse(Locked, "%s is locked: ALTER USER %s ACCOUNT UNLOCK, if it is to be rotated", source.Name, source.Name)
	case source.Expired:
		return false, Refuse(Expired, "the password of %s is expired: set a new one and store it in the secret", source.Name)
	}
	fresh = p.BearsMark(standby)
	if _, err := password.Unmatchable(source.Plugin, "probe"); err != nil {
		return false, server.RefusePlugin(source)
	}
	if source.certificate && !certificates {
		return false, Refuse(CertificateAsked, "%s has REQUIRE %s: configure a client certificate, or nobody can prove that its clone logs in",
			source.Name, source.properties["REQUIRE"])
	}
	if len(source.unknown) > 0 {
		return false, Refuse(Unknown, "%s has what this version cannot copy: %s", source.Name, strings.Join(source.unknown, "; "))
	}
	limit := server.LongestUser()
	if n := utf8.RuneCountInString(p.Standby); limit > 0 && n > limit {
		return false, Refuse(NameTooLong, "the clone's name %s has %d characters and this server allows %d: stop the rotation, if one runs, and start it with a shorter CloneUsername (--clone-username)",
			QuoteUser(p.Standby), n, limit)
	}
	if strings.HasSuffix(source.Name.User, "_clone") && !p.Owned && p.Known == nil && !fresh {
		return false, Refuse(AmbiguousPair, "the name of %s ends in _clone and nothing says which account is its other half: give CloneUsername", source.Name)
	}
	for _, s := range ps.Others {
		if s.Name.User == p.Standby && !s.IsRole && !s.Name.Same(other) {
			return false, Refuse(OtherHost, "there is an account %s besides %s, which would win some of its logins: drop it or choose another CloneUsername",
				s.Name, other)
		}
	}
	for r := range source.rights {
		if r.kind == role && other.Same(Name{r.a, r.b}) {
			return false, Refuse(Role, "%s has been granted %s as a role: REVOKE %s FROM %s, as an account cannot be its own role",
				source.Name, other, other, source.Name)
		}
	}
	if standby == nil {
		return false, nil
	}
	switch {
	case standby.IsRole:
		return false, Refuse(Role, "%s is a role: choose another CloneUsername", standby.Name)
	case standby.several:
		return false, Refuse(NoPassword, "%s logs in by several ways or factors: remove all but the password", standby.Name)
	case len(standby.unknown) > 0:
		return false, Refuse(Unknown, "%s has what this version cannot compare: %s", standby.Name, strings.Join(standby.unknown, "; "))
	}
	for name := range source.properties {
		if _, ok := standby.properties[name]; !ok {
			return false, fmt.Errorf("account %s was read without %s", standby.Name, name)
		}
	}
	return fresh, nil
}

// CheckChangeable refuses accounts that are never changed.
func CheckChangeable(n, administrator Name) error {
	if ownAccount(n.User) {
		return Refuse(ServerAccount, "%s is an account of the server's own: it is never changed", n)
	}
	if n.Same(administrator) {
		return Refuse(Administrator, "%s is the administrator himself: name another account, or another administrator", n)
	}
	return nil
}

// Revoked says that Revoke locked an account of the pair, so that its lock is no wish of somebody else's: its hash tells.
// The mark of earlier releases names no secret, and is taken for an account only that is known to be of the pair.
func (p Pair) Revoked(s *Account) bool {
	return password.IsUnmatchable(s.Plugin, s.hash, RevokedMark(p.Mark)) ||
		p.Owned && password.IsUnmatchable(s.Plugin, s.hash, RevokedMark(s.Name.String()))
}

func RevokedMark(mark string) string { return "revoked " + mark }

func RefuseAbsent(s *Account, n Name) error {
	if s != nil {
		return nil
	}
	return Refuse(NoSuchAccount, "there is no account %s on this server", n)
}

// RefuseUnreadable is the refusal of an administrator that cannot read the grant tables, with what else it can be seen to lack by
// what the server shows to everyone: their own grants.
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

// CheckNames refuses the name of an account that could not be made, or whose standby could never be.
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
