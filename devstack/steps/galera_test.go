package steps

import (
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/temporal"

	"github.com/rotate-user/rotate-user/internal/grants"
	"github.com/rotate-user/rotate-user/internal/mysqld"
	"github.com/rotate-user/rotate-user/internal/mysqld/mysqldtest"
	"github.com/rotate-user/rotate-user/rotation"
)

// galera is a MariaDB Galera cluster.
type galera struct{ *cluster }

// cluster is three nodes behind one address.
type cluster struct {
	*testing.T
	nodes   []*mysqld.Server
	front   *mysqld.Forwarder
	admins  []*sql.DB // one connection to each
	address *mysqld.Server
}

func startGalera(t *testing.T) *galera {
	t.Helper()
	return &galera{inFrontOf(t, mysqldtest.Galera(t, 3))}
}

// inFrontOf opens one address that leads to the nodes in turn.
func inFrontOf(t *testing.T, nodes []*mysqld.Server) *cluster {
	t.Helper()
	g := &cluster{T: t, nodes: nodes}
	var err error
	if g.front, err = mysqld.NewForwarder(g.nodes...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.front.Close() })
	g.address = g.front.As(g.nodes[0])
	for _, s := range g.nodes {
		db, err := s.Open(s.AdminUser, s.AdminPassword)
		if err != nil {
			t.Fatal(err)
		}
		db.SetMaxOpenConns(1)
		t.Cleanup(func() { db.Close() })
		g.admins = append(g.admins, db)
	}
	return g
}

// on runs a statement on a node.
func (g *cluster) on(node int, statement string) {
	g.Helper()
	if _, err := g.admins[node].ExecContext(g.Context(), statement); err != nil {
		g.Fatalf("node-%d: %s: %v", node+1, statement, err)
	}
}

