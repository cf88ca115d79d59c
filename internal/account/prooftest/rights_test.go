package prooftest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/rotate-user/rotate-user/internal/grants"
	"github.com/rotate-user/rotate-user/internal/mysqld"
)

// Every right that the server lists, on every level where it can be granted, must be noticed on its
// own, granted to the standby, and revoked again.
func TestEveryRight(t *testing.T) {
	onEachServer(t, func(t *testing.T, s *mysqld.Server) {
		w := newWorld(t, s)
		r := newRotator(t, w, true)
		first := name{w.n, "localhost"}
		second := name{w.n + "_clone", "localhost"}
		w.run(t, first,
			"CREATE USER {u} IDENTIFIED BY '{p}'",
			"CREATE DATABASE {n}", "CREATE TABLE {n}.t (x INT)", "CREATE PROCEDURE {n}.p() SELECT 1",
			"CREATE FUNCTION {n}.f() RETURNS INT DETERMINISTIC RETURN 1")
		r.passwords[first] = firstPassword
		r.rotate(t, first, second, false)

		privileges, err := query(t.Context(), w.conn, "SHOW PRIVILEGES")
		if err != nil {
			t.Fatal(err)
		}
		levels := []struct{ name, format string }{
			{"global", "%s ON *.*"}, {"database", "%s ON {n}.*"}, {"table", "%s ON {n}.t"}, {"column", "%s (x) ON {n}.t"},
			{"procedure", "%s ON PROCEDURE {n}.p"}, {"function", "%s ON FUNCTION {n}.f"},
		}
		taken := map[string]int{}
		var given []string
		for _, p := range privileges {
			right := strings.ToUpper(p[0])
			if right == "PROXY" || right == "USAGE" { // proxy has its own cases, and usage is the absence of rights
				continue
			}
			found := false
			for _, level := range levels {
				scope := strings.ReplaceAll(fmt.Sprintf(level.format, right), "{n}", w.n)
				if _, err := w.conn.ExecContext(t.Context(), "GRANT "+scope+" TO "+first.sql()); err != nil {
					continue // cannot be granted on this level
				}
				found = true
				taken[level.name]++
				given = append(given, scope)
			}
			if !found {
				t.Errorf("%s can be granted on no level", right)
			}
		}
		if taken["global"] < 25 || taken["database"] < 15 || taken["table"] < 10 || taken["column"] < 4 || taken["procedure"] < 3 ||
			taken["function"] < 3 {
			t.Fatalf("rights on each level: %v; too few to prove anything", taken)
		}
		r.rotate(t, first, second, true)

		// Each right is revoked from the standby in turn, and the difference must be noticed.
		for _, scope := range given {
			w.run(t, second, "REVOKE "+scope+" FROM {u}")
			if lines := r.differences(t, first, second); len(lines) == 0 {
				t.Errorf("a missing %s is not noticed", scope)
			}
			a := r.session(t)
			_, err := a.Sync(t.Context(), grants.Pair{Source: grants.Name{User: first.user, Host: first.host}, Standby: second.user, Owned: true,
				Mark: "proof of " + w.n})
			a.Close()
			if err != nil {
				t.Fatalf("%s: %v", scope, err)
			}
		}
		wantEqual(t, "after all were revoked and granted again", mustForm(t, w.conn, s.Engine, first), mustForm(t, w.conn, s.Engine, second))

		// In reverse order, because revoking a right on a table revokes it on its columns.
		for _, scope := range slices.Backward(given) {
			w.run(t, first, "REVOKE "+scope+" FROM {u}")
		}
		r.rotate(t, first, second, true)
	})
}
