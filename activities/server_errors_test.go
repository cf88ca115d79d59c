package activities

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/rotate-user/rotate-user/rotation"
)

// The table is written a second time here, ordered by whether waiting helps.
func TestServerErrors(t *testing.T) {
	t.Parallel()
	tests := []struct {
		kind    string
		retry   bool
		numbers []uint16
	}{
		{rotation.ErrorUnreachable, true, []uint16{
			1037, 1038, 1040, 1041, 1042, 1043, 1053, 1077, 1079, 1080, 1135, 1152, 1154, 1156, 1157, 1158,
			1159, 1160, 1161, 1184, 1835, 1927, 3168, 3169, 4031, 4081, 4082, 1047, 1203, 1226, 3032, 6400,
			6401,
		}},
		{rotation.ErrorAccessDenied, false, []uint16{
			1044, 1045, 1130, 1698, 1820, 1862, 1873, 3118, 3955, 4150, 4151, 6126, 6127, 6444, 1095, 1131, 1142,
			1143, 1227, 1370, 1410, 3879, 4006, 6038,
		}},
		{rotation.ErrorDatabase, false, []uint16{
			1049, 1153, 1251, 1275, 1524, 4055, 1064, 1104, 1146, 1449, 1470, 1819, 1827, 3523, 3628, 3638,
			4027,
		}},
		{rotation.ErrorUnreachable, false, []uint16{
			1129,
		}},
		{rotation.ErrorTLS, false, []uint16{
			3159,
		}},
		{rotation.ErrorDatabase, true, []uint16{
			1105, 1114, 1141, 1180, 1205, 1213, 1223, 1317, 1396, 1931, 1969, 3024, 3525, 3547, 3572,
			3100, 3101, 3796, 3797, 3798,
		}},
		{rotation.ErrorReadOnly, true, []uint16{
			1290, 1792, 1836,
		}},
	}
	seen := map[uint16]bool{}
	for _, tt := range tests {
		for _, number := range tt.numbers {
			seen[number] = true
			message := map[uint16]string{
				1047: "WSREP has not yet prepared node for application use",
				1290: "The MySQL server is running with the --super-read-only option so it cannot execute this statement",
			}[number]
			got := failed(&mysql.MySQLError{Number: number, Message: message})
			if got.Type() != tt.kind || got.NonRetryable() == tt.retry {
				t.Errorf("error %d has the type %s, and a retry %t: want %s, %t", number, got.Type(), !got.NonRetryable(), tt.kind, tt.retry)
			}
		}
	}
	for number := range serverVerdicts {
		if !seen[number] {
			t.Errorf("error %d is not tested", number)
		}
	}
	for _, number := range quotable {
		if _, ok := serverVerdicts[number]; !ok {
			t.Errorf("the text of error %d is quoted, but the error is not in the table", number)
		}
	}
	if !slices.IsSorted(quotable) {
		t.Error("the errors that may be quoted are not in order")
	}
}

