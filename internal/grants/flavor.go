package grants

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Vendor is the product family of a server, as far as its accounts are concerned. Percona Server,
// Amazon RDS and Amazon Aurora count as the server that they are built from.
type Vendor string

// The vendors whose accounts this package knows.
const (
	MySQL   Vendor = "MySQL"
	MariaDB Vendor = "MariaDB"
)

// Flavor is a server's vendor and version. Differences between servers that depend on the version
// are methods of Flavor; those that the server's tables or settings show are methods of Server.
type Flavor struct {
	Vendor              Vendor
	Major, Minor, Patch int    // all zero if the version is unknown
	Fork                string // a product with MySQL's protocol but its own kind of accounts, or ""
}

var (
	versionNumber = regexp.MustCompile(`^(\d+)\.(\d+)(?:\.(\d+))?`)
	// forks return from VERSION() the version of MySQL that they imitate, followed by their own
	// name.
	forks = regexp.MustCompile(`(?i)\b(TiDB|Vitess|PlanetScale|OceanBase|SingleStore)\b`)
)

// ParseFlavor parses the result of VERSION(), such as "8.0.36", "10.11.19-MariaDB-0+deb12u1",
// "5.5.5-10.5.29-MariaDB" and, since MySQL numbers its releases by year and month, "26.7.0".
func ParseFlavor(version string) Flavor {
	f := Flavor{Vendor: MySQL, Fork: forks.FindString(version)}
	if strings.Contains(strings.ToLower(version), "mariadb") {
		f.Vendor = MariaDB
		version = strings.TrimPrefix(version, "5.5.5-") // MariaDB's prefix for replication clients
	}
	if n := versionNumber.FindStringSubmatch(version); n != nil {
		f.Major, _ = strconv.Atoi(n[1])
		f.Minor, _ = strconv.Atoi(n[2])
		f.Patch, _ = strconv.Atoi(n[3]) // may be absent, as in "26.7"
	}
	return f
}

// String formats the flavor for messages: "MySQL 8.0.36".
func (f Flavor) String() string {
	return fmt.Sprintf("%s %d.%d.%d", cmp.Or(f.Fork, string(f.Vendor)), f.Major, f.Minor, f.Patch)
}

// AtLeast reports whether the server is of the vendor and has at least the given version. MySQL
// releases that are numbered by year and month, such as 26.7, are later than all others.
func (f Flavor) AtLeast(vendor Vendor, version ...int) bool {
	return f.Vendor == vendor && slices.Compare([]int{f.Major, f.Minor, f.Patch}, version) >= 0
}

// IsMariaDB reports whether the server is MariaDB.
func (f Flavor) IsMariaDB() bool { return f.Vendor == MariaDB }

// AccountsTable returns the table with one row for each account.
func (f Flavor) AccountsTable() string {
	if f.IsMariaDB() {
		return "global_priv"
	}
	return "user"
}

// StoredHash returns the expression for the password's hash in a row of AccountsTable. On MariaDB it
// is the one of the view mysql.user, which takes three times as long to read as the table.
func (f Flavor) StoredHash() string {
	if f.IsMariaDB() {
		return "IFNULL(JSON_VALUE(Priv, '$.authentication_string'), '')"
	}
	return "authentication_string"
}

// ReleasesAllLocks reports whether the server has the function RELEASE_ALL_LOCKS.
func (f Flavor) ReleasesAllLocks() bool { return !f.IsMariaDB() || f.AtLeast(MariaDB, 10, 5, 2) }

// KeepsDefiners reports whether the server refuses to drop an account that is the definer of objects.
func (f Flavor) KeepsDefiners() bool { return f.AtLeast(MySQL, 8, 0, 22) }

// ListsDefinersCheaply reports whether views and triggers can be listed by their definer without opening the files of all of them.
func (f Flavor) ListsDefinersCheaply() bool { return f.IsMariaDB() || f.AtLeast(MySQL, 8, 0) }

// KillRight returns the privilege to end other users' sessions.
func (f Flavor) KillRight() string {
	if f.IsMariaDB() {
		return "CONNECTION ADMIN"
	}
	return "CONNECTION_ADMIN"
}

// SuperEndsSessions reports whether SUPER includes the privilege to end other users' sessions.
func (f Flavor) SuperEndsSessions() bool { return !f.AtLeast(MariaDB, 11, 0, 0) }

// ReplicaStatus describes the statement that shows which servers this one replicates from.
type ReplicaStatus struct {
	Statement           string
	Host, Port, Channel string // the columns with the source's address and the channel
	Threads             string // prefix of the columns with the state of the replica's threads
	Right               string // the privilege that the statement needs
}

