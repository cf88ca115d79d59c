package grants

import "testing"

func TestParseFlavor(t *testing.T) {
	for _, tt := range []struct {
		version string
		want    Flavor
		text    string
	}{
		{"5.6.51", Flavor{MySQL, 5, 6, 51, ""}, "MySQL 5.6.51"},
		{"5.7.44-log", Flavor{MySQL, 5, 7, 44, ""}, "MySQL 5.7.44"},
		{"5.7.12", Flavor{MySQL, 5, 7, 12, ""}, "MySQL 5.7.12"}, // Aurora 2
		{"8.0.36", Flavor{MySQL, 8, 0, 36, ""}, "MySQL 8.0.36"},
		{"8.0.35-27", Flavor{MySQL, 8, 0, 35, ""}, "MySQL 8.0.35"}, // Percona Server
		{"8.4.3-google", Flavor{MySQL, 8, 4, 3, ""}, "MySQL 8.4.3"},
		{"9.7.4", Flavor{MySQL, 9, 7, 4, ""}, "MySQL 9.7.4"},
		{"26.7.0", Flavor{MySQL, 26, 7, 0, ""}, "MySQL 26.7.0"},
		{"26.7", Flavor{MySQL, 26, 7, 0, ""}, "MySQL 26.7.0"},
		{"10.11.19-MariaDB-0+deb12u1-log", Flavor{MariaDB, 10, 11, 19, ""}, "MariaDB 10.11.19"},
		{"5.5.5-10.5.29-MariaDB", Flavor{MariaDB, 10, 5, 29, ""}, "MariaDB 10.5.29"},
		{"11.8.9-MariaDB-ubu2404", Flavor{MariaDB, 11, 8, 9, ""}, "MariaDB 11.8.9"},
		{"8.0.11-TiDB-v7.5.1", Flavor{MySQL, 8, 0, 11, "TiDB"}, "TiDB 8.0.11"},
		{"8.0.30-Vitess", Flavor{MySQL, 8, 0, 30, "Vitess"}, "Vitess 8.0.30"},
		{"unreadable", Flavor{MySQL, 0, 0, 0, ""}, "MySQL 0.0.0"},
		{"", Flavor{MySQL, 0, 0, 0, ""}, "MySQL 0.0.0"},
	} {
		if got := ParseFlavor(tt.version); got != tt.want || got.String() != tt.text {
			t.Errorf("ParseFlavor(%q) = %#v (%s), want %#v (%s)", tt.version, got, got, tt.want, tt.text)
		}
	}
}

func TestAtLeast(t *testing.T) {
	for _, tt := range []struct {
		version string
		vendor  Vendor
		least   []int
		want    bool
	}{
		{"8.0.16", MySQL, []int{8, 0, 16}, true},
		{"8.0.15", MySQL, []int{8, 0, 16}, false},
		{"8.4.0", MySQL, []int{8, 0, 22}, true},
		{"9.7.4", MySQL, []int{9, 7}, true},
		{"26.7.0", MySQL, []int{9, 7, 0}, true},
		{"26.7", MySQL, []int{26, 7}, true},
		{"26.1", MySQL, []int{26, 7}, false},
		{"10.11.19-MariaDB", MySQL, []int{8, 0, 16}, false},
		{"10.11.19-MariaDB", MariaDB, []int{10, 5, 0}, true},
		{"10.4.34-MariaDB", MariaDB, []int{10, 5, 0}, false},
		{"", MySQL, []int{5, 7}, false},
	} {
		if got := ParseFlavor(tt.version).AtLeast(tt.vendor, tt.least...); got != tt.want {
			t.Errorf("%q at least %s %v: %t", tt.version, tt.vendor, tt.least, got)
		}
	}
}

