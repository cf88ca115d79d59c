package account

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/rotate-user/rotate-user/internal/grants"
	"github.com/rotate-user/rotate-user/internal/mysqld"
	"github.com/rotate-user/rotate-user/internal/mysqld/mysqldtest"
	"github.com/rotate-user/rotate-user/internal/password"
)

// setStorage sets how the server stores passwords for caching_sha2_password. It returns false if
// the server has no such setting.
func (b *bench) setStorage(format string, rounds int) bool {
	b.Helper()
	if len(b.rows("SHOW GLOBAL VARIABLES LIKE '"+grants.StorageFormat+"'")) == 0 {
		return false
	}
	b.exec("SET GLOBAL "+grants.StorageFormat+" = "+format, fmt.Sprint("SET GLOBAL caching_sha2_password_digest_rounds = ", rounds))
	b.Cleanup(func() { // not DEFAULT: MySQL 9.7 then answers every new password with 1396
		b.exec("SET GLOBAL "+grants.StorageFormat+" = CRYPT5", "SET GLOBAL caching_sha2_password_digest_rounds = 10000")
	})
	return true
}

// reopen opens the administrator's session from its pool again, which still has the server's
// metadata.
func (b *bench) reopen() {
	b.Helper()
	b.admin.Close()
	if err := b.dialer.Close(); err != nil { // a session that was just used may not see a new setting
		b.Fatal(err)
	}
	a, err := b.dialer.Admin(context.Background(), b.endpoint(), b.server.AdminUser, b.server.AdminPassword)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { a.Close() })
	b.admin = a
}

// stored returns the beginning of an account's hash: its format and its rounds.
func (b *bench) stored(user string) string {
	b.Helper()
	rows := b.rows("SELECT LEFT(authentication_string, 7) FROM mysql.user WHERE User = " + grants.QuoteValue(user))
	if len(rows) != 1 {
		b.Fatalf("%d accounts %s", len(rows), user)
	}
	return rows[0][0]
}

func TestHashesHaveTheServersStorageFormat(t *testing.T) {
	type storage = password.Storage
	for _, c := range []struct {
		name            string
		source, standby storage // zero if the standby does not exist
		format          string
		rounds          int
		want            string
	}{
		{"the server's default", storage{Rounds: 10000}, storage{}, "CRYPT5", 10000, "$A$00A$"},
		{"more rounds", storage{Rounds: 5000}, storage{Rounds: 5000}, "CRYPT5", 10000, "$A$00A$"},
		{"PBKDF2", storage{PBKDF2: true, Rounds: 10000}, storage{}, "PBKDF2_SHA512", 10000, "$B$00A$"},
		{"PBKDF2 from now on", storage{Rounds: 5000}, storage{Rounds: 5000}, "PBKDF2_SHA512", 10000, "$B$00A$"},
		{"back to CRYPT5", storage{PBKDF2: true, Rounds: 10000}, storage{PBKDF2: true, Rounds: 10000}, "CRYPT5", 10000, "$A$00A$"},
		{"never fewer rounds than the standby", storage{Rounds: 5000}, storage{Rounds: 20000}, "CRYPT5", 5000, "$A$014$"},
		{"never fewer rounds than the source", storage{PBKDF2: true, Rounds: 20000}, storage{}, "PBKDF2_SHA512", 5000, "$B$014$"},
		{"rounds in the other format", storage{Rounds: 20000}, storage{}, "PBKDF2_SHA512", 5000, "$B$014$"},
	} {
		t.Run(c.name, func(t *testing.T) {
			each(t, func(b *bench) {
				for user, s := range map[string]storage{"app": c.source, "app_clone": c.standby} {
					if s == (storage{}) {
						continue
					}
					format := map[bool]string{false: "CRYPT5", true: "PBKDF2_SHA512"}[s.PBKDF2]
					if !b.setStorage(format, s.Rounds) {
						b.Skip("this server has no choice of formats")
					}
					b.exec("CREATE USER " + user + " IDENTIFIED BY 'Aa1-first'")
				}
				b.setStorage(c.format, c.rounds)
				b.reopen()
				p := pair
				p.Owned = c.standby != (storage{})
				plan, err := b.admin.Sync(context.Background(), p)
				if err != nil {
					b.Fatal(err)
				}
				if plan.Create {
					if got := b.stored("app_clone"); got != c.want {
						b.Errorf("the new standby's mark is stored as %s, want %s", got, c.want)
					}
				}
				b.rotate(p)
				if got := b.stored("app_clone"); got != c.want {
					b.Errorf("the password is stored as %s, want %s", got, c.want)
				}
				if _, err := b.dialer.Login(context.Background(), b.endpoint(), "app_clone", secret); err != nil {
					b.Error(err)
				}
				if _, err := b.admin.Revoke(context.Background(), plan.Standby, pair.Mark, nil); err != nil {
					b.Fatal(err)
				}
				if got := b.stored("app_clone"); got != c.want {
					b.Errorf("the mark of the revocation is stored as %s, want %s", got, c.want)
				}
				// The mark is still recognized after the server's setting has changed.
				b.setStorage("PBKDF2_SHA512", 30000)
				b.reopen()
				b.rotate(owned(pair))
				if got := b.stored("app_clone"); got != "$B$01E$" {
					b.Errorf("after a revocation the password is stored as %s", got)
				}
			})
		})
	}
}

