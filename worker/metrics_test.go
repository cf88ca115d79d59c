package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/rotate-user/rotate-user/rotation"
)

func TestMetricsAndHealth(t *testing.T) {
	m, err := newMetrics(slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	rotations := func(tags ...string) client.MetricsCounter {
		h := m.handler
		for _, result := range tags {
			h = h.WithTags(map[string]string{"result": result, "of": "rotation"})
		}
		return h.Counter("rotate_user_rotations")
	}
	rotations("succeeded").Inc(1)
	rotations("failed").Inc(1)
	rotations("failed", "succeeded").Inc(1)
	polls := &pollers{polls: map[poller]error{{workflowTasks, "rotate-user"}: nil}}
	m.registry.MustRegister(pollingMetrics{polls, []poller{{workflowTasks, "rotate-user"}, {activityTasks, "other"}}})
	m.handler.Timer("temporal_request_latency").Record(70 * time.Millisecond)

	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	if _, err := m.serve(t.Context(), address, nil); err == nil {
		t.Fatal("an address that is taken is no error")
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}

	var temporal error
	stop, err := m.serve(t.Context(), address, func(context.Context) error { return temporal })
	if err != nil {
		t.Fatal(err)
	}
	get := func(path string) (int, string) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return 0, err.Error()
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, string(body)
	}

	code, body := get("/metrics")
	for _, line := range []string{
		`rotate_user_rotations_total{of="rotation",result="succeeded"} 2`,
		`rotate_user_rotations_total{of="rotation",result="failed"} 1`,
		`temporal_request_latency_seconds_bucket{le="0.05"} 0`,
		`temporal_request_latency_seconds_bucket{le="0.1"} 1`,
		`go_goroutines`,
		`rotate_user_build_info{version=`,
		`rotate_user_worker_polling{task_queue="rotate-user",tasks="workflow"} 1`,
		`rotate_user_worker_polling{task_queue="other",tasks="activity"} 0`,
	} {
		if code != http.StatusOK || !strings.Contains(body, line) {
			t.Errorf("%d, no %s", code, line)
		}
	}
	if t.Failed() {
		t.Log(body)
	}
	for _, path := range []string{"/healthz", "/readyz"} {
		if code, body := get(path); code != http.StatusOK || body != "ok\n" {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	// As in a container, where the address is that of every interface.
	health := func() error {
		cmd := newCommand(func(name string) (string, bool) { return ":" + port, name == "ROTATE_USER_METRICS_ADDRESS" }, new(bool))
		cmd.SetArgs([]string{"health"})
		return cmd.ExecuteContext(t.Context())
	}
	if err := health(); err != nil {
		t.Errorf("worker health: %v", err)
	}
	temporal = errors.New("no connection")
	if code, body := get("/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(body, "no connection") {
		t.Errorf("/readyz: %d %s", code, body)
	}
	// A restart would not bring Temporal back.
	if code, body := get("/healthz"); code != http.StatusOK {
		t.Errorf("/healthz: %d %s", code, body)
	}
	if err := health(); err == nil || !strings.Contains(err.Error(), "no connection") {
		t.Errorf("worker health: %v", err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if err := health(); err == nil {
		t.Error("worker health: a worker that has stopped is ready")
	}
	if code, body := get("/healthz"); code != 0 {
		t.Errorf("it answers after it was stopped: %d %s", code, body)
	}
}

func TestTagsThatWereAskedForAreNotMadeAnew(t *testing.T) {
	m, err := newMetrics(slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	tags := map[string]string{"task_queue": "rotate-user", "activity_type": rotation.CloneUser}
	ask := func() { m.handler.WithTags(tags).Counter("temporal_request") }
	ask()
	// One is the key; opentelemetry would need eight.
	if n := testing.AllocsPerRun(100, ask); n > 2 {
		t.Errorf("%.0f allocations for what was there already", n)
	}
}
