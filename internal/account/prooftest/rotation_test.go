package prooftest

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rotate-user/rotate-user/internal/account"
	"github.com/rotate-user/rotate-user/internal/grants"
	"github.com/rotate-user/rotate-user/internal/mysqld"
	"github.com/rotate-user/rotate-user/internal/password"
)

// Every hard account goes through two complete rotations: a clone is created, both accounts are
// changed outside the rotation, the clone becomes current, and its rights are copied back to the
// first account.
func TestHardAccounts(t *testing.T) {
	onEachServer(t, func(t *testing.T, s *mysqld.Server) { hardCases(t, s, s.Engine, nil) })
	onPartialRevokes(t, func(t *testing.T, s *mysqld.Server) { hardCases(t, s, partial, nil) })
}

// hardCases runs the accounts on one kind of server. as, if not nil, creates the administrator that
// rotates.
func hardCases(t *testing.T, s *mysqld.Server, kind string, as func(*testing.T, *world, hard) string) {
	for _, h := range hardAccounts {
		if h.only != kind && (h.only != "" || kind == partial) {
			continue
		}
		t.Run(h.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, s)
			first, second := h.names(w)
			w.run(t, first, "CREATE USER {u} IDENTIFIED BY '{p}' "+h.with)
			w.run(t, first, h.setup...)
			r := newRotator(t, w, !h.noLogin)
			if as != nil {
				r.admin = as(t, w, h)
			}
			r.passwords[first] = firstPassword
			r.rotate(t, first, second, false)

			before := mustForm(t, w.conn, s.Engine, second)
			w.run(t, second, h.use...)
			if slices.Equal(before, mustForm(t, w.conn, s.Engine, second)) {
				t.Error("the form does not show the changes to the current account")
			}
			before = mustForm(t, w.conn, s.Engine, first)
			w.run(t, first, h.spoil...)
			if slices.Equal(before, mustForm(t, w.conn, s.Engine, first)) && !strings.Contains(h.name, "plugin") {
				t.Error("the form does not show the changes to the standby")
			}
			if lines := r.differences(t, second, first); len(lines) == 0 {
				t.Error("a changed standby counts as equal")
			}
			r.rotate(t, second, first, true)
		})
	}
}

// names returns the account's name in the world, and its clone's.
func (h hard) names(w *world) (first, second name) {
	host := h.host
	if host == "" {
		host = "localhost"
	}
	return name{w.n + h.user, host}, name{w.n + h.user + "_clone", host}
}

// rotator does to accounts what a rotation does, and checks each step.
type rotator struct {
	w         *world
	dialer    *account.Dialer
	endpoint  account.Endpoint
	admin     string
	secret    string
	logsIn    bool // the accounts can log in from here
	passwords map[name]string
	// surprises reports whether something may happen by chance that no plan foresees. A statement
	// may affect something else, which must then be repaired. Or the server's memory may not match
	// its tables, and only FLUSH PRIVILEGES helps. Then the rotation must say so, and succeed
	// afterwards.
	surprises bool
}

