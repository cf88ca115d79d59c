package account

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rotate-user/rotate-user/internal/grants"
)

// ops creates an administrator with the given rights and logs in as it.
func (b *bench) ops(grants ...string) *Admin {
	b.Helper()
	b.exec("CREATE USER ops IDENTIFIED BY 'Ops-1'")
	for _, g := range grants {
		b.exec(strings.Replace(g, "%s", "ops", 1))
	}
	return b.login("ops", "Ops-1")
}

// least is what docs/worker.md grants an administrator, in addition to the accounts' own rights
// with grant option.
var least = []string{"GRANT CREATE USER ON *.* TO %s", "GRANT SELECT ON mysql.* TO %s"}

func TestLeastAdministrator(t *testing.T) {
	each(t, func(b *bench) {
		b.exec("CREATE USER app IDENTIFIED BY 'Aa1-first'", "CREATE ROLE r1", "CREATE ROLE r2",
			"GRANT SELECT, INSERT ON shop.* TO app", "GRANT UPDATE (total) ON shop.orders TO app", "GRANT EXECUTE ON PROCEDURE shop.close TO app",
			"GRANT PROCESS ON *.* TO app", "GRANT r1 TO app", "ALTER USER app REQUIRE SSL WITH MAX_USER_CONNECTIONS 5")
		given := append(slices.Clone(least), "GRANT SELECT, INSERT ON shop.* TO %s WITH GRANT OPTION",
			"GRANT UPDATE (total) ON shop.orders TO %s WITH GRANT OPTION",
			"GRANT EXECUTE ON PROCEDURE shop.close TO %s WITH GRANT OPTION", "GRANT PROCESS ON *.* TO %s WITH GRANT OPTION",
			"GRANT r1 TO %s WITH ADMIN OPTION")
		if !b.maria {
			b.exec("GRANT BACKUP_ADMIN ON *.* TO app", "SET DEFAULT ROLE r1 TO app")
			given = append(given, "GRANT BACKUP_ADMIN ON *.* TO %s WITH GRANT OPTION")
		}
		b.admin = b.ops(given...)
		b.rotate(pair)
		b.exec("GRANT SELECT ON shop.orders TO app_clone", "REVOKE INSERT ON shop.* FROM app_clone", "REVOKE r1 FROM app_clone")
		b.rotate(owned(pair))
		b.rotate(back(pair))
		b.same(owned(pair))
		if _, err := b.admin.Revoke(context.Background(), grants.Name{User: "app_clone", Host: "%"}, pair.Mark, nil); err != nil {
			b.Error(err)
		}
	})
}

