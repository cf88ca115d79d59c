package main

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/rotate-user/rotate-user/internal/mysqld"
)

// createAccounts creates users with one password and a few rights.
func (b *bench) createAccounts(ctx context.Context, db *sql.DB, users []string, password string) error {
	by := "'@'%' IDENTIFIED BY '" + password + "'"
	for some := range slices.Chunk(users, 100) {
		list := "'" + strings.Join(some, "'@'%', '") + "'@'%'"
		for _, statement := range []string{"CREATE USER '" + strings.Join(some, by+", '") + by, "GRANT SELECT, INSERT, UPDATE, DELETE ON `bench" + b.run + "`.* TO " + list} {
			if _, err := db.ExecContext(ctx, statement); err != nil {
				return err
			}
		}
	}
	return nil
}

// copyAccounts does the same with copies of the first user's rows in the server's grant tables. CREATE USER takes MySQL longer the
// more accounts there are: 100,000 would take hours.
func (b *bench) copyAccounts(ctx context.Context, db *sql.DB, users []string, password string) error {
	if err := b.createAccounts(ctx, db, users[:1], password); err != nil {
		return err
	}
	names := "`bench" + b.run + "`.copies"
	statements := []string{"CREATE TABLE " + names + " (name VARCHAR(32) PRIMARY KEY)"}
	for some := range slices.Chunk(users[1:], 1000) {
		statements = append(statements, "INSERT INTO "+names+" VALUES ('"+strings.Join(some, "'), ('")+"')")
	}
	accounts := "user"
	if b.Engine == mysqld.MariaDB {
		accounts = "global_priv"
	}
	for _, table := range []string{accounts, "db"} {
		columns, err := columnsOf(ctx, db, table)
		if err != nil {
			return err
		}
		statements = append(statements, fmt.Sprintf("INSERT INTO mysql.%[1]s SELECT %[2]s FROM mysql.%[1]s JOIN %[3]s WHERE User = '%[4]s'",
			table, strings.Join(columns, ", "), names, users[0]))
	}
	for _, statement := range append(statements, "FLUSH PRIVILEGES", "DROP TABLE "+names) {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// columnsOf returns the columns of a grant table, with a name in place of the user.
func columnsOf(ctx context.Context, db *sql.DB, table string) (columns []string, err error) {
	rows, err := db.QueryContext(ctx,
		"SELECT COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = 'mysql' AND TABLE_NAME = ? ORDER BY ORDINAL_POSITION", table)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var column string
		if err := rows.Scan(&column); err != nil {
			return nil, err
		}
		if column == "User" {
			column = "name"
		}
		columns = append(columns, "`"+column+"`")
	}
	return columns, rows.Err()
}
