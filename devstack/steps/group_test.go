package steps

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/rotate-user/rotate-user/internal/grants"
	"github.com/rotate-user/rotate-user/internal/mysqld"
	"github.com/rotate-user/rotate-user/internal/mysqld/mysqldtest"
	"github.com/rotate-user/rotate-user/rotation"
)

// tested returns the result of TestPassword.
func (l *lab) tested(r rotation.StepInput) rotation.TestPasswordResult {
	l.Helper()
	value, err := l.env.ExecuteActivity(rotation.TestPassword, r)
	if err != nil {
		l.Fatal(err)
	}
	var result rotation.TestPasswordResult
	if err := value.Get(&result); err != nil {
		l.Fatal(err)
	}
	return result
}

func TestGroupReplication(t *testing.T) {
	t.Parallel()
	g := inFrontOf(t, mysqldtest.Group(t, 3, mysqld.AllPrimaries))
	name := func(member int) string { return fmt.Sprintf("127.0.0.1:%d", g.nodes[member].Port) }

	// alone runs a statement on one member only. Late writes of the other members would undo it, so
	// it waits for them first.
	alone := func(member int, statement string) {
		t.Helper()
		for other := range g.nodes {
			var executed string
			if err := g.admins[other].QueryRowContext(g.Context(), "SELECT REPLACE(@@GLOBAL.gtid_executed, '\n', '')").Scan(&executed); err != nil {
				g.Fatal(err)
			}
			g.on(member, "DO WAIT_FOR_EXECUTED_GTID_SET('"+executed+"', 60)")
		}
		g.on(member, "SET SESSION sql_log_bin = 0")
		g.on(member, statement)
		g.on(member, "SET SESSION sql_log_bin = 1")
	}
	setOf := func(l *lab) rotation.StepInput {
		t := l.T
		t.Helper()
		g.front.LeadTo(g.nodes[0]) // the sessions are kept for the later steps
		c, err := l.clone()
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range steps[:2] {
			if err := l.step(name, &c.Rotation); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		g.front.LeadTo(g.nodes...)
		return c.Rotation
	}
	set := func(t *testing.T) (*lab, rotation.StepInput) {
		t.Helper()
		l := g.lab(t)
		return l, setOf(l)
	}

	t.Run("every rotation works on all members at once", func(t *testing.T) {
		l := g.lab(t)
		for i := range 3 {
			r := l.rotate()
			l.everywhere(g, "AWSCURRENT", r.Standby.User)
			if i > 0 {
				l.everywhere(g, "AWSPREVIOUS", r.Source.User)
			}
		}
	})

	t.Run("no client is refused while members are blocked", g.neverRefused)

	t.Run("a new user's secret works on all members at once", func(t *testing.T) {
		l := g.lab(t)
		in := rotation.CreateAccountInput{
			SecretID: "new", MasterSecretID: "master", Account: grants.Name{User: l.user + "_clone", Host: "%"},
			Grants: []string{"SELECT ON *.*"}, VersionID: uuid.NewString(),
		}
		for _, step := range []string{rotation.CreateAccount, rotation.StoreSecret} {
			if _, err := l.env.ExecuteActivity(step, in); err != nil {
				t.Fatal(err)
			}
		}
		for range g.nodes { // the address leads to each member once
			if _, err := l.env.ExecuteActivity(rotation.ValidateSecret, rotation.KnownSecret{SecretID: "new"}); err != nil {
				t.Error(err)
			}
		}
	})

	t.Run("two rotations of one pair at once", func(t *testing.T) {
		l := g.lab(t)
		l.input.Pair = []string{l.user, l.user + "_clone"}
		l.rotate()
		for range 2 {
			var both sync.WaitGroup
			for _, l := range []*lab{l.another(), l.another()} {
				l.input.Force = true           // otherwise the second one waits until the first has ended
				l.input.PromotedVersionID = "" // otherwise one waits to read what the other has promoted
				both.Go(func() {
					c, err := l.clone()
					for _, step := range steps {
						if err == nil {
							err = l.step(step, &c.Rotation)
						}
					}
					if err != nil { // at most one of them succeeds
						t.Log(err)
					}
				})
			}
			both.Wait()
			l.settle()
			l.everywhere(g, "AWSCURRENT", l.credential("AWSCURRENT").Username)
		}
	})

	t.Run("a member that stores another password", func(t *testing.T) {
		l, r := set(t)
		alone(2, fmt.Sprintf("ALTER USER %s IDENTIFIED BY 'Another.Passw0rd'", r.Standby))
		if said := l.tested(r).Warnings; len(said) != 1 || !strings.Contains(said[0], name(2)) || !strings.Contains(said[0], r.Standby.String()) {
			t.Errorf("warnings are %q, want one for %s", said, name(2))
		}
		if err := l.step(rotation.PromotePassword, &r); err != nil {
			t.Fatal(err)
		}
		l.everywhere(g, "AWSCURRENT", r.Standby.User)
	})

	t.Run("the rotation waits for a blocked member", func(t *testing.T) {
		l, r := set(t)
		g.on(2, "FLUSH TABLES WITH READ LOCK")
		defer g.on(2, "UNLOCK TABLES")
		g.on(0, "CREATE DATABASE "+l.user) // which the blocked member does not apply
		defer g.on(0, "DROP DATABASE "+l.user)
		g.holds(t, 2, func() error { return l.step(rotation.TestPassword, &r) }, "STATE LIKE 'Executing hook on transaction begin%'")
	})

	// Setting its password again would make the member leave the group.
	t.Run("a member that lacks the account", func(t *testing.T) {
		l, r := set(t)
		alone(2, "DROP USER "+r.Standby.String())
		defer alone(2, "CREATE USER "+r.Standby.String())
		wants(t, l.step(rotation.TestPassword, &r), grants.NodeDiffers, false, name(2), r.Standby.String())
	})

	t.Run("members that are not behind the address", func(t *testing.T) {
		l, r := set(t)
		alone(2, fmt.Sprintf("ALTER USER %s IDENTIFIED BY 'Another.Passw0rd'", r.Standby))
		g.front.LeadTo(g.nodes[0])
		if said := l.tested(r).Warnings; len(said) != 1 || !strings.Contains(said[0], name(2)) {
			t.Errorf("warnings are %q, want one for %s", said, name(2))
		}
	})

	t.Run("a refusal by all members is final", func(t *testing.T) {
		l := g.lab(t)
		l.put(map[string]any{"username": l.user, "password": "First.Passw0rd", "masterarn": "master", "dbname": "nosuch"})
		l.settle()
		_, err := l.clone()
		wants(t, err, rotation.ErrorDatabase, false, "1049")
	})

	t.Run("a member that has left and still answers", func(t *testing.T) {
		l := g.lab(t)
		g.on(2, "STOP GROUP_REPLICATION")
		r := setOf(l)
		wants(t, l.step(rotation.TestPassword, &r), grants.NoQuorum, true, name(2), "offline")
		g.front.LeadTo(g.nodes[:2]...)
		if err := l.step(rotation.TestPassword, &r); err != nil {
			t.Fatal(err)
		}
		if err := l.step(rotation.PromotePassword, &r); err != nil {
			t.Fatal(err)
		}
		// The administrator's session stays on its member, and the application's login reaches the
		// member that has left.
		g.front.LeadTo(g.nodes[2])
		l.settle()
		_, err := l.clone()
		wants(t, err, grants.NoQuorum, true, name(2), "offline")
		if err := g.nodes[2].JoinGroup(t.Context()); err != nil {
			t.Fatal(err)
		}
		g.front.LeadTo(g.nodes...)
		if _, err := l.clone(); err != nil {
			t.Error("after it has rejoined the others:", err)
		}
		l.everywhere(g, "AWSCURRENT", r.Standby.User)
	})
}
