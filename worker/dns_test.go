package main

import (
	"log/slog"
	"net"
	"testing"

	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"google.golang.org/grpc"

	"github.com/rotate-user/rotate-user/internal/dnstest"
)

func TestTemporalIsFoundWithoutTXTRecords(t *testing.T) {
	dropped := dnstest.OnlyAddresses(t, "temporal.example.com")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	temporal := grpc.NewServer()
	workflowservice.RegisterWorkflowServiceServer(temporal, workflowservice.UnimplementedWorkflowServiceServer{}) // like an old server
	go func() { _ = temporal.Serve(listener) }()
	t.Cleanup(temporal.Stop)
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	t.Setenv("TEMPORAL_ADDRESS", "temporal.example.com:"+port)

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