// The text names the server's reason for refusing a login, and the statement that helps.
func TestServerErrorsSayWhatHelps(t *testing.T) {
	t.Parallel()
	tests := []struct {
		number  uint16
		message string // as the servers write it
		retry   bool
		says    []string
	}{
		{1045, "Access denied for user 'app'@'10.0.0.1' (using password: YES)", false, []string{"'app'@'10.0.0.1'", "store the new one"}},
		{1047, "WSREP has not yet prepared node for application use", true, []string{"WSREP", "wsrep_cluster_status"}},
		{1047, "Aborting TOI: Replication paused on node for FTWRL/BACKUP STAGE. WSREP", true, []string{"backup"}},
		{1047, "Unknown command", false, []string{"Unknown command"}},
		{1129, "Host '10.0.0.1' is blocked because of many connection errors", false, []string{"performance_schema.host_cache"}},
		{1203, "User app already has more than 'max_user_connections' active connections", true, []string{"max_user_connections allows"}},
		{1226, "User 'app' has exceeded the 'max_connections_per_hour' resource (current value: 5)", true,
			[]string{"max_connections_per_hour", "ALTER USER … WITH"}},
		{1251, "Client does not support authentication protocol requested by server", false, []string{"IDENTIFIED WITH caching_sha2_password"}},
		{1290, "The MariaDB server is running with the --read-only option so it cannot execute this statement", true,
			[]string{"--read-only", "set the master secret's host to the primary"}},
		{1290, "The MySQL server is running with the --skip-grant-tables option so it cannot execute this statement", false,
			[]string{"--skip-grant-tables", "an option that the server was started with"}},
		{1524, "Plugin 'mysql_native_password' is not loaded", false,
			[]string{"'mysql_native_password'", "IDENTIFIED WITH caching_sha2_password"}},
		{1820, "You must reset your password using ALTER USER statement before executing this statement.", false,
			[]string{"PASSWORD EXPIRE NEVER", "caching_sha2_password_enforce_storage_format", "set the same password again"}},
		{1862, "Your password has expired. To log in you must change it using a client that supports expired passwords.", false,
			[]string{"PASSWORD EXPIRE NEVER"}},
		{3032, "The server is currently in offline mode", true, []string{"SET GLOBAL offline_mode = OFF"}},
		{3118, "Access denied for user 'app'@'%'. Account is locked.", false, []string{"'app'@'%'", "ALTER USER … ACCOUNT UNLOCK"}},
		{3159, "Connections using insecure transport are prohibited while --require_secure_transport=ON.", false, []string{"\"ssl\": false"}},
		{3955, "Access denied for user 'app'@'%'. Account is blocked for 2 day(s) (2 day(s) remaining) due to 3 consecutive failed logins.",
			false,
			[]string{"2 day(s) remaining", "ALTER USER … ACCOUNT UNLOCK", "still uses the old password"}},
		{4150, "User is blocked because of too many credential errors; unblock with 'ALTER USER / FLUSH PRIVILEGES'", false,
			[]string{"ALTER USER … ACCOUNT UNLOCK", "FLUSH PRIVILEGES on MariaDB 10.5", "still uses the old password"}},
		{4151, "Access denied, this account is locked", false, []string{"ALTER USER … ACCOUNT UNLOCK"}},
		{6126, "Access denied for user 'app'@'%', missing proxy privilege.", false, []string{"GRANT PROXY"}},
		{6400, "The server is currently in offline mode since 2026-11-27 10:00:00, reason: member left the group", true,
			[]string{"member left the group", "replication_group_members"}},
	}
	for _, tt := range tests {
		got := failed(&mysql.MySQLError{Number: tt.number, Message: tt.message})
		if got.NonRetryable() == tt.retry {
			t.Errorf("error %d, %q: retried %t, want %t", tt.number, tt.message, !got.NonRetryable(), tt.retry)
		}
		for _, says := range tt.says {
			if !strings.Contains(got.Message(), says) {
				t.Errorf("error %d: %q does not say %q", tt.number, got.Message(), says)
			}
		}
	}
}

// The error for an unreachable server or a refused login names the address and the user once, and
// says what to do.
func TestALoginThatFailsIsToldOnce(t *testing.T) {
	t.Parallel()
	refused := fmt.Errorf("version v of secret app: %w",
		fmt.Errorf("log in as 'u' on db:3306: %w", &net.OpError{Op: "dial", Err: errors.New("connection refused")}))
	got := failed(refused).Message()
	for _, says := range []string{"secret app", "'u'", "db:3306", "connection refused", "check the address"} {
		if strings.Count(got, says) != 1 {
			t.Errorf("%q does not say %q once", got, says)
		}
	}
}

func TestAPluginThatTheDriverDoesNotKnow(t *testing.T) {
	got := failed(fmt.Errorf("log in as 'app': %w", mysql.ErrUnknownPlugin))
	for _, says := range []string{"'app'", "parsec", "IDENTIFIED WITH caching_sha2_password", "VIA ed25519"} {
		if !got.NonRetryable() || !strings.Contains(got.Message(), says) {
			t.Errorf("%q, final %t: want it final, and to say %q", got.Message(), got.NonRetryable(), says)
		}
	}
}
