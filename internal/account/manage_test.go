package account

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rotate-user/rotate-user/internal/grants"
)

func TestPassword(t *testing.T) {
	each(t, func(b *bench) {
		ctx := context.Background()
		b.exec("CREATE USER app IDENTIFIED BY 'Aa1-first'", "GRANT SELECT ON shop.* TO app")
		plan := b.rotate(pair)
		ep := b.endpoint()
		ep.Database = "shop"
		login, err := b.dialer.Login(ctx, ep, "app_clone", secret)
		if err != nil {
			b.Fatal(err)
		}
		if want := (Login{Account: plan.Standby, Version: login.Version, TLS: true, Connection: login.Connection}); login != want {
			b.Errorf("login %+v, want %+v", login, want)
		}
		if _, err := b.dialer.Login(ctx, ep, "app", "Aa1-first"); err != nil {
			b.Error(err)
		}

		_, err = b.dialer.Login(ctx, ep, "app_clone", "wrong-Password-1")
		if e := serverError(err); e == nil || e.Number != 1045 || strings.Contains(err.Error(), "wrong-Password-1") {
			b.Errorf("a wrong password gives %v", err)
		}

		if !b.maria {
			b.exec("ALTER USER app_clone IDENTIFIED BY 'Leaked-1' RETAIN CURRENT PASSWORD")
		}
		stop := errors.New("fenced")
		before := b.everything()
		if _, err := b.admin.SetPassword(ctx, plan.Standby, plan.Source, "Next-1",
			func(context.Context, grants.Stored) error { return stop }); !errors.Is(err, stop) {
			b.Errorf("a failing fence gives %v", err)
		}
		if diff := cmp.Diff(before, b.everything()); diff != "" {
			b.Errorf("a call stopped by its fence wrote (-before +after):\n%s", diff)
		}
		for range 2 { // twice, as in a retry
			if _, err := b.admin.SetPassword(ctx, plan.Standby, plan.Source, "Next-1", nil); err != nil {
				b.Fatal(err)
			}
		}
		if _, err := b.dialer.Login(ctx, ep, "app_clone", "Next-1"); err != nil {
			b.Error(err)
		}
		for _, old := range []string{secret, "Leaked-1"} {
			if _, err := b.dialer.Login(ctx, ep, "app_clone", old); err == nil {
				b.Errorf("%s still logs in", old)
			}
		}
	})
}

// The standby's password is for the current account's plugin, whatever either account had before.
func TestPasswordFollowsThePlugin(t *testing.T) {
	each(t, func(b *bench) {
		ctx := context.Background()
		plugins := map[string]string{"sha256_password": "IDENTIFIED WITH sha256_password BY 'Aa1-first'",
			"caching_sha2_password": "IDENTIFIED WITH caching_sha2_password BY 'Aa1-first'"}
		if b.maria {
			if _, err := b.root.ExecContext(ctx, "INSTALL SONAME 'auth_ed25519'"); err != nil && !strings.Contains(err.Error(), "already") {
				b.Fatal(err)
			}
			plugins = map[string]string{"ed25519": "IDENTIFIED VIA ed25519 USING PASSWORD('Aa1-first')",
				"mysql_native_password": "IDENTIFIED VIA mysql_native_password USING PASSWORD('Aa1-first')"}
		}
		b.exec("CREATE USER app IDENTIFIED BY 'Aa1-first'", "GRANT SELECT ON shop.* TO app")
		b.rotate(pair)
		for range 2 { // from each plugin to the other
			for plugin, clause := range plugins {
				b.exec("ALTER USER app " + clause)
				b.rotate(owned(pair))
				for _, r := range b.rows("SELECT User, plugin FROM mysql.user WHERE User LIKE 'app%'") {
					if r[1] != plugin {
						b.Errorf("%s logs in by %s, want %s", r[0], r[1], plugin)
					}
				}
				if _, err := b.dialer.Login(ctx, b.endpoint(), "app_clone", secret); err != nil {
					b.Errorf("%s: %v", plugin, err)
				}
				if _, err := b.dialer.Login(ctx, b.endpoint(), "app_clone", "Aa1-first"); err == nil {
					b.Errorf("%s: the previous password still logs in", plugin)
				}
				b.rotate(back(pair)) // and back to the other account
				if _, err := b.dialer.Login(ctx, b.endpoint(), "app", secret); err != nil {
					b.Errorf("%s, next rotation: %v", plugin, err)
				}
			}
		}
	})
}

