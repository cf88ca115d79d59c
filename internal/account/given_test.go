package account

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/rotate-user/rotate-user/internal/grants"
)

// as runs statements as a user.
func (b *bench) as(user, password string, statements ...string) {
	b.Helper()
	db, err := b.server.Open(user, password)
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	for _, s := range statements {
		if _, err := db.ExecContext(context.Background(), s); err != nil {
			b.Fatalf("%s: %v", s, err)
		}
	}
}

// A server grants the creator of a routine the rights to call and alter it. If a client that still
// uses the standby creates a routine, both accounts can call it after the next rotation, and the
// only account that has the rights does not lose them.
func TestRightsThatTheServerGave(t *testing.T) {
	each(t, func(b *bench) {
		ctx := context.Background()
		b.exec("CREATE USER app IDENTIFIED BY '"+secret+"'", "GRANT SELECT, CREATE ROUTINE ON shop.* TO app")
		p := owned(pair)
		p.Digest = b.rotate(pair).Digest // app_clone is current from now on
		p = grants.Pair{Source: grants.Name{User: "app_clone", Host: "%"}, Standby: "app", Owned: true, Mark: p.Mark, Digest: p.Digest}
		creates := []string{"CREATE PROCEDURE shop.pay() SELECT 1", "CREATE FUNCTION shop.vat() RETURNS INT DETERMINISTIC RETURN 1"}
		calls := []string{"CALL shop.pay()", "DO shop.vat()"}
		if b.maria {
			creates = append(creates, "CREATE OR REPLACE PROCEDURE shop.pay() SELECT 2", "SET sql_mode = ORACLE",
				"CREATE PACKAGE shop.pack AS PROCEDURE p(); END", "CREATE PACKAGE BODY shop.pack AS PROCEDURE p() AS BEGIN SELECT 1; END; END")
		} else {
			creates = append(creates, "CREATE LIBRARY shop.lib LANGUAGE JAVASCRIPT AS 'x'")
		}
		b.as("app", secret, creates...)
		plan, err := b.admin.Plan(ctx, p)
		if err != nil {
			b.Fatal(err)
		}
		for _, c := range plan.Changes {
			if !strings.HasPrefix(c.Statement, "GRANT ") || !strings.HasSuffix(c.Statement, " TO 'app_clone'@'%'") || c.Drift ||
				!strings.Contains(c.Text, "gave to 'app'@'%' as the creator") {
				b.Errorf("change %+v: want a grant to the current account", c)
			}
		}
		p.Digest = b.rotate(p).Digest
		for _, user := range []string{"app", "app_clone"} {
			b.as(user, secret, calls...)
		}
		p = owned(pair)
		p.Digest = b.rotate(p).Digest
		b.same(p)

		// Dropping the routine revokes the rights of everyone who has them.
		b.as("app", secret, "DROP PROCEDURE shop.pay")
		b.same(p)
		p.Digest = b.rotate(p).Digest

		// A right revoked from the current account is revoked from the standby, which only got it
		// from there.
		b.exec("REVOKE EXECUTE ON FUNCTION shop.vat FROM app_clone")
		back := grants.Pair{Source: grants.Name{User: "app_clone", Host: "%"}, Standby: "app", Owned: true, Mark: p.Mark, Digest: p.Digest}
		plan = b.rotate(back)
		if len(plan.Changes) != 1 || !strings.HasPrefix(plan.Changes[0].Statement, "REVOKE EXECUTE ON FUNCTION `shop`.`vat` FROM 'app'") {
			b.Errorf("a right revoked from the current account gives %+v", plan.Changes)
		}

		// A right that an administrator granted only to the standby is drift, as before.
		b.exec("GRANT EXECUTE ON PROCEDURE shop.close TO app")
		plan = b.rotate(back)
		if !slices.ContainsFunc(plan.Changes, func(c grants.Change) bool {
			return c.Statement == "REVOKE EXECUTE ON PROCEDURE `shop`.`close` FROM 'app'@'%'"
		}) {
			b.Errorf("a right that an administrator granted gives %+v", plan.Changes)
		}
	})
}
