package account

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
)

// server is what a session knows of its server. What differs between versions is found from what is there; the version
// tells MariaDB from MySQL, and what nothing else tells.
type server struct {
	mariadb   bool
	variables map[string]string            // by name in lower case; those that the server does not have are absent
	columns   map[string]map[string]column // of the schema mysql, by table and column in lower case; nil before survey
}

type column struct {
	length   int    // in characters
	standard string // the default value; empty for none
}

// variables are the settings that matter here, each on some servers only.
var variables = []string{
	"version", "hostname", "read_only", "super_read_only", "innodb_read_only", "partial_revokes", "performance_schema",
	"default_password_lifetime", "mandatory_roles", "activate_all_roles_on_login", "strict_password_validation",
	"validate_password.policy", "validate_password.length", "validate_password.mixed_case_count",
	"validate_password.number_count", "validate_password.special_char_count", "validate_password.dictionary_file",
	"validate_password_policy", "validate_password_length", "validate_password_mixed_case_count",
	"validate_password_number_count", "validate_password_special_char_count", "validate_password_dictionary_file",
	"simple_password_check_minimal_length", "simple_password_check_digits", "simple_password_check_letters_same_case",
	"simple_password_check_other_characters", "max_password_errors",
	"server_audit_incl_users", "server_audit_excl_users", "audit_log_include_accounts", "audit_log_exclude_accounts",
	storageFormat, "caching_sha2_password_digest_rounds",
	groupName, "wsrep_on",
}

// storageFormat is how caching_sha2_password stores new passwords, from MySQL 9 on.
const storageFormat = "caching_sha2_password_storage_format"

// pbkdf2 reports whether caching_sha2_password stores new passwords by PBKDF2.
func (s *server) pbkdf2() bool { return strings.EqualFold(s.variables[storageFormat], "PBKDF2_SHA512") }

// knowledge is what a session leaves to the next ones of its pool: to read it costs a server more than all else that a
// rotation reads.
type knowledge struct {
	server  server
	name    Name
	roles   []Name
	learned time.Time
	read    time.Time // when its variables were read last
}

// knownFor bounds how long a new grant table, or a new setting of a plugin, may stay unseen.
const knownFor = time.Minute

// justRead bounds how long a setting such as read_only may stay unseen by the next step of a rotation. The server itself refuses
// what it forbids.
const justRead = time.Second

// ofPlugin says whether a setting can come and go while the server runs.
func (s *server) ofPlugin(variable string) bool {
	return strings.HasPrefix(variable, "validate_password") || strings.HasPrefix(variable, "simple_password_check") ||
		strings.HasPrefix(variable, "server_audit") || strings.HasPrefix(variable, "audit_log") || variable == groupName ||
		s.mariadb && strings.HasPrefix(variable, "caching_sha2_password") // a part of MySQL
}

// remember takes over what an earlier session has learned and reads what may have changed since. It answers false when
// nothing is known, or when this is another server than before.
func (a *Admin) remember(ctx context.Context) (bool, error) {
	k := a.pool.known.Load()
	if k == nil || time.Since(k.learned) > knownFor {
		return false, nil
	}
	if !a.fresh && time.Since(k.read) < justRead { // the same connection, so the same server
		a.server, a.name, a.roles = k.server, k.name, k.roles
		return true, nil
	}
	var columns []string
	// In order: a server keeps figures of its own for each statement that reads differently.
	for _, name := range slices.Sorted(maps.Keys(k.server.variables)) {
		if !k.server.ofPlugin(name) {
			columns = append(columns, "@@global."+name+" AS "+name)
		}
	}
	rows, err := a.query(ctx, "SELECT "+strings.Join(columns, ", "))
	if err != nil || len(rows) != 1 {
		return false, err
	}
	now := maps.Clone(k.server.variables)
	for name, value := range rows[0] {
		now[name] = value.String
	}
	if now["hostname"] != k.server.variables["hostname"] || now["version"] != k.server.variables["version"] {
		return false, nil
	}
	a.server, a.name, a.roles = k.server, k.name, k.roles
	a.server.variables = now
	a.pool.known.Store(&knowledge{a.server, a.name, a.roles, k.learned, time.Now()})
	return true, nil
}

func (a *Admin) meetServer(ctx context.Context) error {
	if err := a.recognise(ctx); err != nil {
		return err
	}
	if err := a.toWriter(ctx); err != nil {
		return err
	}
	return a.enterCluster(ctx)
}

func (a *Admin) recognise(ctx context.Context) error {
	if known, err := a.remember(ctx); known || err != nil {
		return err
	}
	rows, err := a.query(ctx, "SHOW GLOBAL VARIABLES WHERE Variable_name IN "+quoteValues(variables))
	if err != nil {
		return err
	}
	a.server = server{variables: map[string]string{}}
	for _, r := range rows {
		a.server.variables[strings.ToLower(r.text("variable_name"))] = r.text("value")
	}
	a.server.mariadb = strings.Contains(strings.ToLower(a.server.variables["version"]), "mariadb")
	return nil
}

