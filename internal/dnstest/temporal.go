package dnstest

import (
	"net"
	"sync/atomic"
	"testing"

	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/grpc"
)

// Temporal starts a server that answers like an old Temporal, and points TEMPORAL_ADDRESS to it by a name of which a name server
// knows only the address. The result counts the questions for anything else, which that name server drops.
func Temporal(t *testing.T) *atomic.Int32 {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	workflowservice.RegisterWorkflowServiceServer(server, workflowservice.UnimplementedWorkflowServiceServer{})
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	const host = "temporal.example.com"
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	t.Setenv("TEMPORAL_ADDRESS", net.JoinHostPort(host, port))
	return onlyAddresses(t, host)
}
