package account

import (
	"context"
	"database/sql"
	"errors"
	"strings"

	"github.com/go-sql-driver/mysql"

	"github.com/rotate-user/rotate-user/internal/grants"
)

// query runs a statement and reads its whole result.
func (a *Admin) query(ctx context.Context, statement string) ([]grants.Row, error) {
	rows, err := a.conn.QueryContext(ctx, statement)
	if err != nil {
		a.noteError(err)
		return nil, a.ofNode(ctx, cause(ctx, err))
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	values := make([]sql.NullString, len(names))
	pointers := make([]any, len(names))
	for i := range values {
		names[i] = strings.ToLower(names[i])
		pointers[i] = &values[i]
	}
	var all []grants.Row
	for rows.Next() {
		if err := rows.Scan(pointers...); err != nil {
			return nil, err
		}
		r := make(grants.Row, len(names))
		for i, name := range names {
			r[name] = grants.Value(values[i])
		}
		all = append(all, r)
	}
	if err := rows.Err(); err != nil {
		a.noteError(err)
		return all, a.ofNode(ctx, cause(ctx, err))
	}
	return all, nil
}

// exec runs a statement without a result. It drops the message of a syntax error, in which the
// server repeats the statement and with it, perhaps, a hash.
func (a *Admin) exec(ctx context.Context, statement string) error {
	_, err := a.conn.ExecContext(ctx, statement)
	a.noteError(err)
	if e := serverError(err); e != nil && e.Number == errSyntax {
		return &mysql.MySQLError{Number: e.Number, SQLState: e.SQLState, Message: "the server cannot parse the statement"}
	}
	return a.ofNode(ctx, cause(ctx, err))
}

// Error numbers, the same on MySQL and MariaDB.
const (
	errUnknownCommand   = 1047
	errSyntax           = 1064
	errTableDenied      = 1142
	errColumnDenied     = 1143
	errNoSuchTable      = 1146
	errNoSuchThread     = 1094
	errKillDenied       = 1095
	errPrivilegeNeeded  = 1227
	errNoSuchGrant      = 1141
	errUserFailed       = 1396
	errAccessDeniedToDB = 1044
	errNoSuchColumn     = 1054
	errUnknownTable     = 1109 // in a schema that tables cannot be added to
	errLockWait         = 1205
	errWaitForGroup     = 3797 // a read that waited too long for the group's earlier changes
)

// serverError returns the server's error, or nil if err is of another kind.
func serverError(err error) *mysql.MySQLError {
	e, _ := errors.AsType[*mysql.MySQLError](err)
	return e
}
