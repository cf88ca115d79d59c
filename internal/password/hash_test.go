package password_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/rotate-user/rotate-user/internal/mysqld"
	"github.com/rotate-user/rotate-user/internal/mysqld/mysqldtest"
	"github.com/rotate-user/rotate-user/internal/password"
)

func TestMain(m *testing.M) { mysqldtest.Main(m) }

var plugins = map[string][]string{
	mysqld.MySQL:   {password.CachingSHA2, password.SHA256, password.Native},
	mysqld.MariaDB: {password.Native, password.Ed25519},
}

// eachPlugin runs f for each plugin that the server has, with exec on an administrator's
// connection.
func eachPlugin(t *testing.T, f func(t *testing.T, s *mysqld.Server, plugin string, exec func(string))) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		db, err := s.Open(s.AdminUser, s.AdminPassword)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if s.Engine == mysqld.MariaDB {
			if _, err := db.ExecContext(t.Context(), "INSTALL SONAME 'auth_ed25519'"); err != nil && !strings.Contains(err.Error(), "already") {
				t.Fatal(err)
			}
		}
		for _, plugin := range plugins[s.Engine] {
			var n int
			if err := db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM information_schema.PLUGINS"+
				" WHERE PLUGIN_NAME = ? AND PLUGIN_STATUS = 'ACTIVE'", plugin).Scan(&n); err != nil {
				t.Fatal(err)
			}
			if n == 0 {
				t.Logf("%s has no %s", s, plugin)
				continue
			}
			t.Run(plugin, func(t *testing.T) {
				f(t, s, plugin, func(statement string) {
					t.Helper()
					if _, err := db.ExecContext(context.WithoutCancel(t.Context()), statement); err != nil {
						t.Fatal(err) // without the statement, as in the program itself
					}
				})
			})
		}
	})
}

// identified returns the clause that gives an account the hash.
func identified(engine, plugin string, hash []byte) string {
	if engine == mysqld.MariaDB {
		return fmt.Sprintf(" IDENTIFIED VIA %s USING '%s'", plugin, hash)
	}
	return fmt.Sprintf(" IDENTIFIED WITH %s AS 0x%x", plugin, hash)
}

func login(ctx context.Context, s *mysqld.Server, user, pass string) error {
	db, err := s.Open(user, pass)
	if err != nil {
		return err
	}
	defer db.Close()
	return db.PingContext(ctx)
}

func denied(err error) bool {
	var server *mysql.MySQLError
	return errors.As(err, &server) && server.Number == 1045
}

func TestHashLogsIn(t *testing.T) {
	generated, err := password.Generate(password.Policy{})
	if err != nil {
		t.Fatal(err)
	}
	long, err := password.Generate(password.Policy{Length: 255})
	if err != nil {
		t.Fatal(err)
	}
	eachPlugin(t, func(t *testing.T, s *mysqld.Server, plugin string, exec func(string)) {
		exec("CREATE USER hashed@localhost")
		defer exec("DROP USER hashed@localhost")
		// Lengths around the digests' block sizes take different paths through the hash.
		for _, pass := range []string{"x", "ünï\\'\"cödé 日本 𝕏", strings.Repeat("a", 31), strings.Repeat("b", 32), strings.Repeat("c", 33),
			strings.Repeat("d", 64), strings.Repeat("e", 65), strings.Repeat("f", 127), generated, long} {
			hash, err := password.Hash(plugin, pass)
			if err != nil {
				t.Fatal(err)
			}
			if again, _ := password.Hash(plugin, pass); plugin != password.Native && plugin != password.Ed25519 && bytes.Equal(hash, again) {
				t.Error("two hashes have the same salt")
			}
			exec("ALTER USER hashed@localhost" + identified(s.Engine, plugin, hash))
			if err := login(t.Context(), s, "hashed", pass); err != nil {
				t.Errorf("%d bytes: %v", len(pass), err)
			}
			if err := login(t.Context(), s, "hashed", pass+"x"); !denied(err) {
				t.Errorf("%d bytes: a wrong password: %v; want access denied", len(pass), err)
			}
		}
	})
}

func TestServerStoresUnmatchableAndRefusesEveryPassword(t *testing.T) {
	eachPlugin(t, func(t *testing.T, s *mysqld.Server, plugin string, exec func(string)) {
		hash, err := password.Unmatchable(plugin, "workflow one")
		if err != nil {
			t.Fatal(err)
		}
		exec("CREATE USER marked@localhost" + identified(s.Engine, plugin, hash))
		defer exec("DROP USER marked@localhost")
		for _, pass := range []string{"", "x", "workflow one", string(hash)} {
			if err := login(t.Context(), s, "marked", pass); !denied(err) {
				t.Errorf("password %q: %v; want access denied", pass, err)
			}
		}
		// The server must keep every byte, or the hash would prove nothing later.
		db, err := s.Open(s.AdminUser, s.AdminPassword)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		var stored []byte
		if err := db.QueryRowContext(t.Context(), "SELECT authentication_string FROM mysql.user"+
			" WHERE User = 'marked'").Scan(&stored); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(stored, hash) {
			t.Errorf("the server stored %q for %q", stored, hash)
		}
	})
}

