package account

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rotate-user/rotate-user/internal/grants"
	"github.com/rotate-user/rotate-user/internal/mysqld"
	"github.com/rotate-user/rotate-user/internal/mysqld/mysqldtest"
)

func TestMain(m *testing.M) { mysqldtest.Main(m) }

// bench is a server with one administrator's session of this package and one for the test itself.
type bench struct {
	*testing.T
	server *mysqld.Server
	root   *sql.DB
	dialer *Dialer
	admin  *Admin
	maria  bool
}

func each(t *testing.T, f func(b *bench)) {
	t.Helper()
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) { f(newBench(t, s)) })
}

func newBench(t *testing.T, s *mysqld.Server) *bench {
	t.Helper()
	b := &bench{T: t, server: s, maria: s.Engine == mysqld.MariaDB}
	roots, err := s.RootCAs()
	if err != nil {
		t.Fatal(err)
	}
	b.dialer = &Dialer{RootCAs: roots}
	if b.root, err = s.Open(s.AdminUser, s.AdminPassword); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.root.Close(); b.dialer.Close() })
	b.admin = b.login(s.AdminUser, s.AdminPassword)
	b.clean()
	t.Cleanup(b.clean)
	return b
}

func (b *bench) endpoint() Endpoint {
	return Endpoint{Host: b.server.Host, Port: b.server.Port, TLS: true}
}

func (b *bench) login(user, password string) *Admin {
	b.Helper()
	b.dialer.Close() // an old connection knows the old rights
	a, err := b.dialer.Admin(context.Background(), b.endpoint(), user, password)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { a.Close() })
	return a
}

// clean drops all accounts and databases of tests.
func (b *bench) clean() {
	b.Helper()
	if !b.maria {
		b.exec("SET GLOBAL mandatory_roles = ''")
	}
	table := "user"
	if b.maria {
		table = "global_priv"
		rows := b.rows("SELECT User FROM mysql.global_priv WHERE JSON_VALUE(Priv, '$.is_role') = 1 AND User <> 'PUBLIC'")
		for _, r := range rows {
			b.exec("DROP ROLE " + grants.QuoteIdentifier(r[0]))
		}
	}
	for _, r := range b.rows("SELECT User, Host FROM mysql." + table + " WHERE User NOT IN ('root', 'PUBLIC', 'mysql', '" +
		b.server.AdminUser +
		"') AND User NOT LIKE 'mysql.%' AND User NOT LIKE 'mariadb.%'") {
		b.exec("DROP USER " + grants.Name{User: r[0], Host: r[1]}.String())
	}
	for _, r := range b.rows("SHOW DATABASES") {
		switch r[0] {
		case "information_schema", "performance_schema", "mysql", "sys":
		default:
			b.exec("DROP DATABASE " + grants.QuoteIdentifier(r[0]))
		}
	}
	b.exec("CREATE DATABASE shop")
	b.exec("CREATE TABLE shop.orders (id INT, buyer INT, total INT)")
	b.exec("CREATE PROCEDURE shop.close() SELECT 1")
	b.exec("CREATE FUNCTION shop.tax() RETURNS INT DETERMINISTIC RETURN 1")
}

func (b *bench) exec(statements ...string) {
	b.Helper()
	for _, s := range statements {
		if _, err := b.root.ExecContext(context.Background(), s); err != nil {
			b.Fatalf("%s: %v", s, err)
		}
	}
}

