package account

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rotate-user/rotate-user/internal/grants"
)

// rowsRead returns how many rows the server reads for f's statements in the administrator's
// session, and for one SHOW.
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
		n, err := strconv.Atoi(r.Text("value"))
		if err != nil {
			b.Fatal(err)
		}
		sum += n
	}
	return sum
}

// The cost of reading must not depend on the number of other accounts. On MariaDB this is true only
// of the accounts and their global rights, because its keys cannot find the others by user.
func TestReadingCostsTheSameAmongManyAccounts(t *testing.T) {
	each(t, func(b *bench) {
		b.exec("CREATE ROLE r1", "CREATE USER app IDENTIFIED BY 'Aa1-first'", "CREATE USER app_clone IDENTIFIED BY 'Aa1-first'",
			"GRANT r1 TO app, app_clone",
			"GRANT SELECT ON shop.* TO app, app_clone", "GRANT UPDATE (total), INSERT ON shop.orders TO app, app_clone",
			"GRANT EXECUTE ON PROCEDURE shop.close TO app, app_clone")
		if err := b.admin.survey(b.Context()); err != nil {
			b.Fatal(err)
		}
		read := func() {
			var states []*grants.Account
			var err error
			if b.maria {
				states, err = b.admin.readAccounts(b.Context(), []string{"app", "app_clone"})
			} else {
				states, err = b.admin.read(b.Context(), "app", "app_clone")
			}
			if err != nil || len(states) != 2 {
				b.Fatalf("%d accounts, %v", len(states), err)
			}
			if states, err = b.admin.readNamed(b.Context(), states[0].Name, states[1].Name); err != nil || len(states) != 2 {
				b.Fatalf("%d named accounts, %v", len(states), err)
			}
		}
		read()
		few := b.rowsRead(read)

		others := 400
		if b.admin.server.AtLeast(grants.MariaDB, 11) { // its optimizer reads the whole table if it is that small
			others = 4000
			b.exec("INSERT INTO mysql.global_priv SELECT IF(seq % 2, '%', '10.0.0.%'), CONCAT('other', seq), '{}' FROM mysql.seq_1_to_4000")
			defer b.exec("DELETE FROM mysql.global_priv WHERE User LIKE 'other%'")
		}
		var names []string
		for i := range 400 {
			if others > 400 { // they exist already
				break
			}
			names = append(names, fmt.Sprintf("'other%d'@'%s'", i, []string{"%", "10.0.0.%"}[i%2]))
		}
		for some := range slices.Chunk(names, 400) {
			list := strings.Join(some, ", ")
			b.exec("CREATE USER "+list, "GRANT r1 TO "+list, "GRANT SELECT ON shop.* TO "+list,
				"GRANT UPDATE (total), INSERT ON shop.orders TO "+list, "GRANT EXECUTE ON PROCEDURE shop.close TO "+list)
		}
		if many := b.rowsRead(read); many-few > others/10 {
			b.Errorf("%d rows were read among few accounts, %d among %d more", few, many, others)
		}
	})
}

// Users that a server's collation considers equal are read once.
func TestAccountIsReadOnce(t *testing.T) {
	each(t, func(b *bench) {
		b.exec("CREATE USER app IDENTIFIED BY 'Aa1-first'")
		if err := b.admin.survey(b.Context()); err != nil {
			b.Fatal(err)
		}
		states, err := b.admin.readAccounts(b.Context(), []string{"app", "app ", "APP", "app"})
		if err != nil || len(states) != 1 || states[0].Name.User != "app" {
			b.Errorf("%d accounts, %v", len(states), err)
		}
	})
}

// The case of a host's letters does not matter, although MariaDB's key has it.
func TestAnAccountIsFoundByItsName(t *testing.T) {
	each(t, func(b *bench) {
		b.exec("CREATE USER app@'%.Example.com' IDENTIFIED BY 'Aa1-first'", "CREATE USER app@'10.0.0.%' IDENTIFIED BY 'Aa1-first'")
		for host, found := range map[string]bool{"%.EXAMPLE.com": true, "%.example.com": true, "10.0.0.%": true, "10.0.1.%": false, "%": false} {
			stored, ok, err := b.admin.StoredFor(b.Context(), grants.Name{User: "app", Host: host})
			if err != nil || ok != found || ok && !strings.EqualFold(stored.Account.Host, host) {
				b.Errorf("app@%s: got %s, %t, %v", host, stored.Account, ok, err)
			}
		}
	})
}

// On MariaDB, what is read from a row equals what the server shows for the account, in rows of its
// own release and of older ones.
func TestGlobalRightsEqualWhatTheServerShows(t *testing.T) {
	each(t, func(b *bench) {
		if !b.maria {
			b.Skip("MySQL has a column for each right")
		}
		var users []string
		grant := func(privilege, option string) {
			user := fmt.Sprintf("u%d", len(users))
			users = append(users, user)
			b.exec("CREATE USER "+user, "GRANT "+privilege+" ON *.* TO "+user+option)
		}
		for _, r := range b.rows("SELECT DISTINCT PRIVILEGE_TYPE FROM information_schema.USER_PRIVILEGES") {
			grant(r[0], "")
		}
		if len(users) < 30 {
			b.Fatalf("the server has only %d rights", len(users))
		}
		grant("USAGE", " WITH GRANT OPTION")
		grant("ALL", "")
		grant("ALL", " WITH GRANT OPTION")
		for id, privilege := range map[int]string{100300: "SUPER, REPLICATION SLAVE", 100507: "REPLICATION SLAVE ADMIN"} {
			grant(privilege, "")
			b.exec(fmt.Sprintf("UPDATE mysql.global_priv SET Priv = JSON_SET(Priv, '$.version_id', %d) WHERE User = '%s'", id, users[len(users)-1]))
		}
		b.exec("FLUSH PRIVILEGES")

		states, err := b.admin.read(b.Context(), users...)
		if err != nil || len(states) != len(users) {
			b.Fatalf("%d accounts of %d, %v", len(states), len(users), err)
		}
		asked := 0
		for _, s := range states {
			if s.AsksForGlobals() {
				asked++
			}
			var want []string
			for _, r := range b.rows("SELECT PRIVILEGE_TYPE, IS_GRANTABLE FROM information_schema.USER_PRIVILEGES WHERE GRANTEE = " +
				grants.QuoteValue("'"+s.Name.User+"'@'"+s.Name.Host+"'")) {
				if r[0] != "USAGE" {
					want = append(want, r[0])
				}
				if r[1] == "YES" && !slices.Contains(want, "GRANT OPTION") {
					want = append(want, "GRANT OPTION")
				}
			}
			var got []string
			got = append(got, s.GlobalPrivileges()...)
			slices.Sort(want)
			slices.Sort(got)
			if diff := cmp.Diff(want, got); diff != "" {
				b.Errorf("%s (- the server, + read):\n%s", s.Name, diff)
			}
		}
		if asked != 2 {
			b.Errorf("the server was queried for %d accounts, want only the two of older releases", asked)
		}
	})
}
