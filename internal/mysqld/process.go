package mysqld

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync"
)

// process is a running child.
type process struct {
	*os.Process
	done chan struct{} // closed when it has ended
	err  error         // how it ended; to be read after done
	tail *tail
}

// start runs cmd in a process group of its own, so that Ctrl-C in the terminal does not take the server away before
// whoever uses it, and lets it die with this program where the system can do that. Its output goes to log.
func start(cmd *exec.Cmd, log io.Writer) (*process, error) {
	p := &process{done: make(chan struct{}), tail: &tail{log: log}}
	cmd.Stdout, cmd.Stderr = p.tail, p.tail
	cmd.SysProcAttr = attributes()
	started := make(chan error)
	go func() {
		// The kernel sends the parent's death signal when the *thread* that forked ends, so that thread must live as
		// long as the child: it starts it, then waits for it, and does nothing else.
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
	return p, nil
}

// tail keeps the end of what is written to it, for error texts, and passes all of it on.
type tail struct {
	mu   sync.Mutex
	text []byte
	log  io.Writer // may be nil
}

const tailSize = 8 << 10

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, b...)
	if over := len(t.text) - tailSize; over > 0 {
		t.text = append([]byte(nil), t.text[over:]...)
	}
	if t.log != nil {
		// A log that cannot be written must not stop the server, which would block on the pipe.
		_, _ = t.log.Write(b)
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.TrimSpace(t.text))
}
