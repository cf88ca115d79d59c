package main

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"

	"github.com/rotate-user/rotate-user/devstack/temporal"
)

func TestTemporalKeepsWorkflowsInItsFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state", "temporal.db")
	for _, start := range []bool{true, false} {
		s, err := temporal.Start(t.Context(), temporal.Options{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		c := dial(t, s.Address())
		if start {
			_, err = c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: "kept", TaskQueue: "nobody"}, "NoWorkflow")
		} else {
			_, err = c.DescribeWorkflowExecution(t.Context(), "kept", "")
		}
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTemporalUI(t *testing.T) {
	port := unusedPort(t)
	s, err := temporal.Start(t.Context(), temporal.Options{UIPort: port})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop()
	for path, want := range map[string]string{
		"/":                          "/_app/immutable/",
		"/api/v1/namespaces/default": `"name": "default"`,
	} {
		res, err := http.Get(s.UIURL() + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != http.StatusOK || !strings.Contains(string(body), want) {
			t.Errorf("%s: %s, %v; no %s in\n%.2000s", path, res.Status, err, want, body)
		}
	}
	if _, err := temporal.Start(t.Context(), temporal.Options{UIPort: port}); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("second UI on one port: %v", err)
	}
}

func dial(t *testing.T, address string) client.Client {
	t.Helper()
	c, err := client.Dial(client.Options{HostPort: address, Logger: log.NewStructuredLogger(slog.New(slog.DiscardHandler))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}
