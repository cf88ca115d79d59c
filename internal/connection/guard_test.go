package connection

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/rotate-user/rotate-user/internal/panics"
)

// panicking is a driver connection that panics wherever it could read from the server.
type panicking struct {
	driverConn // nil, so that any other call panics too

	inRows bool // queries succeed, but reading the rows panics
	closed chan struct{}
}

func (p *panicking) Connect(context.Context) (driver.Conn, error) { return p, nil }
func (p *panicking) Driver() driver.Driver                        { return nil }
func (p *panicking) ResetSession(context.Context) error           { return nil }
func (p *panicking) IsValid() bool                                { return true }
func (p *panicking) CheckNamedValue(*driver.NamedValue) error     { return nil }
func (p *panicking) QueryContext(context.Context, string, []driver.NamedValue) (driver.Rows, error) {
	if p.inRows {
		return panickingRows{}, nil
	}
	panic("Aa1-secret")
}
func (p *panicking) ExecContext(context.Context, string, []driver.NamedValue) (driver.Result, error) {
	panic("Aa1-secret")
}
func (p *panicking) PrepareContext(context.Context, string) (driver.Stmt, error) {
	return panickingStmt{}, nil
}
func (p *panicking) Ping(context.Context) error { panic("Aa1-secret") }
func (p *panicking) Close() error {
	select {
	case <-p.closed:
	default:
		close(p.closed)
	}
	panic("Aa1-secret")
}

type panickingRows struct{}

func (panickingRows) Columns() []string         { return []string{"x"} }
func (panickingRows) Next([]driver.Value) error { panic("Aa1-secret") }
func (panickingRows) Close() error              { panic("Aa1-secret") }

type panickingStmt struct{ driverStmt }

func (panickingStmt) NumInput() int                            { return -1 }
func (panickingStmt) Close() error                             { return nil }
func (panickingStmt) CheckNamedValue(*driver.NamedValue) error { return nil }
func (panickingStmt) QueryContext(context.Context, []driver.NamedValue) (driver.Rows, error) {
	panic("Aa1-secret")
}
func (panickingStmt) ExecContext(context.Context, []driver.NamedValue) (driver.Result, error) {
	panic("Aa1-secret")
}

func TestDriverPanicsBecomeErrors(t *testing.T) {
	type test struct {
		name   string
		inRows bool
		call   func(context.Context, *sql.DB) error
	}
	for _, c := range []test{
		{"ping", false, func(ctx context.Context, db *sql.DB) error { return db.PingContext(ctx) }},
		{"exec", false, func(ctx context.Context, db *sql.DB) error { _, err := db.ExecContext(ctx, "x"); return err }},
		{"query", false, func(ctx context.Context, db *sql.DB) error { _, err := db.QueryContext(ctx, "x"); return err }},
		{"next", true, func(ctx context.Context, db *sql.DB) error { return db.QueryRowContext(ctx, "x").Scan(new(int)) }},
		{"close", true, func(ctx context.Context, db *sql.DB) error {
			r, err := db.QueryContext(ctx, "x")
			return errors.Join(err, r.Close())
		}},
		{"prepared query", false, func(ctx context.Context, db *sql.DB) error {
			s, err := db.PrepareContext(ctx, "x")
			if err != nil {
				return err
			}
			_, err = s.QueryContext(ctx)
			return err
		}},
		{"prepared exec", false, func(ctx context.Context, db *sql.DB) error {
			s, err := db.PrepareContext(ctx, "x")
			if err != nil {
				return err
			}
			_, err = s.ExecContext(ctx)
			return err
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &panicking{inRows: c.inRows, closed: make(chan struct{})}
			db := sql.OpenDB(connector{p, new(Servers).at("db:3306")})
			err := c.call(t.Context(), db)
			if _, ok := errors.AsType[*panics.Error](err); !ok || !errors.Is(err, mysql.ErrInvalidConn) || strings.Contains(err.Error(), "Aa1") {
				t.Errorf("got %v", err)
			}
			<-p.closed // a connection in an unknown state must be closed
		})
	}
	t.Run("connect", func(t *testing.T) {
		db := sql.OpenDB(connector{connecting{}, new(Servers).at("db:3306")})
		if err := db.PingContext(t.Context()); !errors.Is(err, mysql.ErrInvalidConn) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("in a goroutine of database/sql", func(t *testing.T) {
		p := &panicking{inRows: true, closed: make(chan struct{})}
		db := sql.OpenDB(connector{p, new(Servers).at("db:3306")})
		ctx, cancel := context.WithCancel(t.Context())
		if _, err := db.QueryContext(ctx, "x"); err != nil {
			t.Fatal(err)
		}
		cancel()
		<-p.closed
	})
}

func TestLimits(t *testing.T) {
	column := func(count ...byte) []byte { return append([]byte{byte(len(count)), 0, 0, 1}, count...) }
	for _, c := range []struct {
		name string
		in   []byte
		ok   bool
	}{
		{"a few columns", column(3), true},
		{"as many as there can be", column(0xfc, 0x00, 0x10), true},
		{"one too many", column(0xfc, 0x01, 0x10), false},
		{"millions", column(0xfd, 0, 0, 0xff), false},
		{"more than there are bytes", column(0xfe, 0, 0, 0, 0, 0, 1, 0, 0), false},
		{"after an OK", append(column(0, 0, 0, 8, 0, 0, 0), column(0xfd, 0, 0, 0xff)...), false},
		{"a row", append(column(1), column(0xfd, 0, 0, 0xff)...), true},
		{"an error", column(0xff, 0, 0, 0, 0), true},
		{"no packet", column(), true},
	} {
		for cut := range c.in { // however the bytes are split between reads
			p := newPackets(nil, nil, "")
			p.announces = true
			if ok := p.follow(c.in[:cut]) && p.follow(c.in[cut:]); ok != c.ok {
				t.Errorf("%s, cut at %d: %t", c.name, cut, ok)
			}
		}
	}

	mine, theirs := net.Pipe()
	defer mine.Close()
	go func() {
		for {
			if _, err := theirs.Write(make([]byte, 1000)); err != nil {
				return
			}
		}
	}()
	if n, err := io.Copy(io.Discard, newPackets(mine, nil, "")); err == nil || n > maxHandshake+64<<10 {
		t.Errorf("endless handshake: read %d bytes, %v", n, err)
	}
	if n, err := mine.Read(make([]byte, 1)); n != 1 || err != nil {
		t.Errorf("the other side closed the connection: %v", err)
	}
}
