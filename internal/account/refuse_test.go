package account

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rotate-user/rotate-user/internal/grants"
)

// Each refusal has its reason and says what to do, and nothing is written.
func TestRefuse(t *testing.T) {
	app := grants.Name{User: "app", Host: "%"}
	tests := []struct {
		name       string
		engine     string
		statements []string
		pair       grants.Pair
		reason     string
		says       string
	}{
		{name: "no account", statements: []string{"DROP USER app"}, pair: pair, reason: grants.NoSuchAccount, says: "'app'@'%'"},
		{name: "another host", pair: grants.Pair{Source: grants.Name{User: "app", Host: "10.%"}, Standby: "app_clone", Mark: "m"},
			reason: grants.NoSuchAccount, says: "'app'@'10.%'"},
		{name: "case of the name", pair: grants.Pair{Source: grants.Name{User: "APP", Host: "%"}, Standby: "app_clone", Mark: "m"},
			reason: grants.NoSuchAccount, says: "'APP'"},
		{name: "several hosts", statements: []string{"CREATE USER app@localhost"},
			pair: grants.Pair{Source: grants.Name{User: "app"}, Standby: "app_clone", Mark: "m"}, reason: grants.AmbiguousHost,
			says: "'app'@'localhost'"},
		{name: "taken", statements: []string{"CREATE USER app_clone"}, pair: pair, reason: grants.NotOurs, says: "'app_clone'@'%'"},
		{name: "taken under another mark", pair: pair, statements: []string{"another mark"}, reason: grants.NotOurs, says: "CloneUsername"},
		{name: "standby on another host", statements: []string{"CREATE USER app_clone@localhost"}, pair: pair, reason: grants.OtherHost,
			says: "'app_clone'@'localhost'"},
		{name: "standby on another host too", statements: []string{"CREATE USER app_clone", "CREATE USER app_clone@localhost"},
			pair: owned(pair), reason: grants.OtherHost, says: "'app_clone'@'localhost'"},
		{name: "ends in _clone", statements: []string{"CREATE USER pay_clone"},
			pair: grants.Pair{Source: grants.Name{User: "pay_clone", Host: "%"}, Standby: "pay", Mark: "m"}, reason: grants.AmbiguousPair,
			says: "'pay_clone'@'%'"},
		{name: "itself", pair: grants.Pair{Source: app, Standby: "app", Mark: "m", Owned: true}, reason: grants.AmbiguousPair, says: "'app'@'%'"},
		{name: "long name", engine: "mysql", pair: grants.Pair{Source: app, Standby: strings.Repeat("é", 33), Mark: "m"},
			reason: grants.NameTooLong, says: "33 characters"},
		{name: "long name", engine: "mariadb", pair: grants.Pair{Source: app, Standby: strings.Repeat("é", 129), Mark: "m"},
			reason: grants.NameTooLong, says: "129 characters"},
		{name: "locked", statements: []string{"ALTER USER app ACCOUNT LOCK"}, pair: pair, reason: grants.Locked, says: "ACCOUNT UNLOCK"},
		{name: "expired", statements: []string{"ALTER USER app PASSWORD EXPIRE"}, pair: pair, reason: grants.Expired, says: "'app'@'%'"},
		{name: "role", engine: "mariadb", statements: []string{"CREATE ROLE r1"},
			pair: grants.Pair{Source: grants.Name{User: "r1"}, Standby: "r1_clone", Mark: "m"}, reason: grants.Role, says: "'r1'"},
		{name: "role", engine: "mysql", statements: []string{"CREATE ROLE r1"},
			pair: grants.Pair{Source: grants.Name{User: "r1", Host: "%"}, Standby: "r1_clone", Mark: "m"}, reason: grants.Locked, says: "'r1'@'%'"},
		{name: "standby is the source's role", engine: "mysql", statements: []string{"CREATE USER app_clone", "GRANT app_clone TO app"},
			pair: owned(pair), reason: grants.Role, says: "REVOKE"},
		{name: "root", pair: grants.Pair{Source: grants.Name{User: "root", Host: "localhost"}, Standby: "x", Mark: "m"},
			reason: grants.ServerAccount, says: "'root'@'localhost'"},
		{name: "onto the server's", pair: grants.Pair{Source: app, Standby: "mysql.sys", Mark: "m", Owned: true}, reason: grants.ServerAccount,
			says: "mysql.sys"},
		{name: "cloud's", statements: []string{"CREATE USER rdsadmin"},
			pair: grants.Pair{Source: grants.Name{User: "rdsadmin", Host: "%"}, Standby: "x", Mark: "m"}, reason: grants.ServerAccount,
			says: "rdsadmin"},
		{name: "onto the anonymous user", pair: grants.Pair{Source: app, Standby: "", Mark: "m"}, reason: grants.ServerAccount, says: "''"},
		{name: "administrator", pair: grants.Pair{Source: grants.Name{User: "adminuser", Host: "localhost"}, Standby: "x", Mark: "m"},
			reason: grants.Administrator, says: "adminuser"},
		{name: "onto the administrator", statements: []string{"CREATE USER app@localhost"},
			pair:   grants.Pair{Source: grants.Name{User: "app", Host: "localhost"}, Standby: "adminuser", Mark: "m", Owned: true},
			reason: grants.Administrator, says: "adminuser"},
		{name: "socket", engine: "mariadb", statements: []string{"ALTER USER app IDENTIFIED VIA unix_socket"}, pair: pair,
			reason: grants.NoPassword, says: "unix_socket"},
		{name: "parsec", engine: "mariadb", statements: []string{"UPDATE mysql.global_priv SET Priv = JSON_SET(Priv, '$.plugin', " +
			"'parsec') WHERE User = 'app'"},
			pair: pair, reason: grants.NoPassword, says: "IDENTIFIED VIA ed25519"},
		{name: "several ways", engine: "mariadb", statements: []string{"ALTER USER app IDENTIFIED VIA mysql_native_password USING " +
			"PASSWORD('x') OR unix_socket"}, pair: pair, reason: grants.NoPassword, says: "several"},
		{name: "no login", engine: "mysql", statements: []string{"INSTALL PLUGIN mysql_no_login SONAME 'mysql_no_login.so'",
			"ALTER USER app IDENTIFIED WITH mysql_no_login"}, pair: pair, reason: grants.NoPassword, says: "mysql_no_login"},
		{name: "certificate", statements: []string{"ALTER USER app REQUIRE X509"}, pair: pair, reason: grants.CertificateAsked, says: "X509"},
		{name: "subject", statements: []string{"ALTER USER app REQUIRE SUBJECT '/CN=app'"}, pair: pair, reason: grants.CertificateAsked,
			says: "SUBJECT '/CN=app'"},
		{name: "standby locked", statements: []string{"CREATE USER app_clone ACCOUNT LOCK"}, pair: owned(pair), reason: grants.StandbyLocked,
			says: "'app_clone'@'%'"},
		{name: "column gone", statements: []string{"CREATE TABLE shop.t (a INT, b INT)", "GRANT SELECT (a) ON shop.t TO app",
			"ALTER TABLE shop.t DROP COLUMN a"}, pair: pair, reason: grants.ObjectGone, says: "SELECT (`a`) on `shop`.`t`"},
		{name: "future attribute", engine: "mysql", statements: []string{`UPDATE mysql.user SET User_attributes = '{"horoscope": 1}' WHERE User = 'app'`}, pair: pair, reason: grants.Unknown, says: `"horoscope"`},
		{name: "future key", engine: "mariadb", statements: []string{`UPDATE mysql.global_priv SET Priv = JSON_SET(Priv, '$.horoscope', 1) WHERE User = 'app'`}, pair: pair, reason: grants.Unknown, says: `"horoscope"`},
		{name: "future key of the standby", engine: "mariadb",
			statements: []string{"CREATE USER app_clone", `UPDATE mysql.global_priv SET Priv = JSON_SET(Priv, '$.horoscope', 1) WHERE User = 'app_clone'`}, pair: owned(pair), reason: grants.Unknown, says: `'app_clone'@'%'`},
		{name: "future column", engine: "mysql", statements: []string{"ALTER TABLE mysql.user ADD COLUMN Horoscope VARCHAR(10)",
			"UPDATE mysql.user SET Horoscope = 'leo' WHERE User = 'app'"}, pair: pair, reason: grants.Unknown, says: "horoscope"},
		{name: "future privilege", engine: "mysql", statements: []string{"ALTER TABLE mysql.user ADD COLUMN Fly_priv ENUM('N','Y') NOT NULL " +
			"DEFAULT 'N'", "UPDATE mysql.user SET Fly_priv = 'Y' WHERE User = 'app'"}, pair: pair, reason: grants.Unknown, says: "FLY"},
		{name: "future kind of grant", statements: []string{"CREATE TABLE mysql.moon_grants (User CHAR(32), Host CHAR(60), Moon INT)",
			"INSERT INTO mysql.moon_grants VALUES ('app', '%', 1)"}, pair: pair, reason: grants.Unknown, says: "mysql.moon_grants"},
		{name: "routine gone", engine: "mysql", statements: []string{"INSERT INTO mysql.procs_priv (Host, Db, User, Routine_name, " +
			"Routine_type, Grantor, Proc_priv) VALUES ('%', 'shop', 'app', 'gone', 'PROCEDURE', '', 'Execute')",
			"FLUSH PRIVILEGES"}, pair: pair, reason: grants.ObjectGone, says: "PROCEDURE `shop`.`gone`"},
		{name: "default role gone", engine: "mariadb", statements: []string{"CREATE ROLE r1", "GRANT r1 TO app", "SET DEFAULT ROLE r1 FOR app",
			"REVOKE r1 FROM app", "DROP ROLE r1"}, pair: pair, reason: grants.ObjectGone, says: "`r1`"},
		{name: "read only", statements: []string{"SET GLOBAL read_only = ON"}, pair: pair, reason: grants.ReadOnly, says: "read_only"},
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
				b.exec("CREATE USER app IDENTIFIED BY 'Aa1-first'", "GRANT SELECT ON shop.* TO app")
				for _, s := range tt.statements {
					if s == "another mark" {
						if _, err := b.admin.Sync(ctx, grants.Pair{Source: tt.pair.Source, Standby: tt.pair.Standby, Mark: s}); err != nil {
							t.Fatal(err)
						}
						continue
					}
					b.exec(s)
				}
				defer b.undo(tt.statements)
				before := b.everything()
				a := b.login(b.server.AdminUser, b.server.AdminPassword)
				for name, f := range map[string]func(context.Context, grants.Pair) (*grants.Plan, error){"plan": a.Plan, "sync": a.Sync} {
					_, err := f(ctx, tt.pair)
					if !refused(err, tt.reason) {
						t.Errorf("%s: got %v, want a refusal for %s", name, err, tt.reason)
					} else if !strings.Contains(err.Error(), tt.says) {
						t.Errorf("%s: %q does not say %q", name, err, tt.says)
					}
				}
				if diff := cmp.Diff(before, b.everything()); diff != "" {
					t.Errorf("the refused call wrote (-before +after):\n%s", diff)
				}
			})
		}
	})
}

