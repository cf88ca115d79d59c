package rotation

// PlanFleetWorkflow returns what the next rotation of each running rotation would do. It takes a PlanFleetInput, returns a
// PlanFleetResult, and writes nothing.
const PlanFleetWorkflow = "PlanFleetWorkflow"

// PlanFleetInput says which rotations to plan. All fields are optional.
type PlanFleetInput struct {
	// Query is a condition on the search attributes of rotations, as in RotateFleetInput.
	Query string `json:"Query,omitempty"`
	// ActivityTaskQueue is where the activities run, by default the workflow's own task queue. A
	// rotation whose own activities run elsewhere cannot be planned there.
	ActivityTaskQueue string `json:"ActivityTaskQueue,omitempty"`

	typed typed
}

// UnmarshalJSON records what is wrong with the text, for Validate to report.
func (in *PlanFleetInput) UnmarshalJSON(data []byte) error {
	type plain PlanFleetInput
	return in.typed.decode(data, (*plain)(in))
}

// Validate returns an error that names the first wrong field, if any.
func (in PlanFleetInput) Validate() error { return in.typed.err }

// PlanInput is the answer to PlanQuery: what the first step of the next rotation would be given, and the task queue of the
// activities. The task queue is empty if it is the workflow's own.
type PlanInput struct {
	PlanRotationInput
	ActivityTaskQueue string `json:"ActivityTaskQueue,omitempty"`
}

// PlanRotationsInput names rotations to plan.
type PlanRotationsInput struct {
	SecretIDs []string `json:"SecretIds"`
}

// PlanRotationsResult has the plans of the rotations that would change more than the password, and of those that would be
// refused.
type PlanRotationsResult struct {
	Plans []PlannedRotation `json:"Plans,omitempty"`
}

// PlannedRotation is what the next rotation of a secret would do, in short.
type PlannedRotation struct {
	SecretID string `json:"SecretId"`
	// Created reports that the standby would be created. Changed is how many rights and properties would change,
	// and Changes are the first of these changes.
	Created bool     `json:"Created,omitempty"`
	Changed int      `json:"Changed,omitempty"`
	Changes []string `json:"Changes,omitempty"`
	// ErrorType and Error say why the rotation would be refused, or could not be planned.
	ErrorType string `json:"ErrorType,omitempty"`
	Error     string `json:"Error,omitempty"`
}

// Failed reports whether the rotation would be refused, or could not be planned.
func (p PlannedRotation) Failed() bool { return p.Error != "" }

// PlanFleetResult counts what the rotations would do.
type PlanFleetResult struct {
	// Total is the number of rotations. Changing are those that would change more than the password, and Failing
	// those that would be refused or could not be planned.
	Total    int `json:"Total"`
	Changing int `json:"Changing"`
	Failing  int `json:"Failing"`
	// Plans are those of the rotations that would change something or fail, the first thousand of them.
	Plans []PlannedRotation `json:"Plans,omitempty"`
}