// until waits until a status variable of a node has a value.
func (g *galera) until(node int, status, value string) {
	g.Helper()
	for {
		var name, now string
		if err := g.admins[node].QueryRowContext(g.Context(), "SHOW STATUS LIKE '"+status+"'").Scan(&name, &now); err != nil {
			g.Fatalf("node-%d: %s is %s: %v", node+1, status, now, err)
		}
		if now == value {
			return
		}
		select {
		case <-g.Context().Done():
			g.Fatal(g.Context().Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// holds checks that a step waits while the tables of a node are locked, in a session like this one,
// and completes after the unlock.
func (g *cluster) holds(t *testing.T, node int, step func() error, session string) {
	t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- step() }()
	for waiting := 0; waiting == 0; {
		select {
		case err := <-ended:
			t.Fatalf("the step ended while a node was blocked: %v", err)
		case <-time.After(20 * time.Millisecond):
		}
		query := "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE ID <> CONNECTION_ID() AND " + session
		if err := g.admins[node].QueryRowContext(t.Context(), query).Scan(&waiting); err != nil {
			t.Fatal(err)
		}
	}
	g.on(node, "UNLOCK TABLES")
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}

// lab creates a user on the cluster. The lab's own statements go to the first node.
func (g *cluster) lab(t *testing.T) *lab {
	t.Helper()
	g.front.LeadTo(g.nodes[0])
	l := newLab(t, g.address)
	l.admin.SetMaxOpenConns(1)
	for _, s := range g.nodes { // each of which gets the user in its own time
		db, err := s.Open(l.user, "First.Passw0rd")
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		for err := db.PingContext(t.Context()); err != nil; err = db.PingContext(t.Context()) {
			if time.Since(began) > 10*time.Minute || t.Context().Err() != nil { // a node that has left the cluster never gets it
				t.Fatalf("the new user has not reached %s: %v", s, err)
			}
			<-time.After(10 * time.Millisecond)
		}
		db.Close()
	}
	g.front.LeadTo(g.nodes...)
	return l
}

// everywhere logs in with the credential under a label of the secret, on every node at once.
func (l *lab) everywhere(g *cluster, label, user string) {
	l.Helper()
	for _, s := range g.nodes {
		l.server = s
		l.mustLogIn(label, user)
	}
	l.server = g.address
}

// wants checks the type and the text of an error, and whether it can be retried.
func wants(t *testing.T, err error, kind string, retry bool, says ...string) {
	t.Helper()
	var app *temporal.ApplicationError
	if !errors.As(err, &app) {
		t.Fatalf("error is %v, want one of type %s", err, kind)
	}
	if app.Type() != kind || app.NonRetryable() == retry {
		t.Errorf("error of type %s, final %t: want type %s, final %t: %v", app.Type(), app.NonRetryable(), kind, !retry, err)
	}
	for _, s := range says {
		if !strings.Contains(app.Message(), s) {
			t.Errorf("the error does not say %q: %v", s, err)
		}
	}
}

func TestGalera(t *testing.T) {
	t.Parallel()
	g := startGalera(t)
	// suspect sets how long the nodes wait for one that is silent. On a machine that is busy enough, nodes lose their quorum while
	// they wait for the 5 seconds of the default.
	suspect := func(suspected, inactive string) {
		for i := range g.nodes {
			g.on(i, "SET GLOBAL wsrep_provider_options = 'evs.inactive_timeout="+inactive+";evs.suspect_timeout="+suspected+"'")
		}
	}
	suspect("PT1M", "PT2M")

	t.Run("every rotation works on all nodes at once", func(t *testing.T) {
		l := g.lab(t)
		for i := range 3 {
			r := l.rotate()
			l.everywhere(g.cluster, "AWSCURRENT", r.Standby.User)
			if i > 0 {
				l.everywhere(g.cluster, "AWSPREVIOUS", r.Source.User)
			}
		}
	})

	t.Run("no client is refused while nodes are blocked", g.neverRefused)

	// set starts a rotation whose password is set on the first node.
	set := func(t *testing.T) (*lab, rotation.StepInput) {
		t.Helper()
		l := g.lab(t)
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
		return l, c.Rotation
	}
	// hold blocks the second node, as a backup would, while the password is set on the first.
	hold := func(t *testing.T) (*lab, rotation.StepInput) {
		t.Helper()
		l := g.lab(t)
		g.front.LeadTo(g.nodes[0]) // the sessions are kept for the later steps
		c, err := l.clone()
		if err != nil {
			t.Fatal(err)
		}
		if err := l.step(rotation.StagePassword, &c.Rotation); err != nil {
			t.Fatal(err)
		}
		g.on(1, "FLUSH TABLES WITH READ LOCK")
		t.Cleanup(func() { g.on(1, "UNLOCK TABLES") })
		if err := l.step(rotation.SetPassword, &c.Rotation); err != nil {
			t.Fatal(err)
		}
		g.front.LeadTo(g.nodes...)
		return l, c.Rotation
	}

	t.Run("the rotation waits for a blocked node", func(t *testing.T) {
		l, r := hold(t)
		g.holds(t, 1, func() error { return l.step(rotation.TestPassword, &r) }, "INFO LIKE '%global_priv%'")
		if err := l.step(rotation.PromotePassword, &r); err != nil {
			t.Fatal(err)
		}
		l.everywhere(g.cluster, "AWSCURRENT", r.Standby.User)
	})

	t.Run("the error names a node that stays blocked, and the step is retried", func(t *testing.T) {
		g.on(1, "SET GLOBAL wsrep_provider_options = 'repl.causal_read_timeout=PT0.5S'")
		defer g.on(1, "SET GLOBAL wsrep_provider_options = 'repl.causal_read_timeout=PT30S'")
		l, r := hold(t)
		wants(t, l.step(rotation.TestPassword, &r), grants.NodeBehind, true, "node-2", "backup")
	})

	t.Run("the password is set on a blocked node", func(t *testing.T) {
		l := g.lab(t)
		c, err := l.clone()
		if err != nil {
			t.Fatal(err)
		}
		if err := l.step(rotation.StagePassword, &c.Rotation); err != nil {
			t.Fatal(err)
		}
		g.front.LeadTo(g.nodes[0])
		g.front.Cut()
		g.on(0, "FLUSH TABLES WITH READ LOCK")
		t.Cleanup(func() { g.on(0, "UNLOCK TABLES") })
		wants(t, l.step(rotation.SetPassword, &c.Rotation), grants.NodeBehind, true, "node-1", "backup", "Aborting TOI")
	})

	t.Run("an account that was changed on one node only", func(t *testing.T) {
		l, r := set(t)
		// A late write from the first node would undo the change.
		g.on(2, "SET SESSION wsrep_sync_wait = 1")
		g.on(2, "SELECT 1 FROM mysql.global_priv LIMIT 1")
		g.on(2, "SET SESSION wsrep_sync_wait = 0")
		g.on(2, "SET SESSION wsrep_on = OFF")
		g.on(2, fmt.Sprintf("ALTER USER %s IDENTIFIED BY 'Another.Passw0rd'", r.Standby))
		g.on(2, "SET SESSION wsrep_on = ON")
		value, err := l.env.ExecuteActivity(rotation.TestPassword, r)
		if err != nil {
			t.Fatal(err)
		}
		var result rotation.TestPasswordResult
		if err := value.Get(&result); err != nil {
			t.Fatal(err)
		}
		if said := strings.Join(result.Warnings, "; "); len(result.Warnings) != 1 || !strings.Contains(said, "node-3") ||
			!strings.Contains(said, r.Standby.String()) {
			t.Errorf("warnings are %q, want one for node-3", result.Warnings)
		}
		if err := l.step(rotation.PromotePassword, &r); err != nil {
			t.Fatal(err)
		}
		l.everywhere(g.cluster, "AWSCURRENT", r.Standby.User)
	})

	t.Run("nodes that are not behind the address", func(t *testing.T) {
		l, r := set(t)
		g.front.LeadTo(g.nodes[0])
		value, err := l.env.ExecuteActivity(rotation.TestPassword, r)
		if err != nil {
			t.Fatal(err)
		}
		var result rotation.TestPasswordResult
		if err := value.Get(&result); err != nil {
			t.Fatal(err)
		}
		if said := strings.Join(result.Warnings, "; "); len(result.Warnings) != 2 || !strings.Contains(said, "node-2") ||
			!strings.Contains(said, "node-3") {
			t.Errorf("warnings are %q, want one for node-2 and one for node-3", result.Warnings)
		}
		r.RequireAllNodes = true
		wants(t, l.step(rotation.TestPassword, &r), grants.NodeNotAsked, true, "node-2", "node-3")
	})

	t.Run("a node without quorum", func(t *testing.T) {
		l, r := set(t)
		suspect("PT5S", "PT15S")
		g.on(2, "SET GLOBAL wsrep_provider_options = 'gmcast.isolate=1'")
		defer func() {
			g.on(2, "SET GLOBAL wsrep_provider_options = 'gmcast.isolate=0'")
			g.until(2, "wsrep_local_state_comment", "Synced")
			g.until(0, "wsrep_cluster_size", "3")
		}()
		g.until(2, "wsrep_cluster_status", "non-Primary")
		g.until(0, "wsrep_cluster_size", "2")
		wants(t, l.step(rotation.TestPassword, &r), grants.NoQuorum, true, "node-3", "no quorum")
		_, err := l.env.ExecuteActivity(rotation.ValidateSecret, rotation.KnownSecret{SecretID: "app"})
		if err != nil {
			t.Error("a node with quorum:", err)
		}
		g.front.LeadTo(g.nodes[2])
		g.front.Cut()
		_, err = l.env.ExecuteActivity(rotation.ValidateSecret, rotation.KnownSecret{SecretID: "app"})
		wants(t, err, grants.NoQuorum, true, "no quorum")
		l.input.Force = true
		_, err = l.clone()
		wants(t, err, grants.NoQuorum, true, "node-3", "no quorum")
		g.front.LeadTo(g.nodes[:2]...)
		g.front.Cut()
		if err := l.step(rotation.TestPassword, &r); err != nil {
			t.Error("nodes with quorum:", err)
		}
	})
}
