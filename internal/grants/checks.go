package grants

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/rotate-user/rotate-user/internal/password"
)

// Facts are the input of the checks: a pair, its accounts as they were read, and the administrator
// that rotates it.
type Facts struct {
	*Snapshot

	Server         *Server
	Pair           Pair
	Administrator  Name
	HasCertificate bool // the worker has a client certificate
}

// StandbyName returns the name of the standby, which may not exist yet.
func (f Facts) StandbyName() Name { return Name{f.Pair.Standby, f.Source.Name.Host} }

// fresh reports whether the standby's mark shows that it was made for this pair and has never had a password.
func (f Facts) fresh() bool { return f.Pair.BearsMark(f.Standby) }

// Check makes one check. It returns nil if it finds nothing wrong.
type Check func(Facts) *Refusal

// Checks run one after the other, independently of each other.
type Checks []Check

// Run makes all checks, and returns one refusal for everything that is wrong.
func (checks Checks) Run(f Facts) error {
	var refusals []*Refusal
	for _, check := range checks {
		if r := check(f); r != nil {
			refusals = append(refusals, r)
		}
	}
	return Join(refusals...)
}

// AccountChecks need only the accounts of the pair. The first one that refuses determines the
// refusal's reason.
var AccountChecks = Checks{
	keepServersAccounts,
	keepAdministrator,
	needTwoAccounts,
	needSourceToLogIn,
	needOneWayToLogIn,
	needUnlockedSource,
	needUnexpiredSource,
	needPasswordPlugin,
	needCertificate,
	needKnownProperties,
	needShortName,
	needOtherHalfOfClone,
	needStandbyOnOneHost,
	needStandbyThatIsNotARole,
	needStandbyToLogIn,
	needStandbyWithOneWayToLogIn,
	needComparableStandby,
}

// keepServersAccounts refuses the accounts that servers and clouds use themselves.
func keepServersAccounts(f Facts) *Refusal {
	for _, n := range []Name{f.Source.Name, f.StandbyName()} {
		if isServersAccount(n.User) {
			return refusal(ServerAccount, "%s is one of the server's own accounts, which must not be changed", n)
		}
	}
	return nil
}

// serversAccounts are the accounts that servers and clouds create for themselves, apart from those
// that begin with "mysql.". Each cloud has a fixed set of names, so an application's user may be
// called rds_reports.
var serversAccounts = setOf("", "root", "mysql", "mariadb.sys", "PUBLIC",
	"rdsadmin", "rdsrepladmin", "rdsproxyadmin", "rdstopmgr", "rdswriteforwarduser", "rds_superuser_role", // Amazon RDS and Aurora
	"azure_superuser", "azure_superuser_replication", // Azure
	"cloudsqladmin", "cloudsqlimport", "cloudsqlexport", "cloudsqlreplica", "cloudsqlsuperuser", "cloudsqloneshot", // Google Cloud SQL
)

// isServersAccount reports whether a server or a cloud uses the accounts of a user name itself.
func isServersAccount(user string) bool {
	return serversAccounts[user] || strings.HasPrefix(user, "mysql.")
}

// keepAdministrator refuses to change the administrator's own account.
func keepAdministrator(f Facts) *Refusal {
	for _, n := range []Name{f.Source.Name, f.StandbyName()} {
		if n.Same(f.Administrator) {
			return refusal(Administrator, "%s is the administrator's own account: use another account, or another administrator", n)
		}
	}
	return nil
}

// CheckChangeable refuses an account that must not be changed.
func CheckChangeable(n, administrator Name) error {
	f := Facts{Snapshot: &Snapshot{Source: &Account{Name: n}}, Pair: Pair{Standby: n.User}, Administrator: administrator}
	return Checks{keepServersAccounts, keepAdministrator}.Run(f)
}

func needTwoAccounts(f Facts) *Refusal {
	if f.StandbyName().Same(f.Source.Name) {
		return refusal(AmbiguousPair, "%s cannot be its own clone: use another account", f.Source.Name)
	}
	return nil
}

func needSourceToLogIn(f Facts) *Refusal {
	if f.Source.IsRole {
		return refusal(Role, "%s is a role: use an account that can log in", f.Source.Name)
	}
	return nil
}

func needOneWayToLogIn(f Facts) *Refusal {
	if f.Source.several {
		return refusal(NoPassword, "%s has several ways or factors to log in: only accounts with a single password can be rotated", f.Source.Name)
	}
	return nil
}

func needUnlockedSource(f Facts) *Refusal {
	if f.Source.Locked {
		return refusal(Locked, "%s is locked: to rotate it, run ALTER USER %s ACCOUNT UNLOCK", f.Source.Name, f.Source.Name)
	}
	return nil
}

func needUnexpiredSource(f Facts) *Refusal {
	if f.Source.Expired {
		return refusal(Expired, "the password of %s is expired: set a new one, and store it in the secret", f.Source.Name)
	}
	return nil
}

