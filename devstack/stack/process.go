package stack

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// Build builds the worker and the starter of the repository at root into the stack's bin directory, in their own module
// and with its dependencies, and returns that directory.
func Build(ctx context.Context, root, dir string, tags ...string) (string, error) {
	bin := filepath.Join(dir, "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return "", err
	}
	build := exec.CommandContext(ctx, "go", "build", "-tags", strings.Join(tags, ","), "-o", bin+string(filepath.Separator), "./worker", "./starter")
	build.Dir = root
	build.Env = append(os.Environ(), "GOWORK=off")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build ./worker ./starter: %w\n%s", err, out)
	}
	return bin, nil
}

// Worker is a running worker process.
type Worker struct {
	MetricsURL string
	LogFile    string

	process *os.Process
	done    chan struct{}
	err     error // of Wait; to be read after done
}

// StartWorker runs a worker against the stack until it is stopped or the stack is, and returns when it is healthy. Its
// log goes to name.log in the stack's directory.
func (s *Stack) StartWorker(ctx context.Context, binary, name string, args ...string) (*Worker, error) {
	address, err := unusedAddress()
	if err != nil {
		return nil, err
	}
	w := &Worker{
		MetricsURL: "http://" + address + "/metrics",
		LogFile:    filepath.Join(s.Dir, name+".log"),
		done:       make(chan struct{}),
	}
	log, err := os.OpenFile(w.LogFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(binary, append([]string{"--metrics-address", address}, args...)...)
	cmd.Env, cmd.Stdout, cmd.Stderr = s.Environment(), log, log
	cmd.SysProcAttr = attributes()
	started := make(chan error)
	go func() {
		// The parent's death signal is sent when the thread that forked ends, so that thread waits for the child.
		runtime.LockOSThread()
		err := cmd.Start()
		w.process = cmd.Process
		started <- err
		if err == nil {
			w.err = cmd.Wait()
			close(w.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	s.stops = append(s.stops, w.Stop)
	if err := w.waitHealthy(ctx, "http://"+address+"/healthz"); err != nil {
		return nil, fmt.Errorf("worker: %w; see %s", errors.Join(err, w.Stop()), w.LogFile)
	}
	return w, nil
}

// Stop asks the worker to end what it is doing, and waits for it. A worker that ended before with a failure is reported.
func (w *Worker) Stop() error {
	if err := w.process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-w.done
	if w.err != nil {
		return fmt.Errorf("worker: %w", w.err)
	}
	return nil
}

// Signal sends a signal to the worker.
func (w *Worker) Signal(s os.Signal) error { return w.process.Signal(s) }

// Pid is the worker's process id.
func (w *Worker) Pid() int { return w.process.Pid }

// Kill ends the worker as a crash would, and waits for its end.
func (w *Worker) Kill() error {
	err := w.process.Kill()
	<-w.done
	w.err = nil // as asked
	return err
}

// Done is closed when the worker has ended.
func (w *Worker) Done() <-chan struct{} { return w.done }

func (w *Worker) waitHealthy(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if healthy(ctx, url) {
			return nil
		}
		select {
		case <-w.done:
			return errors.New("ended at once")
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

func unusedAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
