package connection

import (
	"encoding/binary"
	"errors"
	"net"
	"syscall"
)

const (
	maxHandshake = 64 << 10 // bytes that a server sends until the log-in is done, its certificates among them
	maxAnswer    = 64 << 20 // bytes of one answer: the rights of an account with some hundred thousand of them
	maxColumns   = 4096     // of an answer, as on all servers
)

// limited is a connection to a server that may send only so much. The driver makes room for as many columns as the server
// announces, and a process that cannot have the memory ends.
type limited struct {
	net.Conn

	clear    bool // what it reads are the driver's packets, not those of TLS
	loggedIn bool
	left     int // bytes that the server may still send

	header    [4]byte // of the packet under way
	got       int     // bytes of it
	body      int     // bytes of the packet that are still to come
	start     []byte  // the first ones
	announces bool    // the packet announces what an answer has
}

func limit(c net.Conn, clear bool) *limited {
	return &limited{Conn: c, clear: clear, left: maxHandshake}
}

func (l *limited) Read(b []byte) (int, error) {
	if l.left <= 0 {
		return 0, errors.New("the server sends too much")
	}
	n, err := l.Conn.Read(b)
	l.left -= n
	if l.clear && !l.follow(b[:n]) {
		return 0, errors.New("the server announces too many columns")
	}
	return n, err
}

// Write sends a request, whose answer may be long again once the log-in is done.
func (l *limited) Write(b []byte) (int, error) {
	if l.loggedIn {
		l.left = maxAnswer
	}
	if len(b) > 3 && b[3] == 0 { // the first packet of a command
		l.announces = true
	}
	return l.Conn.Write(b)
}

// follow reports whether the driver can make room for what it is about to read.
func (l *limited) follow(b []byte) bool {
	for len(b) > 0 {
		if l.body == 0 {
			n := copy(l.header[l.got:], b)
			l.got, b = l.got+n, b[n:]
			if l.got == len(l.header) {
				l.got, l.start = 0, l.start[:0]
				l.body = int(l.header[0]) | int(l.header[1])<<8 | int(l.header[2])<<16
			}
			continue
		}
		n := min(len(b), l.body)
		l.start = append(l.start, b[:min(n, 9-len(l.start))]...)
		l.body, b = l.body-n, b[n:]
		if l.body == 0 && l.announces && l.start[0] != 0 { // behind an OK another answer may follow
			l.announces = false
			if columns(l.start) > maxColumns {
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
func (l *limited) SyscallConn() (syscall.RawConn, error) {
	c, ok := l.Conn.(syscall.Conn)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	return c.SyscallConn()
}
