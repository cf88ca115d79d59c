// Package prooftest proves from the outside that internal/account makes accounts equal. It reads
// them with its own code, which shares nothing with the code under test.
package prooftest

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/google/go-cmp/cmp"

	"github.com/rotate-user/rotate-user/internal/mysqld"
)

// name is an account's name on a server.
type name struct{ user, host string }

// sql is the account's name in a statement, under sql_mode ”.
func (a name) sql() string { return literal(a.user) + "@" + literal(a.host) }

func literal(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}

func identifier(s string) string { return "`" + strings.ReplaceAll(s, "`", "``") + "`" }

// form is the normal form of an account: sorted lines of everything that the server has about it,
// without its name, secrets and times. Two accounts are equal if their forms are. It comes from two
// sources that may disagree: the grant tables, including every column of every table with rows
// about accounts, even unknown ones; and SHOW GRANTS and SHOW CREATE USER, which the server answers
// from memory.
func form(ctx context.Context, c *sql.Conn, engine string, a name) ([]string, error) {
	lines, err := tableLines(ctx, c, a)
	if err != nil {
		return nil, err
	}
	shown, err := shownLines(ctx, c, engine, a)
	if err != nil {
		return nil, err
	}
	lines = append(lines, shown...)
	slices.Sort(lines)
	return lines, nil
}

// These columns of the grant tables identify an account, in the order user, host. A row about a
// granted role belongs to the account that has the role.
var identities = [][2]string{{"to_user", "to_host"}, {"user", "host"}}

// Columns that are neither rights nor properties: who granted them and when, and secrets.
var leftOut = map[string]bool{"timestamp": true, "grantor": true, "authentication_string": true, "password_last_changed": true}

// layouts has what grantTables found, by the server's version. MariaDB opens every table to find it.
var layouts sync.Map

// grantTables returns the columns of each table of the server's own database.
func grantTables(ctx context.Context, c *sql.Conn) (map[string][]string, error) {
	version, err := query(ctx, c, "SELECT VERSION()")
	if err != nil {
		return nil, err
	}
	if known, ok := layouts.Load(version[0][0]); ok {
		return known.(map[string][]string), nil
	}
	columns, err := query(ctx, c, `SELECT c.TABLE_NAME, LOWER(c.COLUMN_NAME) FROM information_schema.COLUMNS c JOIN information_schema.TABLES t USING (TABLE_SCHEMA, TABLE_NAME)
		WHERE c.TABLE_SCHEMA = 'mysql' AND t.TABLE_TYPE = 'BASE TABLE' AND c.TABLE_NAME <> 'password_history'`)
	if err != nil {
		return nil, err
	}
	tables := map[string][]string{}
	for _, row := range columns {
		tables[row[0]] = append(tables[row[0]], row[1])
	}
	layouts.Store(version[0][0], tables)
	return tables, nil
}

func tableLines(ctx context.Context, c *sql.Conn, a name) ([]string, error) {
	tables, err := grantTables(ctx, c)
	if err != nil {
		return nil, err
	}
	var lines []string
	for _, table := range slices.Sorted(maps.Keys(tables)) {
		for _, id := range identities {
			if !slices.Contains(tables[table], id[0]) || !slices.Contains(tables[table], id[1]) {
				continue
			}
			rows, err := mapped(ctx, c, fmt.Sprintf("SELECT * FROM mysql.%s WHERE CAST(%s AS BINARY) = CAST(? AS BINARY) AND LOWER(%s) = LOWER(?)", identifier(table), id[0], id[1]), a.user, a.host)
			if err != nil {
				return nil, err
			}
			for _, row := range rows {
				var cells []string
				for column, value := range row {
					if leftOut[column] || column == id[0] || column == id[1] {
						continue
					}
					if strings.HasPrefix(value, "{") {
						value = document(value)
					} else if column == "user_attributes" && value == "NULL" {
						value = "" // an empty document, which removed attributes leave behind, means the same as none
					}
					cells = append(cells, fmt.Sprintf("%s=%q", column, value))
				}
				slices.Sort(cells)
				lines = append(lines, table+": "+strings.Join(cells, " "))
			}
			break
		}
	}
	return lines, nil
}

// Members that mean the same as their absence, by name.
var silent = map[string]string{
	"account_locked": "false", "ssl_type": "0", "ssl_cipher": `""`, "x509_issuer": `""`, "x509_subject": `""`,
	"max_questions": "0", "max_updates": "0", "max_connections": "0", "max_user_connections": "0", "max_statement_time": "0.000000",
	"password_lifetime": "-1", "default_role": `""`, "metadata": "{}",
}

// document returns a JSON object as text that is the same for equal objects. It leaves out secrets,
// and members that mean the same as their absence.
func document(text string) string {
	var members map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &members); err != nil {
		return text
	}
	for name, value := range members {
		var decoded any
		if err := json.Unmarshal(value, &decoded); err != nil {
			return text
		}
		if list, ok := decoded.([]any); ok && name == "Restrictions" {
			slices.SortFunc(list, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
		}
		sorted, err := json.Marshal(decoded)
		if err != nil {
			return text
		}
		members[name] = sorted
		switch {
		case leftOut[name], name == "additional_password", name == "version_id":
			delete(members, name)
		case silent[name] == string(value), silent[name] == string(sorted):
			delete(members, name)
		case name == "max_statement_time" && decoded == float64(0):
			delete(members, name)
		}
	}
	if len(members) == 0 {
		return ""
	}
	sorted, _ := json.Marshal(members)
	return string(sorted)
}

