package activities

import (
	"strings"

	"github.com/go-sql-driver/mysql"

	"github.com/rotate-user/rotate-user/rotation"
)

// Advice for the errors that a login can meet, of accounts and of servers.
const (
	adviseCredential = "the password in the secret is not the account's, or the account does not admit the worker's host," +
		" or it requires TLS or a client certificate (--tls-cert-file): if the password was changed on the server, store the right one"
	adviseUnlock = "run ALTER USER … ACCOUNT UNLOCK, if the account may be used again," +
		" or `starter recover` after a deletion of the secret that was cancelled or terminated"
	adviseBlock = "logins with a wrong password have blocked the account: find the client that still has the old password," +
		" then run ALTER USER … ACCOUNT UNLOCK"
	adviseExpired = "run ALTER USER … PASSWORD EXPIRE NEVER if it expired by its age," +
		" or else set a password with ALTER USER … IDENTIFIED BY and store it in the secret"
	adviseReset = "if the server has caching_sha2_password_enforce_storage_format = ON, the password is stored in another format than it asks for:" +
		" set the same password again with ALTER USER … IDENTIFIED BY; otherwise it has expired: " + adviseExpired
	advisePlugin = "the server has not loaded the plugin that the account logs in with:" +
		" load it, or run ALTER USER … IDENTIFIED WITH caching_sha2_password (MariaDB: VIA mysql_native_password)" +
		" and store the new password in the secret"
	adviseOldClient = "the account logs in by a method that the worker's driver does not know, or it does not exist:" +
		" run ALTER USER … IDENTIFIED WITH caching_sha2_password (MariaDB: VIA mysql_native_password)"
	adviseUnknownPlugin = "the worker's driver does not know the plugin that the account logs in with" +
		" (parsec, for one, which only MariaDB's Connector/J 3.5, npm mariadb and the mariadb client 11.8 know):" +
		" run ALTER USER … IDENTIFIED WITH caching_sha2_password (MariaDB: VIA ed25519, or mysql_native_password for clients without it)" +
		" and store the new password in the secret"
	adviseConnections = "all connections of the server are in use (max_connections)"
	adviseLimit       = "the account has reached one of its limits: end some of its sessions, wait for the next hour," +
		" or raise the limit with ALTER USER … WITH"
	adviseUserLimit = "the account has as many sessions as max_user_connections allows: end some, or raise the limit"
	adviseHostBlock = "unblock the worker's host with TRUNCATE TABLE performance_schema.host_cache or mysqladmin flush-hosts"
	adviseReadOnly  = "the server takes no writes: the master secret's host must lead to the primary"
	adviseOption    = "a start option of the server forbids it"
	adviseOffline   = "run SET GLOBAL offline_mode = OFF on the server," +
		" or let the secret's host lead to a member that is online (performance_schema.replication_group_members)"
	adviseGalera = "this node of the cluster has no quorum, is still joining, or is held by a backup:" +
		" look at wsrep_cluster_status and wsrep_ready on it"
	adviseGroup = "look at performance_schema.replication_group_members on the server: a member may be behind the others, held by a backup," +
		" or about to leave"
	adviseProxy   = "the account is a proxy for another one: run GRANT PROXY, or create the proxied account"
	adviseTLS     = "take \"ssl\": false out of the secret"
	advisePacket  = "raise max_allowed_packet on the server"
	adviseDefiner = "give those objects another definer," +
		" or run GRANT ALLOW_NONEXISTENT_DEFINER (SET_USER_ID before MySQL 8.2) ON *.* for the administrator"
	adviseMemory = "the server ends sessions that use too much memory"
)

