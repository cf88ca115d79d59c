package account

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rotate-user/rotate-user/internal/grants"
)

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