// A session must wait while another one holds the lock on its account.
func TestPasswordBusy(t *testing.T) {
	each(t, func(b *bench) {
		ctx := context.Background()
		b.exec("CREATE USER app IDENTIFIED BY 'Aa1-first'")
		other := b.login(b.server.AdminUser, b.server.AdminPassword)
		app := grants.Name{User: "app", Host: "%"}
		held, release := make(chan struct{}), make(chan struct{})
		done := make(chan error)
		go func() {
			_, err := other.SetPassword(ctx, app, app, "First-1", func(context.Context, grants.Stored) error {
				close(held)
				<-release
				return nil
			})
			done <- err
		}()
		<-held
		second := make(chan error)
		go func() {
			_, err := b.admin.SetPassword(ctx, app, app, "Second-2", func(context.Context, grants.Stored) error {
				select {
				case <-release:
					return nil
				default:
					return errors.New("two sessions at once")
				}
			})
			second <- err
		}()
		close(release)
		if err := errors.Join(<-done, <-second); err != nil {
			b.Fatal(err)
		}
		if _, err := b.dialer.Login(ctx, b.endpoint(), "app", "Second-2"); err != nil {
			b.Error(err)
		}
	})
}

func TestRevoke(t *testing.T) {
	each(t, func(b *bench) {
		ctx := context.Background()
		b.exec("CREATE USER app IDENTIFIED BY 'Aa1-first'", "GRANT SELECT ON shop.* TO app")
		app := grants.Name{User: "app", Host: "%"}
		db, err := b.server.Open("app", "Aa1-first")
		if err != nil {
			b.Fatal(err)
		}
		defer db.Close()
		conn, err := db.Conn(ctx)
		if err != nil {
			b.Fatal(err)
		}
		view, err := b.admin.sessionsView(ctx, nil)
		if err != nil || view == "" {
			b.Fatalf("sessions are in view %q, %v", view, err)
		}
		if ids, err := b.admin.sessionIDs(ctx, "app", view); err != nil || len(ids) != 1 {
			b.Fatalf("sessions %q, %v", ids, err)
		}
		ended, err := b.admin.Revoke(ctx, app, pair.Mark, nil)
		if err != nil {
			b.Fatal(err)
		}
		if want := (Ended{Ended: 1}); ended != want {
			b.Errorf("the revocation reports %+v, want %+v", ended, want)
		}
		if err := conn.PingContext(ctx); err == nil {
			b.Error("a session is still open")
		}
		if err := b.admin.Unlock(ctx, app, nil); err != nil {
			b.Fatal(err)
		}
		if _, err := b.dialer.Login(ctx, b.endpoint(), "app", "Aa1-first"); err == nil {
			b.Error("the password still logs in")
		}
		if err := b.admin.Lock(ctx, app, nil); err != nil {
			b.Fatal(err)
		}
		for range 2 {
			if err := b.admin.Drop(ctx, app, nil); err != nil {
				b.Fatal(err)
			}
		}
		if names, err := b.admin.Exists(ctx, "app"); err != nil || len(names) > 0 {
			b.Errorf("after the drop there are %v, %v", names, err)
		}
		if err := errors.Join(b.admin.Lock(ctx, app, nil), b.admin.Unlock(ctx, app, nil)); err != nil {
			b.Errorf("locking and unlocking no account gives %v", err)
		}
		if err := b.admin.Drop(ctx, grants.Name{User: b.server.AdminUser, Host: "localhost"}, nil); !refused(err, grants.Administrator) {
			b.Errorf("dropping the administrator itself gives %v", err)
		}
		if err := b.admin.Drop(ctx, grants.Name{User: "root", Host: "localhost"}, nil); !refused(err, grants.ServerAccount) {
			b.Errorf("dropping root gives %v", err)
		}
	})
}

