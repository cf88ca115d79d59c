package account

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rotate-user/rotate-user/internal/grants"
)

// If the server's memory and its grant tables disagree about the current account, nothing is
// written, not even to the standby. If they disagree about the standby, granting again repairs it.
func TestMemoryThatDisagrees(t *testing.T) {
	const inTables = "INSERT INTO mysql.db (Host, Db, User, Select_priv) VALUES ('%', 'shop', '<name>', 'Y')"
	tests := []struct {
		name, engine string
		statements   []string // for the account <name>
		says         string
		mended       bool // repaired on the standby
	}{
		{"role granted twice", "mysql", []string{"CREATE ROLE r1", "GRANT r1 TO <name> WITH ADMIN OPTION", "GRANT r1 TO <name>"},
			"role 'r1'@'%' with admin option", true},
		{"renamed", "mariadb", []string{"CREATE ROLE r1", "CREATE USER was IDENTIFIED BY 'Aa1-was'", "GRANT r1 TO was WITH ADMIN OPTION",
			"DROP USER <name>", "RENAME USER was TO <name>"}, "role `r1` with admin option", true},
		{"right on a database", "", []string{inTables}, "SELECT on `shop`.*", false},
		{"right gone from the table", "", []string{"GRANT UPDATE ON shop.orders TO <name>",
			"DELETE FROM mysql.tables_priv WHERE User = '<name>'"}, "no UPDATE on `shop`.`orders`", false},
		{"expiry", "mysql", []string{"ALTER USER <name> PASSWORD EXPIRE INTERVAL 9 DAY", "ALTER USER <name> PASSWORD EXPIRE DEFAULT"},
			"PASSWORD EXPIRE DEFAULT", true},
	}
	each(t, func(b *bench) {
		ctx := context.Background()
		outer := b.T
		for _, tt := range tests {
			if tt.engine != "" && tt.engine != b.server.Engine {
				continue
			}
			run := func(name string) {
				for _, s := range tt.statements {
					b.exec(strings.ReplaceAll(s, "<name>", name))
				}
			}
			outer.Run(tt.name, func(t *testing.T) {
				b.T = t
				defer func() { b.T = outer; b.exec("FLUSH PRIVILEGES") }()
				b.clean()
				b.exec("CREATE USER app IDENTIFIED BY 'Aa1-first'")
				run("app")
				before := b.everything()
				for name, f := range map[string]func(context.Context, grants.Pair) (*grants.Plan, error){"plan": b.admin.Plan, "sync": b.admin.Sync} {
					if _, err := f(ctx, pair); !refused(err, grants.Stale) || !strings.Contains(err.Error(), "'app'@'%'") ||
						!strings.Contains(err.Error(), tt.says) {
						t.Errorf("%s: got %v, want a refusal that says %q", name, err, tt.says)
					}
				}
				if diff := cmp.Diff(before, b.everything()); diff != "" {
					t.Errorf("the refused call wrote (-before +after):\n%s", diff)
				}
				b.exec("FLUSH PRIVILEGES")
				b.rotate(pair)
			})
			outer.Run(tt.name+", standby", func(t *testing.T) {
				b.T = t
				defer func() { b.T = outer; b.exec("FLUSH PRIVILEGES") }()
				b.clean()
				b.exec("CREATE USER app IDENTIFIED BY 'Aa1-first'")
				b.rotate(pair)
				run("app_clone")
				if tt.mended {
					b.rotate(owned(pair))
					b.same(owned(pair))
					b.clean()
					b.exec("CREATE USER app IDENTIFIED BY 'Aa1-first'")
					b.rotate(pair)
					run("app_clone")
					if strings.Contains(tt.says, "role") { // the source has it too, with the option
						b.exec("GRANT r1 TO app WITH ADMIN OPTION")
					}
					b.rotate(owned(pair))
					b.same(owned(pair))
					return
				}
				before := b.everything()
				if _, err := b.admin.Sync(ctx, owned(pair)); !refused(err, grants.Stale) || !strings.Contains(err.Error(), "'app_clone'@'%'") ||
					!strings.Contains(err.Error(), tt.says) {
					t.Errorf("got %v, want a refusal that says %q", err, tt.says)
				}
				if diff := cmp.Diff(before, b.everything()); diff != "" {
					t.Errorf("the refused call wrote (-before +after):\n%s", diff)
				}
			})
		}
	})
}
