package steps

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"go.temporal.io/sdk/temporal"

	"github.com/rotate-user/rotate-user/internal/grants"
	"github.com/rotate-user/rotate-user/internal/mysqld"
	"github.com/rotate-user/rotate-user/internal/mysqld/mysqldtest"
	"github.com/rotate-user/rotate-user/rotation"
)

// Objects need the account that is their definer. It stays locked until they have another definer,
// or the deletion is forced.
func TestADefinerIsNotDropped(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		schema := l.definer()
		l.sql("GRANT EXECUTE ON " + schema + ".* TO " + l.user)
		d := l.deletion()
		if len(d.Definers) != 1 || !strings.Contains(d.Definers[0], schema+".pay") {
			t.Errorf("the deletion names %q: want the procedure", d.Definers)
		}
		l.activity(rotation.DeleteSecret, d)
		l.activity(rotation.LockAccounts, d)
		l.forceDelete()
		drop := func(d rotation.Deletion) error { _, err := l.env.ExecuteActivity(rotation.DropAccounts, d); return err }
		err := drop(d)
		var app *temporal.ApplicationError
		if !errors.As(err, &app) || app.Type() != grants.Definer || !app.NonRetryable() || !strings.Contains(app.Message(), schema+".pay") ||
			!strings.Contains(app.Message(), "another definer") {
			t.Errorf("the drop is answered by %v", err)
		}
		if got := l.locked(); !slices.Contains(got, l.user) {
			t.Errorf("locked are %v: want the definer among them", got)
		}
		l.sql("CALL " + schema + ".pay()") // as its definer, which is locked
		l.sql("DROP PROCEDURE " + schema + ".pay")
		l.sql("CREATE DEFINER=" + l.user + "@'%' VIEW " + schema + ".v AS SELECT 1 AS one")
		if err := drop(d); err == nil || !strings.Contains(err.Error(), "view "+schema+".v") {
			t.Errorf("the drop of a view's definer is answered by %v", err)
		}
		d.Force = true
		if err := drop(d); err != nil {
			t.Errorf("a forced drop: %v", err)
		}
		if got := l.accounts(l.user); len(got) != 0 {
			t.Errorf("%v is left", got)
		}
		d.Force = false
		if err := drop(d); err != nil {
			t.Errorf("when the account is gone: %v", err)
		}
	})
}

func TestTheDropOfADefinerNamesTheRight(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		if s.Engine != mysqld.MySQL {
			return // MariaDB drops a definer like any other account
		}
		l := newLab(t, s)
		l.definer()
		// This administrator cannot see the procedure, so the refusal comes from the drop itself.
		l.put(map[string]any{"username": l.user, "password": "First.Passw0rd", "masterarn": l.administrator("CREATE USER ON *.*")})
		d := l.deletion()
		l.forceDelete()
		_, err := l.env.ExecuteActivity(rotation.DropAccounts, d)
		var app *temporal.ApplicationError
		if !errors.As(err, &app) || app.Type() != rotation.ErrorAccessDenied || !app.NonRetryable() ||
			!strings.Contains(app.Message(), "definer account in a stored routine") || !strings.Contains(app.Message(), "ALLOW_NONEXISTENT_DEFINER") {
			t.Errorf("the drop is answered by %v", err)
		}
	})
}
