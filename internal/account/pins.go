package account

import "strconv"

// pins are session variables that change what an administrator's statements do or return. A new
// session inherits them from the server's global variables, which people set for their
// applications. They are set in one SET statement as soon as a connection is opened.
var pins = map[string]string{
	"sql_mode":              sqlMode,
	"sql_quote_show_create": "1",
	"autocommit":            "1",
	"completion_type":       "0",
	"sql_auto_is_null":      "0",
	"sql_safe_updates":      "0",
	// Without these, long results are cut off or refused.
	"sql_select_limit": "18446744073709551615",
	"sql_big_selects":  "1",
	// Names arrive as UTF-8, times in UTC, and error messages in English.
	"character_set_client":  "utf8mb4",
	"character_set_results": "utf8mb4",
	"collation_connection":  "utf8mb4_general_ci",
	"time_zone":             "'+00:00'",
	"lc_messages":           "'en_US'",
	"lock_wait_timeout":     strconv.Itoa(lockWait),
	// If a worker or its network vanishes, its session would hold its lock for the server's default
	// of eight hours. The rest applies to only one kind of server, in comments that the other kind
	// skips.
	"wait_timeout": strconv.Itoa(abandoned) +
		" /*!50720 , transaction_read_only = 0, transaction_isolation = 'REPEATABLE-READ', max_execution_time = 0 */" +
		" /*M! , tx_read_only = 0, tx_isolation = 'REPEATABLE-READ', max_statement_time = 0 */",
}
