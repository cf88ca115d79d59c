package main

import (
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.temporal.io/sdk/client"

	"github.com/rotate-user/rotate-user/devstack/stack"
	"github.com/rotate-user/rotate-user/rotation"
)

var metricName = regexp.MustCompile(`\b(rotate_user|temporal|process|go)_\w+`)

// TestAWorkerExportsWhatTheAlertsAndTheDashboardName provokes the events that the alerts and the
// dashboard are about, and reads the metrics of two workers.
func TestAWorkerExportsWhatTheAlertsAndTheDashboardName(t *testing.T) {
	t.Parallel()
	bin, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	s, err := stack.Start(t.Context(), stack.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	e := &e2e{running: running{Stack: s, bin: bin}, temporal: dial(t, s.Temporal.Address())}
	if e.worker, err = s.StartWorker(t.Context(), filepath.Join(bin, "worker"), "worker"); err != nil {
		t.Fatal(err)
	}

	e.create(t, "metrics/good", "metricsuser", "SELECT ON *.*")
	e.starter(t, "start", "--secret-id", "metrics/good")
	e.starterExits(t, 1, "start", "--secret-id", "metrics/none", "--master-secret-id", stack.MasterSecret)
	good := rotation.RotateUserWorkflowID("metrics/good")
	if err := e.temporal.SignalWorkflow(t.Context(), good, "", rotation.RotateUpdate, "not an object"); err != nil {
		t.Fatal(err)
	}
	if _, err := e.temporal.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{TaskQueue: rotation.TaskQueue},
		"NoSuchWorkflow"); err != nil {
		t.Fatal(err)
	}

	// This worker starts after the rotations have ended, so it counts them at once.
	proxy := startCuttingProxy(t, s.Temporal.Address())
	env := append(s.Environment(), "TEMPORAL_ADDRESS="+proxy.address(), "TEMPORAL_DEPLOYMENT_NAME=metrics", "TEMPORAL_WORKER_BUILD_ID=v1")
	second, err := stack.RunWorker(t.Context(), filepath.Join(bin, "worker"), env, nil, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := second.Stop(); err != nil {
			t.Error(err)
		}
	})
	proxy.cut()

	named := namedMetrics(t)
	if len(named) < 15 {
		t.Fatalf("only %d metrics are named: %v", len(named), named)
	}
	var missing []string
	defer func() {
		if len(missing) > 0 {
			t.Errorf("no worker exports %v", missing)
		}
	}()
	waitFor(t, func() bool {
		exported := scrape(t, e.worker.MetricsURL) + scrape(t, second.MetricsURL)
		missing = slices.DeleteFunc(slices.Clone(named), func(name string) bool {
			return strings.Contains(exported, "\n"+name+"{") || strings.Contains(exported, "\n"+name+" ")
		})
		return len(missing) == 0
	})
	e.checkFleetMetrics(t, scrape(t, second.MetricsURL))
}

func (e *e2e) checkFleetMetrics(t *testing.T, exported string) {
	labels := `{namespace="default",`
	for _, series := range []string{
		`rotate_user_secrets` + labels + `status="Scheduled",task_queue="rotate-user"} 1`,
		`rotate_user_secrets` + labels + `status="Failed",task_queue="rotate-user"} 1`,
		`rotate_user_secrets_overdue` + labels + `task_queue="rotate-user"} 0`,
	} {
		if !strings.Contains(exported, series) {
			t.Errorf("the second worker does not export %s", series)
		}
	}
	if !regexp.MustCompile(`rotate_user_secrets_failed\{error_type="\w+",namespace="default",task_queue="rotate-user"\} 1`).MatchString(exported) {
		t.Error("the second worker does not count the rotation that failed by its error")
	}
	if t.Failed() {
		t.Log(exported)
	}
}

// namedMetrics returns the metrics that the alert rules and the dashboard name.
func namedMetrics(t *testing.T) (names []string) {
	t.Helper()
	root, err := stack.Repository(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"prometheus/rules.yaml", "grafana/rotate-user.json"} {
		text, err := os.ReadFile(filepath.Join(root, "deploy", file))
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, metricName.FindAllString(string(text), -1)...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func scrape(t *testing.T, url string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return "\n" + string(text)
}

// cuttingProxy forwards connections until cut is called.
type cuttingProxy struct {
	net.Listener
	mu   sync.Mutex
	open []net.Conn
}

func startCuttingProxy(t *testing.T, server string) *cuttingProxy {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &cuttingProxy{Listener: l}
	t.Cleanup(func() {
		_ = l.Close()
		p.cut()
	})
	go func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("tcp", server)
			if err != nil {
				_ = from.Close()
				continue
			}
			p.mu.Lock()
			p.open = append(p.open, from, to)
			p.mu.Unlock()
			go pass(from, to)
			go pass(to, from)
		}
	}()
	return p
}

func pass(from, to net.Conn) {
	_, _ = io.Copy(to, from)
	_ = to.Close()
}

func (p *cuttingProxy) address() string { return p.Addr().String() }

// cut closes all connections. New ones are forwarded.
func (p *cuttingProxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.open {
		_ = c.Close()
	}
	p.open = nil
}
