// Package dnstest gives tests a name server.
package dnstest

import (
	"context"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// onlyAddresses makes this program ask a name server of the test until the test ends. It says that host is 127.0.0.1, and drops
// every question that is not for an address, as some name servers in networks without internet access do. The result counts those.
func onlyAddresses(t *testing.T, host string) *atomic.Int32 {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	resolver := net.DefaultResolver
	t.Cleanup(func() {
		net.DefaultResolver = resolver
		_ = conn.Close()
	})
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
	var dropped atomic.Int32
	go serve(conn, host, &dropped)
	return &dropped
}

func serve(conn net.PacketConn, host string, dropped *atomic.Int32) {
	buffer := make([]byte, 1500)
	for {
		n, from, err := conn.ReadFrom(buffer)
		if err != nil {
			return // closed
		}
		var m dnsmessage.Message
		if m.Unpack(buffer[:n]) != nil || len(m.Questions) != 1 {
			continue
		}
		q := m.Questions[0]
		if q.Type != dnsmessage.TypeA && q.Type != dnsmessage.TypeAAAA {
			dropped.Add(1)
			continue
		}
		m.Header = dnsmessage.Header{ID: m.ID, Response: true, RecursionDesired: true, RecursionAvailable: true}
		m.Additionals = nil
		if q.Type == dnsmessage.TypeA && strings.HasPrefix(q.Name.String(), host+".") {
			m.Answers = []dnsmessage.Resource{{
				Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 1},
				Body:   &dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}},
			}}
		}
		if answer, err := m.Pack(); err == nil {
			_, _ = conn.WriteTo(answer, from)
		}
	}
}
