package connection

import (
	"context"
	"database/sql/driver"
	"errors"
	"testing"

	"github.com/go-sql-driver/mysql"
)

// failing fails with each of the errors in turn, then connects.
type failing struct {
	errs  []error
	calls int
}

func (f *failing) Connect(context.Context) (driver.Conn, error) {
	f.calls++
	if f.calls <= len(f.errs) {
		return nil, f.errs[f.calls-1]
	}
	return accepted{}, nil
}

// accepted is a connection that was made.
type accepted struct{ driverConn }

func (*failing) Driver() driver.Driver { return nil }

func TestOnlyAnUnreadChallengeIsAskedForAgain(t *testing.T) {
	denied := &mysql.MySQLError{Number: 1045}
	bad := mysql.ErrMalformPkt
	for _, c := range []struct {
		name  string
		errs  []error
		want  error
		calls int
	}{
		{"at once", nil, nil, 1},
		{"unread twice", []error{bad, bad}, nil, 3},
		{"unread for ever", []error{bad, bad, bad, bad, bad, bad}, bad, attempts},
		// Each refused log-in counts towards the account's FAILED_LOGIN_ATTEMPTS.
		{"denied", []error{denied, denied}, denied, 1},
		{"denied the second time", []error{bad, denied, denied}, denied, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &failing{errs: c.errs}
			if _, err := (connector{f, new(Servers).at("db:3306")}).Connect(t.Context()); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
				t.Errorf("%v, want %v", err, c.want)
			}
			if f.calls != c.calls {
				t.Errorf("%d log-ins, want %d", f.calls, c.calls)
			}
		})
	}
}
