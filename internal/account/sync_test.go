package account

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/rotate-user/rotate-user/internal/grants"
)

// sources are accounts with every kind of right and property. Statements that begin with "mysql:"
// or "mariadb:" are only for that server, as is a source with an engine.
var sources = []struct {
	name       string
	engine     string
	statements []string
	drift      []string // changes to app_clone between two rotations
}{
	{name: "nothing", statements: nil},
	{name: "global", statements: []string{"GRANT SELECT, INSERT, PROCESS, RELOAD, CREATE USER ON *.* TO app"},
		drift: []string{"REVOKE SELECT ON *.* FROM app_clone", "GRANT SHUTDOWN ON *.* TO app_clone"}},
	{name: "global all", statements: []string{"GRANT ALL ON *.* TO app WITH GRANT OPTION"},
		drift: []string{"REVOKE GRANT OPTION ON *.* FROM app_clone"}},
	{name: "global grant option alone", statements: []string{"GRANT USAGE ON *.* TO app WITH GRANT OPTION"}},
	{name: "database", statements: []string{"GRANT ALL ON shop.* TO app",
		"GRANT SELECT, CREATE TEMPORARY TABLES ON `sh\\_p`.* TO app WITH GRANT OPTION",
		"GRANT SHOW VIEW ON `sh%`.* TO app"},
		drift: []string{"REVOKE LOCK TABLES ON shop.* FROM app_clone", "GRANT GRANT OPTION ON shop.* TO app_clone",
			"GRANT SELECT ON other.* TO app_clone"}},
	{name: "table and column", statements: []string{"GRANT SELECT (id, buyer), INSERT, UPDATE (total), " +
		"REFERENCES (id) ON shop.orders TO app WITH GRANT OPTION"},
		drift: []string{"REVOKE SELECT (id), INSERT ON shop.orders FROM app_clone", "GRANT UPDATE (id), DELETE ON shop.orders TO app_clone"}},
	{name: "table that is gone", statements: []string{"CREATE TABLE shop.gone (a INT)", "GRANT SELECT, UPDATE ON shop.gone TO app",
		"DROP TABLE shop.gone",
		"CREATE TABLE shop.gone2 (a INT)", "GRANT SELECT, CREATE ON shop.gone2 TO app", "DROP TABLE shop.gone2"}},
	{name: "routine", statements: []string{"GRANT EXECUTE, ALTER ROUTINE ON PROCEDURE shop.close TO app",
		"GRANT EXECUTE ON FUNCTION shop.tax TO app WITH GRANT OPTION"},
		drift: []string{"REVOKE EXECUTE ON PROCEDURE shop.close FROM app_clone", "GRANT ALTER ROUTINE ON FUNCTION shop.tax TO app_clone"}},
	{name: "proxy", statements: []string{"CREATE USER other", "GRANT PROXY ON other TO app"},
		drift: []string{"REVOKE PROXY ON other FROM app_clone", "CREATE USER third", "GRANT PROXY ON third TO app_clone WITH GRANT OPTION"}},
	{name: "proxy with grant option in memory", statements: []string{"CREATE USER other", "GRANT PROXY ON other TO app",
		"GRANT USAGE ON *.* TO app WITH GRANT OPTION"},
		drift: []string{"GRANT PROXY ON other TO app_clone WITH GRANT OPTION"}},
	{name: "proxy with grant option", statements: []string{"CREATE USER other", "GRANT PROXY ON other TO app WITH GRANT OPTION",
		"REVOKE GRANT OPTION ON *.* FROM app"}},
	{name: "roles", statements: []string{"CREATE ROLE r1, r2", "mariadb:CREATE ROLE r3", "GRANT r1 TO app",
		"GRANT r2 TO app WITH ADMIN OPTION",
		"mysql:SET DEFAULT ROLE r1, r2 TO app", "mariadb:SET DEFAULT ROLE r1 FOR app"},
		drift: []string{"REVOKE r1 FROM app_clone", "mysql:GRANT r1 TO app_clone WITH ADMIN OPTION", "mysql:SET DEFAULT ROLE NONE TO app_clone",
			"mariadb:SET DEFAULT ROLE NONE FOR app_clone", "mariadb:GRANT r1 TO app_clone WITH ADMIN OPTION"}},
	{name: "default role no longer granted", engine: "mariadb",
		statements: []string{"CREATE ROLE r1", "GRANT r1 TO app", "SET DEFAULT ROLE r1 FOR app", "REVOKE r1 FROM app"},
		drift:      []string{"SET DEFAULT ROLE NONE FOR app_clone"}},
	{name: "mandatory role as default", engine: "mysql",
		statements: []string{"CREATE ROLE r1", "SET GLOBAL mandatory_roles = 'r1'", "SET DEFAULT ROLE r1 TO app"},
		drift:      []string{"SET DEFAULT ROLE NONE TO app_clone"}},
	{name: "library", engine: "mysql", statements: []string{"CREATE LIBRARY shop.lib LANGUAGE JAVASCRIPT AS 'x'",
		"GRANT EXECUTE ON LIBRARY shop.lib TO app WITH GRANT OPTION"},
		drift: []string{"REVOKE EXECUTE ON LIBRARY shop.lib FROM app_clone"}},
	{name: "unregistered dynamic", engine: "mysql", statements: []string{"INSERT INTO mysql.global_grants VALUES ('app', '%', " +
		"'MOON_ADMIN', 'Y')", "FLUSH PRIVILEGES"},
		drift: []string{"REVOKE MOON_ADMIN ON *.* FROM app_clone"}},
	{name: "objects gone on the standby alone", statements: nil,
		drift: []string{"CREATE TABLE shop.t (a INT, b INT)", "GRANT SELECT (a), INSERT ON shop.t TO app_clone",
			"ALTER TABLE shop.t DROP COLUMN a",
			"CREATE TABLE shop.u (a INT)", "GRANT SELECT, UPDATE (a) ON shop.u TO app_clone", "DROP TABLE shop.u", "CREATE DATABASE gone",
			"GRANT ALL ON gone.* TO app_clone", "DROP DATABASE gone",
			"CREATE ROLE r9", "GRANT r9 TO app_clone", "DROP ROLE r9"}},
	{name: "proxy for any user", statements: []string{"GRANT PROXY ON '' TO app", "GRANT PROXY ON app TO app"}},
	{name: "used by others", statements: []string{"CREATE USER other", "GRANT PROXY ON app TO other", "mysql:GRANT app TO other"}},
	{name: "tls", statements: []string{"ALTER USER app REQUIRE SSL"}, drift: []string{"ALTER USER app_clone REQUIRE NONE"}},
	{name: "tls in full", statements: []string{`ALTER USER app REQUIRE SUBJECT '/CN=a''b\\c%s äé' ISSUER 'O= TO "x"' CIPHER 'AES256-SHA'`},
		drift: []string{"ALTER USER app_clone REQUIRE X509"}},
	{name: "limits", statements: []string{"ALTER USER app WITH MAX_QUERIES_PER_HOUR 9000 MAX_UPDATES_PER_HOUR 8000 " +
		"MAX_CONNECTIONS_PER_HOUR 7000 MAX_USER_CONNECTIONS 60",
		"mariadb:ALTER USER app WITH MAX_STATEMENT_TIME 1.5"},
		drift: []string{"ALTER USER app_clone WITH MAX_UPDATES_PER_HOUR 1"}},
	{name: "expiry", statements: []string{"ALTER USER app PASSWORD EXPIRE INTERVAL 90 DAY"},
		drift: []string{"ALTER USER app_clone PASSWORD EXPIRE NEVER", "ALTER USER app_clone PASSWORD EXPIRE"}},
	{name: "never expires", statements: []string{"ALTER USER app PASSWORD EXPIRE NEVER"},
		drift: []string{"ALTER USER app_clone PASSWORD EXPIRE DEFAULT"}},
	{name: "password policy", engine: "mysql", statements: []string{"ALTER USER app PASSWORD HISTORY 5 PASSWORD REUSE INTERVAL 30 DAY " +
		"PASSWORD REQUIRE CURRENT" +
		" FAILED_LOGIN_ATTEMPTS 3 PASSWORD_LOCK_TIME UNBOUNDED"},
		drift: []string{"ALTER USER app_clone PASSWORD HISTORY DEFAULT PASSWORD REQUIRE CURRENT OPTIONAL FAILED_LOGIN_ATTEMPTS 0 " +
			"PASSWORD_LOCK_TIME 0"}},
	{name: "failed logins", engine: "mysql", statements: []string{"ALTER USER app FAILED_LOGIN_ATTEMPTS 7 PASSWORD_LOCK_TIME 2"}},
	{name: "attribute", engine: "mysql", statements: []string{`ALTER USER app ATTRIBUTE '{"team": "a\\\\b''c😀", "deep": {"x": [1, 2.50, null, {"y": null}]}, "n": 12345678901234567890}'`, "ALTER USER app COMMENT 'it''s'"},
		drift: []string{`ALTER USER app_clone ATTRIBUTE '{"team": {"now": "an object"}, "more": 1, "deep": {"x": 1, "z": 2}}'`,
			"ALTER USER app_clone COMMENT 'other'"}},
	{name: "attribute on the standby alone", engine: "mysql", drift: []string{`ALTER USER app_clone ATTRIBUTE '{"more": 1}'`}},
	{name: "dynamic", engine: "mysql", statements: []string{"GRANT BACKUP_ADMIN, CONNECTION_ADMIN ON *.* TO app",
		"GRANT XA_RECOVER_ADMIN ON *.* TO app WITH GRANT OPTION"},
		drift: []string{"REVOKE BACKUP_ADMIN ON *.* FROM app_clone",
			"GRANT CONNECTION_ADMIN, CLONE_ADMIN ON *.* TO app_clone WITH GRANT OPTION"}},
	{name: "dynamic without and global with grant option", engine: "mysql",
		statements: []string{"GRANT SELECT ON *.* TO app WITH GRANT OPTION", "GRANT BACKUP_ADMIN ON *.* TO app",
			"GRANT CLONE_ADMIN ON *.* TO app WITH GRANT OPTION"},
		drift: []string{"REVOKE GRANT OPTION ON *.* FROM app_clone"}},
	{name: "second password", engine: "mysql", drift: []string{"ALTER USER app_clone IDENTIFIED BY 'Leaked-1' RETAIN CURRENT PASSWORD"}},
	{name: "plugin", engine: "mysql", statements: []string{"ALTER USER app IDENTIFIED WITH sha256_password BY 'Aa1-first'"},
		drift: []string{"ALTER USER app_clone IDENTIFIED WITH caching_sha2_password BY 'Bb2-other'"}},
	{name: "plugin", engine: "mariadb", statements: []string{"INSTALL SONAME 'auth_ed25519'",
		"ALTER USER app IDENTIFIED VIA ed25519 USING PASSWORD('Aa1-first')"},
		drift: []string{"ALTER USER app_clone IDENTIFIED VIA mysql_native_password USING PASSWORD('x')"}},
	{name: "packages", engine: "mariadb", statements: []string{"SET sql_mode=ORACLE", "CREATE PACKAGE shop.pack AS PROCEDURE p(); END",
		"CREATE PACKAGE BODY shop.pack AS PROCEDURE p() AS BEGIN SELECT 1; END; END",
		"GRANT EXECUTE ON PACKAGE shop.pack TO app", "GRANT EXECUTE, ALTER ROUTINE ON PACKAGE BODY shop.pack TO app WITH GRANT OPTION",
		"SET sql_mode=DEFAULT"}},
	{name: "history", engine: "mariadb", statements: []string{"GRANT DELETE HISTORY ON shop.orders TO app",
		"GRANT DELETE HISTORY ON shop.* TO app", "GRANT BINLOG MONITOR, SET USER, READ_ONLY ADMIN ON *.* TO app"}},
	{name: "names", statements: []string{"CREATE DATABASE `a TO ``b%`", "CREATE TABLE `a TO ``b%`.`t'\\\"é漢` (`c TO ``'\\é` INT)",
		"GRANT SELECT ON `a TO ``b%`.* TO app", "GRANT INSERT, SELECT (`c TO ``'\\é`) ON `a TO ``b%`.`t'\\\"é漢` TO app",
		"CREATE PROCEDURE `a TO ``b%`.`p'\\ TO` () SELECT 1", "GRANT EXECUTE ON PROCEDURE `a TO ``b%`.`p'\\ TO` TO app",
		"CREATE PROCEDURE `a TO ``b%`.`日本 é€Ж` () SELECT 1", "GRANT EXECUTE ON PROCEDURE `a TO ``b%`.`日本 é€Ж` TO app",
		"CREATE ROLE `r'\\`, `r2 TO %`", "GRANT `r'\\` TO app", "GRANT `r2 TO %` TO app WITH ADMIN OPTION"}},
}