// The plan warns about a password in a format that the server no longer uses, before enforcement
// makes it useless.
func TestPlanWarnsOfTheStorageFormat(t *testing.T) {
	each(t, func(b *bench) {
		if !b.setStorage("CRYPT5", 10000) {
			b.Skip("this server has no choice of formats")
		}
		for _, c := range []struct {
			source, asked string
			warned        bool
		}{
			{"CRYPT5", "CRYPT5", false}, {"CRYPT5", "PBKDF2_SHA512", true}, {"PBKDF2_SHA512", "PBKDF2_SHA512", false},
			{"PBKDF2_SHA512", "CRYPT5", true},
		} {
			b.setStorage(c.source, 10000)
			b.exec("DROP USER IF EXISTS app", "CREATE USER app IDENTIFIED BY 'Aa1-first'")
			b.setStorage(c.asked, 10000)
			plan, err := b.login(b.server.AdminUser, b.server.AdminPassword).Plan(context.Background(), pair)
			if err != nil {
				b.Fatal(err)
			}
			text := strings.Join(plan.Warnings, "\n")
			if strings.Contains(text, "caching_sha2_password_enforce_storage_format") != c.warned {
				b.Errorf("%s with setting %s: warnings %q, want one about it: %t", c.source, c.asked, text, c.warned)
			}
		}
		b.exec("ALTER USER app IDENTIFIED WITH sha256_password BY 'Aa1-first'")
		plan, err := b.login(b.server.AdminUser, b.server.AdminPassword).Plan(context.Background(), pair)
		if err != nil || len(plan.Warnings) > 0 {
			b.Errorf("another plugin: %+v, %v", plan, err)
		}
	})
}

// If the server enforces its format, an account with the other one can log in but cannot run
// statements.
func TestEnforcedStorageFormat(t *testing.T) {
	for _, p := range mysqldtest.Programs(t) {
		if p.Engine != mysqld.MySQL {
			continue
		}
		s, err := p.Start(t.Context(), mysqld.Options{Args: []string{"--loose-caching-sha2-password-storage-format=PBKDF2_SHA512"}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Stop() })
		b := newBench(t, s)
		if len(b.rows("SHOW GLOBAL VARIABLES LIKE '"+grants.StorageFormat+"'")) == 0 {
			t.Skip("this server has no choice of formats")
		}
		ctx := context.Background()
		b.exec("ALTER USER CURRENT_USER() IDENTIFIED BY '"+s.AdminPassword+"'",
			"SET GLOBAL "+grants.StorageFormat+" = CRYPT5", "CREATE USER old IDENTIFIED BY 'Aa1-first'",
			"SET GLOBAL "+grants.StorageFormat+" = PBKDF2_SHA512",
			"SET GLOBAL caching_sha2_password_enforce_storage_format = ON", "CREATE USER app IDENTIFIED BY 'Aa1-first'")
		b.admin = b.login(s.AdminUser, s.AdminPassword)
		if _, err := b.dialer.Login(ctx, b.endpoint(), "old", "Aa1-first"); serverError(err) == nil || serverError(err).Number != 1820 {
			b.Errorf("the login of an account in the old format: %v, want error 1820", err)
		}
		if _, err := b.dialer.Login(ctx, b.endpoint(), "old", "wrong"); serverError(err) == nil || serverError(err).Number != 1045 {
			b.Errorf("the same with a wrong password: %v, want error 1045", err)
		}
		for p, user := pair, "app_clone"; user != ""; p, user = back(p), map[string]string{"app_clone": "app"}[user] {
			b.rotate(p)
			if _, err := b.dialer.Login(ctx, b.endpoint(), user, secret); err != nil {
				b.Errorf("the standby of %+v: %v", p, err)
			}
		}
		made := grants.Name{User: "made", Host: "%"}
		if err := b.admin.Create(ctx, made, "made_clone", []string{"SELECT ON shop.*"}, "a mark"); err != nil {
			b.Fatal(err)
		}
		if err := b.admin.Create(ctx, made, "made_clone", []string{"SELECT ON shop.*"}, "a mark"); err != nil {
			b.Errorf("its own account is not recognised: %v", err)
		}
		if _, err := b.admin.SetPassword(ctx, made, made, secret, nil); err != nil {
			b.Fatal(err)
		}
		if _, err := b.dialer.Login(ctx, b.endpoint(), "made", secret); err != nil {
			b.Errorf("an account made: %v", err)
		}
	}
}
