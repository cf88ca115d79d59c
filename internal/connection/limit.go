package connection

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"net"
	"slices"
	"syscall"

	"github.com/go-sql-driver/mysql"
)

const (
	maxHandshake = 64 << 10 // bytes that a server sends until the log-in is done, its certificates among them
	maxAnswer    = 64 << 20 // bytes of one answer: the rights of an account with some hundred thousand of them
	maxColumns   = 4096     // of an answer, as on all servers
)

// limited is a connection to a server that may send only so much.
type limited struct {
	net.Conn

	left int // bytes
}

func (l *limited) Read(b []byte) (int, error) {
	if l.left <= 0 {
		return 0, errors.New("the server sends too much")
	}
	n, err := l.Conn.Read(b)
	l.left -= n
	return n, err
}

// packets is a connection of which the driver sees the packets in clear, and TLS, if there is any, is below it. So its
// packets can be looked at before the driver believes them: it makes room for as many columns as the server announces, and
// a process that cannot have the memory ends.
//
// The driver takes the connection for a Unix socket, over which it sends passwords as it does over TLS. What it leaves to do
// is to ask the server for TLS and to number the packets of the log-in from there, and the password for sha256_password,
// which it sends over its own TLS only.
type packets struct {
	net.Conn // TLS once that is begun

	wire     *limited
	tls      *tls.Config // nil: none
	password string
	failed   error // of TLS, which the driver does not pass on
	loggedIn bool
	encoded  bool // TLS is begun
	shift    byte // what its request adds to the numbers of the log-in's packets

	greeting  []byte  // the first packet
	header    [4]byte // of the packet under way
	got       int     // bytes of it
	body      int     // bytes of the packet that are still to come
	start     []byte  // the first ones
	announces bool    // the packet announces what an answer has
}

func newPackets(c net.Conn, t *tls.Config, password string) *packets {
	wire := &limited{c, maxHandshake}
	return &packets{Conn: wire, wire: wire, tls: t, password: password}
}

func (p *packets) Read(b []byte) (int, error) {
	n, err := p.Conn.Read(b)
	if !p.follow(b[:n]) {
		return 0, errors.New("the server announces too many columns")
	}
	return n, err
}

// Close ends the connection below TLS, and so at once, whatever is under way.
func (p *packets) Close() error { return p.wire.Close() }

// Write sends a packet; the driver writes whole ones.
func (p *packets) Write(b []byte) (int, error) {
	if len(b) < 5 {
		return p.Conn.Write(b)
	}
	if b[3] == 0 { // the first packet of a command: the log-in is done
		p.shift, p.announces = 0, true
		if p.loggedIn {
			p.wire.left = maxAnswer
		}
		return p.Conn.Write(b)
	}
	if p.tls == nil || p.loggedIn {
		return p.Conn.Write(b)
	}
	packet := slices.Clone(b)
	if p.encoded {
		if bytes.Equal(packet[4:], []byte{1}) {
			packet = append(packet[:4], p.clearPassword()...)
		}
	} else {
		binary.LittleEndian.PutUint32(packet[4:], binary.LittleEndian.Uint32(packet[4:])|clientSSL)
		if p.failed = p.encode(packet); p.failed != nil {
			return 0, p.failed
		}
		packet = p.answerSHA256(packet)
	}
	length := len(packet) - 4
	packet[0], packet[1], packet[2] = byte(length), byte(length>>8), byte(length>>16)
	packet[3] += p.shift
	if _, err := p.Conn.Write(packet); err != nil {
		return 0, err
	}
	return len(b), nil
}

const clientSSL = 1 << 11 // a client's flag, and a server's

// encode asks for TLS, as the first part of the log-in's packet does, and begins it.
func (p *packets) encode(packet []byte) error {
	const request = 32 // bytes
	if !offersTLS(p.greeting) || len(packet) < 4+request {
		return mysql.ErrNoTLS
	}
	if _, err := p.Conn.Write(append([]byte{request, 0, 0, packet[3]}, packet[4:4+request]...)); err != nil {
		return err
	}
	encoded := tls.Client(p.wire, p.tls)
	if err := encoded.Handshake(); err != nil {
		return err
	}
	p.Conn, p.encoded, p.shift = encoded, true, 1
	return nil
}

// offersTLS reports whether a server's greeting has the flag.
func offersTLS(greeting []byte) bool {
	end := bytes.IndexByte(greeting, 0) // of the version
	const flags = 1 + 4 + 8 + 1         // bytes from there
	return end > 0 && len(greeting) >= end+flags+2 && binary.LittleEndian.Uint16(greeting[end+flags:])&clientSSL != 0
}

// answerSHA256 puts the password into the log-in's packet in place of a request for the server's key.
func (p *packets) answerSHA256(packet []byte) []byte {
	const user = 4 + 32
	end := bytes.IndexByte(packet[user:], 0)
	if end < 0 {
		return packet
	}
	answer := user + end + 1
	if !bytes.HasPrefix(packet[answer:], []byte{1, 1}) { // its length, and the request
		return packet
	}
	password := p.clearPassword()
	length := []byte{byte(len(password))}
	if len(password) > 250 {
		length = []byte{0xfc, byte(len(password)), byte(len(password) >> 8)}
	}
	return slices.Concat(packet[:answer], length, password, packet[answer+2:])
}

func (p *packets) clearPassword() []byte { return append([]byte(p.password), 0) }

// follow numbers the packets that the driver is about to read as it expects, and reports whether it can make room for them.
func (p *packets) follow(b []byte) bool {
	for len(b) > 0 {
		if p.body == 0 {
			if i := 3 - p.got; i < len(b) {
				b[i] -= p.shift
			}
			n := copy(p.header[p.got:], b)
			p.got, b = p.got+n, b[n:]
			if p.got == len(p.header) {
				p.got, p.start = 0, p.start[:0]
				p.body = int(p.header[0]) | int(p.header[1])<<8 | int(p.header[2])<<16
			}
			continue
		}
		n := min(len(b), p.body)
		p.start = append(p.start, b[:min(n, 9-len(p.start))]...)
		if !p.loggedIn && !p.encoded && len(p.greeting) < maxHandshake {
			p.greeting = append(p.greeting, b[:n]...)
		}
		p.body, b = p.body-n, b[n:]
		if p.body == 0 && p.announces && p.start[0] != 0 { // behind an OK another answer may follow
			p.announces = false
			if columns(p.start) > maxColumns {
				return false
			}
		}
	}
	return true
}

// columns is the number that an answer's first packet begins with, 0 if it is another packet.
func columns(start []byte) uint64 {
	var number [8]byte
	switch length := map[byte]int{0xfc: 2, 0xfd: 3, 0xfe: 8}[start[0]]; {
	case length > 0:
		copy(number[:length], start[1:])
		return binary.LittleEndian.Uint64(number[:])
	case start[0] < 0xfb:
		return uint64(start[0])
	}
	return 0
}

// SyscallConn lets the driver find out whether an idle connection is still open.
func (p *packets) SyscallConn() (syscall.RawConn, error) {
	c, ok := p.wire.Conn.(syscall.Conn)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	return c.SyscallConn()
}