// Before anything is written, the refusal names everything that the administrator lacks.
func TestMissingRights(t *testing.T) {
	tests := []struct {
		name   string
		engine string
		source []string // the rights of app
		admin  []string
		says   []string // empty if not refused
	}{
		{name: "cannot read", admin: []string{"GRANT CREATE USER ON *.* TO %s"},
			says: []string{"lacks SELECT on `mysql`.*: GRANT SELECT ON `mysql`.* TO 'ops'@'%'. "}},
		{name: "nothing", says: []string{"SELECT on `mysql`.*; CREATE USER on *.*",
			"GRANT SELECT ON `mysql`.* TO 'ops'@'%'; GRANT CREATE USER ON *.* TO 'ops'@'%'", "WITH GRANT OPTION", "SYSTEM_USER"}},
		{name: "one table", admin: []string{"GRANT SELECT ON mysql.db TO %s"},
			says: []string{"GRANT SELECT ON `mysql`.* TO 'ops'@'%'; GRANT CREATE USER ON *.* TO 'ops'@'%'"}},
		{name: "some columns", engine: "mysql", admin: []string{"GRANT SELECT ON mysql.db TO %s",
			"GRANT SELECT (User, Host) ON mysql.user TO %s"},
			says: []string{"GRANT SELECT ON `mysql`.* TO 'ops'@'%'; GRANT CREATE USER ON *.* TO 'ops'@'%'"}},
		{name: "cannot read, creates by a role", source: []string{"CREATE ROLE masters", "GRANT CREATE USER ON *.* TO masters"},
			admin: []string{"GRANT masters TO %s", "mysql:SET DEFAULT ROLE masters TO %s", "mariadb:SET DEFAULT ROLE masters FOR %s"},
			says:  []string{"lacks SELECT on `mysql`.*: GRANT SELECT ON `mysql`.* TO 'ops'@'%'. "}},
		{name: "can read only", engine: "mysql", source: []string{"GRANT SELECT, SYSTEM_USER ON *.* TO app"}, admin: least[1:],
			says: []string{"CREATE USER on *.*", "SYSTEM_USER, because 'app'@'%' has it", "SELECT on *.* with grant option",
				"SYSTEM_USER on *.* with grant option"}},
		{name: "cannot create", admin: least[1:], says: []string{"CREATE USER on *.*"}},
		{name: "database", source: []string{"GRANT SELECT, INSERT ON shop.* TO app"},
			admin: append(slices.Clone(least), "GRANT SELECT ON shop.* TO %s WITH GRANT OPTION"),
			says:  []string{"INSERT on `shop`.* with grant option"}},
		{name: "no grant option", source: []string{"GRANT SELECT ON shop.* TO app"},
			admin: append(slices.Clone(least), "GRANT SELECT ON shop.* TO %s"), says: []string{"SELECT on `shop`.* with grant option"}},
		{name: "several", source: []string{"GRANT SELECT ON shop.* TO app", "GRANT UPDATE (total) ON shop.orders TO app"}, admin: least,
			says: []string{"SELECT on `shop`.*", "UPDATE (`total`) on `shop`.`orders`"}},
		{name: "wider", source: []string{"GRANT SELECT (id) ON shop.orders TO app", "GRANT INSERT ON `sh\\_p`.* TO app"},
			admin: append(slices.Clone(least), "GRANT SELECT, INSERT ON `sh%%`.* TO %s WITH GRANT OPTION")},
		{name: "another pattern", source: []string{"GRANT INSERT ON `sh\\_p`.* TO app"},
			admin: append(slices.Clone(least), "GRANT INSERT ON `so%%`.* TO %s WITH GRANT OPTION"), says: []string{"INSERT"}},
		{name: "role", source: []string{"CREATE ROLE r1", "GRANT r1 TO app"}, admin: append(slices.Clone(least), "GRANT r1 TO %s"),
			says: []string{"role", "r1", "with admin option"}},
		{name: "proxy", source: []string{"CREATE USER other", "GRANT PROXY ON other TO app"},
			admin: append(slices.Clone(least), "GRANT PROXY ON other TO %s"), says: []string{"PROXY on 'other'@'%'"}},
		{name: "proxy to give", source: []string{"CREATE USER other", "GRANT PROXY ON other TO app"},
			admin: append(slices.Clone(least), "GRANT PROXY ON other TO %s WITH GRANT OPTION", "REVOKE GRANT OPTION ON *.* FROM %s")},
		{name: "dynamic", engine: "mysql", source: []string{"GRANT BACKUP_ADMIN ON *.* TO app"},
			admin: append(slices.Clone(least), "GRANT BACKUP_ADMIN ON *.* TO %s"), says: []string{"BACKUP_ADMIN on *.* with grant option"}},
		{name: "dynamic to pass on", engine: "mysql", source: []string{"GRANT BACKUP_ADMIN ON *.* TO app WITH GRANT OPTION"},
			admin: append(slices.Clone(least), "GRANT BACKUP_ADMIN ON *.* TO %s WITH GRANT OPTION"), says: []string{"GRANT OPTION on *.*"}},
		{name: "columns", source: []string{"GRANT SELECT (id), UPDATE (id, total), DELETE ON shop.orders TO app"},
			admin: append(slices.Clone(least), "GRANT SELECT (id), UPDATE (id, total), DELETE ON shop.orders TO %s WITH GRANT OPTION")},
		{name: "system user", engine: "mysql", source: []string{"GRANT SYSTEM_USER ON *.* TO app"},
			admin: append(slices.Clone(least), "GRANT SELECT ON *.* TO %s"), says: []string{"SYSTEM_USER, because 'app'@'%' has it"}},
		{name: "role's system user", engine: "mysql", source: []string{"CREATE ROLE r1", "GRANT SYSTEM_USER ON *.* TO r1", "GRANT r1 TO app"},
			admin: append(slices.Clone(least), "GRANT ROLE_ADMIN ON *.* TO %s"), says: []string{"SYSTEM_USER"}},
		{name: "by a role", source: []string{"GRANT SELECT ON shop.* TO app", "CREATE ROLE masters",
			"GRANT SELECT ON *.* TO masters WITH GRANT OPTION", "GRANT CREATE USER ON *.* TO masters"},
			admin: []string{"mysql:GRANT masters TO %s", "mysql:SET DEFAULT ROLE masters TO %s", "mariadb:GRANT masters TO %s",
				"mariadb:SET DEFAULT ROLE masters FOR %s"}},
		{name: "by a role's role", source: []string{"GRANT SELECT ON shop.* TO app", "CREATE ROLE masters", "CREATE ROLE grand",
			"GRANT SELECT ON *.* TO masters WITH GRANT OPTION", "GRANT CREATE USER ON *.* TO masters", "GRANT masters TO grand"},
			admin: []string{"mysql:GRANT grand TO %s", "mysql:SET DEFAULT ROLE grand TO %s", "mariadb:GRANT grand TO %s",
				"mariadb:SET DEFAULT ROLE grand FOR %s"}},
		{name: "default role", engine: "mariadb", source: []string{"CREATE ROLE r1", "GRANT r1 TO app", "SET DEFAULT ROLE r1 FOR app"},
			admin: append(slices.Clone(least), "GRANT r1 TO %s WITH ADMIN OPTION"), says: []string{"UPDATE on `mysql`.*"}},
		{name: "default role to set", engine: "mariadb", source: []string{"CREATE ROLE r1", "GRANT r1 TO app", "SET DEFAULT ROLE r1 FOR app"},
			admin: append(slices.Clone(least), "GRANT r1 TO %s WITH ADMIN OPTION", "GRANT UPDATE ON mysql.* TO %s")},
		{name: "dynamic by writing tables", engine: "mysql", source: []string{"GRANT BACKUP_ADMIN ON *.* TO app"},
			admin: append(slices.Clone(least), "GRANT UPDATE ON mysql.* TO %s")},
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
				b.exec("CREATE USER app IDENTIFIED BY 'Aa1-first'", "CREATE USER ops IDENTIFIED BY 'Ops-1'")
				b.setup(tt.source)
				for _, g := range tt.admin {
					b.setup([]string{fmt.Sprintf(g, "ops")})
				}
				admin := b.login("ops", "Ops-1")
				before := b.everything()
				_, err := admin.Sync(ctx, pair)
				if tt.says == nil {
					if err != nil {
						t.Error(err)
					}
					return
				}
				if !refused(err, grants.MissingRight) {
					t.Fatalf("got %v, want a refusal", err)
				}
				for _, says := range tt.says {
					if !strings.Contains(err.Error(), says) {
						t.Errorf("%q does not say %q", err, says)
					}
				}
				if diff := cmp.Diff(before, b.everything()); diff != "" {
					t.Errorf("the refused call wrote (-before +after):\n%s", diff)
				}
			})
		}
	})
}

