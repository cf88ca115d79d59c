package account

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/rotate-user/rotate-user/internal/grants"
	"github.com/rotate-user/rotate-user/internal/mysqld"
	"github.com/rotate-user/rotate-user/internal/mysqld/mysqldtest"
)

// rotators are administrators of different workers, which reach the nodes of a cluster in turn.
func rotators(t *testing.T, front *mysqld.Server, count int) (all []*Admin) {
	t.Helper()
	for range count {
		all = append(all, adminOf(t, front, front.AdminUser, front.AdminPassword))
	}
	return all
}

// at returns the id of the node that a session is on.
func (a *Admin) at(t *testing.T) string {
	t.Helper()
	n, err := a.askNode(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return n.id
}

// lowest checks that all rotators are on the node with the lowest id, and returns its index.
func lowest(t *testing.T, nodes []*mysqld.Server, all []*Admin) int {
	t.Helper()
	var ids []string
	for _, s := range nodes {
		// Its address leads to only one node, on which the session stays.
		ids = append(ids, adminOf(t, s, s.AdminUser, s.AdminPassword).at(t))
	}
	for i, a := range all {
		if got := a.at(t); got != slices.Min(ids) {
			t.Errorf("rotator %d is on %s, want the lowest of %s", i, got, ids)
		}
		if a.elsewhere != "" {
			t.Errorf("rotator %d is warned: %s", i, a.elsewhere)
		}
	}
	return slices.Index(ids, slices.Min(ids))
}

// The lock on an account belongs to one node, and must exclude all rotators.
func excludes(t *testing.T, all []*Admin) {
	t.Helper()
	err := all[0].Locked(t.Context(), "app", "app_2", func(ctx context.Context) error {
		for i, other := range all[1:] {
			other.patience = 0
			err := other.Locked(ctx, "app", "app_2", func(context.Context) error { return nil })
			if r, ok := errors.AsType[*grants.Refusal](err); !ok || r.Reason != grants.Busy {
				t.Errorf("rotator %d works at the same time as another one: %v", i+1, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if t.Failed() { // the rest might never end
		t.FailNow()
	}
}

func inTurn(t *testing.T, nodes []*mysqld.Server) *mysqld.Forwarder {
	t.Helper()
	front, err := mysqld.NewForwarder(nodes...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { front.Close() })
	return front
}

func TestAccountsOfAGaleraClusterAreChangedOnOneNode(t *testing.T) {
	nodes := mysqldtest.Galera(t, 3)
	front := inTurn(t, nodes)
	address := front.As(nodes[0])
	all := rotators(t, address, 4)
	writer := lowest(t, nodes, all)
	excludes(t, all)

	// A node whose own address is unknown cannot be found.
	front.LeadTo(slices.Delete(slices.Clone(nodes), writer, writer+1)...)
	all = rotators(t, address, 2)
	admin, err := nodes[0].Open(nodes[0].AdminUser, nodes[0].AdminPassword)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	if _, err := admin.ExecContext(t.Context(), "CREATE USER app@'%' IDENTIFIED BY 'old'"); err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		plan, err := a.Plan(t.Context(), grants.Pair{Source: grants.Name{User: "app", Host: "%"}, Standby: "app_clone", Mark: "m"})
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf("but not to node-%d", writer+1); !strings.Contains(strings.Join(plan.Warnings, "; "), want) {
			t.Errorf("warnings are %q, want one with %q", plan.Warnings, want)
		}
	}
}

// stored returns what a member stores for a user once it has everything that the others have.
func (m member) stored(t *testing.T, user string) (hash string) {
	t.Helper()
	conn, err := m.db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.ExecContext(t.Context(), "SET SESSION group_replication_consistency = 'BEFORE'"); err != nil {
		t.Fatal(err)
	}
	if err := conn.QueryRowContext(t.Context(), "SELECT HEX(authentication_string) FROM mysql.user WHERE User = ?",
		user).Scan(&hash); err != nil {
		t.Fatal(err)
	}
	return hash
}

func TestAccountsOfAGroupAreChangedOnOneMember(t *testing.T) {
	group := startGroup(t, 3, mysqld.AllPrimaries)
	var nodes []*mysqld.Server
	for _, m := range group {
		nodes = append(nodes, m.Server)
	}
	front := inTurn(t, nodes)
	address := front.As(nodes[0])
	all := rotators(t, address, 4)
	writer := lowest(t, nodes, all)
	excludes(t, all)

	group[0].exec(t, "CREATE USER app@'%' IDENTIFIED BY 'old'")
	n := grants.Name{User: "app", Host: "%"}
	for i := range 10 {
		var wg sync.WaitGroup
		for j, a := range all[:2] {
			a.patience = lockPatience
			wg.Go(func() {
				if _, err := a.SetPassword(t.Context(), n, n, fmt.Sprint("password ", i, " of ", j), nil); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		hashes := map[string]bool{}
		for _, m := range group {
			hashes[m.stored(t, "app")] = true
		}
		if len(hashes) != 1 {
			t.Fatalf("the members store %d different passwords", len(hashes))
		}
	}

	// A member that the address does not lead to is reached at its own address.
	front.LeadTo(slices.Delete(slices.Clone(nodes), writer, writer+1)...)
	all = rotators(t, address, 2)
	lowest(t, nodes, all)
	excludes(t, all)

	// If there is one primary, it is the writer, whatever its id.
	front.LeadTo(nodes...)
	other := group[(writer+1)%3]
	var id string
	if err := other.db.QueryRowContext(t.Context(), "SELECT @@server_uuid").Scan(&id); err != nil {
		t.Fatal(err)
	}
	other.exec(t, "SELECT group_replication_switch_to_single_primary_mode('"+id+"')")
	for i, a := range rotators(t, address, 3) {
		if got := a.at(t); got != id {
			t.Errorf("rotator %d is on %s, want the primary %s", i, got, id)
		}
	}
}

func TestOwnAddressOfANode(t *testing.T) {
	front := Endpoint{Host: "db.example", Port: 3307, TLS: true}
	for address, want := range map[string]string{
		"":              "",
		"AUTO":          "",
		"n2.example":    "n2.example:3307",
		"n2.example:33": "n2.example:33",
		"[::1]:33":      "[::1]:33",
		"n2.example:x":  "",
	} {
		at, ok := listedNode{address: address}.endpoint(front)
		if ok != (want != "") || ok && (at.String() != want || !at.TLS) {
			t.Errorf("address %q leads to %s, %t: want %q", address, at, ok, want)
		}
	}
	front.TLS = false
	if at, ok := (listedNode{address: "n2.example:33"}).endpoint(front); ok {
		t.Errorf("the administrator would log in at %s without TLS", at)
	}
}
