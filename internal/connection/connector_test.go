package connection

import (
	"context"
	"database/sql/driver"
	"errors"
	"testing"

	"github.com/go-sql-driver/mysql"
)

// failing returns each of the errors in turn, then connects.
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

// accepted is a connection that was established.
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
		{"first try", nil, nil, 1},
		{"unreadable twice", []error{bad, bad}, nil, 3},
		{"unreadable every time", []error{bad, bad, bad, bad, bad, bad}, bad, attempts},
		// Each refused login counts towards the account's FAILED_LOGIN_ATTEMPTS.
		{"denied", []error{denied, denied}, denied, 1},
		{"denied on the second try", []error{bad, denied, denied}, denied, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &failing{errs: c.errs}
			if _, err := (connector{f, new(Servers).at("db:3306")}).Connect(t.Context()); !errors.Is(err, c.want) ||
				(err == nil) != (c.want == nil) {
				t.Errorf("%v, want %v", err, c.want)
			}
			if f.calls != c.calls {
				t.Errorf("%d logins, want %d", f.calls, c.calls)
			}
		})
	}
}
