package prooftest

import (
	"fmt"
	"strings"
)

// hard is an account that is hard to clone, and what happens to it between two rotations.
//
// In statements, {u} is the account, 'user'@'host', and {n} is a short word that no other case has,
// for the names of other objects. A statement that begins with "mysql:" or "mariadb:" is only for
// that engine.
type hard struct {
	name    string
	only    string // an engine, or partial: MySQL with partial_revokes=ON
	user    string // appended to {n}; the clone's name must fit into 32 characters
	host    string // localhost if empty
	with    string // clauses of CREATE USER after the password
	setup   []string
	use     []string // changes to the current account after the first rotation
	spoil   []string // changes to the standby at the same time
	noLogin bool     // the account cannot log in from here because of its host or certificate
	// beyondLeast is a grant, by engine, that an administrator needs in addition to the account's
	// own rights with grant option.
	beyondLeast map[string]string
}

const partial = "partial"

// hardAccounts include accounts with hosts from which this machine can log in, and others, which are
// cloned without a login. This file is long because it is one table: each row is an account and the
// statements that make and change it.
var hardAccounts = []hard{
	{
		name:  "nothing at all",
		use:   []string{"GRANT SELECT ON *.* TO {u}"},
		spoil: []string{"GRANT INSERT ON *.* TO {u}"},
	}, {
		name:  "everything with grant option",
		setup: []string{"GRANT ALL ON *.* TO {u} WITH GRANT OPTION"},
		use:   []string{"REVOKE DROP, FILE ON *.* FROM {u}"},
		spoil: []string{"REVOKE GRANT OPTION ON *.* FROM {u}"},
	}, {
		name:  "everything without grant option",
		setup: []string{"GRANT ALL ON *.* TO {u}"},
		use:   []string{"REVOKE ALL ON *.* FROM {u}"},
		spoil: []string{"GRANT USAGE ON *.* TO {u} WITH GRANT OPTION"},
	}, {
		name:  "a global grant option and nothing else",
		setup: []string{"GRANT USAGE ON *.* TO {u} WITH GRANT OPTION"},
		use:   []string{"REVOKE GRANT OPTION ON *.* FROM {u}"},
		spoil: []string{"REVOKE GRANT OPTION ON *.* FROM {u}", "GRANT SELECT ON *.* TO {u}"},
	}, {
		name: "administration",
		setup: []string{"GRANT RELOAD, PROCESS, SHOW DATABASES, SUPER, REPLICATION CLIENT, REPLICATION SLAVE, CREATE USER, " +
			"CREATE TABLESPACE, SHUTDOWN, FILE ON *.* TO {u}"},
		use: []string{"REVOKE SUPER ON *.* FROM {u}", "mysql:GRANT CREATE ROLE, DROP ROLE ON *.* TO {u}",
			"mariadb:GRANT BINLOG ADMIN, READ_ONLY ADMIN ON *.* TO {u}"},
		spoil: []string{"REVOKE SHUTDOWN ON *.* FROM {u}", "GRANT EVENT ON *.* TO {u}"},
	}, {
		name:  "database, all rights, grant option",
		setup: []string{"CREATE DATABASE {n}_shop", "GRANT ALL ON {n}_shop.* TO {u} WITH GRANT OPTION"},
		use:   []string{"REVOKE GRANT OPTION ON {n}_shop.* FROM {u}", "REVOKE DELETE ON {n}_shop.* FROM {u}"},
		spoil: []string{"REVOKE ALL ON {n}_shop.* FROM {u}"},
	}, {
		name: "database rights one by one",
		setup: []string{"GRANT SELECT ON {n}_a.* TO {u}", "GRANT CREATE ROUTINE, ALTER ROUTINE, EXECUTE ON {n}_b.* TO {u}",
			"GRANT EVENT, TRIGGER, LOCK TABLES, CREATE TEMPORARY TABLES, CREATE VIEW, SHOW VIEW, INDEX, REFERENCES ON {n}_c.* TO {u}"},
		use:   []string{"REVOKE SELECT ON {n}_a.* FROM {u}", "GRANT DROP ON {n}_d.* TO {u}"},
		spoil: []string{"GRANT GRANT OPTION ON {n}_a.* TO {u}", "REVOKE EXECUTE ON {n}_b.* FROM {u}"},
	}, {
		name: "databases by pattern, escaped and not",
		setup: []string{"GRANT SELECT ON `{n}\\_one`.* TO {u}", "GRANT INSERT ON `{n}_one`.* TO {u}", "GRANT UPDATE ON `{n}%`.* TO {u}",
			"GRANT DELETE ON `{n}\\%`.* TO {u}", "GRANT CREATE ON `{n}%\\_x_`.* TO {u} WITH GRANT OPTION"},
		// If several patterns match, the servers use only one of them, and which one is undefined.
		beyondLeast: map[string]string{"mysql": "GRANT SELECT, INSERT, UPDATE, DELETE, CREATE ON *.* TO {u} WITH GRANT OPTION"},
		use:         []string{"REVOKE SELECT ON `{n}\\_one`.* FROM {u}", "GRANT SELECT ON `{n}\\_two`.* TO {u}"},
		spoil:       []string{"REVOKE INSERT ON `{n}_one`.* FROM {u}", "GRANT INSERT ON `{n}\\_one`.* TO {u}"},
	}, {
		name: "databases with hard names",
		setup: []string{
			"GRANT SELECT ON `{n}`` tick`.* TO {u}", "GRANT SELECT ON `{n}'quote`.* TO {u}", "GRANT SELECT ON `{n}\"double`.* TO {u}",
			"GRANT SELECT ON `{n}\\\\back`.* TO {u}", "GRANT SELECT ON `{n} ON *.* TO root`.* TO {u}", "GRANT SELECT ON `{n}日本語`.* TO {u}",
			"GRANT SELECT ON `{n} -- x`.* TO {u}", "GRANT SELECT ON `{n};/* x`.* TO {u}", "GRANT SELECT ON `{n}%s%d%!v`.* TO {u}",
			"GRANT SELECT ON `{n}.dot`.* TO {u}",
		},
		use:   []string{"REVOKE SELECT ON `{n}`` tick`.* FROM {u}", "GRANT INSERT ON `{n}'quote`.* TO {u}"},
		spoil: []string{"REVOKE SELECT ON `{n} ON *.* TO root`.* FROM {u}", "REVOKE SELECT ON `{n}\\\\back`.* FROM {u}"},
	}, {
		name:  "databases that differ in case",
		setup: []string{"GRANT SELECT ON {n}_x.* TO {u}", "GRANT INSERT ON {n}_X.* TO {u}"},
		use:   []string{"REVOKE SELECT ON {n}_x.* FROM {u}"},
		spoil: []string{"REVOKE INSERT ON {n}_X.* FROM {u}"},
	}, {
		name: "the server's own databases",
		setup: []string{"GRANT SELECT ON mysql.* TO {u}", "GRANT SELECT ON performance_schema.* TO {u}",
			"GRANT SELECT (Host, User) ON mysql.user TO {u}", "GRANT SELECT ON mysql.db TO {u}", "GRANT SELECT ON sys.* TO {u}"},
		use:   []string{"REVOKE SELECT ON mysql.* FROM {u}"},
		spoil: []string{"REVOKE SELECT (Host) ON mysql.user FROM {u}"},
	}, {
		name: "tables",
		setup: []string{
			"CREATE DATABASE {n}", "CREATE TABLE {n}.a (x INT, y INT)", "CREATE TABLE {n}.b (x INT)", "CREATE TABLE {n}.A (x INT)",
			"CREATE VIEW {n}.v AS SELECT x FROM {n}.a",
			"GRANT SELECT, INSERT ON {n}.a TO {u} WITH GRANT OPTION", "GRANT ALL ON {n}.b TO {u}", "GRANT DELETE ON {n}.A TO {u}",
			"GRANT SHOW VIEW, CREATE VIEW ON {n}.v TO {u}",
		},
		use:   []string{"REVOKE GRANT OPTION ON {n}.a FROM {u}", "REVOKE DELETE ON {n}.A FROM {u}"},
		spoil: []string{"REVOKE INSERT ON {n}.a FROM {u}", "GRANT UPDATE ON {n}.A TO {u}", "REVOKE ALL ON {n}.b FROM {u}"},
	}, {
		name: "a table's grant option and nothing else",
		setup: []string{"CREATE DATABASE {n}", "CREATE TABLE {n}.a (x INT)", "GRANT GRANT OPTION ON {n}.a TO {u}",
			"GRANT GRANT OPTION ON {n}.* TO {u}"},
		use:   []string{"REVOKE GRANT OPTION ON {n}.a FROM {u}"},
		spoil: []string{"REVOKE GRANT OPTION ON {n}.* FROM {u}"},
	}, {
		name: "tables with hard names",
		setup: []string{
			"CREATE DATABASE `{n}`` ON x TO y`", "CREATE TABLE `{n}`` ON x TO y`.`t``'\"\\\\ TO root` (`c``1` INT, `c,2` INT, `(c3)` INT, " +
				"`c4 ON x.* TO y` INT, `c\\5` INT, `c'6` INT, `日本` INT, `C``1x` INT)",
			"CREATE TABLE `{n}`` ON x TO y`.`日本 _%` (x INT)", "CREATE TABLE `{n}`` ON x TO y`.`.` (x INT)",
			"GRANT SELECT, INSERT ON `{n}`` ON x TO y`.`t``'\"\\\\ TO root` TO {u}",
			"GRANT UPDATE (`c``1`, `c,2`, `(c3)`, `c4 ON x.* TO y`, `c\\5`, `c'6`, `日本`), " +
				"REFERENCES (`c,2`) ON `{n}`` ON x TO y`.`t``'\"\\\\ TO root` TO {u}",
			"GRANT ALL ON `{n}`` ON x TO y`.`日本 _%` TO {u} WITH GRANT OPTION", "GRANT SELECT ON `{n}`` ON x TO y`.`.` TO {u}",
		},
		use: []string{"REVOKE UPDATE (`c,2`, `c\\5`) ON `{n}`` ON x TO y`.`t``'\"\\\\ TO root` FROM {u}",
			"REVOKE SELECT ON `{n}`` ON x TO y`.`.` FROM {u}"},
		spoil: []string{"REVOKE UPDATE (`c4 ON x.* TO y`) ON `{n}`` ON x TO y`.`t``'\"\\\\ TO root` FROM {u}",
			"REVOKE INSERT ON `{n}`` ON x TO y`.`t``'\"\\\\ TO root` FROM {u}"},
	}, {
		name: "columns",
		setup: []string{
			"CREATE DATABASE {n}", "CREATE TABLE {n}.a (x INT, y INT, z INT)", "CREATE TABLE {n}.b (x INT)",
			"GRANT SELECT (x, y), INSERT (y), UPDATE (z), REFERENCES (x) ON {n}.a TO {u} WITH GRANT OPTION",
			"GRANT SELECT, DELETE, UPDATE (x) ON {n}.b TO {u}",
		},
		use:   []string{"REVOKE SELECT (x) ON {n}.a FROM {u}", "GRANT INSERT (x, z) ON {n}.a TO {u}", "REVOKE UPDATE (x) ON {n}.b FROM {u}"},
		spoil: []string{"REVOKE REFERENCES (x) ON {n}.a FROM {u}", "GRANT UPDATE (y) ON {n}.a TO {u}", "REVOKE GRANT OPTION ON {n}.a FROM {u}"},
	}, {
		name: "a right on a table and on its column",
		setup: []string{"CREATE DATABASE {n}", "CREATE TABLE {n}.a (x INT, y INT)", "GRANT SELECT (x) ON {n}.a TO {u}",
			"GRANT SELECT ON {n}.a TO {u}", "GRANT UPDATE (x, y) ON {n}.a TO {u}"},
		use:   []string{"REVOKE SELECT ON {n}.a FROM {u}", "GRANT SELECT (x) ON {n}.a TO {u}"},
		spoil: []string{"REVOKE SELECT ON {n}.a FROM {u}", "GRANT UPDATE, INSERT (y), INSERT ON {n}.a TO {u}"},
	}, {
		name: "leftovers of dropped objects",
		setup: []string{
			"CREATE DATABASE {n}", "CREATE TABLE {n}.gone (x INT, y INT)", "CREATE TABLE {n}.stays (x INT, y INT)", "CREATE DATABASE {n}_gone",
			"CREATE TABLE {n}_gone.t (x INT)",
			"GRANT SELECT, DELETE ON {n}.gone TO {u}", "GRANT SELECT (y), UPDATE (x) ON {n}.stays TO {u}",
			"GRANT INSERT ON {n}_gone.t TO {u} WITH GRANT OPTION", "GRANT ALL ON {n}_gone.* TO {u}",
			"DROP TABLE {n}.gone", "DROP DATABASE {n}_gone",
		},
		use:   []string{"REVOKE DELETE ON {n}.gone FROM {u}"},
		spoil: []string{"REVOKE SELECT ON {n}.gone FROM {u}", "REVOKE ALL ON {n}_gone.* FROM {u}"},
	}, {
		name: "a dropped column with a right",
		setup: []string{
			"CREATE DATABASE {n}", "CREATE TABLE {n}.a (x INT, y INT)", "GRANT SELECT (x), UPDATE (x, y) ON {n}.a TO {u}",
		},
		use:   []string{"ALTER TABLE {n}.a DROP COLUMN x", "REVOKE UPDATE (y) ON {n}.a FROM {u}"},
		spoil: []string{"GRANT INSERT (y) ON {n}.a TO {u}"},
	}, {
		name: "routines",
		setup: []string{
			"CREATE DATABASE {n}", "CREATE PROCEDURE {n}.p() SELECT 1", "CREATE FUNCTION {n}.p() RETURNS INT DETERMINISTIC RETURN 1",
			"CREATE FUNCTION {n}.`f``' TO \\\\` () RETURNS INT DETERMINISTIC RETURN 1", "CREATE PROCEDURE {n}.`日本`() SELECT 1",
			"GRANT EXECUTE ON PROCEDURE {n}.p TO {u}", "GRANT EXECUTE, ALTER ROUTINE ON FUNCTION {n}.p TO {u} WITH GRANT OPTION",
			"GRANT EXECUTE ON FUNCTION {n}.`f``' TO \\\\` TO {u}", "GRANT ALL ON PROCEDURE {n}.`日本` TO {u}",
		},
		use:   []string{"REVOKE EXECUTE ON PROCEDURE {n}.p FROM {u}", "GRANT ALTER ROUTINE ON FUNCTION {n}.`f``' TO \\\\` TO {u}"},
		spoil: []string{"REVOKE GRANT OPTION ON FUNCTION {n}.p FROM {u}", "REVOKE EXECUTE ON FUNCTION {n}.`f``' TO \\\\` FROM {u}"},
	}, {
		name: "packages",
		only: "mariadb",
		setup: []string{
			"CREATE DATABASE {n}", "SET sql_mode=ORACLE", "CREATE PACKAGE {n}.k AS FUNCTION f RETURN INT; END",
			"CREATE PACKAGE BODY {n}.k AS FUNCTION f RETURN INT AS BEGIN RETURN 1; END; END",
			"GRANT EXECUTE ON PACKAGE {n}.k TO {u}", "GRANT EXECUTE, ALTER ROUTINE ON PACKAGE BODY {n}.k TO {u} WITH GRANT OPTION",
			"SET sql_mode=''",
		},
		use:   []string{"SET sql_mode=ORACLE", "REVOKE ALTER ROUTINE ON PACKAGE BODY {n}.k FROM {u}", "SET sql_mode=''"},
		spoil: []string{"SET sql_mode=ORACLE", "REVOKE EXECUTE ON PACKAGE {n}.k FROM {u}", "SET sql_mode=''"},
	}, {
		name: "proxy",
		setup: []string{"CREATE USER {n}_boss@localhost, '{n} b''`\\\\ TO x'@'%'", "GRANT PROXY ON {n}_boss@localhost TO {u}",
			"GRANT PROXY ON '{n} b''`\\\\ TO x'@'%' TO {u} WITH GRANT OPTION", "REVOKE GRANT OPTION ON *.* FROM {u}"},
		use:   []string{"REVOKE PROXY ON {n}_boss@localhost FROM {u}"},
		spoil: []string{"REVOKE PROXY ON '{n} b''`\\\\ TO x'@'%' FROM {u}"},
	}, {
		name:  "proxy with grant option taken away",
		setup: []string{"CREATE USER {n}_boss@localhost", "GRANT SELECT ON *.* TO {u}", "GRANT PROXY ON {n}_boss@localhost TO {u} WITH GRANT OPTION"},
		use:   []string{"REVOKE PROXY ON {n}_boss@localhost FROM {u}", "GRANT PROXY ON {n}_boss@localhost TO {u}", "REVOKE GRANT OPTION ON *.* FROM {u}"},
		spoil: []string{"REVOKE GRANT OPTION ON *.* FROM {u}"},
	}, {
		name: "roles",
		setup: []string{
			"CREATE ROLE {n}_a", "CREATE ROLE {n}_b", "CREATE ROLE `{n}_c``'\\\\ TO x`", "GRANT SELECT ON *.* TO {n}_a",
			"GRANT {n}_a TO {u}", "GRANT {n}_b TO {u} WITH ADMIN OPTION", "GRANT `{n}_c``'\\\\ TO x` TO {u}",
			"mysql:SET DEFAULT ROLE {n}_a, `{n}_c``'\\\\ TO x` TO {u}", "mariadb:SET DEFAULT ROLE `{n}_c``'\\\\ TO x` FOR {u}",
		},
		use:   []string{"REVOKE `{n}_c``'\\\\ TO x` FROM {u}", "mysql:SET DEFAULT ROLE {n}_b TO {u}", "mariadb:SET DEFAULT ROLE {n}_b FOR {u}"},
		spoil: []string{"REVOKE {n}_a FROM {u}", "GRANT {n}_a TO {u} WITH ADMIN OPTION", "mysql:SET DEFAULT ROLE NONE TO {u}", "mariadb:SET DEFAULT ROLE NONE FOR {u}"},
	}, {
		name:  "one admin option removed and one added",
		setup: []string{"CREATE ROLE {n}_a", "CREATE ROLE {n}_b", "GRANT {n}_a TO {u} WITH ADMIN OPTION", "GRANT {n}_b TO {u}", "mysql:SET DEFAULT ROLE {n}_a, {n}_b TO {u}", "mariadb:SET DEFAULT ROLE {n}_a FOR {u}"},
		use:   []string{"mysql:REVOKE {n}_a FROM {u}", "mysql:GRANT {n}_a TO {u}", "mysql:SET DEFAULT ROLE {n}_a TO {u}", "mariadb:REVOKE ADMIN OPTION FOR {n}_a FROM {u}", "GRANT {n}_b TO {u} WITH ADMIN OPTION"},
		spoil: []string{"REVOKE {n}_b FROM {u}"},
	}, {
		name:  "a default role and nothing else",
		setup: []string{"CREATE ROLE {n}_a", "GRANT {n}_a TO {u}", "mysql:SET DEFAULT ROLE ALL TO {u}", "mariadb:SET DEFAULT ROLE {n}_a FOR {u}"},
		use:   []string{"mysql:SET DEFAULT ROLE NONE TO {u}", "mariadb:SET DEFAULT ROLE NONE FOR {u}"},
		spoil: []string{"REVOKE {n}_a FROM {u}"},
	}, {
		name: "roles with one name and several hosts",
		only: "mysql",
		setup: []string{
			"CREATE ROLE {n}_r@'%', {n}_r@localhost, {n}_r@'10.%'", "CREATE USER {n}_person@localhost IDENTIFIED BY 'Person-12345'",
			"GRANT {n}_r@'%', {n}_r@localhost TO {u}", "GRANT {n}_person@localhost TO {u} WITH ADMIN OPTION", "SET DEFAULT ROLE {n}_r@localhost TO {u}",
		},
		use:   []string{"REVOKE {n}_r@'%' FROM {u}", "GRANT {n}_r@'10.%' TO {u}"},
		spoil: []string{"REVOKE {n}_r@localhost FROM {u}"},
	}, {
		name:  "twenty roles",
		setup: append(numbered(20, "CREATE ROLE {n}_r#"), numbered(20, "GRANT {n}_r# TO {u}")...),
		use:   []string{"REVOKE {n}_r7 FROM {u}"},
		spoil: []string{"REVOKE {n}_r3 FROM {u}", "REVOKE {n}_r4 FROM {u}"},
	}, {
		name:  "granted to another account as a role, and its proxy",
		setup: []string{"CREATE USER {n}_heir@localhost", "mysql:GRANT {u} TO {n}_heir@localhost", "GRANT PROXY ON {u} TO {n}_heir@localhost", "GRANT SELECT ON {n}.* TO {u}"},
		use:   []string{"GRANT INSERT ON {n}.* TO {u}"},
		spoil: []string{"REVOKE SELECT ON {n}.* FROM {u}"},
	}, {
		name: "definer of objects",
		setup: []string{
			"CREATE DATABASE {n}", "CREATE TABLE {n}.t (x INT)", "GRANT ALL ON {n}.* TO {u}", "CREATE DEFINER={u} PROCEDURE {n}.p() SELECT 1", "CREATE DEFINER={u} VIEW {n}.v AS SELECT * FROM {n}.t",
			"CREATE DEFINER={u} TRIGGER {n}.g BEFORE INSERT ON {n}.t FOR EACH ROW SET NEW.x = 1", "CREATE DEFINER={u} EVENT {n}.e ON SCHEDULE EVERY 1 YEAR DO DO 1",
		},
		use:   []string{"REVOKE DELETE ON {n}.* FROM {u}"},
		spoil: []string{"REVOKE INSERT ON {n}.* FROM {u}"},
	}, {
		name:  "dynamic rights",
		only:  "mysql",
		setup: []string{"GRANT BACKUP_ADMIN, CONNECTION_ADMIN ON *.* TO {u}", "GRANT ROLE_ADMIN, APPLICATION_PASSWORD_ADMIN ON *.* TO {u} WITH GRANT OPTION", "GRANT SYSTEM_VARIABLES_ADMIN ON *.* TO {u}"},
		use:   []string{"REVOKE BACKUP_ADMIN ON *.* FROM {u}", "REVOKE ROLE_ADMIN ON *.* FROM {u}", "GRANT ROLE_ADMIN ON *.* TO {u}"},
		spoil: []string{"GRANT CONNECTION_ADMIN ON *.* TO {u} WITH GRANT OPTION", "REVOKE SYSTEM_VARIABLES_ADMIN ON *.* FROM {u}"},
	}, {
		name:  "dynamic rights with a global grant option",
		only:  "mysql",
		setup: []string{"GRANT SELECT ON *.* TO {u} WITH GRANT OPTION", "GRANT BACKUP_ADMIN, ROLE_ADMIN ON *.* TO {u}", "GRANT SYSTEM_USER ON *.* TO {u} WITH GRANT OPTION", "GRANT AUDIT_ABORT_EXEMPT ON *.* TO {u}"},
		use:   []string{"REVOKE SELECT ON *.* FROM {u}", "GRANT BACKUP_ADMIN ON *.* TO {u} WITH GRANT OPTION"},
		spoil: []string{"GRANT ROLE_ADMIN ON *.* TO {u} WITH GRANT OPTION", "REVOKE GRANT OPTION ON *.* FROM {u}"},
	}, {
		name: "partial revokes",
		only: partial,
		setup: []string{
			"CREATE DATABASE {n}", "CREATE DATABASE `{n}_%`", "CREATE DATABASE `{n}``' x`", "GRANT SELECT, INSERT, UPDATE, DELETE ON *.* TO {u} WITH GRANT OPTION",
			"REVOKE INSERT, UPDATE ON {n}.* FROM {u}", "REVOKE SELECT ON mysql.* FROM {u}", "REVOKE DELETE ON `{n}_%`.* FROM {u}", "REVOKE SELECT ON `{n}``' x`.* FROM {u}",
		},
		use:   []string{"GRANT UPDATE ON {n}.* TO {u}", "REVOKE DELETE ON {n}.* FROM {u}", "GRANT SELECT ON `{n}``' x`.* TO {u}"},
		spoil: []string{"GRANT SELECT ON mysql.* TO {u}", "REVOKE INSERT ON `{n}_%`.* FROM {u}"},
	}, {
		name:  "partial revokes and rights on the same database",
		only:  partial,
		setup: []string{"CREATE DATABASE {n}", "GRANT SELECT, INSERT, CREATE ON *.* TO {u}", "REVOKE INSERT ON {n}.* FROM {u}", "GRANT DELETE ON {n}.* TO {u}", "CREATE TABLE {n}.t (x INT)", "GRANT INSERT ON {n}.t TO {u}"},
		use:   []string{"REVOKE SELECT ON {n}.* FROM {u}", "REVOKE DELETE ON {n}.* FROM {u}"},
		spoil: []string{"GRANT INSERT ON {n}.* TO {u}"},
	}, {
		name:  "databases by name, without patterns",
		only:  partial,
		setup: []string{"GRANT SELECT ON `{n}\\_one`.* TO {u}", "GRANT INSERT ON `{n}_one`.* TO {u}", "GRANT UPDATE ON `{n}%`.* TO {u}", "GRANT SELECT ON *.* TO {u}", "REVOKE SELECT ON `{n}_no`.* FROM {u}"},
		use:   []string{"REVOKE SELECT ON *.* FROM {u}"},
		spoil: []string{"REVOKE UPDATE ON `{n}%`.* FROM {u}", "GRANT SELECT ON `{n}_no`.* TO {u}"},
	}, {
		name:  "any TLS",
		with:  "REQUIRE SSL",
		use:   []string{"ALTER USER {u} REQUIRE NONE"},
		spoil: []string{"ALTER USER {u} REQUIRE X509"},
	}, {
		name:  "a certificate",
		with:  "REQUIRE X509",
		use:   []string{"ALTER USER {u} REQUIRE SSL"},
		spoil: []string{"ALTER USER {u} REQUIRE CIPHER 'TLS_AES_256_GCM_SHA384'"},
	}, {
		name:    "a subject with every quote",
		with:    `REQUIRE SUBJECT '/O=It\'s "x" ` + "`y`" + ` \\ back/CN=日本' ISSUER '/CN=ca\' REQUIRE NONE -- '`,
		noLogin: true,
		use:     []string{`ALTER USER {u} REQUIRE SUBJECT '/CN=other\'' `},
		spoil:   []string{`ALTER USER {u} REQUIRE SUBJECT '/O=It\'s "x" ' ISSUER '/CN=ca'`},
	}, {
		name:    "subject, issuer and cipher",
		with:    "REQUIRE SUBJECT '/CN=a' ISSUER '/CN=b' CIPHER 'TLS_AES_128_GCM_SHA256'",
		noLogin: true,
		use:     []string{"ALTER USER {u} REQUIRE ISSUER '/CN=b'"},
		spoil:   []string{"ALTER USER {u} REQUIRE SUBJECT '/CN=a' ISSUER '/CN=b'"},
	}, {
		name:  "limits",
		with:  "WITH MAX_QUERIES_PER_HOUR 1000 MAX_UPDATES_PER_HOUR 2000 MAX_CONNECTIONS_PER_HOUR 3000 MAX_USER_CONNECTIONS 40",
		use:   []string{"ALTER USER {u} WITH MAX_QUERIES_PER_HOUR 0 MAX_USER_CONNECTIONS 41"},
		spoil: []string{"ALTER USER {u} WITH MAX_UPDATES_PER_HOUR 0", "ALTER USER {u} WITH MAX_CONNECTIONS_PER_HOUR 1"},
	}, {
		name:  "a limit of MariaDB",
		only:  "mariadb",
		with:  "WITH MAX_STATEMENT_TIME 12.5",
		use:   []string{"ALTER USER {u} WITH MAX_STATEMENT_TIME 0.25"},
		spoil: []string{"ALTER USER {u} WITH MAX_STATEMENT_TIME 0"},
	}, {
		name:  "expiry after days",
		with:  "PASSWORD EXPIRE INTERVAL 90 DAY",
		use:   []string{"ALTER USER {u} PASSWORD EXPIRE NEVER"},
		spoil: []string{"ALTER USER {u} PASSWORD EXPIRE DEFAULT"},
	}, {
		name:  "expiry never",
		with:  "PASSWORD EXPIRE NEVER",
		use:   []string{"ALTER USER {u} PASSWORD EXPIRE DEFAULT"},
		spoil: []string{"ALTER USER {u} PASSWORD EXPIRE INTERVAL 7 DAY"},
	}, {
		name:  "history, reuse and the current password",
		only:  "mysql",
		with:  "PASSWORD HISTORY 5 PASSWORD REUSE INTERVAL 365 DAY PASSWORD REQUIRE CURRENT",
		use:   []string{"ALTER USER {u} PASSWORD HISTORY DEFAULT PASSWORD REUSE INTERVAL 0 DAY PASSWORD REQUIRE CURRENT DEFAULT"},
		spoil: []string{"ALTER USER {u} PASSWORD HISTORY 0 PASSWORD REUSE INTERVAL DEFAULT PASSWORD REQUIRE CURRENT OPTIONAL"},
	}, {
		name:  "zero and optional, which are not the default",
		only:  "mysql",
		with:  "PASSWORD HISTORY 0 PASSWORD REUSE INTERVAL 0 DAY PASSWORD REQUIRE CURRENT OPTIONAL",
		use:   []string{"ALTER USER {u} PASSWORD HISTORY 3"},
		spoil: []string{"ALTER USER {u} PASSWORD REQUIRE CURRENT"},
	}, {
		name:  "failed logins",
		only:  "mysql",
		with:  "FAILED_LOGIN_ATTEMPTS 4 PASSWORD_LOCK_TIME UNBOUNDED",
		use:   []string{"ALTER USER {u} FAILED_LOGIN_ATTEMPTS 3 PASSWORD_LOCK_TIME 2"},
		spoil: []string{"ALTER USER {u} FAILED_LOGIN_ATTEMPTS 0 PASSWORD_LOCK_TIME 0"},
	}, {
		name:  "half of a failed-login policy",
		only:  "mysql",
		with:  "FAILED_LOGIN_ATTEMPTS 4",
		use:   []string{"ALTER USER {u} FAILED_LOGIN_ATTEMPTS 0 PASSWORD_LOCK_TIME 5"},
		spoil: []string{"ALTER USER {u} PASSWORD_LOCK_TIME 1"},
	}, {
		name:  "comment",
		only:  "mysql",
		with:  `COMMENT 'it\'s "the" \\ app, 日本 𝕏 🦊 %s'`,
		use:   []string{`ALTER USER {u} COMMENT ''`},
		spoil: []string{`ALTER USER {u} COMMENT 'mine'`},
	}, {
		name:  "attribute",
		only:  "mysql",
		with:  `ATTRIBUTE '{"team": "o\'reilly \\"x\\" \\\\\\\\ 🦊", "n": 1.5, "big": 12345678901234567890, "list": [1, null, {"a": []}], "deep": {"x": {"y": null, "z": true}}, "": "empty", "a.b": 1}'`,
		use:   []string{`ALTER USER {u} ATTRIBUTE '{"team": null, "new": {"k": "v"}, "deep": {"x": {"z": null}}, "n": 1.50}'`},
		spoil: []string{`ALTER USER {u} ATTRIBUTE '{"list": 1, "deep": {"more": 1}, "extra": [], "": null}'`},
	}, {
		name:  "attribute and comment that are removed",
		only:  "mysql",
		with:  `ATTRIBUTE '{"a": 1, "comment": "c"}'`,
		use:   []string{`ALTER USER {u} ATTRIBUTE '{"a": null, "comment": null}'`},
		spoil: []string{`ALTER USER {u} ATTRIBUTE '{"b": 2}'`},
	}, {
		name:  "an old MySQL plugin",
		only:  "mysql",
		with:  "/*sha256_password*/",
		setup: []string{"ALTER USER {u} IDENTIFIED WITH sha256_password BY '{p}'"},
		use:   []string{"GRANT SELECT ON *.* TO {u}"},
		spoil: []string{"ALTER USER {u} IDENTIFIED WITH caching_sha2_password BY 'Other-12345'"},
	}, {
		name:    "texts that read like rules",
		only:    "mysql",
		with:    `REQUIRE SUBJECT 'PASSWORD EXPIRE NEVER' PASSWORD EXPIRE INTERVAL 30 DAY COMMENT 'PASSWORD EXPIRE NEVER'`,
		use:     []string{`ALTER USER {u} COMMENT "it\'s PASSWORD EXPIRE DEFAULT"`},
		spoil:   []string{"ALTER USER {u} PASSWORD EXPIRE NEVER"},
		noLogin: true,
	}, {
		name: "a salt with quotes and backslashes", // the server draws its salts from all of ASCII
		only: "mysql",
		setup: []string{
			`ALTER USER {u} IDENTIFIED WITH caching_sha2_password AS '$A$005$it\'s=a\\\'salt\'of"20"\\3q3o/q/qeZOElKqXa.B4x2Ic8t2Z/yM0IV2XqfHPUj0'`, // {p}'s
		},
		use:   []string{"GRANT SELECT ON *.* TO {u}"},
		spoil: []string{"GRANT INSERT ON *.* TO {u}"},
	}, {
		name:  "ed25519",
		only:  "mariadb",
		setup: []string{"ALTER USER {u} IDENTIFIED VIA ed25519 USING PASSWORD('{p}')"},
		use:   []string{"GRANT SELECT ON *.* TO {u}"},
		spoil: []string{"ALTER USER {u} IDENTIFIED VIA mysql_native_password USING PASSWORD('Other-12345')"},
	}, {
		name:  "a second password on the standby",
		only:  "mysql",
		setup: []string{"GRANT SELECT ON {n}.* TO {u}"},
		use:   []string{"GRANT INSERT ON {n}.* TO {u}"},
		spoil: []string{"ALTER USER {u} IDENTIFIED BY 'Leaked-12345' RETAIN CURRENT PASSWORD", "REVOKE SELECT ON {n}.* FROM {u}"},
	}, {
		name:  "a name with quotes",
		user:  "o'b\"r`i",
		setup: []string{"GRANT SELECT ON {n}.* TO {u}", "GRANT CREATE USER ON *.* TO {u} WITH GRANT OPTION"},
		use:   []string{"GRANT INSERT ON {n}.* TO {u}"},
		spoil: []string{"GRANT DELETE ON {n}.* TO {u}"},
	}, {
		name: "a name with backslashes and patterns",
		user: `\'\\_%s%d\`,
		host: "%",
		with: "REQUIRE SSL",
		setup: []string{"CREATE DATABASE {n}", "CREATE TABLE {n}.t (x INT)", "GRANT SELECT (x) ON {n}.t TO {u}", "CREATE ROLE {n}_r",
			"GRANT {n}_r TO {u}", "mysql:SET DEFAULT ROLE {n}_r TO {u}", "mariadb:SET DEFAULT ROLE {n}_r FOR {u}"},
		use:   []string{"REVOKE SELECT (x) ON {n}.t FROM {u}"},
		spoil: []string{"REVOKE {n}_r FROM {u}"},
	}, {
		name: "a name that reads like SQL",
		user: " TO `x`@`%`; -- x",
		host: "127.0.0.1",
		setup: []string{"CREATE USER {n}_boss@localhost", "GRANT PROXY ON {n}_boss@localhost TO {u}", "CREATE DATABASE {n}",
			"CREATE PROCEDURE {n}.p() SELECT 1", "GRANT EXECUTE ON PROCEDURE {n}.p TO {u}"},
		use:   []string{"REVOKE PROXY ON {n}_boss@localhost FROM {u}"},
		spoil: []string{"REVOKE EXECUTE ON PROCEDURE {n}.p FROM {u}"},
	}, {
		name:  "a name of three-byte characters",
		user:  "日本語のアプリ用ユーザー名前長い名前です",
		setup: []string{"GRANT SELECT ON {n}.* TO {u} WITH GRANT OPTION"},
		use:   []string{"REVOKE GRANT OPTION ON {n}.* FROM {u}"},
		spoil: []string{"REVOKE SELECT ON {n}.* FROM {u}"},
	}, {
		name:  "a name with white space and control characters",
		user:  " a\tb\nc\x1ad",
		setup: []string{"GRANT SELECT ON {n}.* TO {u}"},
		use:   []string{"GRANT INSERT ON {n}.* TO {u}"},
		spoil: []string{"REVOKE SELECT ON {n}.* FROM {u}"},
	}, {
		name:    "a host by mask",
		host:    "10.1.0.0/255.255.0.0",
		noLogin: true,
		setup:   []string{"GRANT SELECT ON {n}.* TO {u}"},
		use:     []string{"GRANT INSERT ON {n}.* TO {u}"},
		spoil:   []string{"REVOKE SELECT ON {n}.* FROM {u}"},
	}, {
		name:    "a host by name, in capitals",
		host:    "%.Example_1.COM",
		noLogin: true,
		setup: []string{"GRANT SELECT ON {n}.* TO {u}", "CREATE DATABASE {n}_d", "CREATE TABLE {n}_d.t (x INT)",
			"GRANT SELECT (x) ON {n}_d.t TO {u}"},
		use:   []string{"GRANT INSERT ON {n}.* TO {u}"},
		spoil: []string{"REVOKE SELECT ON {n}.* FROM {u}"},
	}, {
		name: "three hundred tables",
		setup: append(append([]string{"CREATE DATABASE {n}", "CREATE TABLE {n}.t (x INT, y INT)"},
			numbered(300, "GRANT CREATE, SELECT, INSERT ON {n}.t# TO {u}")...), numbered(300, "REVOKE CREATE ON {n}.t# FROM {u}")...),
		use:   []string{"REVOKE INSERT ON {n}.t7 FROM {u}"},
		spoil: []string{"REVOKE SELECT ON {n}.t8 FROM {u}", "REVOKE INSERT ON {n}.t9 FROM {u}"},
	}, {
		name: "everything at once",
		user: "'`all",
		with: "REQUIRE SSL WITH MAX_QUERIES_PER_HOUR 5000 MAX_USER_CONNECTIONS 7 PASSWORD EXPIRE INTERVAL 400 DAY",
		setup: []string{
			"CREATE DATABASE {n}", "CREATE TABLE {n}.t (x INT, y INT)", "CREATE PROCEDURE {n}.p() SELECT 1", "CREATE ROLE {n}_r", "CREATE USER {n}_boss@localhost",
			"GRANT PROCESS ON *.* TO {u}", "GRANT SELECT ON {n}.* TO {u}", "GRANT INSERT, UPDATE (x) ON {n}.t TO {u} WITH GRANT OPTION", "GRANT EXECUTE ON PROCEDURE {n}.p TO {u}",
			"GRANT {n}_r TO {u} WITH ADMIN OPTION", "GRANT PROXY ON {n}_boss@localhost TO {u}",
			"mysql:GRANT XA_RECOVER_ADMIN ON *.* TO {u} WITH GRANT OPTION", "mysql:ALTER USER {u} PASSWORD HISTORY 3 FAILED_LOGIN_ATTEMPTS 9 PASSWORD_LOCK_TIME 1 ATTRIBUTE '{\"k\": \"v\"}'",
		},
		use:   []string{"REVOKE PROCESS ON *.* FROM {u}", "REVOKE {n}_r FROM {u}", "ALTER USER {u} REQUIRE NONE WITH MAX_USER_CONNECTIONS 0", "REVOKE INSERT ON {n}.t FROM {u}", "GRANT FILE ON *.* TO {u}"},
		spoil: []string{"REVOKE ALL PRIVILEGES, GRANT OPTION FROM {u}"},
	},
}

// numbered repeats a statement with # replaced by 1 to n.
func numbered(n int, statement string) []string {
	var all []string
	for i := range n {
		all = append(all, strings.ReplaceAll(statement, "#", fmt.Sprint(i+1)))
	}
	return all
}
