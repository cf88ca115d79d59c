package password_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/rotate-user/rotate-user/internal/mysqld"
	"github.com/rotate-user/rotate-user/internal/password"
)

// storages are the settings that decide how a MySQL server hashes a password for
// caching_sha2_password.
var storages = []struct {
	format, rounds string
}{
	{"CRYPT5", "5000"}, {"CRYPT5", "10000"}, {"CRYPT5", "23000"}, {"PBKDF2_SHA512", "5000"}, {"PBKDF2_SHA512", "17000"},
}

// eachStorage runs f with each of the storages that the server supports, then restores the
// defaults.
func eachStorage(t *testing.T, db *sql.DB, f func()) {
	t.Helper()
	set := func(name, value string) bool {
		t.Helper()
		_, err := db.ExecContext(context.WithoutCancel(t.Context()), "SET GLOBAL caching_sha2_password_"+name+" = "+value)
		var server *mysql.MySQLError
		if errors.As(err, &server) && (server.Number == 1193 || server.Number == 1238) { // unknown or read-only
			return false
		}
		if err != nil {
			t.Fatal(err)
		}
		return true
	}
	for _, s := range storages {
		formats, rounds := set("storage_format", s.format), set("digest_rounds", s.rounds)
		if formats {
			defer set("storage_format", "CRYPT5")
		}
		if rounds {
			defer set("digest_rounds", "10000") // not DEFAULT: MySQL 9.7 then answers every new password with 1396
		}
		if !formats && s.format != "CRYPT5" || !rounds && s != storages[0] {
			t.Logf("the server does not support %s with %s rounds", s.format, s.rounds)
			continue
		}
		f()
	}
}

func storedHash(t *testing.T, db *sql.DB, user string) string {
	t.Helper()
	var hash []byte
	if err := db.QueryRowContext(t.Context(), "SELECT authentication_string FROM mysql.user WHERE User = ?", user).Scan(&hash); err != nil {
		t.Fatal(err)
	}
	return string(hash)
}

func TestMatchesHashesThatServersMakeFromClearText(t *testing.T) {
	eachPlugin(t, func(t *testing.T, s *mysqld.Server, plugin string, exec func(string)) {
		db, err := s.Open(s.AdminUser, s.AdminPassword)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		exec("DROP USER IF EXISTS matched@localhost")
		defer exec("DROP USER IF EXISTS matched@localhost")
		check := func() {
			t.Helper()
			// Many passwords, because the server draws its salts from nearly all of ASCII,
			// including quotes and control characters.
			for i, pass := range append([]string{"x", "ünïcödé 日本 𝕏", strings.Repeat("c", 33), strings.Repeat("d", 64), strings.Repeat("f", 256)},
				strings.Split("abcdefghijklmnopqrst", "")...) {
				if s.Engine == mysqld.MariaDB {
					exec(fmt.Sprintf("CREATE OR REPLACE USER matched@localhost IDENTIFIED VIA %s USING PASSWORD('%s')", plugin, pass))
				} else {
					exec("DROP USER IF EXISTS matched@localhost")
					exec(fmt.Sprintf("CREATE USER matched@localhost IDENTIFIED WITH %s BY '%s'", plugin, pass))
				}
				hash := storedHash(t, db, "matched")
				if ok, err := password.Matches(plugin, hash, pass); !ok {
					t.Errorf("the server's hash %q, a password of %d bytes: %t, %v", hash, len(pass), ok, err)
				}
				for _, other := range []string{"", "y" + pass, pass + "y", pass[1:]} {
					if ok, err := password.Matches(plugin, hash, other); ok || err != nil {
						t.Errorf("the server's hash %q, a wrong password after password %d: %t, %v", hash, i, ok, err)
					}
				}
			}
		}
		if plugin == password.CachingSHA2 {
			eachStorage(t, db, check)
		} else {
			check()
		}
	})
}

// An account without a password accepts the empty one, except with ed25519 before MariaDB 11.8.
func TestMatchesWithoutPassword(t *testing.T) {
	eachPlugin(t, func(t *testing.T, s *mysqld.Server, plugin string, exec func(string)) {
		db, err := s.Open(s.AdminUser, s.AdminPassword)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if s.Engine == mysqld.MariaDB {
			exec(fmt.Sprintf("CREATE OR REPLACE USER matched@localhost IDENTIFIED VIA %s USING PASSWORD('')", plugin))
		} else {
			exec(fmt.Sprintf("CREATE USER matched@localhost IDENTIFIED WITH %s BY ''", plugin))
		}
		defer exec("DROP USER matched@localhost")
		hash := storedHash(t, db, "matched")
		for _, pass := range []string{"", "x"} {
			err := login(t.Context(), s, "matched", pass)
			if err != nil && !denied(err) {
				t.Fatal(err)
			}
			if ok, e := password.Matches(plugin, hash, pass); ok != (err == nil) || e != nil {
				t.Errorf("stored %q, password %q: %t, %v; the login: %v", hash, pass, ok, e, err)
			}
		}
	})
}

