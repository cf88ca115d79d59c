// Package rotation is the contract of rotate-user: what a client, an operator's tool, or another team's workflow needs to
// start, ask, signal and read rotations. The names and the JSON in it stay as they are, because workflows that earlier releases
// began are still running; inputs, results and states only gain optional fields.
//
// A rotation is one workflow for each secret:
//
//	options := client.StartWorkflowOptions{ID: rotation.RotateUserWorkflowID("shop/app"), TaskQueue: rotation.TaskQueue}
//	run, err := c.ExecuteWorkflow(ctx, options, rotation.RotateUserWorkflow, rotation.RotateUserInput{SecretID: "shop/app"})
package rotation

import (
	"strings"
	"time"

	"go.temporal.io/sdk/temporal"
)

// The types of the workflows. Each takes its input as one JSON object. RotateUserWorkflow, PlanRotationWorkflow and
// RecoverSecretWorkflow take a RotateUserInput, LookAtSecretWorkflow takes a ValidateSecretInput, and the others take the input with their
// name. Further arguments are the state of the secret's rotation, if there is one.
const (
	RotateUserWorkflow     = "RotateUserWorkflow"
	PlanRotationWorkflow   = "PlanRotationWorkflow"
	ValidateSecretWorkflow = "ValidateSecretWorkflow"
	LookAtSecretWorkflow   = "LookAtSecretWorkflow"
	RecoverSecretWorkflow  = "RecoverSecretWorkflow"
	CreateUserWorkflow     = "CreateUserWorkflow"
	DeleteUserWorkflow     = "DeleteUserWorkflow"
)

// The names of the activities, as histories and a Rotation's steps have them.
const (
	CloneUser       = "CloneUser"
	StagePassword   = "StagePassword"
	SetPassword     = "SetPassword"
	TestPassword    = "TestPassword"
	PromotePassword = "PromotePassword"
	RevokePrevious  = "RevokePrevious"
	PlanRotation    = "PlanRotation"
	ValidateSecret  = "ValidateSecret"
	LookAtCurrent   = "LookAtCurrent"
	RecoverSecret   = "RecoverSecret"
	CreateAccount   = "CreateAccount"
	StoreSecret     = "StoreSecret"
	FindAccounts    = "FindAccounts"
	DeleteSecret    = "DeleteSecret"
	LookAtSecret    = "LookAtSecret"
	LockAccounts    = "LockAccounts"
	UnlockAccounts  = "UnlockAccounts"
	DropAccounts    = "DropAccounts"
	ListSecrets     = "ListSecrets"
	ListRotations   = "ListRotations"
	LookAtRotations = "LookAtRotations"
	PlanRotations   = "PlanRotations"
)

// TaskQueue is the task queue of the worker by default.
const TaskQueue = "rotate-user"

// PacedTaskQueue returns the task queue of the first steps of rotations, for the workers that serve taskQueue. The server
// dispatches its tasks at a rate that all workers share: if many rotations are due at once, most of them wait before they
// have read or written anything.
func PacedTaskQueue(taskQueue string) string { return taskQueue + "/paced" }

// The messages of RotateUserWorkflow.
const (
	// StatusQuery answers a Status. DeleteUserWorkflow answers a DeletionState to it.
	StatusQuery = "status"
	// PlanQuery answers a PlanInput.
	PlanQuery = "plan"

	// The updates, and the signals of the same names. RotateUpdate takes a RotateRequest and answers the Rotation;
	// RescheduleUpdate takes a RescheduleRequest; the others take a Sender, or nothing. All but RotateUpdate answer a Status.
	RotateUpdate     = "rotate"
	PauseUpdate      = "pause"
	ResumeUpdate     = "resume"
	RescheduleUpdate = "reschedule"
	StopUpdate       = "stop"
	// DismissUpdate forgets the pairs that the secret was for before.
	DismissUpdate = "dismiss"

	// SecretSeenSignal reports to a rotation what has become of its secret. It takes a SecretSeen.
	SecretSeenSignal = "secret-seen"
)

// RotateUserWorkflowID returns the id of the workflow that rotates a secret. The secret is named as its workflow's input names
// it, by name or by ARN.
func RotateUserWorkflowID(secretID string) string { return "rotate-user/" + secretID }

// CreateUserWorkflowID returns the id of the workflow that creates a user and its secret.
func CreateUserWorkflowID(secretID string) string { return "create-user/" + secretID }

// DeleteUserWorkflowID returns the id of the workflow that deletes a secret and its users.
func DeleteUserWorkflowID(secretID string) string { return "delete-user/" + secretID }

// LookPatience bounds how long LookAtSecretWorkflow retries.
const LookPatience = 5 * time.Second

// The search attributes of a rotation. A cluster that lacks them can still rotate.
var (
	RotationStatusKey   = temporal.NewSearchAttributeKeyKeyword("RotationStatus")
	LastRotatedDateKey  = temporal.NewSearchAttributeKeyTime("LastRotatedDate")
	NextRotationDateKey = temporal.NewSearchAttributeKeyTime("NextRotationDate")
	DatabaseHostKey     = temporal.NewSearchAttributeKeyKeyword("DatabaseHost")
	// RotationErrorKey is the type of the error of the last rotation. It is unset if that succeeded.
	RotationErrorKey = temporal.NewSearchAttributeKeyKeyword("RotationError")
)

// OpenAccountsMemo is the key of a rotation's memo that lists accounts that still log in although no secret is for them
// anymore. The memo is missing or empty if there are none.
const OpenAccountsMemo = "OpenAccounts"

// DeclaredByMemo is the key of a rotation's memo that says what declares it: the id of a
// SyncFleetWorkflow, or FileOwner. A rotation that was started by hand has none.
const DeclaredByMemo = "DeclaredBy"

// FileOwner returns the value of DeclaredByMemo for a fleet file with the given name, which may be
// empty.
func FileOwner(name string) string { return strings.TrimSpace("file " + name) }
