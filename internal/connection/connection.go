// Package connection opens pools of connections with go-sql-driver/mysql. It works around faults of
// the driver, and protects the process from whatever answers at a server's address.
package connection

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"

	"github.com/go-sql-driver/mysql"
)

// attempts bounds how often one connection tries to log in. Each try meets the fault that logIn
// describes with a probability of 1 in 256.
const attempts = 4

// Open returns a connection pool for c without connecting. It returns an error if c can never work.
func Open(c *mysql.Config) (*sql.DB, error) { return new(Servers).Open(c) }

// Open returns a connection pool for c without connecting. It returns an error if c can never work.
func (s *Servers) Open(c *mysql.Config) (*sql.DB, error) {
	if c.TLSConfig != "" {
		return nil, errors.New("connection: named TLS configurations are not supported: set TLS instead of TLSConfig")
	}
	given := c.Clone()
	c = c.Clone()
	if c.TLS != nil {
		c.Net, c.TLS = "unix", nil
	}
	c.DialFunc = func(ctx context.Context, _, address string) (net.Conn, error) {
		made, err := new(net.Dialer).DialContext(ctx, given.Net, address)
		if err != nil {
			return nil, err
		}
		p := newPackets(made, given.TLS, given.Passwd)
		if place, ok := ctx.Value(networkKey{}).(**packets); ok {
			*place = p
		}
		return p, nil
	}
	made, err := mysql.NewConnector(c)
	if err != nil {
		return nil, fmt.Errorf("connection: %w", err)
	}
	return sql.OpenDB(connector{made, s.at(c.Addr)}), nil
}

type connector struct {
	driver.Connector

	server *server
}

// Connect logs in. If the server is silent and another attempt is already waiting for it, Connect
// fails at once.
func (c connector) Connect(ctx context.Context) (made driver.Conn, err error) {
	ctx, end, err := c.server.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = end(err) }()
	return c.logIn(ctx)
}

// logIn retries if the driver could not read the server's challenge. MariaDB's ed25519 plugin sends
// 32 random bytes without a terminator. If the last byte happens to be zero, the driver takes it
// for the terminator and the rest for a challenge that is too short. By then it has sent no answer,
// so the server does not count a failed login.
func (c connector) logIn(ctx context.Context) (made driver.Conn, err error) {
	for range attempts {
		if made, err = c.logInOnce(ctx); !errors.Is(err, mysql.ErrMalformPkt) {
			break
		}
	}
	return made, err
}

func (c connector) logInOnce(ctx context.Context) (made driver.Conn, err error) {
	var network *packets
	defer func() {
		if p := recover(); p != nil {
			made, err = nil, unreadable(p)
			if network != nil {
				network.Close()
			}
		}
	}()
	if made, err = c.Connector.Connect(context.WithValue(ctx, networkKey{}, &network)); err != nil {
		if network != nil && network.failed != nil {
			err = network.failed
		}
		return nil, err
	}
	if network != nil {
		network.loggedIn = true
	}
	return conn{made.(driverConn)}, nil
}

// networkKey is the context key under which logInOnce finds the connection that the driver dialed.
type networkKey struct{}
