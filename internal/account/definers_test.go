package account

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/google/go-cmp/cmp"

	"github.com/rotate-user/rotate-user/internal/grants"
)

// Objects whose definer is an account are counted and named, including views and triggers, if the
// administrator can see them.
func TestDefiners(t *testing.T) {
	each(t, func(b *bench) {
		ctx := context.Background()
		b.exec("CREATE USER app IDENTIFIED BY 'Aa1-first'", "CREATE USER reader IDENTIFIED BY 'Aa1-reader'",
			"GRANT SELECT, INSERT, DROP, CREATE VIEW ON shop.* TO app", "GRANT SELECT ON shop.* TO reader")
		warnings := func(p grants.Pair) (texts []string) {
			b.Helper()
			plan, err := b.admin.Plan(ctx, p)
			if err != nil {
				b.Fatal(err)
			}
			synced, err := b.admin.Sync(ctx, p)
			if err != nil {
				b.Fatal(err)
			}
			if named := strings.Contains(strings.Join(synced.Warnings, " "), "is the definer of"); named && !synced.Create {
				b.Errorf("a rotation with an existing standby searches all objects: %q", synced.Warnings)
			}
			for _, w := range plan.Warnings {
				if strings.Contains(w, "is the definer of") {
					texts = append(texts, w)
				}
			}
			return texts
		}
		if got := warnings(pair); got != nil {
			b.Errorf("without any object: %q", got)
		}
		b.rotate(pair)
		for i := range 2 {
			b.exec(fmt.Sprintf("CREATE DEFINER=app VIEW shop.v%d AS SELECT 1 AS one", i))
		}
		b.exec("CREATE DEFINER=app VIEW shop.v AS SELECT id FROM shop.orders",
			"CREATE DEFINER=app TRIGGER shop.tr BEFORE INSERT ON shop.orders FOR EACH ROW SET @x = 1",
			"CREATE DEFINER=app PROCEDURE shop.pay() SELECT 1", "CREATE DEFINER=app EVENT shop.ev ON SCHEDULE EVERY 1 YEAR DO SELECT 1",
			"CREATE DEFINER=app_clone FUNCTION shop.vat() RETURNS INT DETERMINISTIC RETURN 1",
			"CREATE DEFINER=reader VIEW shop.other AS SELECT 1 AS one")
		got := warnings(owned(pair))
		if len(got) != 2 {
			b.Fatalf("warnings %q, want one of each account", got)
		}
		for i, want := range [][]string{
			{"'app'@'%' is the definer of 1 event (shop.ev), 1 routine (shop.pay), 1 trigger (shop.tr), 3 views (shop.v).",
				"'app_clone'@'%' cannot alter such a view (error 1227)", "1045", "1449"},
			{"'app_clone'@'%' is the definer of 1 routine (shop.vat)."},
		} {
			for _, words := range want {
				if !strings.Contains(got[i], words) {
					b.Errorf("%q does not say %q", got[i], words)
				}
			}
		}
		objects, err := b.admin.Definers(ctx, grants.Name{User: "app", Host: "%"})
		want := []string{"event shop.ev of 'app'@'%'", "routine shop.pay of 'app'@'%'", "trigger shop.tr of 'app'@'%'",
			"view shop.v of 'app'@'%'", "view shop.v0 of 'app'@'%'", "view shop.v1 of 'app'@'%'"}
		if diff := cmp.Diff(want, objects); diff != "" || err != nil {
			b.Errorf("%v, definers (-want +got):\n%s", err, diff)
		}

		// The servers behave as the warnings say.
		if err := b.try("app_clone", secret, "ALTER VIEW shop.v AS SELECT buyer FROM shop.orders"); err == nil || err.Number != 1227 {
			b.Errorf("ALTER VIEW by the other account gives %v", err)
		}
		if err := b.try("reader", "Aa1-reader", "SELECT * FROM shop.v"); err != nil {
			b.Error(err)
		}
		b.exec("ALTER USER app ACCOUNT LOCK")
		if err := b.try("reader", "Aa1-reader", "SELECT * FROM shop.v"); err != nil {
			b.Errorf("with a locked definer: %v", err)
		}
		b.exec("DROP USER app")
		if err := b.try("reader", "Aa1-reader", "SELECT * FROM shop.v"); err == nil || err.Number != 1045 ||
			!strings.Contains(err.Message, "'reader'@") {
			b.Errorf("without the definer: %v", err)
		}
		if err := b.try("app_clone", secret, "INSERT INTO shop.orders VALUES (1, 2, 3)"); err == nil || err.Number != 1449 {
			b.Errorf("a trigger without its definer: %v", err)
		}
	})
}

// try runs a statement as a user.
func (b *bench) try(user, password, statement string) *mysql.MySQLError {
	b.Helper()
	db, err := b.server.Open(user, password)
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	_, err = db.ExecContext(context.Background(), statement)
	if e := serverError(err); e != nil || err == nil {
		return e
	}
	b.Fatal(err)
	return nil
}
