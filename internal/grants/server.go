package grants

import (
	"strconv"
	"strings"
)

// Server is what a session knows about its server. Most differences between releases show in its
// tables and settings; the Flavor decides the others.
type Server struct {
	Flavor

	Variables map[string]string            // by name in lower case; missing if the server does not have it
	Columns   map[string]map[string]Column // of the schema mysql, by table and column in lower case; nil before survey
	// Validators are the plugins that check new passwords, if ValidatesInClearOnly.
	Validators []string
}

// Column is a column of the schema mysql.
type Column struct {
	Length  int    // in characters
	Default string // the default value; empty for none
}

// serverVariables are the relevant settings, each of which exists on some servers only.
var serverVariables = []string{
	"version", "hostname", "read_only", "super_read_only", "innodb_read_only", "partial_revokes", "performance_schema",
	"default_password_lifetime", "mandatory_roles", "activate_all_roles_on_login", "strict_password_validation",
	"validate_password.policy", "validate_password.length", "validate_password.mixed_case_count",
	"validate_password.number_count", "validate_password.special_char_count", "validate_password.dictionary_file",
	"validate_password_policy", "validate_password_length", "validate_password_mixed_case_count",
	"validate_password_number_count", "validate_password_special_char_count", "validate_password_dictionary_file",
	"simple_password_check_minimal_length", "simple_password_check_digits", "simple_password_check_letters_same_case",
	"simple_password_check_other_characters", "max_password_errors",
	"server_audit_incl_users", "server_audit_excl_users", "audit_log_include_accounts", "audit_log_exclude_accounts",
	StorageFormat, "caching_sha2_password_digest_rounds",
	GroupName, "wsrep_on", "lower_case_table_names", "pxc_strict_mode",
}

// StorageFormat is how caching_sha2_password stores new passwords, from MySQL 9 on.
const StorageFormat = "caching_sha2_password_storage_format"

// pbkdf2 reports whether caching_sha2_password stores new passwords with PBKDF2.
func (s *Server) pbkdf2() bool { return strings.EqualFold(s.Variables[StorageFormat], "PBKDF2_SHA512") }

// OfPlugin reports whether a setting can appear and disappear while the server runs.
func (s *Server) OfPlugin(variable string) bool {
	return strings.HasPrefix(variable, "validate_password") || strings.HasPrefix(variable, "simple_password_check") ||
		strings.HasPrefix(variable, "server_audit") || strings.HasPrefix(variable, "audit_log") || variable == GroupName ||
		!s.HasCachingSHA2BuiltIn() && strings.HasPrefix(variable, "caching_sha2_password")
}

// HasRoles reports whether the server has roles. MySQL has them since it has the setting.
func (s *Server) HasRoles() bool {
	_, ok := s.Variables["activate_all_roles_on_login"]
	return s.IsMariaDB() || ok
}

// HasTable reports whether the schema mysql has a table.
func (s *Server) HasTable(name string) bool { return s.Columns[name] != nil }

// On reports whether a setting is on.
func (s *Server) On(variable string) bool {
	switch strings.ToUpper(s.Variables[variable]) {
	case "", "0", "OFF":
		return false
	}
	return true
}

// Galera reports whether the server is a node of a Galera cluster.
func (s *Server) Galera() bool { return s.On("wsrep_on") }

// GroupName is the setting with the group that a MySQL server belongs to. It exists only with the
// plugin of Group Replication.
const GroupName = "group_replication_group_name"

// Grouped reports whether the server is a member of a group of Group Replication, or configured to be one.
func (s *Server) Grouped() bool { return s.Variables[GroupName] != "" }

// Clustered reports whether the server is a node of a Galera cluster or a member of a group.
func (s *Server) Clustered() bool { return s.Galera() || s.Grouped() }

// LongestUser returns the maximum number of characters in a user name, or 0 if it is unknown.
func (s *Server) LongestUser() int { return s.Columns[s.AccountsTable()]["user"].Length }

// NewServer returns a server with these settings. ParseColumns adds its tables.
func NewServer(variables map[string]string) Server {
	return Server{Flavor: ParseFlavor(variables["version"]), Variables: variables}
}

// VariablesQuery returns the query for the relevant settings.
func VariablesQuery() string {
	return "SHOW GLOBAL VARIABLES WHERE Variable_name IN " + QuoteValues(serverVariables)
}

// ParseVariables parses the result of VariablesQuery, for NewServer.
func ParseVariables(rows []Row) map[string]string {
	variables := map[string]string{}
	for _, r := range rows {
		variables[strings.ToLower(r.Text("variable_name"))] = r.Text("value")
	}
	return variables
}

