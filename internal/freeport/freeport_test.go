package freeport

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
)

// With chooser in its environment, the test program chooses a port, prints it, and ends when its standard input does.
const chooser = "FREEPORT_TEST_CHOOSER"

func TestMain(m *testing.M) {
	if os.Getenv(chooser) == "" {
		os.Exit(m.Run())
	}
	port, err := Port()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(port)
	_, _ = bufio.NewReader(os.Stdin).ReadByte()
}

func TestAPortIsChosenOnceWhileItsProgramRuns(t *testing.T) {
	port, err := Port()
	if err != nil {
		t.Fatal(err)
	}
	if err := claim(port); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("a port that this program has chosen: got %v, want %v", err, syscall.EADDRINUSE)
	}
	if err := Check(port); err != nil {
		t.Errorf("something listens on it: %v", err)
	}

	other := exec.CommandContext(t.Context(), os.Args[0])
	other.Env = append(os.Environ(), chooser+"=1")
	in, err := other.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := other.StdoutPipe()
	if err == nil {
		err = other.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	lines.Scan()
	theirs, err := strconv.Atoi(lines.Text())
	if err != nil {
		t.Fatal(err)
	}
	if err := claim(theirs); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("a port that another program has chosen: got %v, want %v", err, syscall.EADDRINUSE)
	}
	if err := errors.Join(in.Close(), other.Wait()); err != nil {
		t.Fatal(err)
	}
	if err := claim(theirs); err != nil {
		t.Errorf("after the other program's end: %v", err)
	}
}

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