// hasRoles says whether the server knows roles: MariaDB does, MySQL since it has the setting.
func (s *server) hasRoles() bool {
	_, ok := s.variables["activate_all_roles_on_login"]
	return s.mariadb || ok
}

func (s *server) hasTable(name string) bool { return s.columns[name] != nil }

func (s *server) on(variable string) bool {
	switch strings.ToUpper(s.variables[variable]) {
	case "", "0", "OFF":
		return false
	}
	return true
}

// keepsDefiners says whether the server refuses to drop the definer of objects: MySQL from 8.0.22, which nothing but its
// version tells.
func (s *server) keepsDefiners() bool {
	return !s.mariadb && s.since(8, 0, 22)
}

// since reports whether the server's version is the given one or later.
func (s *server) since(version ...int) bool {
	v := make([]int, 3)
	n, _ := fmt.Sscanf(s.variables["version"], "%d.%d.%d", &v[0], &v[1], &v[2])
	return n == len(v) && slices.Compare(v, version) >= 0
}

// accounts is the table with one row for each account.
func (s *server) accounts() string {
	if s.mariadb {
		return "global_priv"
	}
	return "user"
}

// survey learns which grant tables there are, who the administrator is, and which roles he has on.
func (a *Admin) survey(ctx context.Context) error {
	if a.server.columns != nil {
		return nil
	}
	query := "SELECT TABLE_NAME AS t, COLUMN_NAME AS c, CHARACTER_MAXIMUM_LENGTH AS n, COLUMN_DEFAULT AS d" +
		" FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = 'mysql' UNION ALL SELECT '', 'user', 0, CURRENT_USER()"
	if a.server.hasRoles() {
		query += " UNION ALL SELECT '', 'role', 0, CURRENT_ROLE()"
	}
	rows, err := a.query(ctx, query)
	if err != nil {
		return fmt.Errorf("read the grant tables' columns: %w", err)
	}
	columns := map[string]map[string]column{}
	for _, r := range rows {
		table, name := strings.ToLower(r.text("t")), strings.ToLower(r.text("c"))
		if table == "" {
			if name == "user" {
				a.name = parseName(r.text("d"))
			} else {
				a.roles = parseNames(r.text("d"))
			}
			continue
		}
		if columns[table] == nil {
			columns[table] = map[string]column{}
		}
		length, _ := strconv.Atoi(r.text("n")) // absent for numbers
		standard := r.text("d")
		if a.server.mariadb { // prints an expression
			standard = strings.Trim(standard, "'")
			if standard == "NULL" {
				standard = ""
			}
		}
		columns[table][name] = column{length, standard}
	}
	a.server.columns = columns
	if table := a.server.accounts(); !a.server.hasTable(table) || !a.server.hasTable("db") {
		if a.server.mariadb && !a.server.since(10, 4, 0) {
			return refuse(Unsupported, "MariaDB %s keeps no accounts in mysql.global_priv: 10.4 is the oldest that can be handled", a.server.variables["version"])
		}
		a.worn = true
		return a.cannotRead(ctx)
	}
	now := time.Now()
	a.pool.known.Store(&knowledge{a.server, a.name, a.roles, now, now})
	return nil
}

// row is one row of an answer, by column in lower case.
type row map[string]sql.NullString

func (r row) text(column string) string { return r[column].String }

// query sends one statement and reads the whole answer.
func (a *Admin) query(ctx context.Context, statement string) ([]row, error) {
	rows, err := a.conn.QueryContext(ctx, statement)
	if err != nil {
		a.note(err)
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
	var all []row
	for rows.Next() {
		if err := rows.Scan(pointers...); err != nil {
			return nil, err
		}
		r := make(row, len(names))
		for i, name := range names {
			r[name] = values[i]
		}
		all = append(all, r)
	}
	if err := rows.Err(); err != nil {
		a.note(err)
		return all, a.ofNode(ctx, cause(ctx, err))
	}
	return all, nil
}

// exec sends one statement without an answer. A syntax error loses its text, in which the server repeats the statement,
// and with it what a hash looks like.
func (a *Admin) exec(ctx context.Context, statement string) error {
	_, err := a.conn.ExecContext(ctx, statement)
	a.note(err)
	if e := serverError(err); e != nil && e.Number == errSyntax {
		return &mysql.MySQLError{Number: e.Number, SQLState: e.SQLState, Message: "the server does not understand the statement"}
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
	errUnknownTable     = 1109 // of a schema that no table can be added to
	errLockWait         = 1205
	errWaitForGroup     = 3797 // a read that waits for what the group has done before
)

// serverError returns what the server answered, nil for an error of another kind.
func serverError(err error) *mysql.MySQLError {
	e, _ := errors.AsType[*mysql.MySQLError](err)
	return e
}
