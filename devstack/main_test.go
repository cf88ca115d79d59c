package main

import (
	"testing"

	"github.com/rotate-user/rotate-user/internal/freeport"
)

func freePort(t *testing.T) int {
	t.Helper()
	port, err := freeport.Port()
	if err != nil {
		t.Fatal(err)
	}
	return port
}
