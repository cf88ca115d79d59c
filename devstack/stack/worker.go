package stack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/rotate-user/rotate-user/internal/child"
	"github.com/rotate-user/rotate-user/internal/freeport"
)

// Worker is a worker in a separate process.
type Worker struct {
	MetricsURL string
	LogFile    string // empty if the worker was started by RunWorker

	process *child.Process
	killed  atomic.Bool
}

// StartWorker runs a worker with the stack, and returns when it is healthy. The worker runs until
// it or the stack is stopped. Its log goes to name.log in the stack's directory.
func (s *Stack) StartWorker(ctx context.Context, binary, name string, args ...string) (*Worker, error) {
	file := filepath.Join(s.Dir, name+".log")
	log, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close() // the worker has its own descriptor
	w, err := RunWorker(ctx, binary, s.Environment(), args, log)
	if err != nil {
		return nil, fmt.Errorf("%w; see %s", err, file)
	}
	w.LogFile = file
	s.stops = append(s.stops, w.Stop)
	return w, nil
}

// RunWorker runs a worker in the given environment, and returns when it is healthy. Its log goes to
// log.
func RunWorker(ctx context.Context, binary string, env, args []string, log io.Writer) (*Worker, error) {
	address, err := freeport.Address()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(binary, append([]string{"--metrics-address", address}, args...)...)
	cmd.Env, cmd.Stdout, cmd.Stderr = env, log, log
	w := &Worker{MetricsURL: "http://" + address + "/metrics"}
	if w.process, err = child.Start(cmd); err != nil {
		return nil, err
	}
	if err := w.waitHealthy(ctx, "http://"+address+"/readyz"); err != nil {
		return nil, fmt.Errorf("worker: %w", errors.Join(err, w.Kill()))
	}
	return w, nil
}

// The worker gives its activities less time than this to finish. After this, it is killed.
const workerStopTimeout = 2 * time.Minute

// Stop asks the worker to finish its tasks and waits until it has exited. It returns an error if
// the worker exited with a failure.
func (w *Worker) Stop() error {
	if err := w.process.End(syscall.SIGTERM, workerStopTimeout); err != nil {
		return err
	}
	if err := w.process.Err(); err != nil && !w.killed.Load() {
		return fmt.Errorf("worker: %w", err)
	}
	return nil
}

// Signal sends a signal to the worker.
func (w *Worker) Signal(s os.Signal) error { return w.process.Signal(s) }

// Pid returns the worker's process id.
func (w *Worker) Pid() int { return w.process.Pid }

// Kill ends the worker as a crash would, and waits for its end.
func (w *Worker) Kill() error {
	w.killed.Store(true)
	return w.process.End(syscall.SIGKILL, workerStopTimeout)
}

// Done returns a channel that is closed when the worker has exited.
func (w *Worker) Done() <-chan struct{} { return w.process.Done() }

func (w *Worker) waitHealthy(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if healthy(ctx, url) {
			return nil
		}
		select {
		case <-w.process.Done():
			return fmt.Errorf("exited at once: %w", w.process.Err())
		case <-ctx.Done():
			return fmt.Errorf("is not healthy: %w", ctx.Err())
		case <-tick.C:
		}
	}
}

func healthy(ctx context.Context, url string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer res.Body.Close()
	return res.StatusCode == http.StatusOK
}