// serverVerdicts is the table for the server's errors, of both engines: every one that a login can meet, and those of the
// statements sent after it.
var serverVerdicts = map[uint16]verdict{
	// The server is busy, starting, or ending.
	1037: {rotation.ErrorUnreachable, true, ""}, // out of memory
	1038: {rotation.ErrorUnreachable, true, ""}, // out of sort memory
	1040: {rotation.ErrorUnreachable, true, adviseConnections},
	1041: {rotation.ErrorUnreachable, true, ""}, // out of memory
	1042: {rotation.ErrorUnreachable, true, ""}, // cannot get hostname
	1043: {rotation.ErrorUnreachable, true, ""}, // bad handshake
	1053: {rotation.ErrorUnreachable, true, ""}, // shutdown in progress
	1077: {rotation.ErrorUnreachable, true, ""}, // normal shutdown
	1079: {rotation.ErrorUnreachable, true, ""}, // shutdown complete
	1080: {rotation.ErrorUnreachable, true, ""}, // forcing close of a thread
	1135: {rotation.ErrorUnreachable, true, ""}, // cannot create a thread
	1152: {rotation.ErrorUnreachable, true, ""}, // aborted connection
	1154: {rotation.ErrorUnreachable, true, ""}, // read error from the connection pipe
	1156: {rotation.ErrorUnreachable, true, ""}, // packets out of order
	1157: {rotation.ErrorUnreachable, true, ""}, // cannot uncompress a packet
	1158: {rotation.ErrorUnreachable, true, ""}, // error reading packets
	1159: {rotation.ErrorUnreachable, true, ""}, // timeout reading packets
	1160: {rotation.ErrorUnreachable, true, ""}, // error writing packets
	1161: {rotation.ErrorUnreachable, true, ""}, // timeout writing packets
	1184: {rotation.ErrorUnreachable, true, ""}, // aborted connection
	1835: {rotation.ErrorUnreachable, true, ""}, // malformed packet
	1927: {rotation.ErrorUnreachable, true, ""}, // connection was killed (MariaDB)
	3168: {rotation.ErrorUnreachable, true, ""}, // server is not available
	3169: {rotation.ErrorUnreachable, true, ""}, // session was killed
	4031: {rotation.ErrorUnreachable, true, ""}, // disconnected for inactivity
	4081: {rotation.ErrorUnreachable, true, adviseMemory},
	4082: {rotation.ErrorUnreachable, true, adviseMemory},

	// The server does not let this login in now.
	1047: {rotation.ErrorUnreachable, true, adviseGalera},
	1203: {rotation.ErrorUnreachable, true, adviseUserLimit},
	1226: {rotation.ErrorUnreachable, true, adviseLimit},
	3032: {rotation.ErrorUnreachable, true, adviseOffline},
	6400: {rotation.ErrorUnreachable, true, adviseOffline}, // with the reason, from MySQL 9
	6401: {rotation.ErrorUnreachable, true, adviseOffline}, // with the user who set it

	// The server does not let this login in until it is changed there, or in the secret.
	1044: {rotation.ErrorAccessDenied, false, ""}, // no right on the database
	1045: {rotation.ErrorAccessDenied, false, adviseCredential},
	1049: {rotation.ErrorDatabase, false, "correct dbname in the secret"},
	1129: {rotation.ErrorUnreachable, false, adviseHostBlock},
	1130: {rotation.ErrorAccessDenied, false, "let the account log in from the worker's host"},
	1153: {rotation.ErrorDatabase, false, advisePacket},
	1251: {rotation.ErrorDatabase, false, adviseOldClient},
	1275: {rotation.ErrorDatabase, false, adviseOldClient}, // password in the format of MySQL 4.0
	1524: {rotation.ErrorDatabase, false, advisePlugin},
	1698: {rotation.ErrorAccessDenied, false, ""}, // access denied without a password, or to be a proxy
	1820: {rotation.ErrorAccessDenied, false, adviseReset},
	1862: {rotation.ErrorAccessDenied, false, adviseExpired},
	1873: {rotation.ErrorAccessDenied, false, ""}, // access denied to change the user
	3118: {rotation.ErrorAccessDenied, false, adviseUnlock},
	3159: {rotation.ErrorTLS, false, adviseTLS},
	3955: {rotation.ErrorAccessDenied, false, adviseBlock},
	4055: {rotation.ErrorDatabase, false, ""},               // a second factor has to be registered
	4150: {rotation.ErrorAccessDenied, false, adviseBlock},  // MariaDB
	4151: {rotation.ErrorAccessDenied, false, adviseUnlock}, // MariaDB
	6126: {rotation.ErrorAccessDenied, false, adviseProxy},
	6127: {rotation.ErrorAccessDenied, false, adviseProxy},
	6444: {rotation.ErrorAccessDenied, false, ""}, // the server's firewall

	// A statement meets another one.
	1105: {rotation.ErrorDatabase, true, ""}, // unknown error of the server
	1114: {rotation.ErrorDatabase, true, ""}, // table is full
	1141: {rotation.ErrorDatabase, true, ""}, // no such grant: it went away between reading and revoking
	1180: {rotation.ErrorDatabase, true, ""}, // error during commit
	1205: {rotation.ErrorDatabase, true, ""}, // lock wait timeout
	1213: {rotation.ErrorDatabase, true, ""}, // deadlock
	1223: {rotation.ErrorDatabase, true, ""}, // a conflicting read lock
	1317: {rotation.ErrorDatabase, true, ""}, // interrupted
	1396: {rotation.ErrorDatabase, true, ""}, // operation failed for an account: it came or went meanwhile
	1931: {rotation.ErrorDatabase, true, ""}, // the query exceeded a limit (MariaDB)
	1969: {rotation.ErrorDatabase, true, ""}, // max_statement_time exceeded
	3024: {rotation.ErrorDatabase, true, ""}, // max_execution_time exceeded
	3525: {rotation.ErrorDatabase, true, ""}, // cannot open the tables of accounts
	3547: {rotation.ErrorDatabase, true, ""}, // cannot lock the caches of accounts
	3572: {rotation.ErrorDatabase, true, ""}, // lock not available at once
	3580: {rotation.ErrorDatabase, true, ""}, // the lock of the privilege caches

	// A member of a group waits for the others, or is overtaken by one.
	3100: {rotation.ErrorDatabase, true, adviseGroup}, // the group does not take the change
	3101: {rotation.ErrorDatabase, true, adviseGroup}, // another member changed the same at once
	3796: {rotation.ErrorDatabase, true, adviseGroup}, // not before it is online
	3797: {rotation.ErrorDatabase, true, adviseGroup}, // it does not catch up with what came before
	3798: {rotation.ErrorDatabase, true, adviseGroup}, // the same, when a change begins

	// The server takes no writes. Which option of the server is meant by 1290, its text tells.
	1290: {rotation.ErrorDatabase, true, adviseReadOnly},
	1792: {rotation.ErrorDatabase, true, adviseReadOnly},
	1836: {rotation.ErrorDatabase, true, adviseReadOnly},

	// A statement is refused until something is changed.
	1064: {rotation.ErrorDatabase, false, ""},     // syntax
	1095: {rotation.ErrorAccessDenied, false, ""}, // not owner of the thread to kill
	1104: {rotation.ErrorDatabase, false, ""},     // the SELECT would examine too many rows
	1142: {rotation.ErrorAccessDenied, false, ""}, // no right on the table
	1143: {rotation.ErrorAccessDenied, false, ""}, // no right on the column
	1146: {rotation.ErrorDatabase, false, "the object does not exist"},
	1198: {rotation.ErrorAccessDenied, false, ""}, // cannot change password for an anonymous account
	1227: {rotation.ErrorAccessDenied, false, ""}, // a privilege is needed
	1370: {rotation.ErrorAccessDenied, false, ""}, // no right on the routine
	1410: {rotation.ErrorAccessDenied, false, ""}, // may not create a user with GRANT
	1449: {rotation.ErrorDatabase, false, ""},     // the definer does not exist
	1470: {rotation.ErrorDatabase, false, ""},     // name too long
	1819: {rotation.ErrorDatabase, false, ""},     // the password does not satisfy the policy
	1827: {rotation.ErrorDatabase, false, ""},     // hash without the expected format
	3523: {rotation.ErrorDatabase, false, ""},     // unknown role
	3628: {rotation.ErrorDatabase, false, ""},     // a mandatory role
	3638: {rotation.ErrorDatabase, false, ""},     // the password is in the history
	3879: {rotation.ErrorAccessDenied, false, ""}, // partial revokes
	4006: {rotation.ErrorAccessDenied, false, adviseDefiner},
	4027: {rotation.ErrorDatabase, false, ""},     // a role granted to itself
	6038: {rotation.ErrorAccessDenied, false, ""}, // a privilege is needed
}

// quotable are the errors whose texts hold names only. Others can quote the statement that failed, and with it a hash or a
// password.
var quotable = []uint16{
	1040, 1044, 1045, 1047, 1049, 1053, 1095, 1129, 1130, 1142, 1143, 1146, 1203, 1205, 1213, 1226, 1227, 1251,
	1275, 1290, 1370, 1396, 1410, 1449, 1470, 1524, 1698, 1792, 1819, 1820, 1836, 1862, 3032, 3118, 3159, 3523,
	3628, 3638, 3879, 3955, 4006, 4081, 4082, 4150, 4151, 6038, 6126, 6127, 6400,
}

// judgeServer finds the verdict on what a server answered.
func judgeServer(e *mysql.MySQLError) verdict {
	v, ok := serverVerdicts[e.Number]
	switch {
	case !ok:
		return verdict{rotation.ErrorUnknown, true, ""}
	case e.Number == 1047 && !strings.Contains(e.Message, "WSREP"):
		return verdict{rotation.ErrorDatabase, false, ""} // a command that the server does not know
	case e.Number == 1290 && !strings.Contains(e.Message, "read-only") && !strings.Contains(e.Message, "read_only"):
		return verdict{rotation.ErrorDatabase, false, adviseOption}
	}
	return v
}
