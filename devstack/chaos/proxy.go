package chaos

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// databaseProxy is between a lane's workers and the database. It understands just enough of the
// protocol to stop at every login and every statement. So it can cut a connection before a
// statement reaches the server, while it runs, or when it has taken effect and only its answer is
// lost. It terminates TLS on both sides, so its clients must trust its certificate.
type databaseProxy struct {
	listener net.Listener
	server   string // host:port
	roots    *x509.CertPool
	mine     tls.Certificate
	gate     *gate
	// forwarding is called before a statement is forwarded.
	forwarding func(statement string)
	closed     chan struct{}
}

func startDatabaseProxy(server string, roots *x509.CertPool, mine tls.Certificate, g *gate, forwarding func(string)) (*databaseProxy,
	error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &databaseProxy{listener: l, server: server, roots: roots, mine: mine, gate: g, forwarding: forwarding, closed: make(chan struct{})}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go p.serve(c)
		}
	}()
	return p, nil
}

func (p *databaseProxy) port() int { return p.listener.Addr().(*net.TCPAddr).Port }

// link is one connection through the proxy.
type link struct {
	client, server net.Conn

	mu      sync.Mutex
	waiting call // the statement that has no answer yet
}

func (p *databaseProxy) serve(client net.Conn) {
	l := &link{client: client}
	defer func() {
		l.client.Close()
		if l.server != nil {
			l.server.Close()
		}
	}()
	login := p.gate.begin(sqlCall, "log in")
	if !p.pass(l, login, before) {
		return
	}
	server, err := net.DialTimeout("tcp", p.server, 10*time.Second)
	if err != nil {
		return
	}
	l.server = server
	if !p.authenticate(l, login) {
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.answers(l)
		l.client.Close()
	}()
	p.commands(l)
	l.server.Close()
	<-done
}

// pass passes a call to a phase through the gate, and reports whether the connection continues.
func (p *databaseProxy) pass(l *link, c call, ph phase) bool {
	o := p.gate.at(c, ph)
	if o.stall {
		// Neither side notices that the other is gone: the server keeps the session and its locks.
		<-p.closed
		return false
	}
	return !o.cut
}

// authenticate forwards the login packet by packet until the server has decided.
func (p *databaseProxy) authenticate(l *link, login call) bool {
	greeting, err := readPacket(l.server)
	if err != nil || writeAll(l.client, greeting) != nil || greeting[4] == 0xff {
		return false
	}
	response, err := readPacket(l.client)
	if err != nil {
		return false
	}
	const wantsTLS = 1 << 11
	if len(response) == 4+32 && binary.LittleEndian.Uint32(response[4:])&wantsTLS != 0 {
		if writeAll(l.server, response) != nil {
			return false
		}
		server := tls.Client(l.server, &tls.Config{RootCAs: p.roots, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12})
		client := tls.Server(l.client, &tls.Config{Certificates: []tls.Certificate{p.mine}, MinVersion: tls.VersionTLS12})
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if server.HandshakeContext(ctx) != nil || client.HandshakeContext(ctx) != nil {
			return false
		}
		l.server, l.client = server, client
		if response, err = readPacket(l.client); err != nil {
			return false
		}
	}
	if writeAll(l.server, response) != nil || !p.pass(l, login, during) {
		return false
	}
	for {
		answer, err := readPacket(l.server)
		if err != nil {
			return false
		}
		switch answer[4] {
		case 0x00:
			return p.pass(l, login, after) && writeAll(l.client, answer) == nil
		case 0xff:
			_ = writeAll(l.client, answer) // the connection ends in any case
			return false
		}
		if writeAll(l.client, answer) != nil {
			return false
		}
		if fast := len(answer) == 6 && answer[4] == 0x01 && answer[5] == 0x03; fast {
			continue // no answer from the client is expected
		}
		reply, err := readPacket(l.client)
		if err != nil || writeAll(l.server, reply) != nil {
			return false
		}
	}
}