func newRotator(t tester, w *world, logsIn bool) *rotator {
	t.Helper()
	r := &rotator{
		w:         w,
		dialer:    &account.Dialer{RootCAs: roots(t, w.server), Certificates: certificate(t, w.server)},
		endpoint:  account.Endpoint{Host: w.server.Host, Port: w.server.Port, TLS: true},
		admin:     w.admin,
		secret:    w.secret,
		logsIn:    logsIn,
		passwords: map[name]string{},
	}
	t.Cleanup(func() {
		if err := r.dialer.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func (r *rotator) session(t tester) *account.Admin {
	t.Helper()
	a, err := r.dialer.Admin(t.Context(), r.endpoint, r.admin, r.secret)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (r *rotator) differences(t tester, source, standby name) []string {
	t.Helper()
	a := r.session(t)
	defer a.Close()
	lines, err := a.Differences(t.Context(), grants.Name{User: source.user, Host: source.host},
		grants.Name{User: standby.user, Host: standby.host})
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

// harmless matches the statements of an administrator that change nothing.
var harmless = regexp.MustCompile(`(?is)^\s*(SELECT|SHOW|SET|DO|START TRANSACTION|COMMIT|ROLLBACK)\b`)

// changing returns the statements sent since the one numbered mark that can change something.
func (r *rotator) changing(t tester, from int) []string {
	t.Helper()
	var found []string
	for _, statement := range r.w.sent(t, r.admin)[from:] {
		if !harmless.MatchString(statement) || strings.HasPrefix(strings.ToUpper(statement), "SET PASSWORD") ||
			strings.HasPrefix(strings.ToUpper(statement), "SET DEFAULT ROLE") {
			found = append(found, statement)
		}
	}
	return found
}

// rotate makes the standby equal to the source and sets its password, as one rotation does, and
// returns the changes.
func (r *rotator) rotate(t tester, source, standby name, owned bool) *grants.Plan {
	t.Helper()
	ctx, w, engine := t.Context(), r.w, r.w.server.Engine
	pair := grants.Pair{
		Source:  grants.Name{User: source.user, Host: source.host},
		Standby: standby.user, Owned: owned, Mark: "proof of " + w.n,
	}
	target := grants.Name{User: standby.user, Host: standby.host}
	before := mustForm(t, w.conn, engine, source)

	a := r.session(t)
	defer a.Close()
	mark := len(w.sent(t, r.admin))
	planned, err := a.Plan(ctx, pair)
	if r.surprises && err != nil && strings.Contains(err.Error(), "FLUSH PRIVILEGES") {
		must(t, w.conn, "FLUSH PRIVILEGES")
		before = mustForm(t, w.conn, engine, source)
		mark = len(w.sent(t, r.admin))
		planned, err = a.Plan(ctx, pair)
	}
	if err != nil {
		t.Fatalf("plan: %v", err)
	}
	if len(w.sent(t, r.admin)) == mark {
		t.Fatal("the server's log does not show the statements")
	}
	if wrote := r.changing(t, mark); len(wrote) > 0 {
		t.Errorf("a plan sent %q", wrote)
	}
	applied, err := a.Sync(ctx, pair)
	if r.surprises && err != nil && strings.Contains(err.Error(), "FLUSH PRIVILEGES") {
		must(t, w.conn, "FLUSH PRIVILEGES")
		before = mustForm(t, w.conn, engine, source)
		if planned, err = a.Plan(ctx, pair); err != nil {
			t.Fatalf("plan after FLUSH PRIVILEGES: %v", err)
		}
		applied, err = a.Sync(ctx, pair)
	}
	if err != nil {
		t.Fatalf("synchronise: %v\nplanned: %s", err, texts(planned))
	}
	done := texts(applied)
	if r.surprises {
		done = done[:min(len(done), len(texts(planned)))]
	}
	if diff := cmp.Diff(texts(planned), done); diff != "" {
		t.Errorf("the changes differ from the plan (- planned, + applied):\n%s", diff)
	}
	if !r.surprises && (planned.Create != !owned || applied.Create != !owned) {
		t.Errorf("create: planned %t, applied %t", planned.Create, applied.Create)
	}
	wantEqual(t, "the current account was changed", before, mustForm(t, w.conn, engine, source))
	if !owned && !locked(t, w, standby) {
		t.Error("a new clone is not locked before it has its password")
	}

	mark = len(w.sent(t, r.admin))
	again, err := a.Sync(ctx, pair)
	if err != nil {
		t.Fatalf("synchronise again: %v", err)
	}
	if wrote := r.changing(t, mark); len(wrote) > 0 ||
		slices.ContainsFunc(again.Changes, func(c grants.Change) bool { return c.Statement != "" }) {
		t.Errorf("nothing was left to do, but %q was sent and %s reported", wrote, texts(again))
	}

	policy, err := a.PasswordPolicy(ctx, target)
	if err != nil {
		t.Fatalf("password policy: %v", err)
	}
	pass, err := password.Generate(policy)
	if err != nil {
		t.Fatal(err)
	}
	fenced := 0
	fence := func(context.Context, grants.Stored) error { fenced++; return nil }
	for range 2 { // twice, as in a retry
		if _, err := a.SetPassword(ctx, target, pair.Source, pass, fence); err != nil {
			t.Fatalf("set the password: %v", err)
		}
	}
	if fenced != 2 {
		t.Errorf("the fence was called %d times in two calls", fenced)
	}
	for _, statement := range w.sent(t, r.admin) {
		if strings.Contains(statement, pass) {
			t.Error("the password is in the server's log")
		}
	}
	r.passwords[standby] = pass
	wantEqual(t, "the standby is not equal to the current account", before, mustForm(t, w.conn, engine, standby))
	if lines := r.differences(t, source, standby); len(lines) > 0 {
		t.Errorf("equal accounts are reported to differ: %q", lines)
	}
	if second := secondPassword(t, w, standby); second {
		t.Error("the standby still has a second password")
	}
	for _, who := range []name{source, standby} {
		if !r.logsIn {
			break
		}
		login, err := r.dialer.Login(ctx, r.endpoint, who.user, r.passwords[who])
		if err != nil {
			t.Errorf("log in as %s: %v", who.sql(), err)
		} else if want := (grants.Name{User: who.user, Host: who.host}); login.Account != want || !login.TLS {
			t.Errorf("logged in as %v, want %v", login, want)
		}
	}
	return applied
}

// texts returns a plan's lines as they are shown to people.
func texts(p *grants.Plan) []string {
	var lines []string
	for _, c := range p.Changes {
		lines = append(lines, c.Text)
	}
	return lines
}

func locked(t tester, w *world, who name) bool {
	t.Helper()
	for _, line := range mustForm(t, w.conn, w.server.Engine, who) {
		if strings.Contains(line, `account_locked="Y"`) || strings.Contains(line, `\"account_locked\":true`) {
			return true
		}
	}
	return false
}

func secondPassword(t tester, w *world, who name) bool {
	t.Helper()
	if w.server.Engine == mysqld.MariaDB {
		return false
	}
	rows, err := query(t.Context(), w.conn, "SELECT COALESCE(JSON_EXTRACT(User_attributes, '$.additional_password'), "+
		"'') FROM mysql.user WHERE User = ? AND Host = ?", who.user, who.host)
	if err != nil {
		t.Fatal(err)
	}
	return len(rows) != 1 || rows[0][0] != ""
}