// MayDrop refuses in advance what a drop would be refused for, and nothing else.
func TestMayDrop(t *testing.T) {
	definer := "GRANT ALLOW_NONEXISTENT_DEFINER ON *.* TO %s"
	tests := []struct {
		name, engine string
		statements   []string
		admin        []string // nil for the least administrator
		account      grants.Name
		reason       string // empty if it may be dropped
		says         string
	}{
		{name: "may", account: grants.Name{User: "app", Host: "%"}},
		{name: "absent", account: grants.Name{User: "app", Host: "10.%"}},
		{name: "server's", account: grants.Name{User: "root", Host: "localhost"}, reason: grants.ServerAccount, says: "'root'@'localhost'"},
		{name: "administrator", account: grants.Name{User: "ops", Host: "%"}, reason: grants.Administrator, says: "'ops'@'%'"},
		{name: "read only", statements: []string{"SET GLOBAL read_only = ON"}, account: grants.Name{User: "app", Host: "%"},
			reason: grants.ReadOnly, says: "read_only"},
		{name: "no right", admin: least[1:], account: grants.Name{User: "app", Host: "%"}, reason: grants.MissingRight,
			says: "CREATE USER on *.*"},
		{name: "system user", engine: "mysql", statements: []string{"GRANT SYSTEM_USER ON *.* TO app"},
			account: grants.Name{User: "app", Host: "%"}, reason: grants.MissingRight, says: "SYSTEM_USER, because 'app'@'%' has it"},
		{name: "definer", engine: "mysql", statements: []string{"CREATE DEFINER=app PROCEDURE shop.pay() SELECT 1"},
			admin:   append(slices.Clone(least), "GRANT EXECUTE ON shop.* TO %s"),
			account: grants.Name{User: "app", Host: "%"}, reason: grants.MissingRight,
			says: "ALLOW_NONEXISTENT_DEFINER (SET_USER_ID before MySQL 8.2) on *.*, unless these are given another definer: " +
				"routine shop.pay of 'app'@'%'"},
		{name: "definer to drop", engine: "mysql", statements: []string{"CREATE DEFINER=app PROCEDURE shop.pay() SELECT 1"},
			admin: append(slices.Clone(least), "GRANT EXECUTE ON shop.* TO %s", definer), account: grants.Name{User: "app", Host: "%"}},
		{name: "definer", engine: "mariadb", statements: []string{"CREATE DEFINER=app PROCEDURE shop.pay() SELECT 1"},
			account: grants.Name{User: "app", Host: "%"}},
	}
	each(t, func(b *bench) {
		ctx := context.Background()
		outer := b.T
		for _, tt := range tests {
			if tt.engine != "" && tt.engine != b.server.Engine {
				continue
			}
			outer.Run(tt.name, func(t *testing.T) {
				b.T = t
				defer func() { b.T = outer }()
				b.clean()
				b.exec("CREATE USER app IDENTIFIED BY 'Aa1-first'")
				if tt.admin == nil {
					tt.admin = least
				}
				b.exec(tt.statements...)
				admin := b.ops(tt.admin...)
				before := b.everything()
				err := admin.MayDrop(ctx, tt.account)
				if tt.reason == grants.ReadOnly {
					b.exec("SET GLOBAL read_only = OFF")
				}
				if tt.reason != "" && (!refused(err, tt.reason) || !strings.Contains(err.Error(), tt.says)) {
					t.Errorf("got %v, want a refusal %s that says %q", err, tt.reason, tt.says)
				}
				if diff := cmp.Diff(before, b.everything()); diff != "" {
					t.Errorf("the check wrote (-before +after):\n%s", diff)
				}
				if tt.reason == grants.ReadOnly || tt.reason == grants.ServerAccount || tt.reason == grants.Administrator {
					return
				}
				dropErr := admin.exec(ctx, "DROP USER IF EXISTS "+tt.account.String())
				if (err == nil) != (dropErr == nil) {
					t.Errorf("the check gives %v, and the drop %v", err, dropErr)
				}
			})
		}
	})
}

