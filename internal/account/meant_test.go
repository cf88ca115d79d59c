package account

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rotate-user/rotate-user/internal/grants"
)

// based is the pair while the clone is current, with what a workflow remembers from the last
// rotation.
func based(last *grants.Plan) grants.Pair {
	p := back(pair)
	p.Base, p.Digest, p.Rights = true, last.Digest, last.Rights
	return p
}

// Changes made to the account with the base name while its clone is current are meant for both.
func TestChangesOfTheBaseName(t *testing.T) {
	const (
		inUse = " TO 'app_clone'@'%'"
		base  = " FROM 'app'@'%'"
	)
	tests := []struct {
		name       string
		engine     string
		setup      []string // before the last rotation, for app
		statements []string // after it
		pair       func(*grants.Pair)
		given      []string // statements for the current account
		changes    []string // statements for the standby
		held       []string // in the refusal; nil if there is none
		undone     []string // statements of a rotation with UndoDrift
	}{
		{name: "nothing"},
		{name: "a right added", statements: []string{"GRANT UPDATE, DELETE ON shop.orders TO app"},
			given: []string{"GRANT DELETE, UPDATE ON `shop`.`orders`" + inUse}},
		{name: "rights of every kind added", statements: []string{"CREATE ROLE r1", "GRANT r1 TO app", "GRANT SHUTDOWN ON *.* TO app",
			"GRANT SELECT (id) ON shop.orders TO app",
			"GRANT EXECUTE ON PROCEDURE shop.close TO app", "GRANT TRIGGER ON shop.* TO app"},
			given: []string{"GRANT SHUTDOWN ON *.*" + inUse, "GRANT TRIGGER ON `shop`.*" + inUse, "GRANT SELECT (`id`) ON `shop`.`orders`" + inUse,
				"GRANT EXECUTE ON PROCEDURE `shop`.`close`" + inUse, "GRANT r1" + inUse}},
		{name: "dynamic right added", engine: "mysql", statements: []string{"GRANT BACKUP_ADMIN ON *.* TO app"},
			given: []string{"GRANT BACKUP_ADMIN ON *.*" + inUse}},
		{name: "options added", setup: []string{"CREATE ROLE r1", "GRANT r1 TO app"},
			statements: []string{"GRANT r1 TO app WITH ADMIN OPTION", "GRANT USAGE ON shop.* TO app WITH GRANT OPTION"},
			given:      []string{"GRANT GRANT OPTION ON `shop`.*" + inUse, "GRANT r1" + inUse + " WITH ADMIN OPTION"}},
		{name: "both given the same", statements: []string{"GRANT UPDATE ON shop.* TO app, app_clone"}},
		{name: "a right removed", statements: []string{"REVOKE INSERT ON shop.* FROM app"},
			held: []string{"'app'@'%' was changed since the last rotation, while 'app_clone'@'%' is the current account: " +
				"it lost INSERT on `shop`.*. Either run REVOKE INSERT ON `shop`.* FROM 'app_clone'@'%'," +
				" or run GRANT INSERT ON `shop`.* TO 'app'@'%'; `starter rotate --undo-drift` does the latter"},
			undone: []string{"GRANT INSERT ON `shop`.* TO 'app'@'%'"}},
		{name: "a role removed", setup: []string{"CREATE ROLE r1", "GRANT r1 TO app"}, statements: []string{"REVOKE r1 FROM app"},
			held:   []string{"it lost ", "REVOKE r1 FROM 'app_clone'@'%'", "GRANT r1 TO 'app'@'%'"},
			undone: []string{"GRANT r1 TO 'app'@'%'"}},
		{name: "an option removed", setup: []string{"GRANT USAGE ON shop.* TO app WITH GRANT OPTION"},
			statements: []string{"REVOKE GRANT OPTION ON shop.* FROM app"},
			held:       []string{"REVOKE GRANT OPTION ON `shop`.* FROM 'app_clone'@'%'", "GRANT GRANT OPTION ON `shop`.* TO 'app'@'%'"},
			undone:     []string{"GRANT GRANT OPTION ON `shop`.* TO 'app'@'%'"}},
		{name: "one added and one removed", statements: []string{"GRANT UPDATE ON shop.* TO app", "REVOKE INSERT ON shop.* FROM app"},
			held:   []string{"REVOKE INSERT ON `shop`.* FROM 'app_clone'@'%'", "GRANT INSERT ON `shop`.* TO 'app'@'%'"},
			undone: []string{"GRANT INSERT ON `shop`.* TO 'app'@'%'", "REVOKE UPDATE ON `shop`.*" + base}},
		{name: "everything removed", statements: []string{"REVOKE ALL ON shop.* FROM app"},
			held:   []string{"REVOKE INSERT, SELECT ON `shop`.* FROM 'app_clone'@'%'"},
			undone: []string{"GRANT INSERT, SELECT ON `shop`.* TO 'app'@'%'"}},
		{name: "rights of a role that both have", setup: []string{"CREATE ROLE r1", "GRANT r1 TO app", "GRANT SELECT ON shop.* TO r1"},
			statements: []string{"GRANT UPDATE ON shop.* TO r1", "REVOKE SELECT ON shop.* FROM r1"}},
		{name: "a role set up for both", engine: "mysql", statements: []string{"CREATE ROLE r1", "GRANT r1 TO app, app_clone",
			"SET DEFAULT ROLE r1 TO app", "SET DEFAULT ROLE r1 TO app_clone", "GRANT UPDATE ON shop.* TO r1"}},
		{name: "a role set up for both", engine: "mariadb",
			statements: []string{"CREATE ROLE r1", "GRANT r1 TO app, app_clone", "SET DEFAULT ROLE r1 FOR app",
				"SET DEFAULT ROLE r1 FOR app_clone", "GRANT UPDATE ON shop.* TO r1"}},
		{name: "both accounts lost it", statements: []string{"REVOKE INSERT ON shop.* FROM app, app_clone"}},
		{name: "revoked from the current account", statements: []string{"REVOKE INSERT ON shop.* FROM app_clone"},
			changes: []string{"REVOKE INSERT ON `shop`.*" + base}},
		{name: "a routine created again", setup: []string{"GRANT EXECUTE ON PROCEDURE shop.close TO app"},
			statements: []string{"DROP PROCEDURE shop.close", "CREATE PROCEDURE shop.close() SELECT 2",
				"GRANT EXECUTE ON PROCEDURE shop.close TO app"},
			held: []string{"it has EXECUTE on PROCEDURE `shop`.`close`, which 'app_clone'@'%' lost",
				"GRANT EXECUTE ON PROCEDURE `shop`.`close` TO 'app_clone'@'%'",
				"REVOKE EXECUTE ON PROCEDURE `shop`.`close` FROM 'app'@'%'"},
			undone: []string{"REVOKE EXECUTE ON PROCEDURE `shop`.`close`" + base}},
		{name: "a role created again", setup: []string{"CREATE ROLE r1", "GRANT r1 TO app"},
			statements: []string{"DROP ROLE r1", "CREATE ROLE r1", "GRANT r1 TO app"},
			held:       []string{"which 'app_clone'@'%' lost", "GRANT r1 TO 'app_clone'@'%'", "REVOKE r1 FROM 'app'@'%'"},
			undone:     []string{"REVOKE r1" + base}},
		{name: "granted to the current account", statements: []string{"GRANT DROP ON shop.* TO app_clone"},
			changes: []string{"GRANT DROP ON `shop`.* TO 'app'@'%'"}},
		{name: "both changed", statements: []string{"GRANT UPDATE ON shop.* TO app", "GRANT DROP ON shop.* TO app_clone",
			"REVOKE INSERT ON shop.* FROM app_clone"},
			given:   []string{"GRANT UPDATE ON `shop`.*" + inUse},
			changes: []string{"GRANT DROP ON `shop`.* TO 'app'@'%'", "REVOKE INSERT ON `shop`.*" + base}},
		{name: "properties", statements: []string{"ALTER USER app WITH MAX_QUERIES_PER_HOUR 7"},
			changes: []string{"ALTER USER 'app'@'%' WITH MAX_QUERIES_PER_HOUR 0"}},
		{name: "default role", engine: "mysql", setup: []string{"CREATE ROLE r1", "GRANT r1 TO app"},
			statements: []string{"SET DEFAULT ROLE r1 TO app"},
			changes:    []string{"SET DEFAULT ROLE NONE TO 'app'@'%'"}},
		{name: "default role", engine: "mariadb", setup: []string{"CREATE ROLE r1", "GRANT r1 TO app"},
			statements: []string{"SET DEFAULT ROLE r1 FOR app"},
			changes:    []string{"SET DEFAULT ROLE NONE FOR 'app'@'%'"}},
		{name: "a part of a pattern", setup: []string{"GRANT SELECT, UPDATE ON `sh\\_p%`.* TO app"},
			statements: []string{"GRANT SELECT ON `sh\\_p1`.* TO app"},
			held: []string{"it was granted SELECT on `sh\\_p1`.*, which cannot be granted to 'app_clone'@'%' without revoking other rights",
				"GRANT SELECT ON `sh\\_p1`.* TO 'app_clone'@'%'", "REVOKE SELECT ON `sh\\_p1`.* FROM 'app'@'%'"},
			undone: []string{"REVOKE SELECT ON `sh\\_p1`.*" + base}},
		{name: "beside a pattern", setup: []string{"GRANT SELECT, UPDATE ON `sh\\_p%`.* TO app"},
			statements: []string{"GRANT SELECT ON stock.* TO app"},
			given:      []string{"GRANT SELECT ON `stock`.*" + inUse}},
		{name: "more on a pattern", setup: []string{"GRANT SELECT ON `sh\\_p%`.* TO app"},
			statements: []string{"GRANT UPDATE ON `sh\\_p%`.* TO app"},
			given:      []string{"GRANT UPDATE ON `sh\\_p%`.*" + inUse}},
		{name: "proxy", statements: []string{"CREATE USER other", "GRANT PROXY ON other TO app"},
			held: []string{"PROXY on 'other'@'%', which", "GRANT PROXY ON 'other'@'%' TO 'app_clone'@'%'",
				"REVOKE PROXY ON 'other'@'%' FROM 'app'@'%'"},
			undone: []string{"REVOKE PROXY ON 'other'@'%'" + base}},
		{name: "the current account as a role", engine: "mysql", statements: []string{"GRANT app_clone TO app"},
			changes: []string{"REVOKE 'app_clone'@'%'" + base}},
		{name: "grant option of dynamic rights", engine: "mysql", setup: []string{"GRANT BACKUP_ADMIN ON *.* TO app"},
			statements: []string{"GRANT USAGE ON *.* TO app WITH GRANT OPTION"},
			held:       []string{"without revoking other rights", "GRANT OPTION on *.*"},
			undone: []string{"REVOKE BACKUP_ADMIN ON *.*" + base, "REVOKE GRANT OPTION ON *.*" + base,
				"GRANT BACKUP_ADMIN ON *.* TO 'app'@'%'"}},
		{name: "a restriction", engine: "partial revokes", setup: []string{"GRANT DELETE ON *.* TO app"},
			statements: []string{"REVOKE DELETE ON shop.* FROM app"},
			held: []string{"it lost DELETE on `shop`.*.", "REVOKE DELETE ON `shop`.* FROM 'app_clone'@'%'",
				"GRANT DELETE ON `shop`.* TO 'app'@'%'"},
			undone: []string{"GRANT DELETE ON `shop`.* TO 'app'@'%'"}},
		{name: "a restriction lifted", engine: "partial revokes",
			setup: []string{"GRANT DELETE ON *.* TO app", "REVOKE DELETE ON shop.* FROM app"}, statements: []string{"GRANT DELETE ON shop.* TO app"},
			given: []string{"GRANT DELETE ON `shop`.*" + inUse}},
		{name: "a restricted right", engine: "partial revokes",
			statements: []string{"GRANT DELETE ON *.* TO app", "REVOKE DELETE ON shop.* FROM app"},
			held: []string{"without revoking other rights",
				"GRANT DELETE ON *.* TO 'app_clone'@'%'; REVOKE DELETE ON `shop`.* FROM 'app_clone'@'%'"},
			undone: []string{"REVOKE DELETE ON *.*" + base}},
		{name: "a restricted right removed", engine: "partial revokes",
			setup: []string{"GRANT DELETE ON *.* TO app", "REVOKE DELETE ON shop.* FROM app"}, statements: []string{"REVOKE DELETE ON *.* FROM app"},
			held:   []string{"it lost ", "REVOKE DELETE ON *.* FROM 'app_clone'@'%'"},
			undone: []string{"GRANT DELETE ON *.* TO 'app'@'%'", "REVOKE DELETE ON `shop`.*" + base}},
		{name: "a table that is gone", statements: []string{"CREATE TABLE shop.gone (a INT)", "GRANT SELECT ON shop.gone TO app",
			"DROP TABLE shop.gone"},
			held: []string{"'app'@'%' has SELECT on `shop`.`gone`"}, undone: []string{"REVOKE SELECT ON `shop`.`gone`" + base}},

		// If there are too many rights to remember each one, changes to a single account are still
		// noticed.
		{name: "many, added", pair: func(p *grants.Pair) { p.Rights = "" }, statements: []string{"GRANT UPDATE ON shop.* TO app"},
			given: []string{"GRANT UPDATE ON `shop`.*" + inUse}},
		{name: "many, removed", pair: func(p *grants.Pair) { p.Rights = "" }, statements: []string{"REVOKE INSERT ON shop.* FROM app"},
			held: []string{"it lost "}, undone: []string{"GRANT INSERT ON `shop`.* TO 'app'@'%'"}},
		{name: "many, in use", pair: func(p *grants.Pair) { p.Rights = "" }, statements: []string{"REVOKE INSERT ON shop.* FROM app_clone"},
			changes: []string{"REVOKE INSERT ON `shop`.*" + base}},
		{name: "many, both", pair: func(p *grants.Pair) { p.Rights = "" },
			statements: []string{"GRANT UPDATE ON shop.* TO app", "REVOKE INSERT ON shop.* FROM app_clone"},
			held: []string{"the two differ in INSERT on `shop`.*, UPDATE on `shop`.*, because both were changed",
				"GRANT INSERT, UPDATE ON `shop`.* TO 'app_clone'@'%'", "REVOKE INSERT, UPDATE ON `shop`.* FROM 'app'@'%'"},
			undone: []string{"REVOKE INSERT, UPDATE ON `shop`.*" + base}},

		// If nothing is meant for both, the current account is the reference.
		{name: "the clone is the standby", pair: func(p *grants.Pair) { p.Base = false }, statements: []string{"GRANT UPDATE ON shop.* TO app"},
			changes: []string{"REVOKE UPDATE ON `shop`.*" + base}},
		{name: "nothing is known", pair: func(p *grants.Pair) { p.Rights, p.Digest = "", "" },
			statements: []string{"GRANT UPDATE ON shop.* TO app"}, changes: []string{"REVOKE UPDATE ON `shop`.*" + base}},
		{name: "not proved", pair: func(p *grants.Pair) {
			p.Owned, p.Known = false, func(context.Context, grants.Stored) (bool, error) { return true, nil }
		},
			statements: []string{"GRANT UPDATE ON shop.* TO app"}, changes: []string{"REVOKE UPDATE ON `shop`.*" + base}},
		{name: "a revocation", pair: func(p *grants.Pair) { p.Revoke = true },
			statements: []string{"GRANT UPDATE ON shop.* TO app", "REVOKE INSERT ON shop.* FROM app"},
			changes:    []string{"GRANT INSERT ON `shop`.* TO 'app'@'%'", "REVOKE UPDATE ON `shop`.*" + base}},
		{name: "a password set by hand", pair: func(p *grants.Pair) {
			p.Force, p.Known = true, func(context.Context, grants.Stored) (bool, error) { return false, nil }
		}, statements: []string{"GRANT UPDATE ON shop.* TO app"},
			held:   []string{"a password that is not one of this secret's", "GRANT UPDATE ON `shop`.* TO 'app_clone'@'%'"},
			undone: []string{"REVOKE UPDATE ON `shop`.*" + base}},
	}
	each(t, func(b *bench) {
		ctx := context.Background()
		role := strings.NewReplacer("GRANT r1", "GRANT 'r1'@'%'", "REVOKE r1", "REVOKE 'r1'@'%'")
		if b.maria {
			role = strings.NewReplacer("GRANT r1", "GRANT `r1`", "REVOKE r1", "REVOKE `r1`")
		}
		spelt := func(all []string) (list []string) {
			for _, s := range all {
				list = append(list, role.Replace(s))
			}
			return list
		}
		outer := b.T
		for _, tt := range tests {
			if tt.engine == "partial revokes" && b.maria || tt.engine == "mysql" && b.maria || tt.engine == "mariadb" && !b.maria {
				continue
			}
			outer.Run(tt.name, func(t *testing.T) {
				b.T = t
				defer func() { b.T = outer }()
				b.clean()
				if tt.engine == "partial revokes" {
					b.exec("SET GLOBAL partial_revokes = ON")
					defer func() { b.clean(); b.exec("SET GLOBAL partial_revokes = OFF") }()
				}
				b.exec("CREATE USER app IDENTIFIED BY 'Aa1-first'", "GRANT SELECT, INSERT ON shop.* TO app")
				b.exec(tt.setup...)
				b.admin = b.login(b.server.AdminUser, b.server.AdminPassword)
				p := based(b.rotate(pair))
				b.exec(tt.statements...)
				if tt.pair != nil {
					tt.pair(&p)
				}
				before := b.everything()
				plan, err := b.admin.Plan(ctx, p)
				if tt.held != nil {
					for name, f := range map[string]func(context.Context, grants.Pair) (*grants.Plan, error){"plan": b.admin.Plan, "sync": b.admin.Sync} {
						_, err := f(ctx, p)
						if !refused(err, grants.Undecided) && !refused(err, grants.ObjectGone) {
							t.Fatalf("%s: got %v, want a refusal", name, err)
						}
						for _, want := range spelt(tt.held) {
							if !strings.Contains(err.Error(), want) {
								t.Errorf("%s: %q does not say %q", name, err, want)
							}
						}
					}
					if diff := cmp.Diff(before, b.everything()); diff != "" {
						t.Errorf("the refused call wrote (-before +after):\n%s", diff)
					}
					p.UndoDrift = true
					tt.changes = tt.undone
					plan, err = b.admin.Plan(ctx, p)
				}
				if err != nil {
					t.Fatal(err)
				}
				var given, changes []string
				for _, c := range plan.Changes {
					if strings.Contains(c.Statement, "'app_clone'@'%'") && !strings.Contains(c.Statement, "REVOKE 'app_clone'") {
						given = append(given, c.Statement)
						if !c.Drift || !strings.Contains(c.Text, "because 'app'@'%' was granted it since the last rotation") {
							t.Errorf("change %+v", c)
						}
						continue
					}
					changes = append(changes, c.Statement)
				}
				if diff := cmp.Diff(spelt(tt.given), given); diff != "" {
					t.Errorf("for the current account (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(spelt(tt.changes), slices.Compact(changes)); diff != "" {
					t.Errorf("for the standby (-want +got):\n%s", diff)
				}
				if unknown := slices.ContainsFunc(plan.Warnings, func(w string) bool { return strings.Contains(w, "are unknown") }); unknown != (p.Base && p.Digest == "") {
					t.Errorf("warnings %q", plan.Warnings)
				}
				done := b.rotate(p)
				if diff := cmp.Diff(plan.Changes, done.Changes); diff != "" {
					t.Errorf("planned and done (-plan +sync):\n%s", diff)
				}
				p.Digest, p.Rights, p.UndoDrift = done.Digest, done.Rights, false
				b.same(p)
			})
		}
	})
}

// A rotation that was cut off between two grants to the current account continues with the rest.
func TestGrantsToTheCurrentAccountContinueAfterACut(t *testing.T) {
	each(t, func(b *bench) {
		b.exec("CREATE USER app IDENTIFIED BY 'Aa1-first'", "GRANT SELECT ON shop.* TO app")
		p := based(b.rotate(pair))
		b.exec("GRANT INSERT ON shop.orders TO app", "GRANT EXECUTE ON PROCEDURE shop.close TO app", "GRANT INSERT ON shop.orders TO app_clone")
		plan := b.rotate(p)
		if len(plan.Changes) != 1 || plan.Changes[0].Statement != "GRANT EXECUTE ON PROCEDURE `shop`.`close` TO 'app_clone'@'%'" {
			b.Errorf("changes %+v", plan.Changes)
		}
	})
}

// A current account that is neither proved nor fenced is granted nothing.
func TestNothingIsGrantedWithoutProof(t *testing.T) {
	each(t, func(b *bench) {
		none := errors.New("not this time")
		b.exec("CREATE USER app IDENTIFIED BY 'Aa1-first'", "GRANT SELECT ON shop.* TO app")
		p := based(b.rotate(pair))
		b.exec("GRANT INSERT ON shop.orders TO app")
		before := b.everything()
		for name, change := range map[string]func(*grants.Pair){
			"proof": func(p *grants.Pair) { p.Proof = func() error { return none } },
			"fence": func(p *grants.Pair) { p.Fence = func(context.Context) error { return none } },
		} {
			p := p
			change(&p)
			if _, err := b.admin.Sync(context.Background(), p); !errors.Is(err, none) {
				b.Errorf("%s: %v", name, err)
			}
		}
		if diff := cmp.Diff(before, b.everything()); diff != "" {
			b.Errorf("it was changed anyway (-before +after):\n%s", diff)
		}
	})
}

// This is why grants.shadows exists: a grant can take rights away from an account.
func TestAGrantOnADatabaseCanTakeRights(t *testing.T) {
	each(t, func(b *bench) {
		insert := func() error {
			db, err := b.server.Open("app", secret)
			if err != nil {
				b.Fatal(err)
			}
			defer db.Close()
			_, err = db.ExecContext(b.Context(), "INSERT INTO shop.orders VALUES (1, 1, 1)")
			return err
		}
		b.exec("CREATE USER app IDENTIFIED BY '"+secret+"'", "GRANT INSERT ON `sh%`.* TO app")
		if err := insert(); err != nil {
			b.Fatal(err)
		}
		b.exec("GRANT SELECT ON shop.* TO app")
		if e := serverError(insert()); e == nil || e.Number != 1142 {
			b.Errorf("with a grant on the database itself, the server answers %v", e)
		}
	})
}
