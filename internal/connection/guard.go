package connection

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"

	"github.com/go-sql-driver/mysql"

	"github.com/rotate-user/rotate-user/internal/panics"
)

// The driver trusts the server: many malformed packets make it panic, and database/sql calls it in
// its own goroutines, where nothing recovers. So every driver call that reads from the server is
// wrapped here.

// driverConn lists what the driver's connections implement.
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

// conn is a driver connection that is closed when the driver panics.
type conn struct{ driverConn }

// ended turns a panic of the driver into an error and closes the connection, whose state is then
// unknown.
func (c conn) ended(err *error) {
	if p := recover(); p != nil {
		*err = unreadable(p)
		var closing error
		func() {
			defer panics.Into(&closing)
			closing = c.driverConn.Close() // the error does not matter: the connection is gone either way
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

// Begin refuses transactions. Nothing here needs them, and Commit and Rollback would have to be
// guarded too.
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

// rows is a result set of the driver.
type rows struct {
	driver.Rows

	conn conn
}

func (r rows) Next(dest []driver.Value) (err error) {
	defer r.conn.ended(&err)
	return r.Rows.Next(dest)
}

// Close reads the rest of the result. database/sql calls it in its own goroutine when a context
// ends.
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
