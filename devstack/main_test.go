package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"runtime"
	"sync"
	"testing"

	"github.com/rotate-user/rotate-user/devstack/stack"
	"github.com/rotate-user/rotate-user/internal/freeport"
)

// binaries are the worker and the starter, built once.
var binaries = sync.OnceValues(func() (string, error) {
	root, err := stack.Repository(context.Background())
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "rotate-user-test-")
	if err != nil {
		return "", err
	}
	cleanups = append(cleanups, func() error { return os.RemoveAll(dir) })
	return stack.Build(context.Background(), root, dir)
})

var cleanups []func() error

// More tests than processors run at once, because they mostly wait.
func TestMain(m *testing.M) {
	flag.Parse()
	if parallel := flag.Lookup("test.parallel"); runtime.GOMAXPROCS(0) < 4 && parallel.Value.String() == parallel.DefValue {
		if err := parallel.Value.Set("4"); err != nil {
			panic(err)
		}
	}
	code := m.Run()
	for _, clean := range cleanups {
		if err := clean(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

func freePort(t *testing.T) int {
	t.Helper()
	port, err := freeport.Port()
	if err != nil {
		t.Fatal(err)
	}
	return port
}
