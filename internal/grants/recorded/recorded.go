// Package recorded contains what servers answered to the queries of package grants, so that tests
// cover releases and clouds that no test machine has. The program internal/account/record records
// such answers.
package recorded

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/rotate-user/rotate-user/internal/grants"
)

// Answers are one server's answers about the sample accounts.
type Answers struct {
	Version   string
	Variables map[string]string
	Refused   []string `json:",omitempty"` // the sample statements that the server did not accept, with its error
	Columns   []Row    // to Server.ColumnsQuery
	Accounts  []Row    // to Server.AccountsQuery
	Rights    []Row    // to Server.RightsQuery
	Shown     map[string]Shown
}

// Shown is what SHOW GRANTS and SHOW CREATE USER print for one account.
type Shown struct {
	Grants  []string
	Account []string `json:",omitempty"`
}

// Row is a row by column. A nil value is NULL.
type Row map[string]*string

// Rows converts a result for a recording.
func Rows(rows []grants.Row) []Row {
	var all []Row
	for _, r := range rows {
		row := Row{}
		for name, value := range r {
			if row[name] = nil; value.Valid {
				row[name] = &value.String
			}
		}
		all = append(all, row)
	}
	return all
}

// Answer converts recorded rows back.
func Answer(rows []Row) []grants.Row {
	var all []grants.Row
	for _, r := range rows {
		row := grants.Row{}
		for name, value := range r {
			if row[name] = (grants.Value{}); value != nil {
				row[name] = grants.Value{String: *value, Valid: true}
			}
		}
		all = append(all, row)
	}
	return all
}

// Load reads a recording.
func Load(file string) (a Answers, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return a, err
	}
	if err := json.Unmarshal(text, &a); err != nil {
		return a, fmt.Errorf("%s: %w", file, err)
	}
	return a, nil
}

// Save writes a recording.
func (a Answers) Save(file string) error {
	text, err := json.MarshalIndent(a, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}

// Server returns the server as a session would see it.
func (a Answers) Server() *grants.Server {
	s := grants.NewServer(a.Variables)
	s.ParseColumns(Answer(a.Columns))
	return &s
}

// Users are the user names of the sample accounts.
var Users = []string{"rec_app", "rec_other", "rec_reader"}

// Samples are the statements that create the sample accounts. A server refuses those that it does
// not support.
var Samples = []string{
	"CREATE DATABASE rec_shop",
	"CREATE TABLE rec_shop.orders (id INT, total INT)",
	"CREATE PROCEDURE rec_shop.close() SELECT 1",
	"CREATE USER 'rec_app'@'%' IDENTIFIED BY 'Aa1-recorded.answers' REQUIRE SSL WITH MAX_QUERIES_PER_HOUR 7 MAX_USER_CONNECTIONS 5",
	"CREATE USER 'rec_other'@'10.0.0.%' IDENTIFIED BY 'Aa1-recorded.others'",
	"ALTER USER 'rec_app'@'%' PASSWORD EXPIRE INTERVAL 90 DAY",
	"ALTER USER 'rec_app'@'%' PASSWORD HISTORY 5 PASSWORD REUSE INTERVAL 30 DAY",
	"ALTER USER 'rec_app'@'%' FAILED_LOGIN_ATTEMPTS 4 PASSWORD_LOCK_TIME 2",
	"ALTER USER 'rec_app'@'%' ATTRIBUTE '{\"team\": \"shop\"}'",
	"GRANT PROCESS, SHOW DATABASES ON *.* TO 'rec_app'@'%'",
	"GRANT SELECT, INSERT ON rec_shop.* TO 'rec_app'@'%' WITH GRANT OPTION",
	"GRANT SELECT ON `rec\\_s%`.* TO 'rec_app'@'%'",
	"GRANT UPDATE, SELECT (total) ON rec_shop.orders TO 'rec_app'@'%'",
	"GRANT EXECUTE ON PROCEDURE rec_shop.close TO 'rec_app'@'%'",
	"GRANT PROXY ON 'rec_other'@'10.0.0.%' TO 'rec_app'@'%'",
	"GRANT ROLE_ADMIN ON *.* TO 'rec_app'@'%'",
	"GRANT BACKUP_ADMIN ON *.* TO 'rec_app'@'%' WITH GRANT OPTION",
	"GRANT SLAVE MONITOR ON *.* TO 'rec_app'@'%'",
	"CREATE ROLE rec_reader",
	"GRANT SELECT ON rec_shop.* TO rec_reader",
	"GRANT rec_reader TO 'rec_app'@'%'",
	"SET DEFAULT ROLE rec_reader TO 'rec_app'@'%'",  // MySQL
	"SET DEFAULT ROLE rec_reader FOR 'rec_app'@'%'", // MariaDB
}

// Cleanup are the statements that remove the sample accounts. They may fail.
var Cleanup = []string{
	"DROP ROLE rec_reader", "DROP USER 'rec_app'@'%'", "DROP USER 'rec_other'@'10.0.0.%'", "DROP DATABASE rec_shop",
}