func (b *bench) setup(statements []string) {
	b.Helper()
	for _, s := range statements {
		if rest, ok := strings.CutPrefix(s, "mysql:"); ok {
			if b.maria {
				continue
			}
			s = rest
		} else if rest, ok := strings.CutPrefix(s, "mariadb:"); ok {
			if !b.maria {
				continue
			}
			s = rest
		}
		b.exec(s)
	}
}

// There are two rotations, the second back to the first account, with changes to either account in
// between.
func TestSync(t *testing.T) {
	each(t, func(b *bench) {
		b.root.SetMaxOpenConns(1) // some accounts need session settings
		outer := b.T
		for _, tt := range sources {
			if tt.engine != "" && tt.engine != b.server.Engine {
				continue
			}
			outer.Run(tt.name, func(t *testing.T) {
				b.T = t
				defer func() { b.T = outer }()
				b.clean()
				b.exec("CREATE USER app IDENTIFIED BY 'Aa1-first'")
				b.setup(tt.statements)

				plan := b.rotate(withCertificate(b, pair))
				if !plan.Create {
					t.Error("the standby was not created")
				}
				b.same(owned(pair))
				b.setup(tt.drift)
				plan = b.rotate(owned(pair))
				if (len(plan.Changes) > 0) != (len(tt.drift) > 0) && tt.name != "second password" {
					t.Errorf("drift %q, changes %+v", tt.drift, plan.Changes)
				}
				b.same(owned(pair))

				b.exec("GRANT TRIGGER ON shop.* TO app_clone")
				plan = b.rotate(back(pair))
				if len(plan.Changes) != 1 || !strings.HasPrefix(plan.Changes[0].Statement, "GRANT TRIGGER") {
					if tt.name != "database" {
						t.Errorf("changes %+v", plan.Changes)
					}
				}
				b.exec("REVOKE TRIGGER ON shop.* FROM app")
				b.rotate(owned(pair))
			})
		}
	})
}