func (b *bench) rows(query string) [][]string {
	b.Helper()
	rows, err := b.root.QueryContext(context.Background(), query)
	if err != nil {
		b.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	names, _ := rows.Columns()
	var all [][]string
	for rows.Next() {
		values := make([]sql.NullString, len(names))
		pointers := make([]any, len(names))
		for i := range values {
			pointers[i] = &values[i]
		}
		if err := rows.Scan(pointers...); err != nil {
			b.Fatal(err)
		}
		text := make([]string, len(names))
		for i, v := range values {
			text[i] = v.String
		}
		all = append(all, text)
	}
	if err := rows.Err(); err != nil {
		b.Fatal(err)
	}
	return all
}

// everything returns the content of all grant tables.
func (b *bench) everything() []string {
	b.Helper()
	tables := []string{"user", "db", "tables_priv", "columns_priv", "procs_priv", "proxies_priv"}
	if b.maria {
		tables = append(tables, "global_priv", "roles_mapping")
	} else {
		tables = append(tables, "global_grants", "role_edges", "default_roles")
	}
	var all []string
	for _, t := range tables {
		for _, r := range b.rows("SELECT * FROM mysql." + t) {
			all = append(all, t+": "+strings.Join(r, " | "))
		}
	}
	return all
}

// shownHash matches a hash in the output of SHOW. The salts that a server draws contain quotes and
// backslashes.
var shownHash = regexp.MustCompile(`(?: AS| BY PASSWORD| USING) (?:0x[0-9A-F]+|'(?:[^'\\]|\\.|'')*')`)

// shown returns SHOW GRANTS and SHOW CREATE USER without the account's own name and hash.
func (b *bench) shown(n grants.Name) []string {
	b.Helper()
	if !b.maria {
		b.exec("SET SESSION print_identified_with_as_hex = ON")
	}
	var lines []string
	own := fmt.Sprintf("%s@%s", grants.QuoteIdentifier(n.User), grants.QuoteIdentifier(n.Host))
	quoted := n.String() // in the lines with PROXY of MariaDB 10.5
	for _, r := range append(b.rows("SHOW GRANTS FOR "+n.String()), b.rows("SHOW CREATE USER "+n.String())...) {
		line := strings.NewReplacer(" TO "+own, " TO <own>", " FROM "+own, " FROM <own>", " FOR "+own, " FOR <own>", "CREATE USER "+own,
			"CREATE USER <own>", " TO "+quoted, " TO <own>").Replace(r[0])
		line = shownHash.ReplaceAllString(line, "")
		lines = append(lines, strings.TrimSuffix(line, " ATTRIBUTE '{}'")) // the same as no attribute
	}
	slices.Sort(lines) // MariaDB's order is not stable
	return lines
}

const secret = "Aa1-correct.horse~battery_staple"

// rotate synchronizes the standby and sets its password, as a rotation does.
func (b *bench) rotate(p grants.Pair) *grants.Plan {
	b.Helper()
	ctx := context.Background()
	plan, err := b.admin.Sync(ctx, p)
	if err != nil {
		b.Fatalf("sync: %v", err)
	}
	if _, err := b.admin.SetPassword(ctx, plan.Standby, plan.Source, secret, nil); err != nil {
		b.Fatalf("set password: %v", err)
	}
	lines, err := b.admin.Differences(ctx, plan.Source, plan.Standby)
	if err != nil {
		b.Fatal(err)
	}
	if len(lines) > 0 {
		b.Fatalf("not equal:\n%s", strings.Join(lines, "\n"))
	}
	if diff := cmp.Diff(b.shown(plan.Source), b.shown(plan.Standby)); diff != "" {
		b.Fatalf("SHOW differs (-source +standby):\n%s", diff)
	}
	return plan
}

var pair = grants.Pair{Source: grants.Name{User: "app", Host: "%"}, Standby: "app_clone", Mark: "a mark"}

func owned(p grants.Pair) grants.Pair {
	p.Owned = true
	return p
}

// back returns the pair the other way round, as in the next rotation.
func back(p grants.Pair) grants.Pair {
	return grants.Pair{Source: grants.Name{User: p.Standby, Host: "%"}, Standby: p.Source.User, Owned: true, Mark: p.Mark}
}

func refused(err error, reason string) bool {
	r, ok := errors.AsType[*grants.Refusal](err)
	return ok && r.Reason == reason
}
