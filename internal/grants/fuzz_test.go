package grants

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func FuzzParseNames(f *testing.F) {
	for _, text := range texts {
		f.Add(text, "localhost", "NONE")
	}
	f.Fuzz(func(t *testing.T, user, host, noise string) {
		_ = ParseName(noise) // any text is a name; parsing must not panic
		ParseNames(noise)
		if n := (Name{user, strings.ReplaceAll(host, "@", "")}); ParseName(n.User+"@"+n.Host) != n {
			t.Errorf("%#v is read as %#v", n, ParseName(n.User+"@"+n.Host))
		}
		want := []Name{{user, host}, {host, user}}
		quoted := QuoteIdentifier(user) + "@" + QuoteIdentifier(host) + "," + QuoteIdentifier(host) + "@" + QuoteIdentifier(user)
		if diff := cmp.Diff(want, ParseNames(quoted)); diff != "" {
			t.Errorf("%s: %s", quoted, diff)
		}
	})
}

// A grant that can be parsed puts its text into SQL only in quotes, and parsing the SQL gives the
// same grant.
func FuzzParseGrant(f *testing.F) {
	for _, text := range []string{
		"SELECT ON *.*", "SELECT, INSERT ON shop.*", "SELECT (a, `b``c`), INSERT (d) ON `x y`.`z` WITH GRANT OPTION",
		"EXECUTE ON PROCEDURE shop.close",
		"ALL ON shop.*", "USAGE ON *.* WITH GRANT OPTION", "BACKUP_ADMIN ON *.* WITH GRANT OPTION", "SELECT ON *.* TO root", "SELECT ON `a",
		"(", "SELECT ON a.b; DROP", "create temporary tables on `sh\\_op`.*", "X`Y ON *.*",
	} {
		f.Add(text)
	}
	columns := map[string]Column{}
	for _, p := range []string{"select_priv", "insert_priv", "grant_priv"} {
		columns[p] = Column{}
	}
	known := &Server{Columns: map[string]map[string]Column{"db": columns, "global_grants": {}, "user": {}}}
	f.Fuzz(func(t *testing.T, text string) {
		rights, err := known.parseGrant(text)
		if err != nil {
			return
		}
		again := map[right]bool{}
		for _, group := range scopes(sorted(rights)) {
			written := list(group) + " ON " + group[0].on()
			if passOn := group[0].kind == dynamic && rights[group[0]]; passOn {
				written += " WITH GRANT OPTION"
			}
			if len(group) == 1 && group[0].privilege == grantOption {
				written = "USAGE ON " + group[0].on() + " WITH GRANT OPTION"
			} else if strings.Contains(written, grantOption) {
				continue // a mixed list, which GRANT accepts but this grammar does not need
			}
			read, err := known.parseGrant(written)
			if err != nil {
				t.Fatalf("%q was parsed and written as %q, which does not parse: %v", text, written, err)
			}
			maps.Copy(again, read)
			for _, r := range group {
				if passOn, ok := read[r]; !ok || passOn != rights[r] {
					t.Errorf("%q was parsed as %v, written as %q and parsed as %v", text, rights, written, read)
				}
			}
		}
		for r := range again {
			if _, ok := rights[r]; !ok {
				t.Errorf("%q gained %s", text, r)
			}
		}
	})
}

// Documents in the grant tables may contain anything. Unknown content must not be ignored.
func FuzzReadDocuments(f *testing.F) {
	for _, text := range []string{
		"", "{}", "[]", "null", `{"metadata": {"a": 1}}`, `{"Restrictions": [{"Database": "x", "Privileges": ["SELECT"]}]}`,
		`{"Password_locking": {"failed_login_attempts": 2, "password_lock_time_days": -1}}`,
		`{"additional_password": "x"}`, `{"access": 18446744073709551615, "version_id": 101119, "plugin": "x", "auth_or": [{}, {}]}`,
		`{"password_lifetime": -1, "ssl_type": 9, "max_statement_time": 1e300}`, `{"new": true}`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for name, read := range map[string]func(*Account, Row) error{"MySQL": readMySQL, "MariaDB": new(Server).readMariaDB} {
			s := &Account{Name: Name{"u", "h"}, properties: map[string]string{}, rights: map[right]bool{}}
			document := Value{String: text, Valid: true}
			err := read(s, Row{"user_attributes": document, "priv": document, "plugin": {String: "mysql_native_password", Valid: true}})
			if err == nil && strings.HasPrefix(text, `{"new`) && strings.HasSuffix(text, "true}") && len(s.unknown) == 0 && utf8.ValidString(text) {
				t.Errorf("%s: %s is ignored: %s", name, text, fmt.Sprint(s.lines()))
			}
		}
	})
}

func FuzzShown(f *testing.F) {
	f.Add("GRANT SELECT (`a`, `b`) ON `x`.`y` TO `u`@`h` WITH GRANT OPTION", "u", "h")
	f.Add("GRANT `r`@`%` TO `u`@`h`", "u", "h")
	f.Fuzz(func(t *testing.T, line, user, host string) {
		normalLine(line, Name{user, host})
	})
}

// texts contain what a careless parser takes for the end of a name.
var texts = []string{
	"", "a", "'", `"`, "`", `\`, `\\`, `\'`, "''", "``", `a'b"c` + "`d`" + `\e`, "%", "_", `\%`, `\_`, "-- x", "/* x", "; DROP", " TO `x`@`%`", "x ON *.* TO y",
	"日本語", "é", "a\nb\tc", "\x1a", "%s%d%!v", "@", "a@b", "()", "a,b", strings.Repeat("x", 40),
}