// A right that is in the server's memory but no longer in its tables is revoked from the standby.
func TestSyncMemory(t *testing.T) {
	each(t, func(b *bench) {
		if b.maria {
			b.Skip("has no dynamic rights")
		}
		b.exec("CREATE USER app", "GRANT SELECT ON *.* TO app")
		b.rotate(pair)
		b.exec("GRANT BACKUP_ADMIN ON *.* TO app_clone", "GRANT GRANT OPTION ON *.* TO app_clone", "REVOKE BACKUP_ADMIN ON *.* FROM app_clone",
			"REVOKE GRANT OPTION ON *.* FROM app_clone")
		if got := b.rows("SELECT * FROM mysql.global_grants WHERE USER = 'app_clone'"); len(got) > 0 {
			b.Fatalf("the tables still have %v: the test no longer tests anything", got)
		}
		if got := strings.Join(b.shown(grants.Name{User: "app_clone", Host: "%"}), "\n"); !strings.Contains(got, "BACKUP_ADMIN") {
			b.Skip("this server's memory agrees with its tables")
		}
		b.rotate(owned(pair))
		b.same(owned(pair))
		b.exec("ALTER USER app_clone PASSWORD EXPIRE INTERVAL 9 DAY", "ALTER USER app_clone PASSWORD EXPIRE DEFAULT")
		b.rotate(owned(pair))
		b.same(owned(pair))
	})
}

