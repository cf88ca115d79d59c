package main

import (
	"log/slog"
	"testing"

	"go.temporal.io/sdk/client"

	"github.com/rotate-user/rotate-user/internal/dnstest"
)

func TestTemporalIsFoundWithoutTXTRecords(t *testing.T) {
	dropped := dnstest.Temporal(t)
	options, err := clientOptions(slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.DialContext(t.Context(), options)
	if err != nil {
		t.Fatalf("%v; questions dropped: %d", err, dropped.Load())
	}
	c.Close()
	if n := dropped.Load(); n > 0 {
		t.Errorf("%d questions that were not for an address", n)
	}
}
