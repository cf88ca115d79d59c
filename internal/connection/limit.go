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
	maxHandshake = 64 << 10 // bytes a server may send until the login is done, including its certificates
	maxAnswer    = 64 << 20 // bytes in one result: enough for an account with several hundred thousand grants
	maxColumns   = 4096     // columns in one result; every server has this limit
)

// limited is a connection whose server may send only a limited number of bytes.
type limited struct {
	net.Conn

	left int // bytes
}

func (l *limited) Read(b []byte) (int, error) {
	if l.left <= 0 {
		return 0, errors.New("the server sent too much data")
	}
	n, err := l.Conn.Read(b)
	l.left -= n
	return n, err
}

// packets is a connection on which the driver reads and writes clear packets; TLS, if any, is below
// it. This allows packets to be checked before the driver trusts them. The driver allocates room
// for as many columns as the server announces, and a process that cannot get that memory dies.
//
// The driver takes the connection for a Unix socket, over which it sends passwords as it does over
// TLS. So packets must do the rest itself: ask the server for TLS, renumber the login's packets
// from then on, and send the password for sha256_password, which the driver sends only over its own
// TLS.
type packets struct {
	net.Conn // TLS once it has started

	wire     *limited
	tls      *tls.Config // nil: no TLS
	password string
	failed   error // the TLS error, which the driver swallows
	loggedIn bool
	encoded  bool // TLS has started
	shift    byte // added to the login's packet numbers because of the TLS request

	greeting  []byte  // the first packet
	header    [4]byte // of the current packet
	got       int     // bytes of the header read so far
	body      int     // bytes of the packet still to be read
	start     []byte  // its first bytes
	announces bool    // the packet announces the columns of a result
}

func newPackets(c net.Conn, t *tls.Config, password string) *packets {
	wire := &limited{c, maxHandshake}
	return &packets{Conn: wire, wire: wire, tls: t, password: password}
}

func (p *packets) Read(b []byte) (int, error) {
	n, err := p.Conn.Read(b)
	if !p.follow(b[:n]) {
		return 0, errors.New("the server announced too many columns")
	}
	return n, err
}

// Close closes the connection below TLS, so it returns at once whatever is in progress.
func (p *packets) Close() error { return p.wire.Close() }

// Write sends one packet. The driver always writes whole packets.
func (p *packets) Write(b []byte) (int, error) {
	if len(b) < 5 {
		return p.Conn.Write(b)
	}
	if b[3] == 0 { // the first packet of a command, so the login is done
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

const clientSSL = 1 << 11 // a capability flag of both client and server

// encode requests TLS with the first part of the login packet, and performs the handshake.
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

// offersTLS reports whether the server's greeting sets the TLS flag.
func offersTLS(greeting []byte) bool {
	end := bytes.IndexByte(greeting, 0) // end of the version
	const flags = 1 + 4 + 8 + 1         // bytes between the version and the flags
	return end > 0 && len(greeting) >= end+flags+2 && binary.LittleEndian.Uint16(greeting[end+flags:])&clientSSL != 0
}

// answerSHA256 replaces the driver's request for the server's key by the password in the login
// packet.
func (p *packets) answerSHA256(packet []byte) []byte {
	const user = 4 + 32
	end := bytes.IndexByte(packet[user:], 0)
	if end < 0 {
		return packet
	}
	answer := user + end + 1
	if !bytes.HasPrefix(packet[answer:], []byte{1, 1}) { // the length, then the request
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

// follow renumbers the packets that the driver is about to read, and reports whether their columns
// are within the limit.
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
		if p.body == 0 && p.announces && p.start[0] != 0 { // another result may follow an OK
			p.announces = false
			if columns(p.start) > maxColumns {
				return false
			}
		}
	}
	return true
}

// columns returns the number of columns that the first packet of a result announces, or 0 if it is
// another kind of packet.
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

// SyscallConn lets the driver check whether an idle connection is still open.
func (p *packets) SyscallConn() (syscall.RawConn, error) {
	c, ok := p.wire.Conn.(syscall.Conn)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	return c.SyscallConn()
}
