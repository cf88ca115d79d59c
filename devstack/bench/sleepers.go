package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rotate-user/rotate-user/internal/mysqld"
	"github.com/rotate-user/rotate-user/rotation"
)

func (b *bench) allAsleep(ctx context.Context, subjects []*subject) (bool, error) {
	for _, s := range subjects {
		d, err := b.temporal.DescribeWorkflowExecution(ctx, rotation.RotateUserWorkflowID(s.secretID), "")
		if err != nil || !asleep(d) {
			return false, err
		}
	}
	return true, nil
}

// sleep measures a rotation before and among many sleeping secrets, and the worker that has them.
// All their accounts are on the one database.
func (b *bench) sleep(ctx context.Context) (err error) { //nolint:funlen // a list of the measurements in their order
	if b.sleeping == 0 {
		return nil
	}
	q, err := b.start(ctx, "sleeping")
	if err != nil {
		return err
	}
	direct := b.newDirect()
	defer func() { err = errors.Join(err, direct.close()) }()
	awake := make([]*subject, 3)
	for i := range awake {
		if awake[i], err = b.newSubject(ctx, "awake"+strconv.Itoa(i)); err != nil {
			return err
		}
		if err := direct.rotate(awake[i]); err != nil { // creates the clone
			return err
		}
	}
	if err := b.fall(ctx, q, awake[0], nextMonth()); err != nil {
		return err
	}
	measure := func() (amongResult, error) {
		limit := &contestant{run: func() error { return b.limit(ctx, awake[2]) }}
		noop := &contestant{run: func() error { return b.runNoop(ctx) }}
		inARow := &contestant{run: func() error { return direct.rotate(awake[1]) }}
		rotated := &contestant{run: func() error { return b.rotate(ctx, awake[0]) }}
		err := turns(ctx, min(b.rounds, 30), limit, noop, inARow, rotated)
		return amongResult{limit.median(), noop.median(), inARow.median(), rotated.median()}, err
	}
	r := &b.report
	if r.Alone, err = measure(); err != nil {
		return err
	}

	began := time.Now()
	done := func(what string) {
		fmt.Fprintf(b.progress, "  %s after %v\n", what, time.Since(began).Round(time.Second))
	}
	subjects, err := b.sleepers(ctx)
	if err != nil {
		return err
	}
	done("accounts made")
	ms, err := timed(func() error {
		return each(ctx, b.sleeping, 32, func(ctx context.Context, i int) error { return b.fall(ctx, q, subjects[i], nextMonth()) })
	})
	if err != nil {
		return err
	}
	done("workflows started")
	r.Sleeping, r.StartsPerS = b.sleeping, float64(b.sleeping)/ms*1000
	if err := b.await(ctx, func() (bool, error) { return b.allAsleep(ctx, subjects[max(0, b.sleeping-200):]) }); err != nil {
		return err
	}
	done("all asleep")
	if r.AmongSleeping, err = measure(); err != nil {
		return err
	}
	done("rotations among them measured")

	const watched = 30 * time.Second
	before, err := q.metric(ctx, "process_cpu_seconds_total")
	if err != nil {
		return err
	}
	select {
	case <-time.After(watched):
	case <-ctx.Done():
		return ctx.Err()
	}
	after, err := q.metric(ctx, "process_cpu_seconds_total")
	if err != nil {
		return err
	}
	bytes, err := q.metric(ctx, "process_resident_memory_bytes")
	if err != nil {
		return err
	}
	r.SleepingWorkerMB = bytes / 1e6
	if b.sleeping == 50_000 {
		r.Sleeping50000MB = r.SleepingWorkerMB
	}
	r.SleepingWorkerCorePercent = (after - before) / watched.Seconds() * 100
	return q.Stop()
}

// sleepers creates both accounts for secrets whose workflows sleep. The secrets themselves are
// never read, and nobody logs in as their users.
func (b *bench) sleepers(ctx context.Context) ([]*subject, error) {
	subjects := make([]*subject, b.sleeping)
	var users []string
	for i := range subjects {
		name := "sleeping" + strconv.Itoa(i)
		user := "b" + b.run + "_" + name
		subjects[i] = &subject{secretID: "bench/" + b.run + "/" + name, pair: []string{user, user + "_clone"}, digest: randomText() + randomText()}
		users = append(users, subjects[i].pair...)
	}
	create := b.copyAccounts
	if b.Database == nil { // only the server itself may write to its grant tables
		create = b.createAccounts
	}
	if err := create(ctx, users); err != nil {
		return nil, fmt.Errorf("make the accounts of secrets that sleep: %w", err)
	}
	return subjects, nil
}

// createAccounts creates users with a few rights.
func (b *bench) createAccounts(ctx context.Context, users []string) error {
	for some := range slices.Chunk(users, 100) {
		list := "'" + strings.Join(some, "'@'%', '") + "'@'%'"
		for _, statement := range []string{"CREATE USER " + list, "GRANT SELECT, INSERT, UPDATE, DELETE ON `bench" + b.run + "`.* TO " + list} {
			if _, err := b.pool.ExecContext(ctx, statement); err != nil {
				return err
			}
		}
	}
	return nil
}

// copyAccounts does the same with copies of the first user's rows in the server's grant tables. CREATE USER takes MySQL longer the
// more accounts there are: 100,000 would take hours.
func (b *bench) copyAccounts(ctx context.Context, users []string) error {
	if err := b.createAccounts(ctx, users[:1]); err != nil {
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
		columns, err := b.columns(ctx, table)
		if err != nil {
			return err
		}
		statements = append(statements, fmt.Sprintf("INSERT INTO mysql.%[1]s SELECT %[2]s FROM mysql.%[1]s JOIN %[3]s WHERE User = '%[4]s'",
			table, strings.Join(columns, ", "), names, users[0]))
	}
	for _, statement := range append(statements, "FLUSH PRIVILEGES", "DROP TABLE "+names) {
		if _, err := b.pool.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// columns returns the columns of a grant table, with a name in place of the user.
func (b *bench) columns(ctx context.Context, table string) (columns []string, err error) {
	rows, err := b.pool.QueryContext(ctx,
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
