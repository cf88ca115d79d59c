package connection

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"

	"github.com/go-sql-driver/mysql"

	"github.com/rotate-user/rotate-user/internal/panics"
)

// The driver trusts the server with its own process: many a malformed packet makes it panic, and database/sql calls it in
// goroutines of its own, where nothing recovers. So every call of the driver that reads from the server ends here.

// driverConn is what the driver's connections can do.
type driverConn interface {
	driver.Conn
	driver.ConnPrepareContext
	driver.QueryerContext
	driver.ExecerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
	driver.NamedValueChecker
}

// conn is a connection of the driver that ends when the driver panics.
type conn struct{ driverConn }

// ended turns a panic of the driver into an error and ends the connection, of which nothing is known any more.
func (c conn) ended(err *error) {
	if p := recover(); p != nil {
		*err = unreadable(p)
		var closing error
		func() {
			defer panics.Into(&closing)
			closing = c.driverConn.Close() // whatever it says, the connection is gone
		}()
	}
}

func unreadable(p any) error {
	return fmt.Errorf("the server's answer cannot be read: %w (%w)", mysql.ErrInvalidConn, panics.New(p))
}

func (c conn) PrepareContext(ctx context.Context, query string) (s driver.Stmt, err error) {
	defer c.ended(&err)
	if s, err = c.driverConn.PrepareContext(ctx, query); err != nil {
		return nil, err
	}
	return stmt{s.(driverStmt), c}, nil
}

func (c conn) Prepare(query string) (driver.Stmt, error) {
	return c.PrepareContext(context.Background(), query)
}

// Begin refuses transactions, which nothing here needs: their ends would have to be guarded too.
func (c conn) Begin() (driver.Tx, error) { return nil, errors.ErrUnsupported }

func (c conn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (r driver.Rows, err error) {
	defer c.ended(&err)
	if r, err = c.driverConn.QueryContext(ctx, query, args); err != nil {
		return nil, err
	}
	return rows{r, c}, nil
}

func (c conn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (r driver.Result, err error) {
	defer c.ended(&err)
	return c.driverConn.ExecContext(ctx, query, args)
}

func (c conn) Ping(ctx context.Context) (err error) {
	defer c.ended(&err)
	return c.driverConn.Ping(ctx)
}

// rows is an answer of the driver.
type rows struct {
	driver.Rows

	conn conn
}

func (r rows) Next(dest []driver.Value) (err error) {
	defer r.conn.ended(&err)
	return r.Rows.Next(dest)
}

// Close reads the rest of the answer, and is called in a goroutine of database/sql if a context ends.
func (r rows) Close() (err error) {
	defer r.conn.ended(&err)
	return r.Rows.Close()
}

type driverStmt interface {
	driver.Stmt
	driver.StmtQueryContext
	driver.StmtExecContext
	driver.NamedValueChecker
}

// stmt is a prepared statement of the driver.
type stmt struct {
	driverStmt

	conn conn
}

func (s stmt) QueryContext(ctx context.Context, args []driver.NamedValue) (r driver.Rows, err error) {
	defer s.conn.ended(&err)
	if r, err = s.driverStmt.QueryContext(ctx, args); err != nil {
		return nil, err
	}
	return rows{r, s.conn}, nil
}

func (s stmt) ExecContext(ctx context.Context, args []driver.NamedValue) (r driver.Result, err error) {
	defer s.conn.ended(&err)
	return s.driverStmt.ExecContext(ctx, args)
}
