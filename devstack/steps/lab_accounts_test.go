package steps

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/rotate-user/rotate-user/internal/mysqld"
)

func (l *lab) accounts(user string) []string {
	l.Helper()
	rows, err := l.admin.QueryContext(context.Background(), "SELECT CONCAT(QUOTE(User), '@', QUOTE(Host)) FROM mysql.user WHERE User = ?", user)
	if err != nil {
		l.Fatal(err)
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			l.Fatal(err)
		}
		all = append(all, name)
	}
	return all
}

func (l *lab) sql(statement string) {
	l.Helper()
	if _, err := l.admin.ExecContext(context.Background(), statement); err != nil {
		l.Fatalf("%s: %v", statement, err)
	}
}

// administrator creates an administrator with few rights, and its secret.
func (l *lab) administrator(grants ...string) string {
	l.Helper()
	name := "a" + l.user
	l.sql("CREATE USER " + name + "@'%' IDENTIFIED BY 'Admin.Passw0rd'")
	l.Cleanup(func() { l.sql("DROP USER " + name + "@'%'") })
	for _, g := range append(grants, "SELECT ON mysql.*") {
		l.sql("GRANT " + g + " TO " + name + "@'%'")
	}
	l.create(name, map[string]any{"username": name, "password": "Admin.Passw0rd"})
	return name
}

// rotator creates an administrator for this lab alone, so that its sessions can be told from those
// of other tests.
func (l *lab) rotator() {
	l.Helper()
	name := "r" + l.user
	l.sql("CREATE USER " + name + "@'%' IDENTIFIED BY 'Admin.Passw0rd'")
	l.Cleanup(func() { l.sql("DROP USER " + name + "@'%'") })
	l.sql("GRANT ALL ON *.* TO " + name + "@'%' WITH GRANT OPTION")
	l.create(name, map[string]any{"username": name, "password": "Admin.Passw0rd"})
	l.put(map[string]any{"username": l.user, "password": "First.Passw0rd", "masterarn": name})
}

// definer makes the user the definer of a procedure, in a schema with the user's name.
func (l *lab) definer() (schema string) {
	l.Helper()
	l.sql("CREATE DATABASE " + l.user)
	l.Cleanup(func() { l.sql("DROP DATABASE " + l.user) })
	l.sql("CREATE DEFINER=" + l.user + "@'%' PROCEDURE " + l.user + ".pay() SELECT 1")
	return l.user
}

// locked lists the locked accounts of the pair.
func (l *lab) locked() []string {
	l.Helper()
	var all []string
	for _, user := range []string{l.user, l.user + "_clone"} {
		var definition string
		if len(l.accounts(user)) == 0 {
			continue
		}
		if err := l.admin.QueryRowContext(l.Context(), "SHOW CREATE USER "+user+"@'%'").Scan(&definition); err != nil {
			l.Fatal(err)
		}
		if strings.Contains(definition, "ACCOUNT LOCK") {
			all = append(all, user)
		}
	}
	return all
}

// sessionsOf lists the connections of a user.
func (l *lab) sessionsOf(user string) []string {
	l.Helper()
	rows, err := l.admin.QueryContext(context.Background(), "SELECT ID FROM information_schema.PROCESSLIST WHERE USER = ? AND ID <> CONNECTION_ID()", user)
	if err != nil {
		l.Fatal(err)
	}
	defer rows.Close()
	var ids []string
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			l.Fatal(err)
		}
		ids = append(ids, id)
	}
	return ids
}

// logsIn reports whether the credential under a label of the secret can run a statement.
func (l *lab) logsIn(label string) bool {
	l.Helper()
	c := l.credential(label)
	db, err := l.server.Open(c.Username, c.Password)
	if err != nil {
		l.Fatal(err)
	}
	defer db.Close()
	_, err = db.ExecContext(l.Context(), "SELECT 1")
	return err == nil
}

// mustLogIn checks that the credential under a label of the secret is the user's and logs in.
func (l *lab) mustLogIn(label, user string) {
	l.Helper()
	c := l.credential(label)
	if c.Username != user {
		l.Errorf("%s is for user %s: want %s", label, c.Username, user)
	}
	db, err := l.server.Open(c.Username, c.Password)
	if err != nil {
		l.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRowContext(l.Context(), "SELECT 1").Scan(new(int)); err != nil { // a ping proves less than a statement
		l.Errorf("%s does not log in: %v", label, err)
	}
}

// snapshot returns everything that a refused rotation must not change.
func (l *lab) snapshot() string {
	l.Helper()
	var all strings.Builder
	list, err := l.client.ListSecretVersionIds(l.Context(), &secretsmanager.ListSecretVersionIdsInput{SecretId: aws.String("app"), IncludeDeprecated: aws.Bool(true)})
	if err != nil {
		l.Fatal(err)
	}
	slices.SortFunc(list.Versions, func(a, b types.SecretVersionsListEntry) int { return strings.Compare(*a.VersionId, *b.VersionId) })
	for _, v := range list.Versions {
		slices.Sort(v.VersionStages)
		fmt.Fprintln(&all, *v.VersionId, v.VersionStages)
	}
	tables := []string{"user", "db", "tables_priv", "columns_priv", "procs_priv", "proxies_priv"}
	if l.server.Engine == mysqld.MariaDB {
		tables = append(tables, "global_priv", "roles_mapping")
	} else {
		tables = append(tables, "global_grants", "role_edges", "default_roles")
	}
	for _, table := range tables {
		rows, err := l.admin.QueryContext(l.Context(), "SELECT * FROM mysql."+table)
		if err != nil {
			l.Fatal(err)
		}
		columns, _ := rows.Columns()
		var lines []string
		for rows.Next() {
			values := make([]sql.NullString, len(columns))
			into := make([]any, len(columns))
			for i := range values {
				into[i] = &values[i]
			}
			if err := rows.Scan(into...); err != nil {
				l.Fatal(err)
			}
			lines = append(lines, fmt.Sprintf("%s %v", table, values))
		}
		rows.Close()
		slices.Sort(lines)
		all.WriteString(strings.Join(lines, "\n") + "\n")
	}
	return all.String()
}
