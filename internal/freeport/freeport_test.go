package freeport

import (
	"errors"
	"net"
	"syscall"
	"testing"
)

func TestAHeldPortIsTakenUntilItIsReleased(t *testing.T) {
	var h Held
	defer h.Release()
	port, err := h.Hold(0)
	if err != nil {
		t.Fatal(err)
	}
	if err := Check(port); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("a held port: got %v, want %v", err, syscall.EADDRINUSE)
	}
	h.Release()
	if err := Check(port); err != nil {
		t.Errorf("a released port: %v", err)
	}
}

func TestAddressesAreDifferentAndFree(t *testing.T) {
	addresses, err := Addresses(20)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		l, err := net.Listen("tcp", a) // fails for the second of two equal ones
		if err != nil {
			t.Error(err)
			continue
		}
		defer l.Close()
	}
}
