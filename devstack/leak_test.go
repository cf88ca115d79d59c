package main

import "testing"

// testLeak plans a rotation, revokes a leaked credential, and starts over with a workflow that has
// no state.
func (e *e2e) testLeak(t *testing.T) {
	const id = "LeakedSecret"
	e.create(t, id, "leaked", "SELECT ON *.*")
	e.starterExits(t, 3, "plan", "--secret-id", id)
	e.starter(t, "start", "--secret-id", id)
	_, leaked, err := e.Read(t.Context(), id, "AWSCURRENT")
	if err != nil {
		t.Fatal(err)
	}
	e.starterExits(t, 1, "rotate", "--secret-id", id) // within the overlap
	e.starter(t, "rotate", "--secret-id", id, "--force", "--revoke-previous")
	db, err := e.Open(leaked.Username, leaked.Password)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if db.PingContext(t.Context()) == nil {
		t.Error("the leaked credential still logs in after it was revoked")
	}
	e.starterExits(t, 0, "plan", "--secret-id", id)
	e.starter(t, "stop", "--secret-id", id)
	e.starter(t, "start", "--secret-id", id, "--rotate-immediately=false")
	e.starter(t, "rotate", "--secret-id", id, "--force")
	e.starter(t, "validate", "--secret-id", id)
}
