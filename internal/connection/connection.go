// Package connection opens pools of connections with go-sql-driver/mysql, around its faults, and keeps whatever answers at a
// server's address from ending or stopping the process.
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

// attempts bounds the log-ins that one connection costs. Each one meets the fault with a chance of 1 in 256.
const attempts = 4

// Open returns a pool of connections as c says. It does not connect. Its error is that c cannot work.
func Open(c *mysql.Config) (*sql.DB, error) { return new(Servers).Open(c) }

// Open returns a pool of connections as c says. It does not connect. Its error is that c cannot work.
func (s *Servers) Open(c *mysql.Config) (*sql.DB, error) {
	if c.TLSConfig != "" {
		return nil, errors.New("connection: a TLSConfig by name is not known here: set TLS")
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

// Connect logs in, unless the server leaves another attempt without an answer.
func (c connector) Connect(ctx context.Context) (made driver.Conn, err error) {
	ctx, end, err := c.server.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = end(err) }()
	return c.logIn(ctx)
}

// logIn logs in again where the driver could not read the server's challenge. MariaDB's ed25519 plugin sends 32 random
// bytes and nothing behind them; the driver takes a last byte that happens to be zero for an end mark, and the rest for
// too short. It has answered nothing by then, so the server counts no failed log-in.
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

// networkKey is the context's key of the place for the connection that an attempt makes.
type networkKey struct{}