func TestSyncPartialRevokes(t *testing.T) {
	each(t, func(b *bench) {
		if b.maria {
			b.Skip("has no partial revokes")
		}
		b.exec("SET GLOBAL partial_revokes = ON")
		b.Cleanup(func() { b.clean(); b.exec("SET GLOBAL partial_revokes = OFF") })
		b.exec("CREATE USER app", "CREATE DATABASE `od_d%`", "GRANT SELECT, INSERT, DELETE ON *.* TO app",
			"REVOKE SELECT, INSERT ON mysql.* FROM app", "REVOKE DELETE ON `od_d%`.* FROM app",
			"GRANT SELECT, UPDATE ON `od_d%`.* TO app", "GRANT CREATE ON shop.* TO app")
		b.rotate(pair)
		b.same(owned(pair))
		b.exec("GRANT SELECT ON mysql.* TO app_clone", "REVOKE INSERT ON shop.* FROM app_clone", "GRANT UPDATE ON *.* TO app_clone",
			"REVOKE UPDATE ON mysql.* FROM app_clone",
			"REVOKE DELETE ON *.* FROM app_clone")
		b.rotate(owned(pair))
		b.same(owned(pair))
		b.exec("GRANT INSERT ON mysql.* TO app_clone", "GRANT DELETE ON shop.* TO app_clone", "REVOKE SELECT ON *.* FROM app_clone")
		b.rotate(back(pair))
		b.same(back(pair))
	})
}

