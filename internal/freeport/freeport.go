// Package freeport finds TCP ports on 127.0.0.1 that nothing listens on, for servers of tests and
// demonstrations.
package freeport

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"sync"
	"syscall"
)

// The ports are below the range from which Linux, macOS and BSD take the ports of outgoing
// connections. Any connection on this machine could take a port from that range between two starts
// of a server.
const (
	first = 20000
	last  = 32000
)

// Held is a set of ports that this program listens on until Release, so that none of them is chosen twice.
type Held struct{ listeners []net.Listener }

// Hold listens on the port, or on a free one if port is 0, and returns it. If the port is taken,
// the error satisfies errors.Is(err, syscall.EADDRINUSE).
func (h *Held) Hold(port int) (int, error) {
	if port != 0 {
		return port, h.listen(port)
	}
	for attempt := 1; ; attempt++ {
		port := first + rand.IntN(last-first)
		err := claim(port)
		if err == nil {
			err = h.listen(port)
		}
		if err == nil || !errors.Is(err, syscall.EADDRINUSE) || attempt == 100 {
			return port, err
		}
	}
}

// claims are the ports that this program has chosen. Each has a lock on the byte of that number in a file, which the system releases
// when the program ends.
var claims struct {
	sync.Mutex

	file  *os.File
	ports map[int]bool
}

// claim makes sure that no other server gets the port in the time between its choice and the start of its server: neither one of
// this program, nor one of another program that chooses with this package. If the port is taken, the error satisfies
// errors.Is(err, syscall.EADDRINUSE).
func claim(port int) (err error) {
	claims.Lock()
	defer claims.Unlock()
	if claims.file == nil {
		// Not in os.TempDir: programs with different TMPDIRs choose from the same ports.
		name := fmt.Sprintf("/tmp/rotate-user-ports-%d", os.Getuid())
		if claims.file, err = os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600); err != nil {
			return fmt.Errorf("the file that tells which ports are taken: %w", err)
		}
		claims.ports = map[int]bool{}
	}
	if claims.ports[port] { // a lock of the program's own would not be in the way
		return syscall.EADDRINUSE
	}
	lock := syscall.Flock_t{Type: syscall.F_WRLCK, Whence: io.SeekStart, Start: int64(port), Len: 1}
	switch err := syscall.FcntlFlock(claims.file.Fd(), syscall.F_SETLK, &lock); {
	case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.EACCES):
		return syscall.EADDRINUSE
	case err != nil:
		return fmt.Errorf("lock a byte of %s: %w", claims.file.Name(), err)
	}
	claims.ports[port] = true
	return nil
}

func (h *Held) listen(port int) error {
	l, err := net.Listen("tcp", address(port))
	if err == nil {
		h.listeners = append(h.listeners, l)
	}
	return err
}

// Release stops listening.
func (h *Held) Release() {
	for _, l := range h.listeners {
		l.Close()
	}
	h.listeners = nil
}

// Check returns an error that satisfies errors.Is(err, syscall.EADDRINUSE) if something listens on
// the port.
func Check(port int) error {
	var h Held
	defer h.Release()
	_, err := h.Hold(port)
	return err
}

// Port returns a port that is free, and that no other call returns until this program ends.
func Port() (int, error) {
	var h Held
	defer h.Release()
	return h.Hold(0)
}

// Address returns a host:port of 127.0.0.1, with a port as from Port.
func Address() (string, error) {
	port, err := Port()
	return address(port), err
}

// Addresses returns n addresses like that of Address.
func Addresses(n int) ([]string, error) {
	var h Held
	defer h.Release()
	addresses := make([]string, n)
	for i := range addresses {
		port, err := h.Hold(0)
		if err != nil {
			return nil, err
		}
		addresses[i] = address(port)
	}
	return addresses, nil
}

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