// ReplicaStatus returns the statement that shows which servers this one replicates from.
func (f Flavor) ReplicaStatus() ReplicaStatus {
	switch {
	case f.IsMariaDB():
		s := ReplicaStatus{"SHOW ALL SLAVES STATUS", "master_host", "master_port", "connection_name", "slave", "REPLICATION CLIENT"}
		if f.AtLeast(MariaDB, 10, 5, 0) {
			s.Right = "REPLICA MONITOR"
		}
		return s
	case f.AtLeast(MySQL, 8, 0, 22):
		return ReplicaStatus{"SHOW REPLICA STATUS", "source_host", "source_port", "channel_name", "replica", "REPLICATION CLIENT"}
	}
	return ReplicaStatus{"SHOW SLAVE STATUS", "master_host", "master_port", "channel_name", "slave", "REPLICATION CLIENT"}
}

// BinlogStatusRight returns the privilege that SHOW MASTER STATUS needs.
func (f Flavor) BinlogStatusRight() string {
	if f.AtLeast(MariaDB, 10, 5, 0) {
		return "BINLOG MONITOR"
	}
	return "REPLICATION CLIENT"
}

// FiltersAccountsFromBinlog reports whether binlog_do_db excludes the statements of an
// administrator's session from the binary log. MySQL filters by the default database, and such a
// session has none.
func (f Flavor) FiltersAccountsFromBinlog() bool { return f.IsMariaDB() }

// IdentifiedBy returns the clause that sets a hash. It names the plugin, because otherwise the
// server's default would replace it. Without a hash, the clause is for display.
func (f Flavor) IdentifiedBy(plugin, hash string) string {
	verb, as := " IDENTIFIED WITH ", " AS "
	if f.IsMariaDB() {
		verb, as = " IDENTIFIED VIA ", " USING "
	}
	if hash == "" {
		return verb + QuoteIdentifier(plugin)
	}
	return verb + QuoteIdentifier(plugin) + as + QuoteLiteral(hash)
}

// DefaultRoleFor returns the word before the account in SET DEFAULT ROLE.
func (f Flavor) DefaultRoleFor() string {
	if f.IsMariaDB() {
		return "FOR"
	}
	return "TO"
}

// KeepsDefaultRoleWithoutRole reports whether an account keeps its default role when the role is revoked from it. Such a default
// role can be set only while the account has the role.
func (f Flavor) KeepsDefaultRoleWithoutRole() bool { return f.IsMariaDB() }

// RevokesAdminOption reports whether REVOKE ADMIN OPTION FOR exists. Otherwise the role is revoked
// and granted again.
func (f Flavor) RevokesAdminOption() bool { return f.IsMariaDB() }

// HasRoleAdmin reports whether there is a separate privilege to grant every role.
func (f Flavor) HasRoleAdmin() bool { return !f.IsMariaDB() }

// DefaultRoleNeedsUpdate reports whether setting a default role needs UPDATE on the grant tables, rather than CREATE USER.
func (f Flavor) DefaultRoleNeedsUpdate() bool { return f.IsMariaDB() }

// HasDynamicRights reports whether the server may have rights that plugins define, each with its
// own grant option.
func (f Flavor) HasDynamicRights() bool { return !f.IsMariaDB() }

// KeepsExpiryInMemory reports whether PASSWORD EXPIRE DEFAULT after an interval changes the table but not the server's memory.
func (f Flavor) KeepsExpiryInMemory() bool { return !f.IsMariaDB() }

// HasThreadsView reports whether performance_schema lists sessions with the names of their programs.
func (f Flavor) HasThreadsView() bool { return !f.IsMariaDB() }

// PrintsDefaultsAsExpressions reports whether information_schema prints the default of a column in quotes, and NULL for none.
func (f Flavor) PrintsDefaultsAsExpressions() bool { return f.IsMariaDB() }

// ValidatesInClearOnly reports whether strict_password_validation makes the server refuse hashes.
func (f Flavor) ValidatesInClearOnly() bool { return f.IsMariaDB() }

// HasCachingSHA2BuiltIn reports whether caching_sha2_password is part of the server, rather than a
// plugin that can be unloaded.
func (f Flavor) HasCachingSHA2BuiltIn() bool { return !f.IsMariaDB() }

// wrote reports whether a row of mysql.global_priv was written by a release with the same global
// rights. The row has the release as a number: 101105 for 10.11.5. The server reads rows of other
// releases by its own rules.
func (f Flavor) wrote(versionID int64) bool {
	if f.Major == 0 || versionID/100 != int64(f.Major)*100+int64(f.Minor) {
		return false
	}
	// From 10.5.0 to 10.5.8 REPLICATION SLAVE ADMIN included SLAVE MONITOR, and later servers still read such rows so.
	return versionID < 100500 || versionID > 100508
}
