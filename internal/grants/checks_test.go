package grants

import (
	"errors"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rotate-user/rotate-user/internal/password"
)

// account returns an account that passes all checks.
func account(user, host string) *Account {
	a := NewAccount(Name{user, host})
	a.Plugin = password.CachingSHA2
	a.properties["REQUIRE"] = "NONE"
	return a
}

// facts returns the facts of a pair that passes all checks.
func facts() Facts {
	source, standby := account("app", "%"), account("app_clone", "%")
	server := NewServer(map[string]string{"version": "8.4.3"})
	server.Columns = map[string]map[string]Column{"user": {"user": {Length: 32}, "user_attributes": {}}}
	return Facts{
		Snapshot:      &Snapshot{Source: source, Standby: standby, Others: []*Account{source, standby}},
		Server:        &server,
		Pair:          Pair{Source: source.Name, Standby: "app_clone", Owned: true, Mark: "m"},
		Administrator: Name{"admin", "%"},
	}
}

// TestAccountChecks breaks one thing at a time: only the check for it refuses.
func TestAccountChecks(t *testing.T) {
	if err := AccountChecks.Run(facts()); err != nil {
		t.Fatalf("a pair in order is refused: %v", err)
	}
	tested := map[string]bool{}
	for _, tt := range []struct {
		check  Check
		change func(*Facts)
		reason string
		says   string
	}{
		{keepServersAccounts, func(f *Facts) { f.Source.Name.User = "root" }, ServerAccount, "'root'@'%'"},
		{keepServersAccounts, func(f *Facts) { f.Source.Name.User = "rdsadmin" }, ServerAccount, "'rdsadmin'@'%'"},
		{keepServersAccounts, func(f *Facts) { f.Pair.Standby = "mysql.sys" }, ServerAccount, "'mysql.sys'@'%'"},
		{keepAdministrator, func(f *Facts) { f.Administrator = f.Source.Name }, Administrator, "'app'@'%'"},
		{keepAdministrator, func(f *Facts) { f.Administrator = Name{"app_clone", "%"} }, Administrator, "'app_clone'@'%'"},
		{needTwoAccounts, func(f *Facts) { f.Pair.Standby = "app" }, AmbiguousPair, "its own clone"},
		{needSourceToLogIn, func(f *Facts) { f.Source.IsRole, f.Source.Plugin = true, "" }, Role, "'app'@'%' is a role"},
		{needOneWayToLogIn, func(f *Facts) { f.Source.several, f.Source.Plugin = true, "unix_socket" }, NoPassword, "several ways"},
		{needUnlockedSource, func(f *Facts) { f.Source.Locked = true }, Locked, "ACCOUNT UNLOCK"},
		{needUnexpiredSource, func(f *Facts) { f.Source.Expired = true }, Expired, "is expired"},
		{needPasswordPlugin, func(f *Facts) { f.Source.Plugin = "AWSAuthenticationPlugin" }, NoPassword, "IDENTIFIED WITH caching_sha2_password"},
		{needPasswordPlugin, func(f *Facts) { f.Source.Plugin, f.Server.Flavor = "unix_socket", ParseFlavor("10.11.19-MariaDB") }, NoPassword,
			"IDENTIFIED VIA ed25519"},
		{needPasswordPlugin, func(f *Facts) { f.Source.Plugin, f.Server.Flavor = "parsec", ParseFlavor("11.8.9-MariaDB") }, NoPassword,
			"VIA mysql_native_password"},
		{needPasswordPlugin, func(f *Facts) { f.Source.Plugin, f.Server.Columns = "aad_auth", nil }, NoPassword,
			"IDENTIFIED WITH mysql_native_password"},
		{needCertificate, func(f *Facts) { f.Source.certificate, f.Source.properties["REQUIRE"] = true, "X509" }, CertificateAsked,
			"REQUIRE X509"},
		{needKnownProperties, func(f *Facts) { f.Source.unknown = []string{"column x", "column y"} }, Unknown, "column x; column y"},
		{needShortName, func(f *Facts) { f.Pair.Standby = strings.Repeat("é", 33) }, NameTooLong, "33 characters"},
		{needOtherHalfOfClone, func(f *Facts) { f.Source.Name.User, f.Pair.Owned = "pay_clone", false }, AmbiguousPair, "'pay_clone'@'%'"},
		{needStandbyOnOneHost, func(f *Facts) { f.Others = append(f.Others, account("app_clone", "localhost")) }, OtherHost,
			"'app_clone'@'localhost'"},
		{needStandbyThatIsNotARole, func(f *Facts) { f.Source.rights[right{kind: role, schema: "app_clone", object: "%"}] = false }, Role,
			"REVOKE 'app_clone'@'%'"},
		{needStandbyToLogIn, func(f *Facts) { f.Standby.IsRole = true }, Role, "'app_clone'@'%' is a role"},
		{needStandbyWithOneWayToLogIn, func(f *Facts) { f.Standby.several = true }, NoPassword, "remove all but the password"},
		{needComparableStandby, func(f *Facts) { f.Standby.unknown = []string{"key x"} }, Unknown, "has: key x"},
	} {
		f := facts()
		tt.change(&f)
		r := tt.check(f)
		tested[checkName(tt.check)] = true
		if r == nil || r.Reason != tt.reason || !strings.Contains(r.Message, tt.says) {
			t.Errorf("%s: got %v, want %s with %q", checkName(tt.check), r, tt.reason, tt.says)
			continue
		}
		if diff := cmp.Diff(error(r).Error(), AccountChecks.Run(f).Error()); diff != "" {
			t.Errorf("%s: another check refuses the same (- it alone, + all):\n%s", checkName(tt.check), diff)
		}
	}
	for _, check := range AccountChecks {
		if !tested[checkName(check)] {
			t.Errorf("%s has no test", checkName(check))
		}
	}
}

