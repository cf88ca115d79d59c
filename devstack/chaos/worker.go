package chaos

import (
	"errors"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rotate-user/rotate-user/devstack/stack"
)

// process is a running worker.
type process struct {
	*stack.Worker
	temporal *plainProxy // its connection to Temporal
}

// workerLog opens the log file of a lane, to which all of its workers write.
type workerLog struct {
	mu   sync.Mutex
	file *os.File
}

func (w *workerLog) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.file.Write(b)
}

// kill ends the worker as a crash would.
func (p *process) kill() { _ = p.Kill() }

// terminate asks the worker to shut down. Done reports when it has.
func (p *process) terminate() { _ = p.Signal(syscall.SIGTERM) }

func (p *process) freeze() { _ = p.Signal(syscall.SIGSTOP) }
func (p *process) thaw()   { _ = p.Signal(syscall.SIGCONT) }

// scrape returns the worker's metrics, or "" if it does not answer.
func (p *process) scrape() []byte {
	client := http.Client{Timeout: 5 * time.Second}
	res, err := client.Get(p.MetricsURL)
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

// without returns the environment without the variables that begin with one of the prefixes.
func without(env []string, prefixes ...string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(v string) bool {
		return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(v, p) })
	})
}