var hashes = regexp.MustCompile(`(AS|USING|PASSWORD) (0x[0-9A-Fa-f]*|'(?:[^'\\]|\\.|'')*')`)

func shownLines(ctx context.Context, c *sql.Conn, engine string, a name) ([]string, error) {
	statements := []string{"SHOW GRANTS FOR " + a.sql(), "SHOW CREATE USER " + a.sql()}
	if engine == mysqld.MySQL {
		if _, err := c.ExecContext(ctx, "SET print_identified_with_as_hex = ON"); err != nil {
			return nil, err
		}
	}
	var lines []string
	for _, statement := range statements {
		rows, err := query(ctx, c, statement)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			line := row[0]
			for _, own := range []string{
				identifier(a.user) + "@" + identifier(a.host), identifier(a.user) + "@" + identifier(strings.ToLower(a.host)),
				"'" + a.user + "'@'" + a.host + "'", a.sql(),
			} {
				line = strings.ReplaceAll(line, own, "<account>")
			}
			line = strings.ReplaceAll(line, " ATTRIBUTE '{}'", "")
			line = hashes.ReplaceAllString(line, "$1 <hash>")
			lines = append(lines, "shown: "+sortedGrant(line))
		}
	}
	return lines, nil
}

// sortedGrant sorts the list between GRANT and ON or TO, and the lists of columns in it, because
// the server's order varies.
func sortedGrant(line string) string {
	rest, ok := strings.CutPrefix(line, "GRANT ")
	if !ok {
		return line
	}
	items, end := split(rest)
	for i, item := range items {
		if open := strings.Index(item, " (`"); open >= 0 && strings.HasSuffix(item, ")") {
			columns, _ := split(item[open+2 : len(item)-1])
			slices.Sort(columns)
			items[i] = item[:open+2] + strings.Join(columns, ", ") + ")"
		}
	}
	slices.Sort(items)
	return "GRANT " + strings.Join(items, ", ") + rest[end:]
}

// split splits a list, which ends at ON or TO or at the end of the text, at commas that are neither
// quoted nor in parentheses. It returns where the list ends.
func split(text string) (items []string, end int) {
	begin, depth := 0, 0
	quote := byte(0)
	for end = 0; end < len(text); end++ {
		ch := text[end]
		switch {
		case quote != 0:
			if ch == quote {
				quote = 0 // a doubled quote opens again at once
			}
			continue
		case ch == '`' || ch == '\'' || ch == '"':
			quote = ch
			continue
		case ch == '(':
			depth++
		case ch == ')':
			depth--
		}
		if depth > 0 {
			continue
		}
		if ch == ',' {
			items = append(items, strings.TrimSpace(text[begin:end]))
			begin = end + 1
		} else if strings.HasPrefix(text[end:], " ON ") || strings.HasPrefix(text[end:], " TO ") {
			break
		}
	}
	return append(items, strings.TrimSpace(text[begin:end])), end
}

// query returns rows of text, with NULL as the text NULL.
func query(ctx context.Context, c *sql.Conn, statement string, args ...any) ([][]string, error) {
	_, all, err := named(ctx, c, statement, args...)
	return all, err
}

// named is query, and also returns the names of the columns.
func named(ctx context.Context, c *sql.Conn, statement string, args ...any) (names []string, all [][]string, err error) {
	rows, err := c.QueryContext(ctx, statement, args...)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", statement, err)
	}
	defer rows.Close()
	if names, err = rows.Columns(); err != nil {
		return nil, nil, err
	}
	for rows.Next() {
		values := make([]sql.NullString, len(names))
		into := make([]any, len(names))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, nil, err
		}
		row := make([]string, len(names))
		for i, v := range values {
			row[i] = "NULL"
			if v.Valid {
				row[i] = v.String
			}
		}
		all = append(all, row)
	}
	return names, all, rows.Err()
}

// mapped returns rows by lower-case column name.
func mapped(ctx context.Context, c *sql.Conn, statement string, args ...any) ([]map[string]string, error) {
	names, table, err := named(ctx, c, statement, args...)
	if err != nil {
		return nil, err
	}
	var all []map[string]string
	for _, values := range table {
		row := map[string]string{}
		for i, v := range values {
			row[strings.ToLower(names[i])] = v
		}
		all = append(all, row)
	}
	return all, nil
}

// mustForm is form for tests.
func mustForm(t tester, c *sql.Conn, engine string, a name) []string {
	t.Helper()
	lines, err := form(context.WithoutCancel(t.Context()), c, engine, a)
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

// wantEqual reports the differences between two forms.
func wantEqual(t tester, what string, want, got []string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (- wanted, + got):\n%s", what, diff)
	}
}