// undo reverts what the server would keep for other tests.
func (b *bench) undo(statements []string) {
	for _, s := range statements {
		words := strings.Fields(s)
		switch {
		case strings.Contains(s, "read_only"):
			b.exec("SET GLOBAL read_only = OFF")
		case strings.HasPrefix(s, "ALTER TABLE mysql.user ADD"):
			b.exec("ALTER TABLE mysql.user DROP COLUMN " + words[5])
		case strings.HasPrefix(s, "CREATE TABLE mysql."):
			b.exec("DROP TABLE " + words[2])
		case strings.HasPrefix(s, "INSTALL PLUGIN"):
			b.exec("DROP USER app", "UNINSTALL PLUGIN "+words[2])
		}
	}
}

// Without proof of the current password, neither a missing standby nor one that differs is changed.
func TestNothingIsChangedWithoutProof(t *testing.T) {
	each(t, func(b *bench) {
		ctx := context.Background()
		none := errors.New("does not log in")
		p := grants.Pair{Source: grants.Name{User: "app"}, Standby: "app_clone", Mark: "proof"}
		b.exec("CREATE USER app IDENTIFIED BY 'Aa1-first'")
		for _, grant := range []string{"SELECT", "INSERT"} {
			b.exec("GRANT " + grant + " ON shop.* TO app")
			before := b.everything()
			p.Proof = func() error { return none }
			if _, err := b.admin.Sync(ctx, p); !errors.Is(err, none) {
				b.Errorf("got %v", err)
			}
			if after := b.everything(); strings.Join(before, "\n") != strings.Join(after, "\n") {
				b.Error("it was changed anyway")
			}
			p.Proof = func() error { return nil }
			if _, err := b.admin.Sync(ctx, p); err != nil {
				b.Fatal(err)
			}
			p.Owned = true
		}
	})
}