// given are hashes of the password "secret" that no server makes by itself but that one can be
// given.
var given = []struct {
	plugin, hash string
	works        bool // whether a login succeeds on MySQL 9.7
}{
	{password.CachingSHA2, "$A$005$abcdefghijklmnopqrstYy1cVJ5jT.fk4HyAGlowRhOkI55As4SAesbspXHQvFD", true},
	{password.CachingSHA2, "$A$00A$abcdefghijklmnopqrstIeMxGOR8ZqXrHgD.5FWOWgnCl4i5xPLZ7bUQha1CkN1", true},
	{password.CachingSHA2, "$A$00a$abcdefghijklmnopqrstIeMxGOR8ZqXrHgD.5FWOWgnCl4i5xPLZ7bUQha1CkN1", true},
	{password.CachingSHA2, "$A$001$abcdefghijklmnopqrstkBctVzhzuA1ysSvIzeMrpA/ebx.7yMhXojZUkBOVPD.", false},
	{password.CachingSHA2, "$A$004$abcdefghijklmnopqrst07dKRdQQS2hEIt2ELDrGhvdel854nKzHsIQTckF.RS7", false},
	{password.CachingSHA2, "$A$005$abc$efghijklmnopqrst1xjJfQv7G/BYVdnCsCmqT3vhh2rTVi8gcZU/cBASrf.", false},
	{password.CachingSHA2, "$B$001$abcdefghijklmnopqrstODqbm2ynNBALmcjVrFotu+kJ+HiIonnyYpJyA8UP6WNL2n3VVglBzxPAhbjY3/TFWtW7csBU4oR5ME74IAszmA==", true},
	{password.CachingSHA2, "$B$00A$abc$efghijklmnopqrstahVVPaUiuxlqtrLLg3iD15+IkSVJbSvoZTP0d2mn67H1Hq46lZyvIr3Q9nQQY0eygctS7kNrTprw6GmQlQnw2A==", true},
	{password.SHA256, "$5$abcdefghijklmnopqrst$Yy1cVJ5jT.fk4HyAGlowRhOkI55As4SAesbspXHQvFD", true},
	{password.SHA256, "$5$abc$qsg6EHbUzHQzF1POlD7zUwBINSELQxypPaeDcZe6vH0", false},
	{password.SHA256, "$5$rounds=5000$abcdefghijklmnopqrst$Yy1cVJ5jT.fk4HyAGlowRhOkI55As4SAesbspXHQvFD", false},
	{password.SHA256, "$5$rounds=2000$abcdefghijklmnopqrst$KXxVxVi35BXGixgSpNURqcEguhMRGowgPeoexWdNMC7", false},
}

// The server accepts logins for exactly those hashes that Matches can read.
func TestMatchesAgreesWithLogins(t *testing.T) {
	for _, g := range given {
		ok, err := password.Matches(g.plugin, g.hash, "secret")
		if ok != g.works || (err == nil) != g.works {
			t.Errorf("%s: %t, %v; want %t", g.hash, ok, err, g.works)
		}
	}
	eachPlugin(t, func(t *testing.T, s *mysqld.Server, plugin string, exec func(string)) {
		for _, g := range given {
			if g.plugin != plugin || g.hash[1] == 'B' && s.Version < "9.7" {
				continue
			}
			exec("CREATE USER given@localhost" + identified(s.Engine, plugin, []byte(g.hash)))
			if err := login(t.Context(), s, "given", "secret"); (err == nil) != g.works || err != nil && !denied(err) {
				t.Errorf("%s: login: %v; want success: %t", g.hash, err, g.works)
			}
			exec("DROP USER given@localhost")
		}
	})
}

func TestMatchesNative(t *testing.T) {
	const hash = "*14E65567ABDB5135D0CFD9A70B3032C179A49EE7" // of "secret", from MySQL's manual
	for _, hash := range []string{hash, strings.ToLower(hash)} {
		if ok, err := password.Matches(password.Native, hash, "secret"); !ok {
			t.Errorf("%s: %t, %v", hash, ok, err)
		}
		if ok, err := password.Matches(password.Native, hash, "Secret"); ok || err != nil {
			t.Errorf("%s: another password: %t, %v", hash, ok, err)
		}
	}
}

// Matches recognizes passwords set by a hash from this package, and does not match marks.
func TestMatchesOwnHashes(t *testing.T) {
	for plugin := range shapes {
		hash, err := password.Hash(plugin, "one")
		if err != nil {
			t.Fatal(err)
		}
		mark, err := password.Unmatchable(plugin, "one")
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			hash []byte
			pass string
			want bool
		}{{hash, "one", true}, {hash, "two", false}, {hash, "", false}, {mark, "one", false}, {mark, "", false},
			{nil, "", plugin != password.Ed25519}, {nil, "one", false}} {
			if got, err := password.Matches(plugin, string(c.hash), c.pass); got != c.want || err != nil {
				t.Errorf("%s: %q, %q: %t, %v; want %t", plugin, c.hash, c.pass, got, err, c.want)
			}
		}
	}
}