// Like a cloud's administrator, this one has everything but SUPER, SYSTEM_USER and the schema
// mysql, by a role.
func TestCloudAdministrator(t *testing.T) {
	each(t, func(b *bench) {
		ctx := context.Background()
		if b.maria {
			b.Skip("has no partial revokes")
		}
		b.exec("SET GLOBAL partial_revokes = ON")
		b.Cleanup(func() { b.clean(); b.exec("SET GLOBAL partial_revokes = OFF") })
		b.exec("CREATE ROLE cloud_role", "GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, RELOAD, PROCESS, REFERENCES, INDEX, ALTER, "+
			"SHOW DATABASES,"+
			" CREATE TEMPORARY TABLES, LOCK TABLES, EXECUTE, CREATE VIEW, SHOW VIEW, CREATE ROUTINE, ALTER ROUTINE, CREATE USER, EVENT, "+
			"TRIGGER ON *.* TO cloud_role WITH GRANT OPTION",
			"GRANT ROLE_ADMIN, SESSION_VARIABLES_ADMIN ON *.* TO cloud_role WITH GRANT OPTION",
			"REVOKE INSERT, UPDATE, DELETE, CREATE, DROP, ALTER ON mysql.* FROM cloud_role")
		b.exec("CREATE USER app IDENTIFIED BY 'Aa1-first'", "CREATE ROLE r1", "GRANT r1 TO app", "GRANT SELECT ON *.* TO app",
			"GRANT ALL ON shop.* TO app", "GRANT SESSION_VARIABLES_ADMIN ON *.* TO app")
		b.exec("CREATE USER ops IDENTIFIED BY 'Ops-1'", "GRANT cloud_role TO ops", "SET DEFAULT ROLE cloud_role TO ops")
		root := b.admin
		b.admin = b.login("ops", "Ops-1")
		b.rotate(pair)
		b.same(owned(pair))
		b.rotate(back(pair))

		b.exec("GRANT INSERT ON *.* TO app")
		unrestricted := b.everything()
		if _, err := b.admin.Sync(ctx, owned(pair)); !refused(err, grants.MissingRight) || !strings.Contains(err.Error(), "INSERT on `mysql`.*") {
			b.Errorf("a right that is restricted for the administrator gives %v", err)
		}
		if diff := cmp.Diff(unrestricted, b.everything()); diff != "" {
			b.Errorf("the refused call wrote (-before +after):\n%s", diff)
		}
		b.exec("REVOKE INSERT ON mysql.* FROM app")
		b.rotate(grants.Pair{Source: grants.Name{User: "app", Host: "%"}, Standby: "app_clone", Owned: true, Mark: "m"})
		b.admin = root
		b.same(owned(pair))
	})
}