var shapes = map[string]*regexp.Regexp{
	password.Native:      regexp.MustCompile(`^\*[0-9A-F]{40}$`),
	password.CachingSHA2: regexp.MustCompile(`^(\$A\$[0-9A-F]{3}\$[./0-9A-Za-z]{63}|\$B\$[0-9A-F]{3}\$[./0-9A-Za-z]{20}[+/0-9A-Za-z]{86}==)$`),
	password.SHA256:      regexp.MustCompile(`^\$5\$[./0-9A-Za-z]{20}\$[./0-9A-Za-z]{43}$`),
	password.Ed25519:     regexp.MustCompile(`^[+/0-9A-Za-z]{43}$`),
}

func TestUnmatchableIsDeterministic(t *testing.T) {
	for plugin, shape := range shapes {
		one, err := password.Unmatchable(plugin, "one")
		if err != nil {
			t.Fatal(err)
		}
		again, _ := password.Unmatchable(plugin, "one")
		two, _ := password.Unmatchable(plugin, "two")
		if !bytes.Equal(one, again) || bytes.Equal(one, two) {
			t.Errorf("%s: %q, %q for the same mark and %q for another", plugin, one, again, two)
		}
		hash, err := password.Hash(plugin, "secret")
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range [][]byte{one, two, hash} {
			if !shape.Match(h) {
				t.Errorf("%s: %q has the wrong length or format", plugin, h)
			}
		}
	}
}

// These values must never change, because accounts keep them across releases of the program.
func TestUnmatchableNeverChanges(t *testing.T) {
	for plugin, want := range map[string]string{
		password.Native:      "*4AAACF54411E31DAD1B8BF09F39508BCAADE3BDB",
		password.CachingSHA2: "$A$005$Ku98Fe3MYQGe0Vr0tbP35.Ovpj9T6d6y7lLQKzoubr5V2ybOqogZwGEFLQ/XIc.",
		password.SHA256:      "$5$lNgOTQaXedauTlt58/Fs$nLr1Zpi5oF3/JCVw29q4U9CZqZxdbY03.VLeVDU6wwC",
		password.Ed25519:     "CBg6sDR5rEEbCYeAPaK9tbbQJze6A2Ccms95QI/U0s8",
	} {
		if got, _ := password.Unmatchable(plugin, "mark"); string(got) != want {
			t.Errorf("%s: %q, was %q", plugin, got, want)
		}
	}
	const want = "$B$00A$Ku98Fe3MYQGe0Vr0tbP3yYBFP6xlhCTENUO6qkhlJQjG+K1lVhvJDDLNl0E6mQD3e4eYtPUXkXWP5iz9yfHeRvBU/YDLGD26x1BZEoTu8w=="
	if got, _ := (password.Storage{PBKDF2: true, Rounds: 10000}).Unmatchable(password.CachingSHA2, "mark"); string(got) != want {
		t.Errorf("PBKDF2: %q, was %q", got, want)
	}
}

func TestStorage(t *testing.T) {
	for _, c := range []struct {
		storage password.Storage
		begins  string
		rounds  int
	}{
		{password.Storage{}, "$A$005$", 5000},
		{password.Storage{Rounds: -1}, "$A$005$", 5000},
		{password.Storage{Rounds: 5001}, "$A$006$", 6000},
		{password.Storage{Rounds: 31000}, "$A$01F$", 31000},
		{password.Storage{PBKDF2: true}, "$B$005$", 5000},
		{password.Storage{PBKDF2: true, Rounds: 10000}, "$B$00A$", 10000},
	} {
		hash, err := c.storage.Hash(password.CachingSHA2, "one")
		if err != nil || !strings.HasPrefix(string(hash), c.begins) || !shapes[password.CachingSHA2].Match(hash) {
			t.Errorf("%+v: hash %q, %v; want %s", c.storage, hash, err, c.begins)
		}
		if ok, err := password.Matches(password.CachingSHA2, string(hash), "one"); !ok {
			t.Errorf("%+v: its own hash does not match: %v", c.storage, err)
		}
		mark, err := c.storage.Unmatchable(password.CachingSHA2, "one")
		if err != nil || !strings.HasPrefix(string(mark), c.begins) || !shapes[password.CachingSHA2].Match(mark) {
			t.Errorf("%+v: mark %q, %v; want %s", c.storage, mark, err, c.begins)
		}
		for _, h := range [][]byte{hash, mark} {
			if got, ok := password.StorageOf(password.CachingSHA2, string(h)); !ok ||
				got != (password.Storage{PBKDF2: c.storage.PBKDF2, Rounds: c.rounds}) {
				t.Errorf("%+v: %q is read as %+v, %t", c.storage, h, got, ok)
			}
		}
	}
	most, _ := password.Storage{Rounds: 1 << 40}.Unmatchable(password.CachingSHA2, "one")
	if !strings.HasPrefix(string(most), "$A$FFF$") {
		t.Errorf("more rounds than the maximum: %q", most)
	}
	for plugin, hash := range map[string]string{password.SHA256: "$5$", password.CachingSHA2: "", password.Native: "", "": ""} {
		if got, ok := password.StorageOf(plugin, hash); ok {
			t.Errorf("%q of %q is stored as %+v", hash, plugin, got)
		}
	}
}

