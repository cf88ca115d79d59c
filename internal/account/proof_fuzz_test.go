package account

import (
	"context"
	"database/sql"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/rotate-user/rotate-user/internal/grants"
	"github.com/rotate-user/rotate-user/internal/mysqld"
	"github.com/rotate-user/rotate-user/internal/mysqld/mysqldtest"
)

// names are texts that some program has mistaken for the end of a name.
var names = []string{
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

// A quoted text comes back unchanged, whatever the sql_mode.
func FuzzQuote(f *testing.F) {
	for _, text := range names {
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
				if err := s.conn.QueryRowContext(t.Context(), "SELECT "+grants.QuoteValue(text)).Scan(&got); err != nil || got != text {
					t.Errorf("%s, sql_mode %q: the value %q comes back as %q, %v", s, mode, text, got, err)
				}
				if mode == "" {
					if err := s.conn.QueryRowContext(t.Context(), "SELECT "+grants.QuoteLiteral(text)).Scan(&got); err != nil || got != text {
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

// asIdentifier has the server name a column after text, and returns the name. It returns false if
// no identifier can have this text.
func (s fuzzServer) asIdentifier(t *testing.T, text string) (string, bool) {
	t.Helper()
	if strings.ContainsAny(text, "\x00") || strings.TrimRight(text, " ") != text || utf8.RuneCountInString(text) > 63 || strings.ContainsFunc(text, func(r rune) bool { return r > 0xffff }) {
		return "", false
	}
	// The server drops white space before a column's name, but not before other names.
	rows, err := s.conn.QueryContext(t.Context(), "SELECT 1 AS "+grants.QuoteIdentifier("c"+text))
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

// A user is created and found again under the same name, whatever the sql_mode.
func FuzzQuoteUser(f *testing.F) {
	for _, text := range names {
		f.Add(text)
	}
	servers := fuzzServers(f)
	f.Fuzz(func(t *testing.T, text string) {
		user := "fz" + text
		if !utf8.ValidString(text) || strings.ContainsAny(text, "\x00") || strings.TrimRight(text, " ") != text || utf8.RuneCountInString(user) > 32 || strings.ContainsFunc(text, func(r rune) bool { return r > 0xffff }) {
			t.Skip("no name of a user")
		}
		n := grants.Name{User: user, Host: "localhost"}
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

// The patterns of database rights are those of LIKE, so LIKE is the reference.
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
			if err := s.conn.QueryRowContext(t.Context(), "SELECT CONVERT("+grants.QuoteLiteral(text)+" USING utf8mb4) COLLATE utf8mb4_bin LIKE "+grants.QuoteLiteral(pattern)).Scan(&want); err != nil {
				t.Fatal(err)
			}
			if got := grants.LikePattern(pattern, text); got != want {
				t.Errorf("%s: %q LIKE %q: %t, the server says %t", s, text, pattern, got, want)
			}
		}
	})
}
