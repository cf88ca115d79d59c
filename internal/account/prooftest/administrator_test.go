package prooftest

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rotate-user/rotate-user/internal/grants"
	"github.com/rotate-user/rotate-user/internal/mysqld"
)

// The least administrator has CREATE USER, SELECT on mysql.*, and every right of the current
// account with grant option. It rotates the hard accounts as well as an administrator with all
// rights does, or is refused before anything is written.
func TestHardAccountsWithTheLeastAdministrator(t *testing.T) {
	onEachServer(t, func(t *testing.T, s *mysqld.Server) { hardCases(t, s, s.Engine, least) })
}

// beyond lists what the servers require of an administrator in some cases in addition, by a text in
// the refusal.
var beyond = []struct{ says, grant string }{
	// On MariaDB, only accounts that may write the grant tables can set the default role of another account.
	{"default role", "GRANT UPDATE ON mysql.* TO {u}"},
	// On MySQL, only an administrator with the grant option of static rights can grant a dynamic
	// right with its grant option.
	{"GRANT OPTION on *.*", "GRANT USAGE ON *.* TO {u} WITH GRANT OPTION"},
}

func least(t *testing.T, w *world, h hard) string {
	t.Helper()
	admin := name{w.n + "least", "localhost"}
	w.run(t, admin, "CREATE USER {u} IDENTIFIED BY "+literal(w.secret), "GRANT CREATE USER ON *.* TO {u}", "GRANT SELECT ON mysql.* TO {u}")
	for _, statement := range slices.Concat(h.setup, h.use, h.spoil) {
		if strings.HasPrefix(statement, "SET sql_mode") {
			w.run(t, admin, statement)
		}
		before, _, ok := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(statement, "mysql:"), "mariadb:"), " TO {u}")
		if !ok || !strings.HasPrefix(before, "GRANT ") {
			continue
		}
		after := " TO {u} WITH GRANT OPTION"
		if !strings.Contains(before, " ON ") {
			after = " TO {u} WITH ADMIN OPTION"
		}
		prefix := statement[:strings.Index(statement, "GRANT ")]
		text, ok := w.spelt(admin, prefix+before+after)
		if !ok {
			continue
		}
		if _, err := w.conn.ExecContext(t.Context(), text); err != nil {
			// If a table no longer exists, a right on it can be granted only together with CREATE.
			must(t, w.conn, strings.Replace(text, "GRANT ", "GRANT CREATE, ", 1))
		}
	}
	must(t, w.conn, "SET sql_mode = ''")
	if reason := h.beyondLeast[w.server.Engine]; reason != "" {
		w.run(t, admin, reason)
	}

	r := newRotator(t, w, false)
	r.admin = admin.user
	first, second := h.names(w)
	pair := grants.Pair{Source: grants.Name{User: first.user, Host: first.host}, Standby: second.user, Mark: "x"}
	a := r.session(t)
	defer a.Close()
	mark := len(w.sent(t, admin.user))
	_, planned := a.Plan(t.Context(), pair)
	if planned == nil {
		return admin.user
	}
	_, applied := a.Sync(t.Context(), pair)
	if refusal, ok := errors.AsType[*grants.Refusal](planned); !ok || refusal.Reason != grants.MissingRight {
		t.Fatalf("plan: %v", planned)
	}
	if diff := cmp.Diff(planned.Error(), errorText(applied)); diff != "" {
		t.Errorf("Plan and Sync are refused differently: %s", diff)
	}
	if wrote := r.changing(t, mark); len(wrote) > 0 {
		t.Errorf("refused, but %q was sent", wrote)
	}
	helped := false
	for _, b := range beyond {
		if strings.Contains(planned.Error(), b.says) {
			w.run(t, admin, b.grant)
			helped = true
		}
	}
	if !helped {
		t.Errorf("refused: %v", planned)
	}
	return admin.user
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
