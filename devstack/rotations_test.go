package main

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rotate-user/rotate-user/devstack/stack"
)

func (e *e2e) testTwelveRotations(t *testing.T) {
	const secretID, user = "twelve/rotations", "twelve"
	e.create(t, secretID, user, "SELECT ON *.*", "INSERT, UPDATE ON shop.*")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan stack.Logins, 1)
	seen := make(chan string, 100)
	go func() { ended <- e.UseSecret(ctx, secretID, func(user string) { seen <- user }) }()
	want := []string{user}
	await := func() { // otherwise the next step could finish before the client reads the secret
		t.Helper()
		select {
		case got := <-seen:
			if got != want[len(want)-1] {
				t.Fatalf("the client logs in as %s, want %s", got, want[len(want)-1])
			}
		case logins := <-ended:
			t.Fatalf("the client stopped: %v", logins.First)
		case <-time.After(patience):
			t.Fatalf("the client never logs in as %s", want[len(want)-1])
		}
	}
	await()
	e.starter(t, "start", "--secret-id", secretID, "--rotate-immediately=false")
	for i := range 12 {
		e.starter(t, "rotate", "--secret-id", secretID, "--force")
		want = append(want, user+[]string{"_clone", ""}[i%2])
		_, c, err := e.Read(t.Context(), secretID, "AWSCURRENT")
		if err != nil {
			t.Fatal(err)
		}
		if c.Username != want[i+1] {
			t.Fatalf("rotation %d: AWSCURRENT is %s, want %s", i+1, c.Username, want[i+1])
		}
		await()
	}
	stop()
	logins := <-ended
	if logins.Failed > 0 {
		t.Errorf("%d of %d logins failed: %v", logins.Failed, logins.Done+logins.Failed, logins.First)
	}
	if diff := cmp.Diff(want, logins.Users); diff != "" {
		t.Errorf("the client did not use every credential in turn (-want +got):\n%s", diff)
	}
}

func (e *e2e) testCost(t *testing.T) {
	const secretID = "twelve/rotations"
	admin := e.admin(t)
	before := e.currentRun(t, secretID)
	connections := statusValue(t, admin, "Connections")
	e.Secrets.ResetCalls()

	e.starter(t, "rotate", "--secret-id", secretID, "--force")

	calls := 0
	for _, n := range e.Secrets.Calls() {
		calls += n
	}
	limits := []struct {
		what     string
		got, max int
	}{
		{"Secrets Manager calls", calls, 11},
		{"MySQL connections", statusValue(t, admin, "Connections") - connections, 5},
		{"history events of a rotation", len(e.history(t, secretID, before)), 45},
		{"history events while asleep", len(e.history(t, secretID, e.currentRun(t, secretID))), 8},
	}
	for _, l := range limits {
		t.Logf("%s: %d", l.what, l.got)
		if l.got > l.max || l.got == 0 && l.what != "MySQL connections" {
			t.Errorf("%s: got %d, want at most %d", l.what, l.got, l.max)
		}
	}
	t.Log(e.Secrets.Calls())
}

func statusValue(t *testing.T, db *sql.DB, name string) int {
	t.Helper()
	var value int
	if err := db.QueryRowContext(t.Context(), "SHOW GLOBAL STATUS LIKE '"+name+"'").Scan(&name, &value); err != nil {
		t.Fatal(err)
	}
	return value
}
