package prooftest

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
	"pgregory.net/rapid"

	"github.com/rotate-user/rotate-user/internal/mysqld"
	"github.com/rotate-user/rotate-user/internal/mysqld/mysqldtest"
)

func TestMain(m *testing.M) {
	// A check makes four rotations of about a second each. -rapid.checks on the command line overrides this.
	if err := flag.Set("rapid.checks", "12"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	// Each parallel test has up to six connections to a server, which allows 151.
	if runtime.GOMAXPROCS(0) > 16 {
		if err := flag.Set("test.parallel", "16"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	mysqldtest.Main(m)
}

// Accounts with random names and rights are rotated, changed on both sides at random, and rotated
// back.
func TestRandomAccounts(t *testing.T) {
	onEachServer(t, func(t *testing.T, s *mysqld.Server) {
		rapid.Check(t, func(t *rapid.T) { randomAccount(t, s) })
	})
}

func TestRandomAccountsWithPartialRevokes(t *testing.T) {
	onPartialRevokes(t, func(t *testing.T, s *mysqld.Server) {
		rapid.Check(t, func(t *rapid.T) { randomAccount(t, s) })
	})
}

func randomAccount(t *rapid.T, s *mysqld.Server) {
	w := newWorld(t, s)
	r := newRotator(t, w, true)
	r.surprises = true
	things := &things{w: w, routines: rapid.Bool().Draw(t, "with routines")}
	// Different from those of other worlds, even if the text begins with a digit.
	first := name{w.n + "_" + things.text(t, "user", 17), "localhost"}
	second := name{first.user + "_clone", first.host}
	things.make(t)
	w.run(t, first, "CREATE USER {u} IDENTIFIED BY '{p}'")
	r.passwords[first] = firstPassword

	things.happen(t, first, "before", 1, 20)
	r.rotate(t, first, second, false)
	things.happen(t, second, "use", 0, 12)
	things.happen(t, first, "spoil", 0, 12)
	r.rotate(t, second, first, true)
}

// hardText generates texts in which some characters are special.
func hardText(length int, ascii bool) *rapid.Generator[string] {
	parts := []string{"a", "B", "0", "'", `"`, "`", `\`, "%", "_", ".", ",", ";", "-- ", "#", "/*", "(", ")", "@", " TO ", " ON ", "%s", "x"}
	if !ascii {
		parts = append(parts, "é", "日", "€")
	}
	return rapid.Map(rapid.SliceOfN(rapid.SampledFrom(parts), 0, length), func(parts []string) string {
		text := []rune(strings.Join(parts, ""))
		return strings.TrimRight(string(text[:min(len(text), length)]), " ") + "z" // databases and tables must not end in a space
	})
}

// things are objects that rights can be granted on.
type things struct {
	w *world
	// routines reports whether they include routines. In the row of a right on a routine, all
	// servers corrupt every character beyond ASCII, so the right is lost when they next read it,
	// and there is nothing to compare.
	routines                   bool
	databases, tables, columns []string
	programs, roles, people    []string
}

func (x *things) text(t *rapid.T, label string, length int) string {
	return hardText(length, x.routines).Draw(t, label)
}

func (x *things) make(t *rapid.T) {
	w := x.w
	for i := range 2 {
		x.databases = append(x.databases, fmt.Sprintf("%s_%d%s", w.n, i, x.text(t, "database", 10)))
		x.tables = append(x.tables, fmt.Sprintf("t%d%s", i, x.text(t, "table", 10)))
		x.columns = append(x.columns, fmt.Sprintf("c%d%s", i, x.text(t, "column", 10)))
		x.programs = append(x.programs, fmt.Sprintf("r%d%s", i, x.text(t, "routine", 10)))
		x.roles = append(x.roles, identifier(fmt.Sprintf("%s_r%d%s", w.n, i, x.text(t, "role", 10))))
		x.people = append(x.people, name{fmt.Sprintf("%s_p%d%s", w.n, i, x.text(t, "person", 10)), "localhost"}.sql())
	}
	for _, d := range x.databases {
		must(t, w.conn, "CREATE DATABASE "+identifier(d))
		for _, table := range x.tables {
			must(t, w.conn, fmt.Sprintf("CREATE TABLE %s.%s (%s INT, %s INT)", identifier(d), identifier(table), identifier(x.columns[0]), identifier(x.columns[1])))
		}
		for _, p := range x.programs {
			must(t, w.conn, "CREATE PROCEDURE "+identifier(d)+"."+identifier(p)+"() SELECT 1", "CREATE FUNCTION "+identifier(d)+"."+identifier(p)+"() RETURNS INT DETERMINISTIC RETURN 1")
		}
	}
	for i := range x.roles {
		must(t, w.conn, "CREATE ROLE "+x.roles[i], "CREATE USER "+x.people[i])
	}
}

var (
	globalRights = []string{
		"SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "RELOAD", "PROCESS", "FILE", "REFERENCES", "INDEX", "ALTER", "SHOW DATABASES", "SUPER",
		"CREATE TEMPORARY TABLES", "LOCK TABLES", "EXECUTE", "REPLICATION SLAVE", "CREATE VIEW", "SHOW VIEW", "CREATE ROUTINE", "ALTER ROUTINE", "CREATE USER", "EVENT", "TRIGGER",
	}
	databaseRights = []string{"SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "REFERENCES", "INDEX", "ALTER", "CREATE TEMPORARY TABLES", "LOCK TABLES", "EXECUTE", "CREATE VIEW", "SHOW VIEW", "CREATE ROUTINE", "ALTER ROUTINE", "EVENT", "TRIGGER"}
	tableRights    = []string{"SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "REFERENCES", "INDEX", "ALTER", "CREATE VIEW", "SHOW VIEW", "TRIGGER"}
	columnRights   = []string{"SELECT", "INSERT", "UPDATE", "REFERENCES"}
	routineRights  = []string{"EXECUTE", "ALTER ROUTINE"}
	dynamicRights  = []string{"BACKUP_ADMIN", "ROLE_ADMIN", "CONNECTION_ADMIN", "XA_RECOVER_ADMIN", "SYSTEM_USER"}
)

// happen makes random changes to the account. A statement that the server refuses, such as revoking
// a right that was not granted, does not matter, but a syntax error is a mistake in this test.
func (x *things) happen(t *rapid.T, who name, when string, least, most int) {
	for range rapid.IntRange(least, most).Draw(t, when) {
		statement := strings.ReplaceAll(x.statement(t), "{u}", who.sql())
		_, err := x.w.conn.ExecContext(t.Context(), statement)
		t.Logf("%s: %v", statement, err)
		var refused *mysql.MySQLError
		if err != nil && (!errors.As(err, &refused) || refused.Number == 1064) {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

func (x *things) statement(t *rapid.T) string {
	some := func(rights []string) []string {
		return rapid.SliceOfNDistinct(rapid.SampledFrom(rights), 1, 4, rapid.ID[string]).Draw(t, "rights")
	}
	one := func(of []string) string { return rapid.SampledFrom(of).Draw(t, "one") }
	number := func() int { return rapid.IntRange(0, 3).Draw(t, "number") }
	grant := func(rights []string, scope string) string {
		list := strings.Join(rights, ", ")
		switch number() {
		case 0:
			return "REVOKE " + list + " ON " + scope + " FROM {u}"
		case 1:
			return "GRANT " + list + " ON " + scope + " TO {u} WITH GRANT OPTION"
		}
		return "GRANT " + list + " ON " + scope + " TO {u}"
	}
	mariadb := x.w.server.Engine == mysqld.MariaDB
	forWhom := "TO"
	if mariadb {
		forWhom = "FOR"
	}
	database := func() string { return identifier(one(x.databases)) }
	table := func() string { return database() + "." + identifier(one(x.tables)) }
	kinds := []func() string{
		func() string { return grant(some(globalRights), "*.*") },
		func() string { return "REVOKE GRANT OPTION ON *.* FROM {u}" },
		func() string { return grant(some(databaseRights), database()+".*") },
		func() string {
			return grant(some(databaseRights), identifier(strings.NewReplacer("_", `\_`, "%", `\%`).Replace(one(x.databases)))+".*")
		},
		func() string { return "REVOKE GRANT OPTION ON " + database() + ".* FROM {u}" },
		func() string { return grant(some(tableRights), table()) },
		func() string { return "REVOKE GRANT OPTION ON " + table() + " FROM {u}" },
		func() string {
			var rights []string
			for _, right := range some(columnRights) {
				rights = append(rights, right+" ("+identifier(one(x.columns))+")")
			}
			return grant(rights, table())
		},
		func() string { return "GRANT " + one(x.roles) + " TO {u}" },
		func() string { return "GRANT " + one(x.roles) + " TO {u} WITH ADMIN OPTION" },
		func() string { return "REVOKE " + one(x.roles) + " FROM {u}" },
		func() string { return "SET DEFAULT ROLE " + one(append(x.roles, "NONE")) + " " + forWhom + " {u}" },
		func() string { return "GRANT PROXY ON " + one(x.people) + " TO {u}" },
		func() string { return "GRANT PROXY ON " + one(x.people) + " TO {u} WITH GRANT OPTION" },
		func() string { return "REVOKE PROXY ON " + one(x.people) + " FROM {u}" },
		func() string { return "ALTER USER {u} REQUIRE " + one([]string{"NONE", "SSL", "X509"}) },
		func() string {
			return fmt.Sprintf("ALTER USER {u} WITH %s %d", one([]string{"MAX_QUERIES_PER_HOUR", "MAX_UPDATES_PER_HOUR", "MAX_CONNECTIONS_PER_HOUR", "MAX_USER_CONNECTIONS"}), 1000*number())
		},
		func() string {
			return "ALTER USER {u} PASSWORD EXPIRE " + one([]string{"NEVER", "DEFAULT", "INTERVAL 90 DAY", "INTERVAL 91 DAY"})
		},
	}
	if x.routines {
		kinds = append(kinds, func() string {
			return grant(some(routineRights), one([]string{"FUNCTION ", "PROCEDURE "})+database()+"."+identifier(one(x.programs)))
		})
	}
	if !mariadb {
		kinds = append(kinds,
			func() string { return grant(some(dynamicRights), "*.*") },
			func() string {
				return fmt.Sprintf("ALTER USER {u} PASSWORD HISTORY %d PASSWORD REUSE INTERVAL %d DAY", number(), number())
			},
			func() string { return fmt.Sprintf("ALTER USER {u} FAILED_LOGIN_ATTEMPTS %d", number()) },
			func() string { return fmt.Sprintf("ALTER USER {u} PASSWORD_LOCK_TIME %d", number()) },
			func() string { return "ALTER USER {u} COMMENT " + literal(hardText(30, false).Draw(t, "comment")) },
			func() string {
				return "ALTER USER {u} ATTRIBUTE " + literal(one([]string{`{"a": 1}`, `{"a": null, "b": {"c": [1, null]}}`, `{"b": {"c": null, "d": "it's"}}`, `{}`}))
			},
			func() string {
				return "ALTER USER {u} PASSWORD REQUIRE CURRENT " + one([]string{"", "OPTIONAL", "DEFAULT"})
			},
		)
	}
	return kinds[rapid.IntRange(0, len(kinds)-1).Draw(t, "kind")]()
}
