package account

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// rowsRead are the rows that the server takes in hand for f's statements in the administrator's session, and for one SHOW.
func (b *bench) rowsRead(f func()) int {
	b.Helper()
	if err := b.admin.exec(b.Context(), "FLUSH LOCAL STATUS"); err != nil {
		b.Fatal(err)
	}
	f()
	rows, err := b.admin.query(b.Context(), `SHOW SESSION STATUS LIKE 'Handler\_read\_%'`)
	if err != nil {
		b.Fatal(err)
	}
	sum := 0
	for _, r := range rows {
		n, err := strconv.Atoi(r.text("value"))
		if err != nil {
			b.Fatal(err)
		}
		sum += n
	}
	return sum
}

// TestReadingCostsTheSameAmongManyAccounts: on MariaDB this holds for the accounts and not for their rights, which its keys
// cannot find by user.
func TestReadingCostsTheSameAmongManyAccounts(t *testing.T) {
	each(t, func(b *bench) {
		b.exec("CREATE ROLE r1", "CREATE USER app IDENTIFIED BY 'Aa1-first'", "CREATE USER app_clone IDENTIFIED BY 'Aa1-first'", "GRANT r1 TO app, app_clone",
			"GRANT SELECT ON shop.* TO app, app_clone", "GRANT UPDATE (total), INSERT ON shop.orders TO app, app_clone", "GRANT EXECUTE ON PROCEDURE shop.close TO app, app_clone")
		if err := b.admin.survey(b.Context()); err != nil {
			b.Fatal(err)
		}
		read := func() {
			var states []*state
			var err error
			if b.maria {
				states, err = b.admin.readAccounts(b.Context(), []string{"app", "app_clone"})
			} else {
				states, err = b.admin.read(b.Context(), "app", "app_clone")
			}
			if err != nil || len(states) != 2 {
				b.Fatalf("%d accounts, %v", len(states), err)
			}
		}
		read()
		few := b.rowsRead(read)

		const others = 400
		var names []string
		for i := range others {
			names = append(names, fmt.Sprintf("'other%d'@'%s'", i, []string{"%", "10.0.0.%"}[i%2]))
		}
		for some := range slices.Chunk(names, 100) {
			list := strings.Join(some, ", ")
			b.exec("CREATE USER "+list, "GRANT r1 TO "+list, "GRANT SELECT ON shop.* TO "+list, "GRANT UPDATE (total), INSERT ON shop.orders TO "+list, "GRANT EXECUTE ON PROCEDURE shop.close TO "+list)
		}
		if many := b.rowsRead(read); many-few > others/10 {
			b.Errorf("%d rows were read among few accounts, %d among %d more", few, many, others)
		}
	})
}

// Users that a server's collation takes for the same are read once.
func TestAccountIsReadOnce(t *testing.T) {
	each(t, func(b *bench) {
		b.exec("CREATE USER app IDENTIFIED BY 'Aa1-first'")
		if err := b.admin.survey(b.Context()); err != nil {
			b.Fatal(err)
		}
		states, err := b.admin.readAccounts(b.Context(), []string{"app", "app ", "APP", "app"})
		if err != nil || len(states) != 1 || states[0].name.User != "app" {
			b.Errorf("%d accounts, %v", len(states), err)
		}
	})
}
