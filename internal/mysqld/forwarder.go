package mysqld

import (
	"io"
	"net"
	"sync"
)

// Forwarder is one address in front of several servers, like a load balancer or a cluster's virtual
// address.
type Forwarder struct {
	listener net.Listener

	mu      sync.Mutex
	targets []string // in turn
	next    int
	open    map[net.Conn]bool
}

// NewForwarder listens on a port of 127.0.0.1, and forwards new connections to the servers in turn.
func NewForwarder(servers ...*Server) (*Forwarder, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	f := &Forwarder{listener: l, open: map[net.Conn]bool{}}
	f.LeadTo(servers...)
	go f.serve()
	return f, nil
}

// As returns a server that can be logged in to through the forwarder. It must not be stopped.
func (f *Forwarder) As(s *Server) *Server {
	return &Server{
		Engine: s.Engine, Version: s.Version, Host: s.Host, Port: f.listener.Addr().(*net.TCPAddr).Port,
		AdminUser: s.AdminUser, AdminPassword: s.AdminPassword, CAFile: s.CAFile,
	}
}

// LeadTo forwards new connections to these servers in turn, beginning with the first, or refuses
// them if there are none. Open connections are not affected.
func (f *Forwarder) LeadTo(servers ...*Server) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.targets, f.next = nil, 0
	for _, s := range servers {
		f.targets = append(f.targets, s.address())
	}
}

// Cut closes the open connections.
func (f *Forwarder) Cut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range f.open {
		_ = c.Close()
	}
}

// Close closes the listener and the open connections.
func (f *Forwarder) Close() error {
	err := f.listener.Close()
	f.LeadTo()
	f.Cut()
	return err
}

func (f *Forwarder) serve() {
	for {
		c, err := f.listener.Accept()
		if err != nil {
			return
		}
		go f.forward(c)
	}
}

func (f *Forwarder) forward(client net.Conn) {
	defer client.Close()
	f.mu.Lock()
	if len(f.targets) == 0 {
		f.mu.Unlock()
		return
	}
	target := f.targets[f.next%len(f.targets)]
	f.next++
	f.open[client] = true
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.open, client)
	}()
	server, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		defer client.Close()
		_, _ = io.Copy(client, server)
	}()
	_, _ = io.Copy(server, client)
}
