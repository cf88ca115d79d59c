package main

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/rotate-user/rotate-user/internal/mysqld"
)

// second is another database server, whose users are also rotated.
type second struct {
	*mysqld.Server

	b *bench
	// trusted is a file with the authorities of both servers.
	trusted string
}

// startSecond starts another server like the stack's own.
func (b *bench) startSecond(ctx context.Context, args ...string) (*second, error) {
	program, err := mysqld.FindOne(b.stack.Mysqld)
	if err != nil {
		return nil, err
	}
	s := &second{b: b, trusted: filepath.Join(b.Dir, "authorities.pem")}
	if s.Server, err = program.Start(ctx, mysqld.Options{Args: args}); err != nil {
		return nil, err
	}
	if err := b.trust(s.trusted, s.Server); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// trust writes a file with the authorities of the stack's own server and of others.
func (b *bench) trust(file string, servers ...*mysqld.Server) error {
	var all []byte
	for _, s := range append(servers, b.Database) {
		authority, err := os.ReadFile(s.CAFile)
		if err != nil {
			return err
		}
		all = append(all, authority...)
	}
	return os.WriteFile(file, all, 0o600)
}

// as calls f with the administrator's connections.
func (s *second) as(f func(*sql.DB) error) error {
	db, err := s.Open(s.AdminUser, s.AdminPassword)
	if err != nil {
		return err
	}
	defer db.Close()
	return f(db)
}

// users creates users of the server, and their secrets.
func (s *second) users(ctx context.Context, prefix string, n int) ([]*subject, error) {
	return s.usersAt(ctx, prefix, n, s.Port, s.AdminUser, s.AdminPassword)
}

// usersAt does the same, for an address in front of the server, and with another administrator.
func (s *second) usersAt(ctx context.Context, prefix string, n, port int, admin, adminPassword string) ([]*subject, error) {
	b := s.b
	subjects, names, password := make([]*subject, n), make([]string, n), randomText()
	for i := range subjects {
		names[i] = "user" + strconv.Itoa(i)
		subjects[i] = &subject{user: names[i], secretID: prefix + names[i]}
	}
	if err := s.as(func(db *sql.DB) error {
		if _, err := db.ExecContext(ctx, "CREATE DATABASE `bench"+b.run+"`"); err != nil {
			return err
		}
		return b.createAccounts(ctx, db, names, password)
	}); err != nil {
		return nil, err
	}
	if err := b.storeAt(ctx, prefix+"master", admin, adminPassword, port); err != nil {
		return nil, err
	}
	return subjects, each(ctx, n, 16, func(ctx context.Context, i int) error {
		return b.storeAt(ctx, subjects[i].secretID, names[i], password, port)
	})
}

// freeze starts the rotations of users, and stops the server's process in the middle of them. Slow calls of Secrets Manager, some of
// which are made by sessions with a lock, keep them from ending first.
func (s *second) freeze(ctx context.Context, q *queue, users int) (due []*subject, stop func() error, err error) {
	b, prefix := s.b, "bench/"+s.b.run+"/freezes/"
	if due, err = s.users(ctx, prefix, users); err != nil {
		return nil, nil, err
	}
	b.delay(200 * time.Millisecond)
	defer b.delay(b.latency)
	if err := each(ctx, users, 16, func(ctx context.Context, i int) error { return b.startDue(ctx, q, due[i], prefix+"master") }); err != nil {
		return nil, nil, err
	}
	if err := b.allBegun(ctx, due); err != nil {
		return nil, nil, err
	}
	return due, func() error { return s.Signal(syscall.SIGCONT) }, s.Signal(syscall.SIGSTOP)
}
