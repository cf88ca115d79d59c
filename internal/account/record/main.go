// Record records a server's answers to the queries of package grants, for its tests:
//
//	go run ./internal/account/record
//	PASSWORD=… go run ./internal/account/record --address db.example.com:3306 --user admin --ca ca.pem
//
// Without an address, it records every server that it finds on this machine, each started in a
// temporary directory. With an address, it creates the sample accounts, whose names begin with
// rec_, and drops them at the end. The recording shows no other account. Afterwards, run go test
// ./internal/grants -update and check the new files.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-sql-driver/mysql"

	"github.com/rotate-user/rotate-user/internal/grants"
	"github.com/rotate-user/rotate-user/internal/grants/recorded"
	"github.com/rotate-user/rotate-user/internal/mysqld"
)

func main() {
	log.SetFlags(0)
	address := flag.String("address", "", "record the server at this `host:port`, instead of the servers on this machine")
	user := flag.String("user", "", "the administrator, whose password is in the variable PASSWORD")
	ca := flag.String("ca", "", "PEM `file` with the server's certificate authority (default: the system's)")
	name := flag.String("name", "", "the `name` of the recording, such as aurora-3.08 (default: the server's version)")
	dir := flag.String("dir", "internal/grants/testdata", "the `directory` for recordings")
	flag.Parse()
	var err error
	if *address == "" {
		err = recordLocal(context.Background(), *dir)
	} else {
		err = recordRemote(context.Background(), *dir, *address, *user, *ca, *name)
	}
	if err != nil {
		log.Fatal(err)
	}
}

// recordLocal records each server that it finds on this machine.
func recordLocal(ctx context.Context, dir string) error {
	for _, program := range mysqld.Find() {
		server, err := program.Start(ctx, mysqld.Options{})
		if err != nil {
			return err
		}
		db, err := server.Open(server.AdminUser, server.AdminPassword)
		if err == nil {
			err = record(ctx, db, dir, "")
			db.Close()
		}
		if stop := server.Stop(); err == nil {
			err = stop
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func recordRemote(ctx context.Context, dir, address, user, ca, name string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	c := mysql.NewConfig()
	c.Net, c.Addr, c.User, c.Passwd = "tcp", address, user, os.Getenv("PASSWORD")
	c.TLS = &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return err
		}
		c.TLS.RootCAs = x509.NewCertPool()
		if !c.TLS.RootCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("%s contains no certificate", ca)
		}
	}
	connector, err := mysql.NewConnector(c)
	if err != nil {
		return err
	}
	db := sql.OpenDB(connector)
	defer db.Close()
	return record(ctx, db, dir, name)
}

// record creates the sample accounts, records the answers, and drops the accounts.
func record(ctx context.Context, db *sql.DB, dir, name string) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	clean := func() {
		for _, statement := range recorded.Cleanup {
			_, _ = conn.ExecContext(ctx, statement) // it may not exist
		}
	}
	clean()
	defer clean()
	var answers recorded.Answers
	for _, statement := range append([]string{"SET sql_mode = ''"}, recorded.Samples...) {
		if _, err := conn.ExecContext(ctx, statement); err != nil {
			answers.Refused = append(answers.Refused, fmt.Sprintf("%s: %v", statement, err))
		}
	}
	if err := ask(ctx, conn, &answers); err != nil {
		return err
	}
	server := answers.Server()
	if name == "" {
		name = strings.ToLower(fmt.Sprintf("%s-%d.%d.%d", server.Vendor, server.Major, server.Minor, server.Patch))
	}
	file := filepath.Join(dir, name+".json")
	log.Printf("%s: %d accounts, %d rows of rights, %d statements refused", file, len(answers.Accounts), len(answers.Rights),
		len(answers.Refused))
	return answers.Save(file)
}

// ask sends the queries of package grants in the order in which a session does.
func ask(ctx context.Context, conn *sql.Conn, answers *recorded.Answers) error {
	rows, err := query(ctx, conn, grants.VariablesQuery())
	if err != nil {
		return err
	}
	answers.Variables = grants.ParseVariables(rows)
	answers.Variables["hostname"] = "recorded"
	answers.Version = answers.Variables["version"]
	server := grants.NewServer(answers.Variables)
	if rows, err = query(ctx, conn, grants.ColumnsQuery); err != nil {
		return err
	}
	answers.Columns = recorded.Rows(rows)
	server.ParseColumns(rows)
	if rows, err = query(ctx, conn, server.AccountsQuery(recorded.Users)); err != nil {
		return err
	}
	answers.Accounts = recorded.Rows(rows)
	accounts, err := server.ParseAccounts(recorded.Users, rows)
	if err != nil {
		return err
	}
	if rows, err = query(ctx, conn, server.RightsQuery(accounts)); err != nil {
		return err
	}
	answers.Rights = recorded.Rows(rows)
	answers.Shown = map[string]recorded.Shown{}
	for _, account := range accounts {
		if account.IsRole {
			continue
		}
		shown := recorded.Shown{}
		if shown.Grants, err = lines(ctx, conn, "SHOW GRANTS FOR "+account.Name.String()); err != nil {
			return err
		}
		if shown.Account, err = lines(ctx, conn, "SHOW CREATE USER "+account.Name.String()); err != nil {
			return err
		}
		answers.Shown[account.Name.String()] = shown
	}
	return nil
}

func lines(ctx context.Context, conn *sql.Conn, statement string) ([]string, error) {
	rows, err := query(ctx, conn, statement)
	var all []string
	for _, r := range rows {
		for _, v := range r {
			all = append(all, v.String)
		}
	}
	return all, err
}

func query(ctx context.Context, conn *sql.Conn, statement string) ([]grants.Row, error) {
	rows, err := conn.QueryContext(ctx, statement)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", statement, err)
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	var all []grants.Row
	for rows.Next() {
		values, pointers := make([]sql.NullString, len(names)), make([]any, len(names))
		for i := range values {
			pointers[i] = &values[i]
		}
		if err := rows.Scan(pointers...); err != nil {
			return nil, err
		}
		r := grants.Row{}
		for i, name := range names {
			r[strings.ToLower(name)] = grants.Value(values[i])
		}
		all = append(all, r)
	}
	return all, rows.Err()
}
