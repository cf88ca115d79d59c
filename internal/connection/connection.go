// Package connection opens pools of connections with go-sql-driver/mysql, around a fault of its handshake.
package connection

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"

	"github.com/go-sql-driver/mysql"
)

// attempts bounds the log-ins that one connection costs. Each one meets the fault with a chance of 1 in 256.
const attempts = 4

// Open returns a pool of connections as c says. It does not connect. Its error is that c cannot work.
func Open(c *mysql.Config) (*sql.DB, error) {
	made, err := mysql.NewConnector(c)
	if err != nil {
		return nil, fmt.Errorf("connection: %w", err)
	}
	return sql.OpenDB(connector{made}), nil
}

// connector logs in again where the driver could not read the server's challenge. MariaDB's ed25519 plugin sends 32 random
// bytes and nothing behind them; the driver takes a last byte that happens to be zero for an end mark, and the rest for
// too short. It has answered nothing by then, so the server counts no failed log-in.
type connector struct{ driver.Connector }

func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	var conn driver.Conn
	var err error
	for range attempts {
		if conn, err = c.Connector.Connect(ctx); !errors.Is(err, mysql.ErrMalformPkt) {
			break
		}
	}
	return conn, err
}