// A standby whose creation was cut off is completed, even if it is locked, as long as we locked it.
func TestResume(t *testing.T) {
	each(t, func(b *bench) {
		ctx := context.Background()
		b.exec("CREATE USER app IDENTIFIED BY 'Aa1-first'", "GRANT SELECT ON shop.* TO app", "GRANT INSERT ON shop.orders TO app")
		plan, err := b.admin.Sync(ctx, pair)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := b.dialer.Login(ctx, b.endpoint(), "app_clone", ""); err == nil {
			b.Error("a new standby can log in")
		}
		b.exec("REVOKE INSERT ON shop.orders FROM app_clone")
		again, err := b.admin.Sync(ctx, pair)
		if err != nil {
			b.Fatal(err)
		}
		if len(again.Changes) != 1 || again.Create || again.Changes[0].Drift {
			b.Errorf("the rest of a creation is %+v", again)
		}
		b.rotate(pair)
		if err := b.admin.Lock(ctx, plan.Standby, nil); err != nil {
			b.Fatal(err)
		}
		if _, err := b.admin.Sync(ctx, owned(pair)); !refused(err, grants.StandbyLocked) {
			b.Errorf("a locked standby gives %v", err)
		}
		if _, err := b.admin.Revoke(ctx, plan.Standby, pair.Mark, nil); err != nil {
			b.Fatal(err)
		}
		b.rotate(owned(pair))
	})
}

