package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// process is a running worker.
type process struct {
	*os.Process
	metrics  string      // URL
	temporal *plainProxy // its way to Temporal
	done     chan struct{}
	err      error // how it ended; to be read after done
}

// workerLog is a lane's log file, and knows what its workers say.
type workerLog struct {
	mu   sync.Mutex
	file *os.File
}

func (w *workerLog) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.file.Write(b)
}

// startWorker runs a worker of the lane and returns as soon as it serves.
func startWorker(ctx context.Context, binary string, env, args []string, log io.Writer) (*process, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(binary, append([]string{"--metrics-address", address}, args...)...)
	cmd.Env = env
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = attributes()
	p := &process{metrics: "http://" + address + "/metrics", done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The parent's death signal is sent when the thread that forked ends, so that thread waits for the child.
		runtime.LockOSThread()
		err := cmd.Start()
		p.Process = cmd.Process
		started <- err
		if err == nil {
			p.err = cmd.Wait()
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		if res, err := http.Get(p.metrics); err == nil {
			res.Body.Close()
			return p, nil
		}
		select {
		case <-p.done:
			return nil, fmt.Errorf("worker ended at once: %w", p.err)
		case <-ctx.Done():
			_ = p.Kill()
			return nil, fmt.Errorf("worker does not serve %s: %w", p.metrics, ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// kill ends the worker as a crash would.
func (p *process) kill() {
	_ = p.Kill() // it may have ended
	<-p.done
}

// terminate asks the worker to end; the channel done says when it has.
func (p *process) terminate() { _ = p.Signal(syscall.SIGTERM) }

func (p *process) freeze() { _ = p.Signal(syscall.SIGSTOP) }
func (p *process) thaw()   { _ = p.Signal(syscall.SIGCONT) }

// scrape reads the worker's metrics, empty where it does not answer.
func (p *process) scrape() []byte {
	client := http.Client{Timeout: 5 * time.Second}
	res, err := client.Get(p.metrics)
	if err != nil {
		return nil
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return body
}

// without is the environment without the variables that begin with one of the prefixes.
func without(env []string, prefixes ...string) []string {
	var kept []string
	for _, v := range env {
		keep := true
		for _, p := range prefixes {
			keep = keep && !strings.HasPrefix(v, p)
		}
		if keep {
			kept = append(kept, v)
		}
	}
	return kept
}
