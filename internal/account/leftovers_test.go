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

// Leftovers of an account that was removed with DELETE are found before CREATE USER. They would
// make it fail, or the new account would inherit them. The statements in the refusal remove them.
func TestLeftovers(t *testing.T) {
	tests := []struct {
		name, engine string
		grants       []string // rights of app_clone before it is deleted
		remembered   bool     // the server has not reloaded the tables
		says         string   // empty if not refused
	}{
		{"database", "", []string{"GRANT SELECT ON shop.* TO app_clone"}, false, "but has rows in mysql.db,"},
		{"table", "", []string{"GRANT SELECT ON shop.orders TO app_clone"}, false, "but has rows in mysql.tables_priv,"},
		{"column", "", []string{"GRANT SELECT (id) ON shop.orders TO app_clone"}, false,
			"but has rows in mysql.columns_priv, mysql.tables_priv,"},
		{"routine", "", []string{"GRANT EXECUTE ON PROCEDURE shop.close TO app_clone"}, false, "but has rows in mysql.procs_priv,"},
		{"proxy", "", []string{"GRANT PROXY ON other TO app_clone"}, false, "but has rows in mysql.proxies_priv,"},
		{"dynamic", "mysql", []string{"GRANT BACKUP_ADMIN ON *.* TO app_clone"}, false, "but has rows in mysql.global_grants,"},
		{"role", "mysql", []string{"GRANT r1 TO app_clone", "SET DEFAULT ROLE r1 TO app_clone"}, false,
			"but has rows in mysql.default_roles, mysql.role_edges,"},
		{"role", "mariadb", []string{"GRANT r1 TO app_clone"}, false, "but has rows in mysql.roles_mapping,"},
		{"is a role", "mysql", []string{"GRANT app_clone TO other"}, false, "but has rows in mysql.role_edges,"},
		{"memory", "", nil, true, "still in the server's memory"},
		{"others may be it", "", []string{"GRANT PROXY ON app_clone TO other"}, false, ""},
		{"nothing", "", nil, false, ""},
	}
	each(t, func(b *bench) {
		ctx := context.Background()
		outer := b.T
		table := "mysql.user"
		if b.maria {
			table = "mysql.global_priv"
		}
		for _, tt := range tests {
			if tt.engine != "" && tt.engine != b.server.Engine {
				continue
			}
			outer.Run(tt.name, func(t *testing.T) {
				b.T = t
				defer func() { b.T = outer }()
				b.clean()
				b.exec("CREATE USER app IDENTIFIED BY 'Aa1-first'", "CREATE USER app_clone", "CREATE USER other", "CREATE ROLE r1")
				b.exec(tt.grants...)
				b.exec("DELETE FROM " + table + " WHERE User = 'app_clone'")
				if !tt.remembered {
					b.exec("FLUSH PRIVILEGES")
				}
				if tt.says == "" {
					plan, err := b.admin.Plan(ctx, pair)
					if err != nil {
						t.Fatal(err)
					}
					if len(tt.grants) > 0 && !slices.ContainsFunc(plan.Warnings, func(w string) bool {
						return strings.HasPrefix(w, "'other'@'%' may be a proxy of 'app_clone'@'%'")
					}) {
						t.Errorf("no warning about a proxy in %q", plan.Warnings)
					}
					b.rotate(pair)
					return
				}
				before := b.everything()
				_, planErr := b.admin.Plan(ctx, pair)
				_, syncErr := b.admin.Sync(ctx, pair)
				createErr := b.admin.Create(ctx, grants.Name{User: "app_clone", Host: "%"}, "app_clone_clone", nil, "mark")
				for _, err := range []error{planErr, syncErr, createErr} {
					r, ok := errors.AsType[*grants.Refusal](err)
					if !ok || r.Reason != grants.Leftovers || r.Retry || !strings.Contains(err.Error(), tt.says) {
						t.Fatalf("got %v, want a refusal that says %q", err, tt.says)
					}
				}
				if diff := cmp.Diff(before, b.everything()); diff != "" {
					t.Errorf("the refused call wrote (-before +after):\n%s", diff)
				}
				text := syncErr.Error()
				b.exec(strings.Split(text[strings.LastIndex(text, ": ")+2:], "; ")...)
				b.rotate(pair)
				if rows := b.rows("SHOW GRANTS FOR app_clone"); len(rows) != 1 {
					t.Errorf("the new account has %v", rows)
				}
			})
		}
	})
}

// An account created after the check is not a leftover. One that only the server remembers is
// refused at once.
func TestAccountCreatedAfterTheCheck(t *testing.T) {
	each(t, func(b *bench) {
		table := "mysql.user"
		if b.maria {
			table = "mysql.global_priv"
		}
		for _, tt := range []struct {
			reason string
			delete bool
		}{{grants.Busy, false}, {grants.Leftovers, true}} {
			b.clean()
			b.exec("CREATE USER app IDENTIFIED BY 'Aa1-first'")
			p := pair
			p.Fence = func(context.Context) error { // called right before the first change
				b.exec("CREATE USER app_clone")
				if tt.delete {
					b.exec("DELETE FROM " + table + " WHERE User = 'app_clone'")
				}
				return nil
			}
			_, err := b.admin.Sync(context.Background(), p)
			if !refused(err, tt.reason) {
				b.Errorf("got %v, want a refusal for %s", err, tt.reason)
			}
			b.exec("DROP USER IF EXISTS app_clone")
		}
	})
}
