// Package freeport finds TCP ports on 127.0.0.1 that nothing listens on, for servers of tests and
// demonstrations.
package freeport

import (
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
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
		if err := h.listen(port); err == nil || !errors.Is(err, syscall.EADDRINUSE) || attempt == 100 {
			return port, err
		}
	}
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

// Port returns a port that was free a moment ago.
func Port() (int, error) {
	var h Held
	defer h.Release()
	return h.Hold(0)
}

// Address returns a host:port of 127.0.0.1 that was free a moment ago.
func Address() (string, error) {
	port, err := Port()
	return address(port), err
}

// Addresses returns n different addresses that were free a moment ago.
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
