package rotation

import "github.com/rotate-user/rotate-user/internal/grants"

// The error types of the workflows themselves.
const (
	ErrorInvalidInput = "InvalidInput" // a field of an input or a request is wrong; the text names it
	ErrorJustRotated  = "JustRotated"  // the request came as a rotation ended; send it again if you want another
	ErrorStillInUse   = "StillInUse"   // RequireDrained is set, and sessions of the standby have not ended in time
	ErrorNotProved    = "NotProved"    // a user and its secret were created, but the worker could not log in with it
)

// The error types of activities that concern secrets, AWS and the network.
const (
	ErrorProxySecret      = "ProxySecret"      // the proxy secrets are not one for each account of the pair, or out of step
	ErrorMinimumOverlap   = "MinimumOverlap"   // it is too soon after the last rotation
	ErrorNoMaster         = "NoMaster"         // no master secret is given, or two different ones
	ErrorNoMasterServer   = "NoMasterServer"   // no trusted source says where the administrator logs in
	ErrorMasterRefused    = "MasterRefused"    // the server refuses an administrator whose credential RDS manages
	ErrorMasterNotAllowed = "MasterNotAllowed" // the worker's configuration does not list the master secret
	ErrorOtherServer      = "OtherServer"      // two settings name different servers
	ErrorOtherAccount     = "OtherAccount"     // a login ends up as another account than the secret names
	ErrorOtherRotator     = "OtherRotator"     // Secrets Manager or another tool rotates the same secret
	// ErrorRotatedElsewhere: another workflow rotates the secret, or this workflow does not have the id of the secret. A workflow
	// that has not rotated yet ends with it.
	ErrorRotatedElsewhere = "RotatedElsewhere"
	ErrorUnknownPair      = "UnknownPair"     // nothing says which accounts are the pair
	ErrorDifferent        = "Different"       // the accounts changed between CloneUser and TestPassword
	ErrorEdited           = "Edited"          // the secret was edited during the rotation
	ErrorTaken            = "Taken"           // the version id is in use; the rotation may continue with another one
	ErrorMalformed        = "MalformedSecret" // the secret does not hold what a rotation needs
	ErrorDeleted          = "SecretDeleted"   // the secret is scheduled for deletion
	ErrorInUse            = "InUse"           // something else uses the accounts to be deleted
	ErrorSecretGone       = "SecretGone"      // the secret no longer exists, but a rotation knows its accounts
	ErrorReplicaBehind    = "ReplicaBehind"   // a replica of the secret in another region does not show the current credential yet
	ErrorReplicated       = "Replicated"      // AWS does not delete a secret that has replicas
	ErrorReadOnlySecret   = "ReadOnlySecret"  // the secret is a replica, or another AWS service manages it
	ErrorSecretExists     = "SecretExists"    // a secret of that name exists already
	ErrorUnreachable      = "Unreachable"     // a network or server failure that passes
	ErrorThrottled        = "Throttled"       // AWS asks for fewer calls
	ErrorSecretsManager   = "SecretsManager"  // Secrets Manager refuses the call
	ErrorAccessDenied     = "AccessDenied"    // credentials or rights are missing, in AWS or in the database
	ErrorDatabase         = "Database"        // the database refuses a statement
	ErrorTLS              = "TLS"             // the server's certificate is not trusted
	ErrorUnknown          = "Unknown"         // the error is not known; it is retried
)

// The error types of activities that concern accounts and the server.
const (
	ErrorNoSuchAccount    = grants.NoSuchAccount    // the server has no account of this name
	ErrorAmbiguousHost    = grants.AmbiguousHost    // the user name exists on several hosts and none was chosen
	ErrorAmbiguousPair    = grants.AmbiguousPair    // a name ending in _clone, without evidence of which account it belongs to
	ErrorServerAccount    = grants.ServerAccount    // root and the accounts that server or cloud keep for themselves
	ErrorAdministrator    = grants.Administrator    // the administrator would change its own account
	ErrorRole             = grants.Role             // the current account is a role, or bound to the standby as one
	ErrorLocked           = grants.Locked           // the current account is locked
	ErrorExpired          = grants.Expired          // the current account's password is expired
	ErrorNoPassword       = grants.NoPassword       // the account does not log in by one password
	ErrorNameTooLong      = grants.NameTooLong      // the standby's name is too long for this server
	ErrorWrongPassword    = grants.WrongPassword    // the server stores another password for the current account than the secret does
	ErrorForeignPassword  = grants.ForeignPassword  // the standby's password was not set by a rotation of the secret
	ErrorNotOurs          = grants.NotOurs          // the name is taken by an account that is not known to belong to the secret
	ErrorOtherHost        = grants.OtherHost        // an account of the standby's name on another host could win its login
	ErrorStandbyLocked    = grants.StandbyLocked    // the standby was locked by hand
	ErrorCertificateAsked = grants.CertificateAsked // the account requires a client certificate and none is configured
	ErrorMissingRight     = grants.MissingRight     // the administrator lacks a right
	ErrorReadOnly         = grants.ReadOnly         // the server takes no writes: it is a replica or a reader endpoint, or becomes one
	ErrorUnknownProperty  = grants.Unknown          // a property or kind of right that this program does not know
	ErrorObjectGone       = grants.ObjectGone       // a right cannot be granted again because its column or routine no longer exists
	ErrorPasswordPolicy   = grants.PasswordPolicy   // the server's password policy cannot be met
	ErrorBadGrant         = grants.BadGrant         // a grant for a new account that cannot be understood
	ErrorUnsupported      = grants.Unsupported      // the server is too old, or keeps accounts in its own way
	ErrorBusy             = grants.Busy             // another session is changing the account
	ErrorDefiner          = grants.Definer          // objects need the account to exist
	ErrorLeftovers        = grants.Leftovers        // rows of an account that was deleted from the table of accounts
	// the account with the base name was changed, and an operator must decide whether that is
	// meant for both
	ErrorUndecided    = grants.Undecided
	ErrorStale        = grants.Stale        // the server's memory and its grant tables differ
	ErrorReplica      = grants.Replica      // the server replicates from another one
	ErrorNoQuorum     = grants.NoQuorum     // a node of a cluster that is cut off from the others, or is joining them
	ErrorNodeBehind   = grants.NodeBehind   // a node of a cluster does not have yet what the others have
	ErrorNodeDiffers  = grants.NodeDiffers  // a node of a cluster stores something else than the others
	ErrorNodeNotAsked = grants.NodeNotAsked // a node of a cluster cannot be asked, and has to be
)