func TestDrift(t *testing.T) {
	each(t, func(b *bench) {
		ctx := context.Background()
		b.exec("CREATE USER app IDENTIFIED BY 'Aa1-first'", "GRANT SELECT, INSERT ON shop.* TO app")
		p := owned(pair)
		p.Digest = b.rotate(pair).Digest
		for _, tt := range []struct {
			statements []string
			drift      []bool
		}{
			{[]string{"GRANT UPDATE ON shop.* TO app_clone", "REVOKE SELECT ON shop.* FROM app_clone"}, []bool{true, true}},
			{[]string{"GRANT UPDATE ON shop.* TO app", "REVOKE SELECT ON shop.* FROM app"}, []bool{false, false}},
			{[]string{"GRANT UPDATE ON shop.* TO app", "REVOKE SELECT ON shop.* FROM app_clone"}, []bool{true}},
		} {
			b.exec(tt.statements...)
			plan, err := b.admin.Plan(ctx, p)
			if err != nil {
				b.Fatal(err)
			}
			var drift []bool
			for _, c := range plan.Changes {
				drift = append(drift, c.Drift)
			}
			if diff := cmp.Diff(tt.drift, drift); diff != "" {
				b.Errorf("%q is reported as %+v", tt.statements, plan.Changes)
			}
			b.exec("GRANT SELECT, UPDATE ON shop.* TO app", "REVOKE UPDATE ON shop.* FROM app")
			b.rotate(p)
		}
	})
}
