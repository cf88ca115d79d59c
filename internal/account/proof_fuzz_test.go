package account

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/rotate-user/rotate-user/internal/mysqld"
	"github.com/rotate-user/rotate-user/internal/mysqld/mysqldtest"
)

// texts are what somebody once took for the end of a name.
var texts = []string{
	"", "a", "'", `"`, "`", `\`, `\\`, `\'`, "''", "``", `a'b"c` + "`d`" + `\e`, "%", "_", `\%`, `\_`, "-- x", "/* x", "; DROP", " TO `x`@`%`", "x ON *.* TO y",
	"日本語", "é", "a\nb\tc", "\x1a", "%s%d%!v", "@", "a@b", "()", "a,b", strings.Repeat("x", 40),
}

var sqlModes = []string{"", "ANSI_QUOTES", "NO_BACKSLASH_ESCAPES", "ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT", "TRADITIONAL,ANSI"}

type fuzzServer struct {
	*mysqld.Server
	conn *sql.Conn
}

func fuzzServers(f *testing.F) []fuzzServer {
	f.Helper()
	var all []fuzzServer
	for _, s := range mysqldtest.Servers(f) {
		db, err := s.Open(s.AdminUser, s.AdminPassword)
		if err != nil {
			f.Fatal(err)
		}
		f.Cleanup(func() { db.Close() })
		conn, err := db.Conn(context.Background())
		if err != nil {
			f.Fatal(err)
		}
		f.Cleanup(func() { conn.Close() })
		all = append(all, fuzzServer{s, conn})
	}
	return all
}

func (s fuzzServer) mode(t *testing.T, mode string) {
	t.Helper()
	if _, err := s.conn.ExecContext(t.Context(), "SET sql_mode = '"+mode+"'"); err != nil {
		t.Fatal(err)
	}
}

// What is quoted comes back as it was, whatever the sql_mode.
func FuzzQuote(f *testing.F) {
	for _, text := range texts {
		f.Add(text)
	}
	servers := fuzzServers(f)
	f.Fuzz(func(t *testing.T, text string) {
		if !utf8.ValidString(text) || len(text) > 200 {
			t.Skip("not UTF-8, which no server's names are, or too long")
		}
		for _, s := range servers {
			for _, mode := range sqlModes {
				s.mode(t, mode)
				var got string
				if err := s.conn.QueryRowContext(t.Context(), "SELECT "+quoteValue(text)).Scan(&got); err != nil || got != text {
					t.Errorf("%s, sql_mode %q: the value %q comes back as %q, %v", s, mode, text, got, err)
				}
				if mode == "" {
					if err := s.conn.QueryRowContext(t.Context(), "SELECT "+quoteLiteral(text)).Scan(&got); err != nil || got != text {
						t.Errorf("%s: the literal %q comes back as %q, %v", s, text, got, err)
					}
				}
				if got, ok := s.asIdentifier(t, text); ok && got != text {
					t.Errorf("%s, sql_mode %q: the identifier %q comes back as %q", s, mode, text, got)
				}
			}
		}
	})
}

// asIdentifier has the server name a column so; false where no identifier may be so.
func (s fuzzServer) asIdentifier(t *testing.T, text string) (string, bool) {
	t.Helper()
	if strings.ContainsAny(text, "\x00") || strings.TrimRight(text, " ") != text || utf8.RuneCountInString(text) > 63 || strings.ContainsFunc(text, func(r rune) bool { return r > 0xffff }) {
		return "", false
	}
	// White space in front of a column's name is dropped, that of other names is not.
	rows, err := s.conn.QueryContext(t.Context(), "SELECT 1 AS "+quoteIdentifier("c"+text))
	if err != nil {
		t.Errorf("%s: identifier %q: %v", s, text, err)
		return "", false
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(names[0], "c"), true
}

// A user's name is made so and found again so, whatever the sql_mode.
func FuzzQuoteUser(f *testing.F) {
	for _, text := range texts {
		f.Add(text)
	}
	servers := fuzzServers(f)
	f.Fuzz(func(t *testing.T, text string) {
		user := "fz" + text
		if !utf8.ValidString(text) || strings.ContainsAny(text, "\x00") || strings.TrimRight(text, " ") != text || utf8.RuneCountInString(user) > 32 || strings.ContainsFunc(text, func(r rune) bool { return r > 0xffff }) {
			t.Skip("no name of a user")
		}
		n := Name{user, "localhost"}
		for _, s := range servers {
			for _, mode := range sqlModes {
				s.mode(t, mode)
				if _, err := s.conn.ExecContext(t.Context(), "CREATE USER "+n.String()); err != nil {
					t.Errorf("%s, sql_mode %q: create %q: %v", s, mode, user, err)
					continue
				}
				var found string
				if err := s.conn.QueryRowContext(t.Context(), "SELECT User FROM mysql.user WHERE LEFT(User, 2) = 'fz'").Scan(&found); err != nil || found != user {
					t.Errorf("%s, sql_mode %q: %q became %q, %v", s, mode, user, found, err)
				}
				if _, err := s.conn.ExecContext(t.Context(), "DROP USER "+n.String()); err != nil {
					t.Fatalf("%s, sql_mode %q: drop %q: %v", s, mode, user, err)
				}
			}
		}
	})
}

func FuzzParseNames(f *testing.F) {
	for _, text := range texts {
		f.Add(text, "localhost", "NONE")
	}
	f.Fuzz(func(t *testing.T, user, host, noise string) {
		_ = parseName(noise) // any text is a name; it must only not panic
		parseNames(noise)
		if n := (Name{user, strings.ReplaceAll(host, "@", "")}); parseName(n.User+"@"+n.Host) != n {
			t.Errorf("%#v is read as %#v", n, parseName(n.User+"@"+n.Host))
		}
		want := []Name{{user, host}, {host, user}}
		quoted := quoteIdentifier(user) + "@" + quoteIdentifier(host) + "," + quoteIdentifier(host) + "@" + quoteIdentifier(user)
		if diff := cmp.Diff(want, parseNames(quoted)); diff != "" {
			t.Errorf("%s: %s", quoted, diff)
		}
	})
}

// A grant that can be read is written as SQL by no part of its text but through quoting, and read again it is the same.
func FuzzParseGrant(f *testing.F) {
	for _, text := range []string{
		"SELECT ON *.*", "SELECT, INSERT ON shop.*", "SELECT (a, `b``c`), INSERT (d) ON `x y`.`z` WITH GRANT OPTION", "EXECUTE ON PROCEDURE shop.close",
		"ALL ON shop.*", "USAGE ON *.* WITH GRANT OPTION", "BACKUP_ADMIN ON *.* WITH GRANT OPTION", "SELECT ON *.* TO root", "SELECT ON `a", "(", "SELECT ON a.b; DROP", "create temporary tables on `sh\\_op`.*", "X`Y ON *.*",
	} {
		f.Add(text)
	}
	columns := map[string]column{}
	for _, p := range []string{"select_priv", "insert_priv", "grant_priv"} {
		columns[p] = column{}
	}
	a := &Admin{server: server{columns: map[string]map[string]column{"db": columns, "global_grants": {}, "user": {}}}}
	f.Fuzz(func(t *testing.T, text string) {
		rights, err := a.parseGrant(text)
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
				continue // a mixed list, which GRANT takes and this grammar has no need of
			}
			read, err := a.parseGrant(written)
			if err != nil {
				t.Fatalf("%q was read, written as %q, and cannot be read again: %v", text, written, err)
			}
			maps.Copy(again, read)
			for _, r := range group {
				if passOn, ok := read[r]; !ok || passOn != rights[r] {
					t.Errorf("%q was read as %v, written as %q and read as %v", text, rights, written, read)
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

// Documents of the grant tables may hold anything, and must not be taken for nothing.
func FuzzReadDocuments(f *testing.F) {
	for _, text := range []string{
		"", "{}", "[]", "null", `{"metadata": {"a": 1}}`, `{"Restrictions": [{"Database": "x", "Privileges": ["SELECT"]}]}`, `{"Password_locking": {"failed_login_attempts": 2, "password_lock_time_days": -1}}`,
		`{"additional_password": "x"}`, `{"access": 18446744073709551615, "version_id": 101119, "plugin": "x", "auth_or": [{}, {}]}`, `{"password_lifetime": -1, "ssl_type": 9, "max_statement_time": 1e300}`, `{"new": true}`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for name, read := range map[string]func(*state, row) error{"MySQL": readMySQL, "MariaDB": new(server).readMariaDB} {
			s := &state{name: Name{"u", "h"}, properties: map[string]string{}, rights: map[right]bool{}}
			value := sql.NullString{String: text, Valid: true}
			err := read(s, row{"user_attributes": value, "priv": value, "plugin": {String: "mysql_native_password", Valid: true}})
			if err == nil && strings.HasPrefix(text, `{"new`) && strings.HasSuffix(text, "true}") && len(s.unknown) == 0 && utf8.ValidString(text) {
				t.Errorf("%s: %s passes unseen: %s", name, text, fmt.Sprint(s.lines()))
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

// The patterns of database rights are LIKE's, so LIKE is asked.
func FuzzLike(f *testing.F) {
	for _, p := range []string{"a%", "a_", `a\_`, `a\%b`, "%", `\\`, `a\`, "日_", "%a%b%", `\%\_`} {
		f.Add(p, "a_b")
		f.Add(p, "a%b")
		f.Add(p, "日本")
		f.Add(p, "a")
	}
	servers := fuzzServers(f)
	f.Fuzz(func(t *testing.T, pattern, text string) {
		if !utf8.ValidString(pattern) || !utf8.ValidString(text) || len(pattern)+len(text) > 60 || strings.HasSuffix(pattern, `\`) {
			t.Skip("no pattern of a database")
		}
		for _, s := range servers {
			s.mode(t, "")
			var want bool
			if err := s.conn.QueryRowContext(t.Context(), "SELECT CONVERT("+quoteLiteral(text)+" USING utf8mb4) COLLATE utf8mb4_bin LIKE "+quoteLiteral(pattern)).Scan(&want); err != nil {
				t.Fatal(err)
			}
			if got := like([]rune(pattern), []rune(text)); got != want {
				t.Errorf("%s: %q LIKE %q: %t, the server says %t", s, text, pattern, got, want)
			}
		}
	})
}