const (
	commandQuit      = 0x01
	commandQuery     = 0x03
	commandPrepare   = 0x16
	commandCloseStmt = 0x19
)

// commands forwards the client's commands.
func (p *databaseProxy) commands(l *link) {
	for {
		packet, err := readPacket(l.client)
		if err != nil {
			return
		}
		if packet[3] != 0 || len(packet) < 5 || packet[4] == commandQuit || packet[4] == commandCloseStmt {
			if writeAll(l.server, packet) != nil {
				return
			}
			continue
		}
		text := fmt.Sprintf("command %d", packet[4])
		if packet[4] == commandQuery || packet[4] == commandPrepare {
			text = string(packet[5:])
		}
		c := p.gate.begin(sqlCall, summary(text))
		if !p.pass(l, c, before) {
			return
		}
		p.forwarding(text)
		l.mu.Lock()
		l.waiting = c
		l.mu.Unlock()
		if writeAll(l.server, packet) != nil || !p.pass(l, c, during) {
			return
		}
	}
}

// answers forwards the server's answers. The first bytes of an answer show that the statement was
// executed.
func (p *databaseProxy) answers(l *link) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := l.server.Read(buffer)
		if n > 0 {
			l.mu.Lock()
			c := l.waiting
			l.waiting = call{}
			l.mu.Unlock()
			if c.number != 0 && !p.pass(l, c, after) {
				return
			}
			if writeAll(l.client, buffer[:n]) != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// close stops accepting connections, and closes those that are stalled.
func (p *databaseProxy) close() error {
	close(p.closed)
	return p.listener.Close()
}

var literals = regexp.MustCompile(`'(?:[^'\\]|\\.|'')*'|0x[0-9A-Fa-f]+`)

// summary returns the beginning of a statement without literals, enough to recognize it in a list.
func summary(statement string) string {
	words := strings.Fields(literals.ReplaceAllString(statement, "?"))
	text := strings.Join(words[:min(len(words), 8)], " ")
	return text[:min(len(text), 60)]
}

// readPacket reads one packet with its header of four bytes.
func readPacket(r io.Reader) ([]byte, error) {
	var header [4]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return nil, err
	}
	size := int(header[0]) | int(header[1])<<8 | int(header[2])<<16
	if size == 0 {
		return nil, io.ErrUnexpectedEOF
	}
	packet := make([]byte, 4+size)
	copy(packet, header[:])
	_, err := io.ReadFull(r, packet[4:])
	return packet, err
}

func writeAll(w io.Writer, b []byte) error {
	_, err := w.Write(b)
	return err
}

// plainProxy forwards bytes until it is cut.
type plainProxy struct {
	listener net.Listener
	server   string
	isCut    atomic.Bool

	mu    sync.Mutex
	conns map[net.Conn]bool
}

func startPlainProxy(server string) (*plainProxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &plainProxy{listener: l, server: server, conns: map[net.Conn]bool{}}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go p.serve(c)
		}
	}()
	return p, nil
}

func (p *plainProxy) address() string { return p.listener.Addr().String() }

// cut closes every connection, and accepts no others until it is mended.
func (p *plainProxy) cut() {
	p.isCut.Store(true)
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.Close()
	}
}

func (p *plainProxy) mend() { p.isCut.Store(false) }

func (p *plainProxy) close() error {
	p.cut()
	return p.listener.Close()
}

func (p *plainProxy) keep(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.isCut.Load() {
		return false
	}
	p.conns[c] = true
	return true
}

func (p *plainProxy) serve(client net.Conn) {
	defer client.Close()
	if !p.keep(client) {
		return
	}
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.conns, client)
	}()
	server, err := net.DialTimeout("tcp", p.server, 5*time.Second)
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		_, _ = io.Copy(server, client)
		server.Close()
	}()
	_, _ = io.Copy(client, server)
}