// The server does not let a restricted administrator revoke global rights from an account without
// the same restriction (error 3879). The plan foresees that, and names what to run.
func TestARestrictedAdministratorCannotRevoke(t *testing.T) {
	each(t, func(b *bench) {
		ctx := context.Background()
		if b.maria {
			b.Skip("has no partial revokes")
		}
		b.exec("SET GLOBAL partial_revokes = ON")
		b.Cleanup(func() { b.clean(); b.exec("SET GLOBAL partial_revokes = OFF") })
		b.exec("CREATE USER app IDENTIFIED BY 'Aa1-first'", "GRANT SELECT ON shop.* TO app")
		b.rotate(pair)
		b.exec("CREATE USER ops IDENTIFIED BY 'Ops-1'", "GRANT ALL ON *.* TO ops WITH GRANT OPTION",
			"REVOKE SUPER ON *.* FROM ops", "REVOKE INSERT, UPDATE ON mysql.* FROM ops")
		ops := func() *Admin { return b.login("ops", "Ops-1") }
		for _, tt := range []struct {
			drift   []string // by an unrestricted administrator
			refused string   // what the refusal says to run; empty if there is none
		}{
			{[]string{"GRANT SELECT ON *.* TO app_clone"}, ""},
			{[]string{"GRANT INSERT ON *.* TO app_clone"}, "REVOKE INSERT ON *.* FROM 'app_clone'@'%'"},
			{[]string{"GRANT INSERT ON *.* TO app_clone", "REVOKE INSERT ON mysql.* FROM app_clone"}, ""},
			{[]string{"GRANT SESSION_VARIABLES_ADMIN ON *.* TO app_clone"}, "REVOKE SESSION_VARIABLES_ADMIN ON *.* FROM 'app_clone'@'%'"},
			{[]string{"GRANT SESSION_VARIABLES_ADMIN ON *.* TO app_clone", "GRANT DELETE ON *.* TO app_clone",
				"REVOKE DELETE ON shop.* FROM app_clone"}, ""},
		} {
			b.exec(tt.drift...)
			b.admin = ops()
			before := b.everything()
			_, err := b.admin.Plan(ctx, owned(pair))
			if tt.refused == "" {
				if err != nil {
					b.Errorf("after %q, the plan is refused: %v", tt.drift, err)
				}
				b.rotate(owned(pair))
				continue
			}
			for _, err := range []error{err, func() error { _, err := b.admin.Sync(ctx, owned(pair)); return err }()} {
				if !refused(err, grants.MissingRight) || !strings.HasSuffix(err.Error(), "and run "+tt.refused) {
					b.Errorf("after %q, got %v: want a refusal that says to run %s", tt.drift, err, tt.refused)
				}
			}
			if diff := cmp.Diff(before, b.everything()); diff != "" {
				b.Errorf("the refused call wrote (-before +after):\n%s", diff)
			}
			if e := b.try("ops", "Ops-1", tt.refused); e == nil || e.Number != 3879 {
				b.Errorf("%s by the restricted administrator gives %v: want error 3879", tt.refused, e)
			}
			b.exec(tt.refused)
			b.admin = ops()
			b.same(owned(pair))
		}
	})
}