func refused(err error, reason string) bool {
	r, ok := errors.AsType[*grants.Refusal](err)
	return ok && r.Reason == reason
}

func TestCreate(t *testing.T) {
	each(t, func(b *bench) {
		ctx := context.Background()
		app := grants.Name{User: "app", Host: "10.%"}
		rights := []string{
			"select, Insert (`id`, buyer) on shop.orders with grant option",
			"ALL PRIVILEGES ON `sh``op\\_x`.*",
			"EXECUTE ON PROCEDURE shop.`close`",
			"create temporary tables ON shop.*",
			"PROCESS ON *.*",
		}
		if !b.maria {
			rights = append(rights, "BACKUP_ADMIN ON *.* WITH GRANT OPTION")
		}
		for range 2 {
			if err := b.admin.Create(ctx, app, "app_clone", rights, "mark"); err != nil {
				b.Fatal(err)
			}
		}
		b.exec("CREATE USER want@'10.%' ACCOUNT LOCK", "GRANT SELECT, INSERT (id, buyer) ON shop.orders TO want@'10.%' WITH GRANT OPTION",
			"GRANT ALL ON `sh``op\\_x`.* TO want@'10.%'",
			"GRANT EXECUTE ON PROCEDURE shop.close TO want@'10.%'", "GRANT CREATE TEMPORARY TABLES ON shop.* TO want@'10.%'",
			"GRANT PROCESS ON *.* TO want@'10.%'")
		if !b.maria {
			b.exec("GRANT BACKUP_ADMIN ON *.* TO want@'10.%' WITH GRANT OPTION")
		}
		lines, err := b.admin.Differences(ctx, app, grants.Name{User: "want", Host: "10.%"})
		if err != nil || len(lines) > 0 {
			b.Errorf("differs from what GRANT makes: %q, %v", lines, err)
		}
		before := b.everything()
		if err := b.admin.Create(ctx, app, "app_clone", rights, "another mark"); !refused(err, grants.NotOurs) {
			b.Errorf("a stranger's account gives %v", err)
		}
		if err := b.admin.Create(ctx, grants.Name{User: "app", Host: "%"}, "app_clone", rights, "mark"); !refused(err, grants.NotOurs) {
			b.Errorf("the same name on another host gives %v", err)
		}
		for _, g := range []string{"", "SELECT", "SELECT ON", "SELECT ON shop", "SELECT ON *", "SELECT ON shop.* TO root",
			"SELECT ON shop.*; DROP USER app", "ALL ON *.*", "FLY ON shop.*",
			"SELECT (id ON shop.orders", "SELECT (id) ON shop.*", "SELECT ON `shop.*", "SELECT ON shop.* WITH", "SELECT ON shop.'x'", "SELECT ON ``.*", "SELECT, ON shop.*",
			"SELECT ON *.* IDENTIFIED BY 'hunter2'", "GRANT SELECT ON *.* TO app IDENTIFIED BY hunter2", "SELECT ON *.* 'hunter2'", "SELECT ON *.* IDENTIFIED BY `hunter2`"} {
			if err := b.admin.Create(ctx, grants.Name{User: "fresh", Host: "%"}, "fresh_clone", []string{g}, "mark"); !refused(err, grants.BadGrant) || strings.Contains(err.Error(), "hunter2") {
				b.Errorf("grant %q gives %v", g, err)
			}
		}
		limit := b.admin.server.LongestUser()
		if want := []int{32, 80, 128}; !slices.Contains(want, limit) { // MySQL, MariaDB to 10.5, MariaDB
			b.Errorf("a user name may have %d characters, want one of %d", limit, want)
		}
		for length, tooLong := range map[int]bool{limit - 5: true, limit: true, limit + 1: true, limit - 6: false} {
			n := grants.Name{User: strings.Repeat("ü", length), Host: "%"}
			err := b.admin.Create(ctx, n, n.User+"_clone", []string{"SELECT ON shop.*"}, "mark")
			if tooLong != refused(err, grants.NameTooLong) || !tooLong && err != nil {
				b.Errorf("a name of %d characters gives %v", length, err)
			}
			if err == nil {
				b.exec("DROP USER " + n.String())
			} else if length <= limit && !strings.Contains(err.Error(), fmt.Sprintf("at most %d characters", limit-6)) {
				b.Errorf("a name of %d characters gives no advice: %v", length, err)
			}
		}
		if diff := cmp.Diff(before, b.everything()); diff != "" {
			b.Errorf("a refused call wrote (-before +after):\n%s", diff)
		}
	})
}

