package account

import (
	"context"
	"database/sql"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rotate-user/rotate-user/internal/grants"
)

// again opens the administrator's session that was closed before.
func (b *bench) again(a *Admin) *Admin {
	b.Helper()
	if err := a.Close(); err != nil {
		b.Fatal(err)
	}
	a, err := b.dialer.Admin(context.Background(), b.endpoint(), "ops", "Ops-1")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { a.Close() })
	return a
}

func (a *Admin) id(b *bench) string {
	b.Helper()
	rows, err := a.query(b.Context(), "SELECT CONNECTION_ID() AS id")
	if err != nil {
		b.Fatal(err)
	}
	return rows[0].Text("id")
}

// A session has the rights that its account had at login. Rights granted later must not be relied
// on.
func TestRightsGrantedToAnOpenSession(t *testing.T) {
	each(t, func(b *bench) {
		ctx := context.Background()
		b.exec("CREATE USER app IDENTIFIED BY 'Aa1-first'", "GRANT SELECT ON shop.* TO app")
		b.rotate(pair)
		other, err := b.server.Open("app_clone", secret)
		if err != nil {
			b.Fatal(err)
		}
		defer other.Close()
		if err := other.Ping(); err != nil {
			b.Fatal(err)
		}
		a := b.ops("GRANT SELECT ON mysql.* TO %s", "GRANT SELECT ON shop.* TO %s WITH GRANT OPTION")
		if _, err := a.Exists(ctx, "app"); err != nil { // this does not read the administrator's rights
			b.Fatal(err)
		}
		b.exec("GRANT CREATE USER ON *.* TO ops")
		a = b.again(a)
		if plan, err := a.Plan(ctx, owned(pair)); err != nil || plan.SessionsKnown {
			b.Fatalf("before PROCESS: %+v, %v", plan, err)
		}
		b.exec("GRANT PROCESS ON *.* TO ops")
		a = b.again(a)
		plan, err := a.Plan(ctx, owned(pair))
		if err != nil || !plan.SessionsKnown || len(plan.Sessions) != 1 {
			b.Errorf("the open session is not counted: %+v, %v", plan, err)
		}
		first := a.id(b)
		if a = b.again(a); a.id(b) != first {
			b.Error("a session with current rights is not reused")
		}
		if _, err := a.Plan(ctx, owned(pair)); err != nil || a.id(b) != first {
			b.Errorf("a session with current rights is replaced, %v", err)
		}
		fresh := grants.Pair{Source: grants.Name{User: "app", Host: "%"}, Standby: "app_other", Mark: "m"}
		if _, err := a.Sync(ctx, fresh); err != nil {
			b.Errorf("a right in the tables is refused: %v", err)
		}
		b.exec("GRANT INSERT ON *.* TO app_other", "GRANT INSERT ON *.* TO app", "GRANT INSERT ON *.* TO ops WITH GRANT OPTION")
		a = b.again(a)
		fresh.Standby = "app_third"
		if _, err := a.Sync(ctx, fresh); err != nil {
			b.Errorf("the last right granted is refused: %v", err)
		}
	})
}

// After a refusal because of a read-only server or a missing right, neither that session nor the
// idle ones of its pool are reused.
func TestSessionIsNotReusedAfterARefusal(t *testing.T) {
	each(t, func(b *bench) {
		ctx := context.Background()
		b.exec("CREATE USER app IDENTIFIED BY 'Aa1-first'")
		a := b.ops(slices.Clone(least)...)
		second, err := b.dialer.Admin(ctx, b.endpoint(), "ops", "Ops-1")
		if err != nil {
			b.Fatal(err)
		}
		var ids []string
		for _, s := range []*Admin{second, a} {
			ids = append(ids, s.id(b))
		}
		if err := second.Close(); err != nil {
			b.Fatal(err)
		}
		b.exec("SET GLOBAL read_only = ON")
		defer b.exec("SET GLOBAL read_only = OFF")
		a = b.again(a)
		if _, err := a.Plan(ctx, pair); !refused(err, grants.ReadOnly) {
			b.Fatalf("got %v, want a refusal", err)
		}
		used := a.id(b)
		if !slices.Contains(ids, used) {
			b.Fatalf("session %s is not one of %v: the test no longer tests anything", used, ids)
		}
		b.exec("SET GLOBAL read_only = OFF")
		if a = b.again(a); slices.Contains(ids, a.id(b)) {
			b.Error("the session is reused after the server was read-only")
		}
		used = a.id(b)
		if err := a.exec(ctx, "GRANT SELECT ON shop.* TO app"); err == nil {
			b.Fatal("an administrator without the right may grant it")
		}
		if a = b.again(a); a.id(b) == used {
			b.Error("the session is reused after a right was missing")
		}
		if strings.TrimSpace(used) == "" {
			b.Error("no id")
		}
	})
}