func withCertificate(b *bench, p grants.Pair) grants.Pair {
	if b.dialer.Certificates == nil {
		c, err := b.server.ClientCertificate("app")
		if err != nil {
			b.Fatal(err)
		}
		b.dialer.Certificates = append(b.dialer.Certificates, c)
	}
	return p
}

// same checks that a pair in sync has nothing to change, and that nothing is written to it.
func (b *bench) same(p grants.Pair) {
	b.Helper()
	before := b.everything()
	plan, err := b.admin.Sync(context.Background(), p)
	if err != nil {
		b.Fatal(err)
	}
	if len(plan.Changes) > 0 {
		b.Errorf("a pair in sync has changes: %+v", plan.Changes)
	}
	if after := b.everything(); strings.Join(before, "\n") != strings.Join(after, "\n") {
		b.Error("a pair in sync was written to")
	}
}

// The login with the current credential does not wait until the rights are read.
func TestTheLoginDoesNotWaitForTheRights(t *testing.T) {
	each(t, func(b *bench) {
		b.exec("CREATE USER app IDENTIFIED BY 'Aa1-first'")
		b.rotate(pair)
		blocker, err := b.root.Conn(t.Context())
		if err != nil {
			b.Fatal(err)
		}
		defer blocker.Close()
		if _, err := blocker.ExecContext(t.Context(), "LOCK TABLES mysql.procs_priv WRITE"); err != nil {
			b.Fatal(err)
		}
		unlock := func() error {
			_, err := blocker.ExecContext(context.WithoutCancel(t.Context()), "UNLOCK TABLES")
			return err
		}
		p := owned(pair)
		p.Proof = unlock
		if _, err := b.admin.Sync(t.Context(), p); err != nil {
			b.Error(errors.Join(err, unlock()))
		}
	})
}