// ColumnsQuery is the query for the columns of the grant tables.
const ColumnsQuery = "SELECT TABLE_NAME AS t, COLUMN_NAME AS c, CHARACTER_MAXIMUM_LENGTH AS n, COLUMN_DEFAULT AS d" +
	" FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = 'mysql'"

// ParseColumns finds out which grant tables exist from the result of ColumnsQuery.
func (s *Server) ParseColumns(rows []Row) {
	s.Columns = map[string]map[string]Column{}
	for _, r := range rows {
		table, name := strings.ToLower(r.Text("t")), strings.ToLower(r.Text("c"))
		if s.Columns[table] == nil {
			s.Columns[table] = map[string]Column{}
		}
		length, _ := strconv.Atoi(r.Text("n")) // absent for numbers
		standard := r.Text("d")
		if s.PrintsDefaultsAsExpressions() {
			standard = strings.Trim(standard, "'")
			if standard == "NULL" {
				standard = ""
			}
		}
		s.Columns[table][name] = Column{length, standard}
	}
}

// NodeIDQuery returns the query for the id of the session's own node.
func (s *Server) NodeIDQuery() string {
	switch {
	case s.Grouped():
		return "SELECT @@server_uuid"
	case s.IsMariaDB():
		return "SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = 'WSREP_GCOMM_UUID'"
	}
	return "SELECT VARIABLE_VALUE FROM performance_schema.global_status WHERE VARIABLE_NAME = 'wsrep_gcomm_uuid'"
}

// NodesQuery returns the query for all nodes in the order of their ids, with whether they may
// change accounts, and which one this is.
func (s *Server) NodesQuery() string {
	if s.Grouped() {
		return "SELECT MEMBER_ID AS id, CONCAT(MEMBER_HOST, ':', MEMBER_PORT) AS name, CONCAT(MEMBER_HOST, ':', MEMBER_PORT) AS address," +
			" MEMBER_STATE = 'ONLINE' AND MEMBER_ROLE = 'PRIMARY' AS writes, (" + s.NodeIDQuery() + ") AS me" +
			" FROM performance_schema.replication_group_members ORDER BY id"
	}
	return "SELECT node_uuid AS id, node_name AS name, node_incoming_address AS address, node_incoming_address <> '' AS writes," +
		" (" + s.NodeIDQuery() + ") AS me FROM mysql.wsrep_cluster_members ORDER BY id" // an arbitrator has no address
}

// isRDS reports whether the server is on Amazon RDS, whose own tables in the schema mysql begin
// with rds_.
func (s *Server) isRDS() bool {
	for table := range s.Columns {
		if strings.HasPrefix(table, "rds_") {
			return true
		}
	}
	return false
}

// requiredColumns are the columns of mysql.user that are necessary to read an account completely.
var requiredColumns = []string{"plugin", "authentication_string", "ssl_type", "max_questions", "max_user_connections", "account_locked"}

// CheckSupported refuses a server whose accounts this package does not understand. The
// administrator must be able to read the grant tables.
func (s *Server) CheckSupported() error {
	const supported = "rotate-user supports MySQL from 5.7 and MariaDB from 10.4, on RDS and Aurora too"
	version := s.Variables["version"]
	switch {
	case s.Fork != "":
		return Refuse(Unsupported, "the server is %s (version %s), which has its own kind of accounts: %s", s.Fork, version, supported)
	case s.IsMariaDB() && !s.AtLeast(MariaDB, 10, 4):
		return Refuse(Unsupported, "MariaDB %s does not have mysql.global_priv: %s", version, supported)
	case s.IsMariaDB() || !s.HasTable("user"):
		return nil
	}
	for _, column := range requiredColumns {
		if _, ok := s.Columns["user"][column]; !ok {
			return Refuse(Unsupported, "mysql.user on this server (version %s) has no column %s: %s", version, column, supported)
		}
	}
	return nil
}

// lowersNames reports whether the server stores the names of databases, tables and routines in lower case.
func (s *Server) lowersNames() bool { return s.On("lower_case_table_names") }

// RefuseLock refuses a cluster that answers GET_LOCK with an error because of pxc_strict_mode. It
// returns nil if the error has another cause.
func (s *Server) RefuseLock(number uint16, message string) error {
	const unknownError = 1105 // what Percona XtraDB Cluster answers
	mode := strings.ToUpper(s.Variables["pxc_strict_mode"])
	if number != unknownError || mode != "ENFORCING" && mode != "PERMISSIVE" {
		return nil
	}
	return Refuse(Unsupported, "this cluster does not allow GET_LOCK, which keeps rotators apart (%s):"+
		" SET GLOBAL pxc_strict_mode = MASTER on the node that the address leads to", message)
}