// A password longer than any server accepts is not hashed, because the work grows with the square
// of the length.
func TestMatchesLongPassword(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	for plugin := range shapes {
		hash, err := password.Hash(plugin, long[:300])
		if err != nil {
			t.Fatal(err)
		}
		sha2 := plugin == password.CachingSHA2 || plugin == password.SHA256
		if ok, err := password.Matches(plugin, string(hash), long[:300]); ok == sha2 || err != nil {
			t.Errorf("%s, 300 bytes: %t, %v", plugin, ok, err)
		}
		if ok, err := password.Matches(plugin, string(hash), long); ok || err != nil {
			t.Errorf("%s, 1 MiB: %t, %v", plugin, ok, err)
		}
	}
}

func TestMatchesRefusals(t *testing.T) {
	for _, plugin := range []string{"", "auth_socket", "unix_socket", "parsec", "CACHING_SHA2_PASSWORD"} {
		for _, hash := range []string{"", "x"} {
			if ok, err := password.Matches(plugin, hash, ""); ok || !errors.Is(err, password.ErrUnsupportedPlugin) {
				t.Errorf("%q: %t, %v", plugin, ok, err)
			}
		}
	}
	crypt, pbkdf2 := strings.Repeat("c", 43), strings.Repeat("A", 86)+"=="
	const salt = "SalT.SalT.SalT.SalT."
	for plugin, hashes := range map[string][]string{
		password.Native: {"*", strings.Repeat("0", 40), "*" + strings.Repeat("0", 39), "*" + strings.Repeat("0", 41),
			"*" + strings.Repeat("0", 42),
			"*" + strings.Repeat("g", 40), "565491d704013245", "invalid"},
		password.CachingSHA2: {"$A$", "$A$005$", "$A$005$" + salt, "$A$005$" + salt + crypt + "c", "$A$005$" + salt + crypt[1:],
			"$A$005$" + salt + crypt[1:] + "=",
			"$A$000$" + salt + crypt, "$B$000$" + salt + pbkdf2, "$A$-05$" + salt + crypt, "$A$+05$" + salt + crypt, "$A$0_5$" + salt + crypt,
			"$A$00G$" + salt + crypt,
			"$C$005$" + salt + crypt, "$A$005." + salt + crypt, "$A.005$" + salt + crypt, ".A$005$" + salt + crypt,
			"$B$005$" + salt + pbkdf2[4:], "$B$005$" + salt + pbkdf2[:84] + "\n\n\n\n", "$B$005$" + salt + pbkdf2 + "\n", "$B$005$" + salt + crypt},
		password.SHA256: {"$5$", "$5$" + salt, "$5$" + salt + "$", "$5$" + salt + "x$" + crypt, "$5$" + salt + "$" + crypt + "c",
			"$6$" + salt + "$" + crypt,
			"$5$rounds=1000000000$" + salt + "$" + crypt},
		password.Ed25519: {crypt + "c", crypt[1:], crypt[1:] + "\n", crypt[1:] + "=", strings.Repeat("!", 43)},
	} {
		for _, hash := range hashes {
			for _, pass := range []string{"", "x"} {
				if ok, err := password.Matches(plugin, hash, pass); ok || err == nil || errors.Is(err, password.ErrUnsupportedPlugin) {
					t.Errorf("%s: %q: %t, %v; want an error", plugin, hash, ok, err)
				} else if !strings.Contains(err.Error(), plugin) || strings.Contains(err.Error(), salt) ||
					strings.Contains(err.Error(), hash) && len(hash) > 8 {
					t.Errorf("%s: %q: %v; want an error that names the plugin without repeating the hash", plugin, hash, err)
				}
			}
		}
	}
}

func FuzzMatches(f *testing.F) {
	for _, g := range given {
		f.Add(g.plugin, g.hash, "secret")
	}
	for plugin := range shapes {
		hash, err := password.Hash(plugin, "secret")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(plugin, string(hash), "secret")
	}
	f.Fuzz(func(t *testing.T, plugin, hash, pass string) {
		if len(hash) > 6 && hash[0] == '$' && strings.Trim(hash[3:6], "0123456789ABCDEFabcdef") == "" {
			hash = hash[:3] + "005" + hash[6:] // so that most of the time is not spent on rounds
		}
		ok, err := password.Matches(plugin, hash, pass)
		if ok && err != nil {
			t.Errorf("%q, %q: a match and %v", plugin, hash, err)
		}
		if (pass == "") != (hash == "") && ok {
			t.Errorf("%q: %q matches %q", plugin, hash, pass)
		}
	})
}
