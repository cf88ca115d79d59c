package rotation

// The types of the errors that the workflow itself answers. Errors of a step
// have the types of package activities.
const (
	ErrorInvalidInput = "InvalidInput" // a field of an input or a request is wrong; its text names it
	ErrorJustRotated  = "JustRotated"  // the request came as a rotation ended; ask again if another is wanted
	ErrorStillInUse   = "StillInUse"   // RequireDrained, and sessions of the standby have not ended in time
	ErrorNotProved    = "NotProved"    // a user and its secret were created, and the worker could not log in with it
)

// The types of the errors that activities answer, beside the reasons of
// grants.Refusal.
const (
	ErrorProxySecret      = "ProxySecret"      // the proxy secrets are not one for each account of the pair, or out of step
	ErrorMinimumOverlap   = "MinimumOverlap"   // too soon after the last rotation
	ErrorNoMaster         = "NoMaster"         // no administrator is named, or two different ones
	ErrorNoMasterServer   = "NoMasterServer"   // nothing that can be trusted says where the administrator logs in
	ErrorMasterRefused    = "MasterRefused"    // the server refuses an administrator whose credential RDS manages
	ErrorMasterNotAllowed = "MasterNotAllowed" // the worker's configuration does not list the master secret
	ErrorOtherServer      = "OtherServer"      // the secret and its master name different servers
	ErrorOtherAccount     = "OtherAccount"     // a login ends up as another account than the secret names
	ErrorOtherRotator     = "OtherRotator"     // somebody else rotates the same secret
	// Another workflow rotates the secret, or this one has another id than the secret's own. A workflow that has rotated
	// nothing yet ends by it.
	ErrorRotatedElsewhere = "RotatedElsewhere"
	ErrorUnknownPair      = "UnknownPair" // nothing says which accounts are the pair
	ErrorDifferent        = "Different"   // the accounts changed between CloneUser and TestPassword
	ErrorEdited           = "Edited"      // the secret was edited during the rotation
	ErrorTaken            = "Taken"       // the version id is in use already; the rotation may go on under another
	ErrorMalformed        = "MalformedSecret"
	ErrorDeleted          = "SecretDeleted"
	ErrorInUse            = "InUse"          // the accounts to be deleted are in use elsewhere
	ErrorSecretGone       = "SecretGone"     // there is no such secret any more, whose accounts a rotation knows
	ErrorReplicaBehind    = "ReplicaBehind"  // a replica of the secret in another region does not show the current credential yet
	ErrorReplicated       = "Replicated"     // AWS does not delete a secret that has replicas
	ErrorReadOnlySecret   = "ReadOnlySecret" // a replica, or managed by another AWS service
	ErrorSecretExists     = "SecretExists"   // a secret of that name is there already
	ErrorUnreachable      = "Unreachable"    // a network or server failure that passes
	ErrorThrottled        = "Throttled"      // Secrets Manager asks for fewer calls
	ErrorSecretsManager   = "SecretsManager" // Secrets Manager refuses the call
	ErrorAccessDenied     = "AccessDenied"   // credentials or rights are missing, in AWS or in the database
	ErrorDatabase         = "Database"       // the database refuses a statement
	ErrorTLS              = "TLS"            // the server's certificate is not trusted
	ErrorUnknown          = "Unknown"        // not in the table; it is retried
)
