package grants

import (
	"encoding/json"
	"strconv"
	"strings"
)

// privileges are the static privileges of all servers.
var privileges = setOf("SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "RELOAD", "SHUTDOWN", "PROCESS", "FILE",
	grantOption, "REFERENCES", "INDEX", "ALTER", "SHOW DATABASES", "SUPER", "CREATE TEMPORARY TABLES", "LOCK TABLES",
	"EXECUTE", "REPLICATION SLAVE", "REPLICATION CLIENT", "CREATE VIEW", "SHOW VIEW", "CREATE ROUTINE", "ALTER ROUTINE",
	"CREATE USER", "EVENT", "TRIGGER", "CREATE TABLESPACE", "CREATE ROLE", "DROP ROLE",
	// MariaDB's
	"DELETE HISTORY", "BINLOG MONITOR", "BINLOG ADMIN", "BINLOG REPLAY", "REPLICATION MASTER ADMIN",
	"REPLICATION SLAVE ADMIN", "SLAVE MONITOR", "SET USER", "FEDERATED ADMIN", "CONNECTION ADMIN", "READ_ONLY ADMIN",
	"SHOW CREATE ROUTINE", "REPLICA MONITOR",
	// Aurora MySQL 2's; in version 3 they are roles
	"LOAD FROM S3", "SELECT INTO S3", "INVOKE LAMBDA", "INVOKE SAGEMAKER", "INVOKE COMPREHEND")

// columnPrivilege returns the privilege that a column of mysql.user or mysql.db stands for.
func columnPrivilege(column string) string {
	switch word := strings.TrimSuffix(column, "_priv"); word {
	case "grant":
		return grantOption
	case "show_db":
		return "SHOW DATABASES"
	case "create_tmp_table":
		return "CREATE TEMPORARY TABLES"
	case "repl_slave":
		return "REPLICATION SLAVE"
	case "repl_client":
		return "REPLICATION CLIENT"
	default:
		return strings.ToUpper(strings.ReplaceAll(word, "_", " "))
	}
}

// setPrivileges returns the privileges in a SET column of mysql.tables_priv and similar tables.
func setPrivileges(set string) []string {
	if set == "" {
		return nil
	}
	all := strings.Split(strings.ToUpper(set), ",")
	for i, p := range all {
		switch p {
		case "GRANT":
			all[i] = grantOption
		case "DELETE VERSIONING ROWS":
			all[i] = "DELETE HISTORY"
		}
	}
	return all
}

// accessBits are the privileges of the bits in "access", beginning with the lowest.
var accessBits = []string{
	"SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "RELOAD", "SHUTDOWN", "PROCESS", "FILE", grantOption,
	"REFERENCES", "INDEX", "ALTER", "SHOW DATABASES", "SUPER", "CREATE TEMPORARY TABLES", "LOCK TABLES", "EXECUTE",
	"REPLICATION SLAVE", "BINLOG MONITOR", "CREATE VIEW", "SHOW VIEW", "CREATE ROUTINE", "ALTER ROUTINE", "CREATE USER",
	"EVENT", "TRIGGER", "CREATE TABLESPACE", "DELETE HISTORY", "SET USER", "FEDERATED ADMIN", "CONNECTION ADMIN",
	"READ_ONLY ADMIN", "REPLICATION SLAVE ADMIN", "REPLICATION MASTER ADMIN", "BINLOG ADMIN", "BINLOG REPLAY",
	"SLAVE MONITOR", "SHOW CREATE ROUTINE",
}

// globalRights parses "access", and reports whether all of its bits are known. Text that is not a
// number stands for no right.
func globalRights(access json.Number) (privileges []string, known bool) {
	bits, err := strconv.ParseUint(string(access), 10, 64)
	for i, p := range accessBits {
		if bits&(1<<i) != 0 {
			privileges = append(privileges, p)
		}
	}
	return privileges, err == nil && bits>>len(accessBits) == 0
}