func TestChecksThatPass(t *testing.T) {
	for name, change := range map[string]func(*Facts){
		"no standby yet":                        func(f *Facts) { f.Standby = nil },
		"a user named like Amazon's accounts":   func(f *Facts) { f.Source.Name.User, f.Pair.Standby = "rds_reports", "rds_reports_clone" },
		"a certificate that is configured":      func(f *Facts) { f.Source.certificate, f.HasCertificate = true, true },
		"a clone whose other half is owned":     func(f *Facts) { f.Source.Name.User, f.Pair.Standby = "app_clone", "app" },
		"a role with the standby's name":        func(f *Facts) { f.Others = append(f.Others, &Account{Name: Name{"app_clone", ""}, IsRole: true}) },
		"a server without a limit on names":     func(f *Facts) { f.Server.Columns, f.Pair.Standby = nil, strings.Repeat("x", 100) },
		"a name as long as the server allows":   func(f *Facts) { f.Pair.Standby = strings.Repeat("é", 32) },
		"a host in another letter case":         func(f *Facts) { f.Source.Name.Host, f.Standby.Name.Host = "Db1", "db1" },
		"properties that both accounts share":   func(f *Facts) { f.Source.properties["X"], f.Standby.properties["X"] = "1", "1" },
		"an administrator with the user's name": func(f *Facts) { f.Administrator = Name{"app", "10.%"} },
	} {
		f := facts()
		change(&f)
		if err := AccountChecks.Run(f); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestARefusalNamesEverything checks that a refusal lists everything that is in the way, not only
// the first thing.
func TestARefusalNamesEverything(t *testing.T) {
	f := facts()
	f.Source.Locked, f.Source.Expired, f.Standby.several = true, true, true
	f.Pair.Standby = strings.Repeat("x", 40)
	err := AccountChecks.Run(f)
	r, ok := errors.AsType[*Refusal](err)
	if !ok || r.Reason != Locked || r.Retry {
		t.Fatalf("got %v", err)
	}
	for _, says := range []string{"4 things are in the way: (1) 'app'@'%' is locked", " (2) the password of 'app'@'%' is expired", " (3) ",
		"40 characters", " (4) ", "remove all but the password"} {
		if !strings.Contains(r.Message, says) {
			t.Errorf("%q does not say %q", r.Message, says)
		}
	}
}

func TestJoin(t *testing.T) {
	busy, readOnly, locked := refusal(Busy, "a"), refusal(ReadOnly, "b"), refusal(Locked, "c")
	for _, tt := range []struct {
		refusals []*Refusal
		want     *Refusal
	}{
		{[]*Refusal{busy}, busy},
		{[]*Refusal{busy, readOnly}, &Refusal{Reason: Busy, Retry: true, Message: "2 things are in the way: (1) a; (2) b"}},
		{[]*Refusal{busy, locked}, &Refusal{Reason: Locked, Message: "2 things are in the way: (1) a; (2) c"}},
	} {
		if diff := cmp.Diff(error(tt.want), Join(tt.refusals...)); diff != "" {
			t.Error(diff)
		}
	}
	if err := Join(); err != nil {
		t.Errorf("no refusal gives %v", err)
	}
}

func checkName(c Check) string {
	name := runtime.FuncForPC(reflect.ValueOf(c).Pointer()).Name()
	return name[strings.LastIndexByte(name, '.')+1:]
}
