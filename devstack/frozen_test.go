package main

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/rotate-user/rotate-user/devstack/stack"
	"github.com/rotate-user/rotate-user/internal/mysqld/mysqldtest"
	"github.com/rotate-user/rotate-user/rotation"
)

// TestAFrozenServerDelaysNoOther checks that a server that accepts connections and stays silent,
// with 60 users due, does not delay the rotations of another server's users, scheduled or
// requested.
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

	frozen, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer frozen.Close()
	go func() {
		for {
			c, err := frozen.Accept()
			if err != nil {
				return
			}
			defer c.Close()
		}
	}()
	store := func(id, user string) {
		t.Helper()
		value, err := json.Marshal(stack.Credential{
			Engine: "mysql", Host: "127.0.0.1", Port: frozen.Addr().(*net.TCPAddr).Port, Username: user, Password: "Aa1-" + rand.Text(),
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
	// A step has a pending activity, or waits for its next try after several.
	waiting := func() (n int, failure string) {
		t.Helper()
		for i := range users {
			id := fmt.Sprint("Frozen", i)
			d, err := e.temporal.DescribeWorkflowExecution(t.Context(), rotation.RotateUserWorkflowID(id), "")
			if err != nil {
				t.Fatal(err)
			}
			if pending := d.GetPendingActivities(); len(pending) > 0 {
				n++
				failure = cmp.Or(pending[0].GetLastFailure().GetMessage(), failure)
			} else if c := e.status(t, id).Current; c != nil && len(c.Steps) > 0 && c.Steps[len(c.Steps)-1].Error != "" {
				n++
				failure = c.Steps[len(c.Steps)-1].Error
			}
		}
		return n, failure
	}
	for i := range users {
		id := fmt.Sprint("Frozen", i)
		store(id, fmt.Sprint("frozen", i))
		e.startRaw(t, rotation.RotateUserWorkflowID(id), fmt.Sprintf(`{"SecretId":%q,"MasterSecretId":"FrozenMaster"}`, id))
	}
	for n := 0; n < users; n, _ = waiting() {
	}

	begun := time.Now()
	e.startRaw(t, rotation.RotateUserWorkflowID("Due"), `{"SecretId":"Due"}`)
	for user := ""; user != "due_clone"; {
		_, c, err := e.Read(t.Context(), "Due", "AWSCURRENT")
		if err != nil {
			t.Fatal(err)
		}
		user = c.Username
	}
	due := time.Since(begun)
	e.starter(t, "rotate", "--secret-id", "Asked", "--force")
	asked := time.Since(begun) - due
	t.Logf("a scheduled rotation took %v, a requested one %v", due, asked)
	var failure string
	waitFor(t, time.Minute, func() (all bool) { // a query may time out on a busy machine
		var n int
		n, failure = waiting()
		return n == users
	})
	// A login attempt holds its slot for at most ten seconds, and there is one such attempt at a
	// time.
	if bound := 10 * time.Second; due > bound || asked > bound {
		t.Error("the frozen server delayed the other server's rotations")
	}
	if want := fmt.Sprintf("the server at %s has not answered since ", frozen.Addr()); !strings.Contains(failure, want) {
		t.Errorf("a user of the frozen server reports %q, want %q", failure, want)
	}
}