// No interruption may leave an account that is locked but keeps its password, which someone could
// unlock.
func TestRevokeLocksAndScramblesInOneStatement(t *testing.T) {
	each(t, func(b *bench) {
		ctx := context.Background()
		b.exec("CREATE USER app IDENTIFIED BY 'Aa1-first'")
		want := 1
		if !b.admin.server.IsMariaDB() {
			b.exec("ALTER USER app IDENTIFIED BY 'Aa1-second' RETAIN CURRENT PASSWORD")
			want = 2 // the second password goes first
		}
		var before grants.Stored
		statements := b.alterations()
		if _, err := b.admin.Revoke(ctx, grants.Name{User: "app", Host: "%"}, pair.Mark, func(ctx context.Context) error {
			all, err := b.admin.Stored(ctx, "app")
			before = all[0]
			return err
		}); err != nil {
			b.Fatal(err)
		}
		if got := b.alterations() - statements; got != want {
			b.Errorf("the revocation took %d statements, want %d", got, want)
		}
		after, err := b.admin.Stored(ctx, "app")
		if err != nil || !after[0].Locked || after[0].Digest() == before.Digest() {
			b.Errorf("after the revocation the account is %+v, %v", after, err)
		}
	})
}

// alterations returns the number of ALTER USER statements in the administrator's session.
func (b *bench) alterations() int {
	b.Helper()
	rows, err := b.admin.query(context.Background(), "SHOW SESSION STATUS LIKE 'Com_alter_user'")
	if err != nil || len(rows) != 1 {
		b.Fatalf("count statements: %v, %v", rows, err)
	}
	n, err := strconv.Atoi(rows[0].Text("value"))
	if err != nil {
		b.Fatal(err)
	}
	return n
}

// An account that another secret's rotation revoked cannot be this secret's standby.
func TestRevokedForAnotherSecret(t *testing.T) {
	each(t, func(b *bench) {
		ctx := context.Background()
		b.exec("CREATE USER app IDENTIFIED BY 'Aa1-first'", "CREATE USER app_clone IDENTIFIED BY 'Aa1-other'")
		if _, err := b.admin.Revoke(ctx, grants.Name{User: "app_clone", Host: "%"}, "another mark", nil); err != nil {
			b.Fatal(err)
		}
		if _, err := b.admin.Plan(ctx, pair); !refused(err, grants.NotOurs) {
			b.Errorf("an account that another secret's rotation revoked gives %v", err)
		}
		if _, err := b.admin.Revoke(ctx, grants.Name{User: "app_clone", Host: "%"}, pair.Mark, nil); err != nil {
			b.Fatal(err)
		}
		if _, err := b.admin.Plan(ctx, pair); err != nil {
			b.Errorf("an account that this secret's rotation revoked gives %v", err)
		}
	})
}
