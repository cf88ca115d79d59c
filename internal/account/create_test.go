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
