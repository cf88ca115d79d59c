package main

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/rotate-user/rotate-user/devstack/stack"
	"github.com/rotate-user/rotate-user/internal/mysqld/mysqldtest"
	"github.com/rotate-user/rotate-user/rotation"
)

// TestAFrozenServerDelaysNoOther checks that a server that accepts connections and stays silent, with 60 users due, takes at
// most one of the worker's places from another server's users, whose rotations are scheduled or requested. How long they take
// depends on the machine, so the test counts logins that wait rather than seconds.
func TestAFrozenServerDelaysNoOther(t *testing.T) {
	t.Parallel()
	bin, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	s, err := stack.Start(t.Context(), stack.Options{Dir: t.TempDir(), DataDir: t.TempDir(), Mysqld: mysqldtest.Programs(t)[0].Engine})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop()
	e := &e2e{running: running{Stack: s, bin: bin}, temporal: dial(t, s.Temporal.Address())}
	if e.worker, err = s.StartWorker(t.Context(), filepath.Join(bin, "worker"), "worker", "--max-rotations-per-second", "0"); err != nil {
		t.Fatal(err)
	}
	e.create(t, "Asked", "asked", "SELECT ON *.*")
	e.create(t, "Due", "due", "SELECT ON *.*")
	e.starter(t, "start", "--secret-id", "Asked")

	frozen := newSilent(t)
	store := func(id, user string) {
		t.Helper()
		value, err := json.Marshal(stack.Credential{
			Engine: "mysql", Host: "127.0.0.1", Port: frozen.port(), Username: user, Password: "Aa1-" + rand.Text(),
		})
		if err == nil {
			_, err = s.Client.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String(id),
				SecretString: aws.String(string(value))})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	store("FrozenMaster", "administrator")
	const users = 60
	var failure string
	// A step has a pending activity, or waits for its next try after several.
	waits := func(id string) bool {
		t.Helper()
		d, err := e.temporal.DescribeWorkflowExecution(t.Context(), rotation.RotateUserWorkflowID(id), "")
		if err != nil {
			return false // the server may be too busy to answer in time
		}
		if pending := d.GetPendingActivities(); len(pending) > 0 {
			failure = cmp.Or(pending[0].GetLastFailure().GetMessage(), failure)
			return true
		}
		c := e.status(t, id).Current
		if c == nil || len(c.Steps) == 0 || c.Steps[len(c.Steps)-1].Error == "" {
			return false
		}
		failure = c.Steps[len(c.Steps)-1].Error
		return true
	}
	start := func(first, end int) {
		t.Helper()
		for i := first; i < end; i++ {
			id := fmt.Sprint("Frozen", i)
			store(id, fmt.Sprint("frozen", i))
			e.startRaw(t, rotation.RotateUserWorkflowID(id), fmt.Sprintf(`{"SecretId":%q,"MasterSecretId":"FrozenMaster"}`, id))
		}
		for i := first; i < end; i++ {
			waitFor(t, func() bool { return waits(fmt.Sprint("Frozen", i)) })
		}
	}
	// The first one finds out that the server is silent.
	want := fmt.Sprintf("the server at %s has not answered since ", frozen.Addr())
	start(0, 1)
	waitFor(t, func() bool { return waits("Frozen0") && strings.Contains(failure, want) })
	start(1, users)

	begun := time.Now()
	e.startRaw(t, rotation.RotateUserWorkflowID("Due"), `{"SecretId":"Due"}`)
	waitFor(t, func() bool {
		_, c, err := e.Read(t.Context(), "Due", "AWSCURRENT")
		return err == nil && c.Username == "due_clone"
	})
	due := time.Since(begun)
	e.starter(t, "rotate", "--secret-id", "Asked", "--force")
	asked := time.Since(begun) - due
	planned := e.starterExits(t, 1, "fleet", "plan")
	// On a busy machine, the plans of the other two may take too long as well.
	if !strings.Contains(planned, fmt.Sprint(users+2, " rotations: ")) || strings.Count(planned, want) != 1 || strings.Count(planned, "\n    Frozen") != users {
		t.Errorf("the plan of all is\n%s", planned)
	}
	most := frozen.most()
	t.Logf("a scheduled rotation took %v, a requested one %v; at most %d logins waited at once", due, asked, most)
	if most > 2 { // the next one may begin before this side sees that the last has ended
		t.Errorf("%d logins waited for the frozen server at once, want one", most)
	}
}

// silent is a server that accepts connections and says nothing.
type silent struct {
	net.Listener

	mu      sync.Mutex
	now     int // open connections
	highest int
}

func newSilent(t *testing.T) *silent {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &silent{Listener: l}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.count(1)
			go func() {
				defer s.count(-1)
				defer c.Close()
				_, _ = io.Copy(io.Discard, c)
			}()
		}
	}()
	return s
}

func (s *silent) count(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now += n
	s.highest = max(s.highest, s.now)
}

func (s *silent) port() int { return s.Addr().(*net.TCPAddr).Port }

// most returns how many connections were open at once.
func (s *silent) most() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.highest
}