// A revocation reports how many sessions it could not end, and which right it lacks.
func TestRevokeReportsSessionsThatItCannotEnd(t *testing.T) {
	each(t, func(b *bench) {
		ctx := context.Background()
		b.exec("CREATE USER app IDENTIFIED BY 'Aa1-first'")
		var sessions []*sql.Conn
		for range 2 {
			db, err := b.server.Open("app", "Aa1-first")
			if err != nil {
				b.Fatal(err)
			}
			defer db.Close()
			conn, err := db.Conn(ctx)
			if err != nil {
				b.Fatal(err)
			}
			sessions = append(sessions, conn)
		}
		a := b.ops(least...)
		app := grants.Name{User: "app", Host: "%"}
		_, err := a.Revoke(ctx, app, pair.Mark, nil)
		if !refused(err, grants.MissingRight) || !strings.Contains(err.Error(), "is locked and its password is gone") ||
			!strings.Contains(err.Error(), "GRANT PROCESS ON *.* TO 'ops'@'%'") {
			b.Errorf("without PROCESS: %v", err)
		}
		b.exec("GRANT PROCESS ON *.* TO ops")
		a = b.again(a)
		ended, err := a.Revoke(ctx, app, pair.Mark, nil)
		if !refused(err, grants.MissingRight) || ended.Left != 2 || !strings.Contains(err.Error(), "0 sessions of 'app' ended and 2 did not") ||
			!strings.Contains(err.Error(), "GRANT CONNECTION") {
			b.Errorf("without the right to end them: %+v, %v", ended, err)
		}
		right := "CONNECTION_ADMIN"
		if b.maria {
			right = "CONNECTION ADMIN"
		}
		b.exec("GRANT " + right + " ON *.* TO ops")
		a = b.again(a)
		ended, err = a.Revoke(ctx, app, pair.Mark, nil)
		if want := (Ended{Ended: 2}); err != nil || ended != want {
			b.Errorf("%+v, %v; want %+v", ended, err, want)
		}
		for _, conn := range sessions {
			if err := conn.PingContext(ctx); err == nil {
				b.Error("a session is still open")
			}
		}
	})
}

// A rotation checks the rights that a revocation needs before it writes anything.
func TestRevocationIsRefusedBeforeTheFirstWrite(t *testing.T) {
	each(t, func(b *bench) {
		ctx := context.Background()
		b.exec("CREATE USER app IDENTIFIED BY 'Aa1-first'")
		a := b.ops(least...)
		p := pair
		p.Revoke = true
		right := a.server.KillRight()
		before := b.everything()
		for name, f := range map[string]func(context.Context, grants.Pair) (*grants.Plan, error){"plan": a.Plan, "sync": a.Sync} {
			_, err := f(ctx, p)
			if !refused(err, grants.MissingRight) || !strings.Contains(err.Error(),
				"PROCESS on *.*, to see sessions; "+right+" on *.*, to end sessions") {
				b.Errorf("%s: got %v, want a refusal that names both rights", name, err)
			}
		}
		plan, err := a.Plan(ctx, pair)
		if err != nil || !slices.ContainsFunc(plan.Warnings, func(w string) bool {
			return strings.HasPrefix(w, "a rotation that revokes the previous credential would be refused: "+
				"administrator 'ops'@'%' lacks PROCESS on *.*")
		}) {
			b.Errorf("a plan without the revocation: %v, %+v", err, plan)
		}
		if diff := cmp.Diff(before, b.everything()); diff != "" {
			b.Errorf("a refusal wrote (-before +after):\n%s", diff)
		}
		b.exec("GRANT PROCESS ON *.* TO ops")
		if _, err := b.again(a).Plan(ctx, p); !refused(err, grants.MissingRight) || strings.Contains(err.Error(), "PROCESS") {
			b.Errorf("with PROCESS: %v", err)
		}
		b.exec("GRANT " + right + " ON *.* TO ops")
		if _, err := b.again(a).Sync(ctx, p); err != nil {
			b.Errorf("with both rights: %v", err)
		}
	})
}