// TestDifferencesBetweenServers checks every named difference against the releases on both sides of
// it.
func TestDifferencesBetweenServers(t *testing.T) {
	const (
		mysql57, mysql80, mysql8022, mysql84, mysql9, mysql26 = "5.7.44", "8.0.21", "8.0.22", "8.4.3", "9.7.4", "26.7"
		maria104, maria105, maria1011, maria11                = "10.4.34-MariaDB", "10.5.29-MariaDB", "10.11.19-MariaDB", "11.8.9-MariaDB"
	)
	all := []string{mysql57, mysql80, mysql8022, mysql84, mysql9, mysql26, maria104, maria105, maria1011, maria11}
	mariadb := []string{maria104, maria105, maria1011, maria11}
	mysql := []string{mysql57, mysql80, mysql8022, mysql84, mysql9, mysql26}
	for name, tt := range map[string]struct {
		differs func(Flavor) bool
		on      []string
	}{
		"IsMariaDB":                   {Flavor.IsMariaDB, mariadb},
		"ListsDefinersCheaply":        {Flavor.ListsDefinersCheaply, all[1:]},
		"ReleasesAllLocks":            {Flavor.ReleasesAllLocks, append(mysql, maria105, maria1011, maria11)},
		"StoredHash":                  {func(f Flavor) bool { return f.StoredHash() == "authentication_string" }, mysql},
		"KeepsDefiners":               {Flavor.KeepsDefiners, []string{mysql8022, mysql84, mysql9, mysql26}},
		"SuperEndsSessions":           {Flavor.SuperEndsSessions, append(mysql, maria104, maria105, maria1011)},
		"FiltersAccountsFromBinlog":   {Flavor.FiltersAccountsFromBinlog, mariadb},
		"KeepsDefaultRoleWithoutRole": {Flavor.KeepsDefaultRoleWithoutRole, mariadb},
		"RevokesAdminOption":          {Flavor.RevokesAdminOption, mariadb},
		"HasRoleAdmin":                {Flavor.HasRoleAdmin, mysql},
		"DefaultRoleNeedsUpdate":      {Flavor.DefaultRoleNeedsUpdate, mariadb},
		"HasDynamicRights":            {Flavor.HasDynamicRights, mysql},
		"KeepsExpiryInMemory":         {Flavor.KeepsExpiryInMemory, mysql},
		"HasThreadsView":              {Flavor.HasThreadsView, mysql},
		"PrintsDefaultsAsExpressions": {Flavor.PrintsDefaultsAsExpressions, mariadb},
		"ValidatesInClearOnly":        {Flavor.ValidatesInClearOnly, mariadb},
		"HasCachingSHA2BuiltIn":       {Flavor.HasCachingSHA2BuiltIn, mysql},
		"SHOW REPLICA STATUS": {func(f Flavor) bool { return f.ReplicaStatus().Statement == "SHOW REPLICA STATUS" },
			[]string{mysql8022, mysql84, mysql9, mysql26}},
		"SHOW SLAVE STATUS": {func(f Flavor) bool { return f.ReplicaStatus().Statement == "SHOW SLAVE STATUS" }, []string{mysql57, mysql80}},
		"REPLICA MONITOR": {func(f Flavor) bool { return f.ReplicaStatus().Right == "REPLICA MONITOR" },
			[]string{maria105, maria1011, maria11}},
		"BINLOG MONITOR": {func(f Flavor) bool { return f.BinlogStatusRight() == "BINLOG MONITOR" },
			[]string{maria105, maria1011, maria11}},
		"IDENTIFIED VIA":         {func(f Flavor) bool { return f.IdentifiedBy("p", "h") == " IDENTIFIED VIA `p` USING 'h'" }, mariadb},
		"IDENTIFIED WITH":        {func(f Flavor) bool { return f.IdentifiedBy("p", "h") == " IDENTIFIED WITH `p` AS 'h'" }, mysql},
		"SET DEFAULT ROLE … FOR": {func(f Flavor) bool { return f.DefaultRoleFor() == "FOR" }, mariadb},
		"mysql.global_priv":      {func(f Flavor) bool { return f.AccountsTable() == "global_priv" }, mariadb},
		"CONNECTION ADMIN":       {func(f Flavor) bool { return f.KillRight() == "CONNECTION ADMIN" }, mariadb},
	} {
		on := map[string]bool{}
		for _, version := range tt.on {
			on[version] = true
		}
		for _, version := range all {
			if got := tt.differs(ParseFlavor(version)); got != on[version] {
				t.Errorf("%s on %s: %t", name, version, got)
			}
		}
	}
}

// TestRowsOfEarlierReleases checks which rows of mysql.global_priv are read with the rules of this
// release.
func TestRowsOfEarlierReleases(t *testing.T) {
	for _, tt := range []struct {
		version string
		row     int64
		want    bool
	}{
		{"10.11.19-MariaDB", 101105, true},
		{"10.11.19-MariaDB", 100507, false},
		{"10.5.29-MariaDB", 100509, true},
		{"10.5.29-MariaDB", 100508, false}, // REPLICATION SLAVE ADMIN with SLAVE MONITOR
		{"10.4.34-MariaDB", 100410, true},
		{"11.8.9-MariaDB", 0, false},
	} {
		if got := ParseFlavor(tt.version).wrote(tt.row); got != tt.want {
			t.Errorf("%s on a row of %d: %t", tt.version, tt.row, got)
		}
	}
}
