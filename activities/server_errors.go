package activities

import (
	"strings"

	"github.com/go-sql-driver/mysql"

	"github.com/rotate-user/rotate-user/rotation"
)

// serverErrors are the errors that both engines can return for a login or for the statements after
// it.
var serverErrors = []group[uint16]{
	{
		kind: rotation.ErrorUnreachable,
		retried: []uint16{
			// The server is starting, ending, or out of resources.
			erOutOfMemory,
			erOutOfSortMemory,
			erTooManyConnections,
			erOutOfResources,
			erBadHost,
			erHandshake,
			erServerShutdown,
			erNormalShutdown,
			erShutdownComplete,
			erForcingClose,
			erCannotCreateThread,
			erServerNotAvailable,
			erGlobalMemoryLimit,
			erMemoryLimit,

			// The connection broke.
			erAbortingConnection,
			erNetReadFromPipe,
			erNetPacketsOutOfOrder,
			erNetUncompress,
			erNetRead,
			erNetReadInterrupted,
			erNetWrite,
			erNetWriteInterrupted,
			erNewAbortingConnection,
			erMalformedPacket,
			erConnectionKilled,
			erSessionWasKilled,
			erClientInteractionTimeout,

			// The server does not let this login in now.
			erUnknownCommand, // see judgeServer
			erTooManyUserConnections,
			erUserLimitReached,
			erServerOfflineMode,
			erServerOfflineModeReason,
			erServerOfflineModeUser,
		},
		final: []uint16{
			erHostBlocked,
		},
	},
	{
		kind: rotation.ErrorAccessDenied,
		final: []uint16{
			// The login is refused until the account or the secret is changed.
			erDatabaseAccessDenied,
			erAccessDenied,
			erHostNotAllowed,
			erAccessDeniedNoPassword,
			erMustChangePassword,
			erMustChangePasswordToLogIn,
			erAccessDeniedChangeUser,
			erAccountLocked,
			erAccountBlocked,
			erAccountBlockedMariaDB,
			erAccountLockedMariaDB,
			erAccessDeniedNoProxyGrant,
			erAccessDeniedNoProxy,
			erAccessDeniedFirewall,

			// A statement needs a right that the administrator lacks.
			erKillDenied,
			erAnonymousUser, // MySQL takes the administrator for an anonymous user
			erTableAccessDenied,
			erColumnAccessDenied,
			erPrivilegeNeeded,
			erRoutineAccessDenied,
			erCannotCreateUserWithGrant,
			erPartialRevoke,
			erReferencedAsDefiner,
			erPrivilegesNeeded,
		},
	},
	{
		kind: rotation.ErrorDatabase,
		retried: []uint16{
			// The statement conflicted with another one, or reached a limit.
			erUnknown,
			erTableFull,
			erNoSuchGrant, // it was revoked between reading and revoking
			erErrorDuringCommit,
			erLockWaitTimeout,
			erLockDeadlock,
			erConflictingReadLock,
			erQueryInterrupted,
			erCannotUser, // the account was created or dropped at the same time
			erQueryResultIncomplete,
			erStatementTimeout,
			erQueryTimeout,
			erOpenRoleTables,
			erCannotLockAccountCaches,
			erLockNowait,

			// A member of a group is waiting for the others, or another member was faster.
			erGroupHook,
			erGroupRollback,
			erGroupNotOnline,
			erGroupBefore,
			erGroupAfterOnBegin,
		},
		final: []uint16{
			// The login is refused until the account, the secret or the server is changed.
			erBadDatabase,
			erNetPacketTooLarge,
			erUnsupportedAuthMode,
			erOldPasswordFormat, // MySQL 4.0's
			erPluginNotLoaded,
			erPluginRequiresRegistration, // a second factor

			// The statement is refused until something is changed.
			erSyntax,
			erTooBigSelect,
			erNoSuchTable,
			erNoSuchDefiner,
			erStringTooLong,
			erPasswordPolicy,
			erPasswordFormat,
			erUnknownAccount,
			erMandatoryRole,
			erPasswordInHistory,
			erRoleGrantedToItself,
		},
	},
	{
		kind: rotation.ErrorReadOnly,
		retried: []uint16{
			// The server takes no writes now.
			erOptionPreventsStatement, // see judgeServer
			erReadOnlyTransaction,
			erReadOnlyMode,
		},
	},
	{
		kind: rotation.ErrorTLS,
		final: []uint16{
			erSecureTransportRequired,
		},
	},
}

// serverVerdicts has the verdict on each of these errors.
var serverVerdicts = verdicts(serverErrors, serverAdvice)

// quotable are the errors whose messages contain only names. Other messages may quote the statement
// that failed, including a hash or a password.
var quotable = []uint16{
	erTooManyConnections,
	erDatabaseAccessDenied,
	erAccessDenied,
	erUnknownCommand,
	erBadDatabase,
	erServerShutdown,
	erKillDenied,
	erHostBlocked,
	erHostNotAllowed,
	erTableAccessDenied,
	erColumnAccessDenied,
	erNoSuchTable,
	erTooManyUserConnections,
	erLockWaitTimeout,
	erLockDeadlock,
	erUserLimitReached,
	erPrivilegeNeeded,
	erUnsupportedAuthMode,
	erOldPasswordFormat,
	erOptionPreventsStatement,
	erRoutineAccessDenied,
	erCannotUser,
	erCannotCreateUserWithGrant,
	erNoSuchDefiner,
	erStringTooLong,
	erPluginNotLoaded,
	erAccessDeniedNoPassword,
	erReadOnlyTransaction,
	erPasswordPolicy,
	erMustChangePassword,
	erReadOnlyMode,
	erMustChangePasswordToLogIn,
	erServerOfflineMode,
	erAccountLocked,
	erSecureTransportRequired,
	erUnknownAccount,
	erMandatoryRole,
	erPasswordInHistory,
	erPartialRevoke,
	erAccountBlocked,
	erReferencedAsDefiner,
	erGlobalMemoryLimit,
	erMemoryLimit,
	erAccountBlockedMariaDB,
	erAccountLockedMariaDB,
	erPrivilegesNeeded,
	erAccessDeniedNoProxyGrant,
	erAccessDeniedNoProxy,
	erServerOfflineModeReason,
}

// judgeServer returns the verdict on a server's error.
func judgeServer(e *mysql.MySQLError) verdict {
	v, ok := serverVerdicts[e.Number]
	switch {
	case !ok:
		return verdict{kind: rotation.ErrorUnknown, retry: true}
	case e.Number == erUnknownCommand && !strings.Contains(e.Message, "WSREP"): // Galera uses the number for a node that is not ready
		return verdict{kind: rotation.ErrorDatabase}
	case e.Number == erOptionPreventsStatement && !strings.Contains(e.Message, "read-only") && !strings.Contains(e.Message, "read_only"):
		return verdict{kind: rotation.ErrorDatabase, advice: adviseOption}
	}
	return v
}
