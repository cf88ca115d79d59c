package account

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/rotate-user/rotate-user/internal/grants"
)

// A rotation of a pair in sync takes only a few statements.
func TestFewStatements(t *testing.T) {
	each(t, func(b *bench) {
		ctx := context.Background()
		b.exec("CREATE USER app IDENTIFIED BY 'Aa1-first'", "GRANT SELECT ON shop.* TO app")
		b.rotate(pair)
		count := func() int {
			n := 0
			for _, r := range b.rows("SHOW GLOBAL STATUS LIKE 'Questions'") {
				fmt.Sscan(r[1], &n)
			}
			return n
		}
		var total int
		step := func(name string, limit int, f func() error) {
			before := count()
			if err := f(); err != nil {
				b.Fatal(err)
			}
			n := count() - before - 1
			total += n
			if n > limit {
				b.Errorf("%s takes %d statements, the limit is %d", name, n, limit)
			}
			b.Logf("%s: %d statements", name, n)
		}
		var admin *Admin
		open := func() (err error) {
			admin, err = b.dialer.Admin(ctx, b.endpoint(), b.server.AdminUser, b.server.AdminPassword)
			return err
		}
		login := func() error { _, err := b.dialer.Login(ctx, b.endpoint(), "app", "Aa1-first"); return err }
		step("plan", 14, func() error {
			if err := open(); err != nil {
				return err
			}
			defer admin.Close()
			_, err := admin.Plan(ctx, owned(pair))
			return err
		})
		total = 0
		step("sync", 14, func() error {
			if err := login(); err != nil {
				return err
			}
			if err := open(); err != nil {
				return err
			}
			defer admin.Close()
			_, err := admin.Sync(ctx, owned(pair))
			return err
		})
		step("set password", 6, func() error {
			if err := open(); err != nil {
				return err
			}
			defer admin.Close()
			_, err := admin.SetPassword(ctx, grants.Name{User: "app_clone", Host: "%"}, grants.Name{User: "app", Host: "%"}, secret, nil)
			return err
		})
		step("test", 7, func() error {
			if err := login(); err != nil {
				return err
			}
			if err := open(); err != nil {
				return err
			}
			defer admin.Close()
			_, err := admin.Differences(ctx, grants.Name{User: "app", Host: "%"}, grants.Name{User: "app_clone", Host: "%"})
			return err
		})
		if total > 25 {
			b.Errorf("a rotation takes %d statements", total)
		}
	})
}

// With three hundred tables and twenty roles, one change takes one statement, and none takes none.
func TestManyRights(t *testing.T) {
	each(t, func(b *bench) {
		b.exec("CREATE USER app IDENTIFIED BY 'Aa1-first'")
		for i := range 300 {
			b.exec(fmt.Sprintf("CREATE TABLE shop.t%d (a INT)", i), fmt.Sprintf("GRANT SELECT, INSERT (a) ON shop.t%d TO app", i))
		}
		for i := range 20 {
			b.exec(fmt.Sprintf("CREATE ROLE r%d", i), fmt.Sprintf("GRANT r%d TO app", i))
		}
		b.admin = b.login(b.server.AdminUser, b.server.AdminPassword) // the previous session may have been idle too long
		start := time.Now()
		b.rotate(pair)
		b.Logf("first rotation %v", time.Since(start))
		b.exec("REVOKE SELECT ON shop.t7 FROM app", "GRANT UPDATE ON shop.t8 TO app")
		start = time.Now()
		plan := b.rotate(owned(pair))
		b.Logf("second rotation %v", time.Since(start))
		if len(plan.Changes) != 2 {
			b.Errorf("two changes of the source make %+v", plan.Changes)
		}
	})
}
