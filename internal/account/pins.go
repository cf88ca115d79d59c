package account

import "strconv"

// pins are the variables of an administrator's session that change what its statements do or return. A new session takes
// them from the server's global variables, which people set for their applications. All of them go into one SET statement,
// sent as soon as a connection is made.
var pins = map[string]string{
	"sql_mode":              sqlMode,
	"sql_quote_show_create": "1",
	"autocommit":            "1",
	"completion_type":       "0",
	"sql_auto_is_null":      "0",
	"sql_safe_updates":      "0",
	// Without these, long answers are cut off, or are refused.
	"sql_select_limit": "18446744073709551615",
	"sql_big_selects":  "1",
	// Names come as bytes of UTF-8, times in UTC and error texts in English.
	"character_set_client":  "utf8mb4",
	"character_set_results": "utf8mb4",
	"collation_connection":  "utf8mb4_general_ci",
	"time_zone":             "'+00:00'",
	"lc_messages":           "'en_US'",
	"lock_wait_timeout":     strconv.Itoa(lockWait),
	// A worker that vanishes without a word, with its machine or its network, would hold its lock for the eight hours of
	// the server's own setting. The rest is of one kind of server each, in comments that the other kind skips.
	"wait_timeout": strconv.Itoa(abandoned) +
		" /*!50720 , transaction_read_only = 0, transaction_isolation = 'REPEATABLE-READ', max_execution_time = 0 */" +
		" /*M! , tx_read_only = 0, tx_isolation = 'REPEATABLE-READ', max_statement_time = 0 */",
}