func TestIsUnmatchable(t *testing.T) {
	storages := []password.Storage{{}, {Rounds: 10000}, {PBKDF2: true, Rounds: 12000}}
	for plugin := range shapes {
		for _, s := range storages {
			mark, err := s.Unmatchable(plugin, "one")
			if err != nil {
				t.Fatal(err)
			}
			if !password.IsUnmatchable(plugin, string(mark), "one") {
				t.Errorf("%s, %+v: %q is not recognised", plugin, s, mark)
			}
			for _, other := range []string{"two", ""} {
				if password.IsUnmatchable(plugin, string(mark), other) {
					t.Errorf("%s, %+v: %q is taken for the mark %q", plugin, s, mark, other)
				}
			}
			hash, err := s.Hash(plugin, "one")
			if err != nil {
				t.Fatal(err)
			}
			if password.IsUnmatchable(plugin, string(hash), "one") || password.IsUnmatchable(plugin, "", "one") ||
				password.IsUnmatchable("parsec", string(mark), "one") {
				t.Errorf("%s: an empty mark matches", plugin)
			}
		}
	}
}

// The server accepts a hash made with its own storage settings, keeps it unchanged, and accepts
// logins with it.
func TestStorageOfTheServer(t *testing.T) {
	eachPlugin(t, func(t *testing.T, s *mysqld.Server, plugin string, exec func(string)) {
		if plugin != password.CachingSHA2 {
			return
		}
		db, err := s.Open(s.AdminUser, s.AdminPassword)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		eachStorage(t, db, func() {
			exec("CREATE USER kept@localhost IDENTIFIED WITH caching_sha2_password BY 'one'")
			defer exec("DROP USER kept@localhost")
			storage, ok := password.StorageOf(plugin, storedHash(t, db, "kept"))
			if !ok {
				t.Fatal("StorageOf cannot read the server's own hash")
			}
			for _, pass := range []string{"two", strings.Repeat("e", 65), strings.Repeat("f", 129), strings.Repeat("g", 255)} {
				hash, err := storage.Hash(plugin, pass)
				if err != nil {
					t.Fatal(err)
				}
				exec("ALTER USER kept@localhost" + identified(s.Engine, plugin, hash))
				if got := storedHash(t, db, "kept"); got != string(hash) {
					t.Errorf("the server stored %q for %q", got, hash)
				}
				if err := login(t.Context(), s, "kept", pass); err != nil {
					t.Errorf("%+v, %d bytes: %v", storage, len(pass), err)
				}
				if err := login(t.Context(), s, "kept", "one"); !denied(err) {
					t.Errorf("%+v: the previous password: %v; want access denied", storage, err)
				}
			}
			mark, err := storage.Unmatchable(plugin, "a mark")
			if err != nil {
				t.Fatal(err)
			}
			exec("ALTER USER kept@localhost" + identified(s.Engine, plugin, mark))
			if got := storedHash(t, db, "kept"); got != string(mark) {
				t.Errorf("the server stored %q for the mark %q", got, mark)
			}
			for _, pass := range []string{"", "two", "a mark", string(mark)} {
				if err := login(t.Context(), s, "kept", pass); !denied(err) {
					t.Errorf("%+v: a mark and the password %q: %v; want access denied", storage, pass, err)
				}
			}
		})
	})
}

func TestRefusals(t *testing.T) {
	for _, plugin := range []string{"", "auth_socket", "unix_socket", "parsec", "authentication_ldap_sasl"} {
		if _, err := password.Hash(plugin, "x"); !errors.Is(err, password.ErrUnsupportedPlugin) {
			t.Errorf("hash for %q: %v", plugin, err)
		}
		if _, err := password.Unmatchable(plugin, "x"); !errors.Is(err, password.ErrUnsupportedPlugin) {
			t.Errorf("unmatchable hash for %q: %v", plugin, err)
		}
	}
	if _, err := password.Hash(password.Native, ""); err == nil {
		t.Error("an empty password has a hash")
	}
	if _, err := password.Unmatchable(password.Native, ""); err == nil {
		t.Error("an empty mark has a hash")
	}
}