// needPasswordPlugin refuses an account whose plugin does not accept our hashes. A role has no
// plugin, and other checks refuse an account with several plugins.
func needPasswordPlugin(f Facts) *Refusal {
	if f.Source.IsRole || f.Source.several {
		return nil
	}
	if _, err := password.Unmatchable(f.Source.Plugin, "probe"); err != nil {
		return f.Server.refusePlugin(f.Source)
	}
	return nil
}

func needCertificate(f Facts) *Refusal {
	if f.Source.certificate && !f.HasCertificate {
		return refusal(CertificateAsked, "%s has REQUIRE %s: configure a client certificate, "+
			"because without one the worker cannot prove that the clone logs in",
			f.Source.Name, f.Source.properties["REQUIRE"])
	}
	return nil
}

func needKnownProperties(f Facts) *Refusal {
	if len(f.Source.unknown) > 0 {
		return refusal(Unknown, "this version of rotate-user cannot copy everything that %s has: %s", f.Source.Name,
			strings.Join(f.Source.unknown, "; "))
	}
	return nil
}

func needShortName(f Facts) *Refusal {
	limit, n := f.Server.LongestUser(), utf8.RuneCountInString(f.Pair.Standby)
	if limit <= 0 || n <= limit {
		return nil
	}
	return refusal(NameTooLong, "the clone's name %s has %d characters, but this server allows %d: stop the rotation, if one is running,"+
		" and start it with a shorter CloneUsername (--clone-username)", QuoteUser(f.Pair.Standby), n, limit)
}

// needOtherHalfOfClone refuses an account with the name of a clone, unless the other account of the
// pair is known.
func needOtherHalfOfClone(f Facts) *Refusal {
	if strings.HasSuffix(f.Source.Name.User, "_clone") && !f.Pair.Owned && f.Pair.Known == nil && !f.fresh() {
		return refusal(AmbiguousPair, "the name of %s ends in _clone, and nothing says what the other account of the pair is: "+
			"set CloneUsername", f.Source.Name)
	}
	return nil
}

func needStandbyOnOneHost(f Facts) *Refusal {
	for _, s := range f.Others {
		if s.Name.User == f.Pair.Standby && !s.IsRole && !s.Name.Same(f.StandbyName()) {
			return refusal(OtherHost, "account %s would take over some logins of %s: drop it, or choose another CloneUsername",
				s.Name, f.StandbyName())
		}
	}
	return nil
}

func needStandbyThatIsNotARole(f Facts) *Refusal {
	if slices.ContainsFunc(f.Source.Roles(), f.StandbyName().Same) {
		return refusal(Role, "%s has been granted %s as a role: run REVOKE %s FROM %s, because an account cannot be its own role",
			f.Source.Name, f.StandbyName(), f.StandbyName(), f.Source.Name)
	}
	return nil
}

func needStandbyToLogIn(f Facts) *Refusal {
	if f.Standby != nil && f.Standby.IsRole {
		return refusal(Role, "%s is a role: choose another CloneUsername", f.Standby.Name)
	}
	return nil
}

func needStandbyWithOneWayToLogIn(f Facts) *Refusal {
	if f.Standby != nil && f.Standby.several {
		return refusal(NoPassword, "%s has several ways or factors to log in: remove all but the password", f.Standby.Name)
	}
	return nil
}

func needComparableStandby(f Facts) *Refusal {
	if f.Standby != nil && len(f.Standby.unknown) > 0 {
		return refusal(Unknown, "this version of rotate-user cannot compare everything that %s has: %s", f.Standby.Name,
			strings.Join(f.Standby.unknown, "; "))
	}
	return nil
}

// refusePlugin refuses an account whose plugin does not accept our hashes.
func (s *Server) refusePlugin(account *Account) *Refusal {
	if account.Plugin == "parsec" {
		return refusal(NoPassword, "%s logs in with parsec, which only MariaDB Connector/J 3.5, "+
			"npm mariadb and MariaDB's own client 11.8 support."+
			" The worker's driver does not, so the worker could not prove that a password works: "+
			"run ALTER USER %s IDENTIFIED VIA ed25519 USING PASSWORD('…'),"+
			" or VIA mysql_native_password for clients without ed25519, and store that password in the secret", account.Name, account.Name)
	}
	clause := "IDENTIFIED WITH " + password.CachingSHA2 + " BY '…'"
	if s.IsMariaDB() {
		clause = "IDENTIFIED VIA ed25519 USING PASSWORD('…'), or VIA mysql_native_password"
	} else if s.DefaultPlugin() == password.Native {
		clause = "IDENTIFIED WITH " + password.Native + " BY '…'"
	}
	return refusal(NoPassword, "%s logs in with %s, which does not use a password that can be rotated: "+
		"run ALTER USER %s %s, and store that password in the secret",
		account.Name, account.Plugin, account.Name, clause)
}

// RefusePlugin refuses an account whose plugin does not accept our hashes.
func (s *Server) RefusePlugin(account *Account) error { return s.refusePlugin(account) }
