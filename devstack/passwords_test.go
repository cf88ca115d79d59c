package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/protobuf/proto"

	"github.com/rotate-user/rotate-user/devstack/stack"
)

// testNoPasswordAnywhere searches everything that the test wrote for every password that ever
// existed.
func (e *e2e) testNoPasswordAnywhere(t *testing.T) {
	var passwords [][]byte
	for _, value := range e.Secrets.Values() {
		var c stack.Credential
		if err := json.Unmarshal([]byte(value), &c); err != nil || c.Password == "" {
			t.Fatal("a secret without a password")
		}
		passwords = append(passwords, []byte(c.Password))
	}
	if len(passwords) < 18 {
		t.Errorf("only %d passwords to look for", len(passwords))
	}
	seen := map[string]bool{}
	search := func(kind, where string, content []byte) {
		seen[kind] = seen[kind] || bytes.Contains(content, []byte(cloneName))
		for _, p := range passwords {
			if bytes.Contains(content, p) {
				t.Errorf("%s contains a password", where)
			}
		}
	}

	list, err := e.temporal.ListWorkflow(t.Context(), &workflowservice.ListWorkflowExecutionsRequest{PageSize: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for _, execution := range list.GetExecutions() {
		id, run := execution.GetExecution().GetWorkflowId(), execution.GetExecution().GetRunId()
		search("visibility", "visibility of "+id, marshal(t, execution))
		d, err := e.temporal.DescribeWorkflowExecution(t.Context(), id, run)
		if err != nil {
			t.Fatal(err)
		}
		search("description", "description of "+id, marshal(t, d))
		for _, event := range history(t, e.temporal, id, run) {
			search("history", fmt.Sprintf("history of %s, event %d", id, event.GetEventId()), marshal(t, event))
		}
	}

	res, err := http.Get(e.worker.MetricsURL)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	metrics, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	search("metrics", "the worker's metrics", metrics)

	for _, dir := range []string{e.Dir, e.dataDir} {
		err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || !entry.Type().IsRegular() {
				return err
			}
			switch name := entry.Name(); name {
			case "secrets.json", "admin-password":
				return nil // where passwords belong
			default:
				content, err := os.ReadFile(path)
				if errors.Is(err, fs.ErrNotExist) { // the servers are running
					return nil
				}
				search(name, path, content)
				return err
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	// The search can only find what it reads.
	for _, kind := range []string{"history", "general.log", "worker.log", "temporal-1.32.db"} {
		if !seen[kind] && !seen[kind+"-wal"] {
			t.Errorf("%s does not name %s: was it searched?", kind, cloneName)
		}
	}
	t.Logf("searched for %d passwords", len(passwords))
}

func marshal(t *testing.T, m proto.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
