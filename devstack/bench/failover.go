package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/rotate-user/rotate-user/internal/mysqld"
)

// failoverTakes is how long no server answers at the address, until the replica takes over.
const failoverTakes = 10 * time.Second

// failOver kills a primary in the middle of rotations of its users, lets its replica take over at the same address, and measures how long
// after that the rotations are done.
func (b *bench) failOver(ctx context.Context) (err error) { //nolint:funlen // a list of what happens, in its order
	if b.Database == nil || b.Secrets == nil {
		return nil
	}
	const rotations = 16
	var servers [2]*second
	for i := range servers {
		if servers[i], err = b.startSecond(ctx, mysqld.ReplicationArgs(i+1)...); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, servers[i].Stop()) }()
	}
	primary, replica := servers[0], servers[1]
	password := randomText()
	for _, s := range servers {
		// The replica has the same administrator.
		if err := s.as(func(db *sql.DB) error {
			for _, statement := range []string{"CREATE USER boss@'%' IDENTIFIED BY '" + password + "'", "GRANT ALL ON *.* TO boss@'%' WITH GRANT OPTION"} {
				if _, err := db.ExecContext(ctx, statement); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return err
		}
	}
	if err := primary.Replicate(ctx, replica.Server); err != nil {
		return err
	}
	front, err := mysqld.NewForwarder(primary.Server)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, front.Close()) }()
	if err := b.trust(primary.trusted, primary.Server, replica.Server); err != nil {
		return err
	}
	q, err := b.start(ctx, "failover", "--tls-ca-file", primary.trusted)
	if err != nil {
		return err
	}
	port := front.As(primary.Server).Port
	prefix := "bench/" + b.run + "/failover/"
	subjects, err := primary.usersAt(ctx, prefix, rotations, port, "boss", password)
	if err != nil {
		return err
	}
	before, err := b.versions(ctx, subjects)
	if err != nil {
		return err
	}
	if err := each(ctx, rotations, rotations, func(ctx context.Context, i int) error { return b.startDue(ctx, q, subjects[i], prefix+"master") }); err != nil {
		return err
	}
	if _, err := b.untilPromoted(ctx, subjects, before); err != nil { // which creates the clones
		return err
	}
	if err := b.await(ctx, func() (bool, error) { return b.allAsleep(ctx, subjects) }); err != nil {
		return err
	}
	if err := b.await(ctx, func() (bool, error) { return sameAccounts(ctx, primary, replica) }); err != nil {
		return err
	}
	if before, err = b.versions(ctx, subjects); err != nil {
		return err
	}
	inside, release := b.hold(subjects)
	defer release()
	if err := each(ctx, rotations, rotations, func(ctx context.Context, i int) error { return b.request(ctx, subjects[i]) }); err != nil {
		return err
	}
	inside()
	if err := primary.Kill(); err != nil {
		return err
	}
	front.LeadTo()
	front.Cut()
	b.delay(b.latency)
	release()
	select {
	case <-time.After(failoverTakes):
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := replica.Promote(ctx); err != nil {
		return err
	}
	front.LeadTo(replica.Server)
	took, err := b.untilPromoted(ctx, subjects, before)
	if err != nil {
		return err
	}
	b.report.FailoverSMedian, b.report.FailoverSMax = took.median(), took.quantile(1)
	return errors.Join(b.end(ctx, subjects), q.Stop())
}

// sameAccounts reports whether the users of both servers have the same passwords.
func sameAccounts(ctx context.Context, servers ...*second) (bool, error) {
	var digests []string
	for _, s := range servers {
		if err := s.as(func(db *sql.DB) error {
			var digest string
			err := db.QueryRowContext(ctx, "SELECT COALESCE(SUM(CRC32(CONCAT(User, authentication_string))), 0) FROM mysql.user"+
				" WHERE User LIKE 'user%'").Scan(&digest)
			digests = append(digests, digest)
			return err
		}); err != nil {
			return false, fmt.Errorf("compare the accounts of both servers: %w", err)
		}
	}
	return digests[0] == digests[1], nil
}
