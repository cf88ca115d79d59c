package mysqld

import (
	"bytes"
	"io"
	"sync"
)

// tail keeps the end of what is written to it for error messages, and passes everything on.
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
		// A log that cannot be written to must not stop the server, which would block on the pipe.
		_, _ = t.log.Write(b)
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.TrimSpace(t.text))
}
