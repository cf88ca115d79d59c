package account

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/rotate-user/rotate-user/internal/grants"
)

// If the administrator's password changes in the meantime, and with it the name of the lock, the
// lock is released all the same.
func TestLockAfterTheAdministratorsPasswordChanged(t *testing.T) {
	each(t, func(b *bench) {
		ops := b.ops(least...)
		name := b.rows("SELECT " + lockName("app") + " FROM mysql.user WHERE User = 'ops'")[0][0]
		holders := func() string {
			b.Helper()
			return b.rows("SELECT COALESCE(IS_USED_LOCK('" + name + "'), 'nobody')")[0][0]
		}
		err := ops.Locked(t.Context(), "app", "app_clone", func(context.Context) error {
			if holders() == "nobody" {
				b.Error("no session holds the lock")
			}
			b.exec("ALTER USER ops IDENTIFIED BY 'Ops-2'")
			return nil
		})
		if err != nil {
			b.Error(err)
		}
		if is := holders(); is != "nobody" {
			b.Errorf("session %s still holds the lock", is)
		}
		if err := b.login("ops", "Ops-2").Locked(t.Context(), "app", "app_clone", func(context.Context) error { return nil }); err != nil {
			b.Error(err)
		}
	})
}

// The end of an inner lock leaves the outer one.
func TestALockWithinALock(t *testing.T) {
	each(t, func(b *bench) {
		other := b.second()
		free := func(user string) bool {
			return other.Locked(t.Context(), user, user, func(context.Context) error { return nil }) == nil
		}
		err := b.admin.Locked(t.Context(), "app", "app_clone", func(ctx context.Context) error {
			err := b.admin.Locked(ctx, "app", "billing", func(context.Context) error {
				if free("billing") {
					b.Error("the inner lock is not held")
				}
				return nil
			})
			if free("app") || free("app_clone") || !free("billing") {
				b.Error("after the inner lock, the outer one must be held, and only that")
			}
			return err
		})
		if err != nil || !free("app") || !free("app_clone") {
			b.Errorf("the outer lock is still held, or: %v", err)
		}
	})
}

func TestLockWithoutTheRightToReadIsRefused(t *testing.T) {
	each(t, func(b *bench) {
		b.exec("CREATE USER app IDENTIFIED BY 'Aa1-first'")
		ops := b.ops("GRANT CREATE USER ON *.* TO %s")
		err := ops.Locked(t.Context(), "app", "app_clone", func(context.Context) error { return nil })
		if !refused(err, grants.MissingRight) || !strings.Contains(err.Error(), "GRANT SELECT ON `mysql`.* TO 'ops'@'%'") {
			b.Errorf("got %v", err)
		}
	})
}

// The cost of the lock does not depend on the number of accounts.
func TestLockReadsOneRow(t *testing.T) {
	each(t, func(b *bench) {
		for i := range 100 {
			b.exec(fmt.Sprintf("CREATE USER u%d", i))
		}
		if _, err := b.admin.query(t.Context(), "FLUSH STATUS"); err != nil {
			b.Fatal(err)
		}
		if err := b.admin.lock(t.Context(), []string{"app", "app_clone"}); err != nil {
			b.Fatal(err)
		}
		rows, err := b.admin.query(t.Context(), "SHOW SESSION STATUS LIKE 'Handler_read%'")
		if err != nil {
			b.Fatal(err)
		}
		for _, r := range rows {
			var n int
			if fmt.Sscan(r.Text("value"), &n); n > 10 {
				b.Errorf("%s is %d", r.Text("variable_name"), n)
			}
		}
		b.admin.unlock(t.Context(), []string{"app", "app_clone"})
	})
}
