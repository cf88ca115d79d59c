package activities

// serverAdvice says what to do about a server's error whose own message does not.
var serverAdvice = map[uint16]string{
	erTooManyConnections: "all connections of the server are in use (max_connections)",
	erGlobalMemoryLimit:  adviseMemory,
	erMemoryLimit:        adviseMemory,
	erUnknownCommand: "this node of the cluster has no quorum, is still joining, or is held by a backup:" +
		" check wsrep_cluster_status and wsrep_ready on it",
	erTooManyUserConnections: "the account has as many sessions as max_user_connections allows: end some, or raise the limit",
	erUserLimitReached: "the account has reached one of its limits: end some of its sessions, wait for the next hour," +
		" or raise the limit with ALTER USER … WITH",
	erServerOfflineMode:       adviseOffline,
	erServerOfflineModeReason: adviseOffline,
	erServerOfflineModeUser:   adviseOffline,

	erHostBlocked: "unblock the worker's host with TRUNCATE TABLE performance_schema.host_cache or mysqladmin flush-hosts",

	erAccessDenied: "the secret holds another password than the account, or the account does not accept the worker's host," +
		" or it requires TLS or a client certificate (--tls-cert-file): if the password was changed on the server, " +
		"store the new one in the secret",
	erHostNotAllowed: "let the account log in from the worker's host",
	erMustChangePassword: "if the server has caching_sha2_password_enforce_storage_format = ON, " +
		"the password is stored in another format than the server requires:" +
		" set the same password again with ALTER USER … IDENTIFIED BY; otherwise it has expired: " + adviseExpired,
	erMustChangePasswordToLogIn: adviseExpired,
	erAccountLocked:             adviseUnlock,
	erAccountLockedMariaDB:      adviseUnlock,
	erAccountBlocked:            adviseBlock,
	erAccountBlockedMariaDB:     adviseBlock,
	erAccessDeniedNoProxyGrant:  adviseProxy,
	erAccessDeniedNoProxy:       adviseProxy,
	erReferencedAsDefiner: "give those objects another definer," +
		" or run GRANT ALLOW_NONEXISTENT_DEFINER (SET_USER_ID before MySQL 8.2) ON *.* for the administrator",

	erBadDatabase:         "correct dbname in the secret",
	erNetPacketTooLarge:   "raise max_allowed_packet on the server",
	erUnsupportedAuthMode: adviseOldMethod,
	erOldPasswordFormat:   adviseOldMethod,
	erPluginNotLoaded: "the plugin that the account logs in with is not loaded on the server:" +
		" load it, or run ALTER USER … IDENTIFIED WITH caching_sha2_password (MariaDB: VIA mysql_native_password)" +
		" and store the new password in the secret",
	erNoSuchTable: "the object does not exist",

	erGroupHook:         adviseGroup,
	erGroupRollback:     adviseGroup,
	erGroupNotOnline:    adviseGroup,
	erGroupBefore:       adviseGroup,
	erGroupAfterOnBegin: adviseGroup,

	erOptionPreventsStatement: adviseReadOnly,
	erReadOnlyTransaction:     adviseReadOnly,
	erReadOnlyMode:            adviseReadOnly,

	erSecureTransportRequired: "remove \"ssl\": false from the secret",
}

// Advice for several errors, and for those of the driver.
const (
	adviseUnlock = "run ALTER USER … ACCOUNT UNLOCK if the account may be used again," +
		" or `starter recover` after a deletion of the secret that was cancelled or terminated"
	adviseBlock = "logins with a wrong password have blocked the account: find the client that still uses the old password," +
		" then run ALTER USER … ACCOUNT UNLOCK, or FLUSH PRIVILEGES on MariaDB 10.5"
	adviseExpired = "run ALTER USER … PASSWORD EXPIRE NEVER if it expired by its age;" +
		" otherwise set a password with ALTER USER … IDENTIFIED BY and store it in the secret"
	adviseOldMethod = "the account logs in by a method that the worker's driver does not know, or it does not exist:" +
		" run ALTER USER … IDENTIFIED WITH caching_sha2_password (MariaDB: VIA mysql_native_password)"
	adviseUnknownPlugin = "the worker's driver does not know the plugin that the account logs in with" +
		" (parsec, for one, which only MariaDB's Connector/J 3.5, npm mariadb and the mariadb client 11.8 know):" +
		" run ALTER USER … IDENTIFIED WITH caching_sha2_password (MariaDB: VIA ed25519, or mysql_native_password for clients without it)" +
		" and store the new password in the secret"
	adviseReadOnly = "the server takes no writes: set the master secret's host to the primary"
	adviseOption   = "an option that the server was started with does not allow it"
	adviseOffline  = "run SET GLOBAL offline_mode = OFF on the server," +
		" or let the secret's host lead to a member that is online (performance_schema.replication_group_members)"
	adviseGroup = "check performance_schema.replication_group_members on the server: a member may be behind the others, held by a backup," +
		" or about to leave"
	adviseProxy  = "the account is a proxy for another one: run GRANT PROXY, or create the proxied account"
	adviseMemory = "the server ends sessions that use too much memory"
)
