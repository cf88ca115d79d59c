package workflows

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/rotate-user/rotate-user/internal/schedule"
	"github.com/rotate-user/rotate-user/internal/secret"
)

// RotationRules are Secrets Manager's words for when to rotate.
type RotationRules = schedule.Rules

// RotateUserInput starts a RotateUserWorkflow. Only SecretID is required. The
// fields are those of Secrets Manager's RotateSecret call, and a few of ours.
type RotateUserInput struct {
	// SecretID is the name or the ARN of the user's secret.
	SecretID string `json:"SecretId"`
	// MasterSecretID is the name or the ARN of the administrator's secret. It is
	// "masterarn" in the user's secret by default.
	MasterSecretID string `json:"MasterSecretId,omitempty"`
	// RotationRules say when; every 30 days by default.
	RotationRules RotationRules `json:"RotationRules,omitzero"`
	// RotateImmediately rotates at the start. That is the default; false looks
	// whether a rotation would work, changes nothing, and waits for the schedule.
	RotateImmediately *bool `json:"RotateImmediately,omitempty"`
	// CloneUsername is the other account of the pair, <user>_clone by default.
	CloneUsername string `json:"CloneUsername,omitempty"`
	// MinimumOverlap is how long a promoted credential is left alone before the
	// other one may change. One hour by default: AWS's caching clients read a
	// secret again when their copy is that old.
	MinimumOverlap *schedule.Duration `json:"MinimumOverlap,omitempty"`
	// Drain is how long a rotation waits for the sessions of the standby to end;
	// it does not wait by default. RequireDrained fails the rotation when they
	// have not.
	Drain          schedule.Duration `json:"Drain,omitzero"`
	RequireDrained bool              `json:"RequireDrained,omitempty"`
	// RequireAllNodes does not promote while a node of the cluster cannot be asked whether it
	// has the new password; by default the result names such a node.
	RequireAllNodes bool `json:"RequireAllNodes,omitempty"`
	// TestEndpoints are further endpoints of the database, each as host:port, that must accept a
	// new credential before it is promoted: replicas, readers, proxies. A rotation waits for them
	// inside its window.
	TestEndpoints []string `json:"TestEndpoints,omitempty"`
	// ActivityTaskQueue is where the activities run, for workers inside another
	// network; the workflow's own task queue by default.
	ActivityTaskQueue string `json:"ActivityTaskQueue,omitempty"`

	typed typed
}

// UnmarshalJSON keeps what is wrong with the text for Validate: the workflow
// refuses what people type, and goes on with what another release left behind.
func (in *RotateUserInput) UnmarshalJSON(data []byte) error {
	type plain RotateUserInput
	return in.typed.decode(data, (*plain)(in))
}

// Validate names the first field that is wrong.
func (in RotateUserInput) Validate() error {
	if in.typed.err != nil {
		return in.typed.err
	}
	if err := validSecretID("SecretId", in.SecretID, true); err != nil {
		return err
	}
	if err := validSecretID("MasterSecretId", in.MasterSecretID, false); err != nil {
		return err
	}
	if in.MasterSecretID == in.SecretID {
		return errOwnMaster
	}
	if err := in.rules().Validate(); err != nil {
		return fmt.Errorf("RotationRules: %w", err)
	}
	if in.RequireDrained && in.Drain == 0 {
		return errors.New("RequireDrained needs Drain: say how long to wait for the sessions to end, for example \"Drain\": \"2h\"")
	}
	if n := len(in.TestEndpoints); n > maxEndpoints {
		return fmt.Errorf("TestEndpoints are %d: %d at most", n, maxEndpoints)
	}
	for _, endpoint := range in.TestEndpoints {
		if _, _, err := secret.ParseAddress(endpoint); err != nil {
			return fmt.Errorf("TestEndpoints: %q %w", cut(endpoint, 100), err)
		}
	}
	if time.Duration(in.Drain) > maxDrain {
		return fmt.Errorf("Drain is %s: 24h at most", in.Drain)
	}
	return nil
}

// startable names what a workflow was started with that it could not live with.
func startable(ctx workflow.Context, input RotateUserInput) error {
	info := workflow.GetInfo(ctx)
	if info.CronSchedule != "" {
		return fmt.Errorf("the workflow was started with the cron schedule %q, which Temporal forgets after the first rotation: "+
			"start it without one, and put the schedule into RotationRules", cut(info.CronSchedule, 100))
	}
	if id, ok := workflow.GetTypedSearchAttributes(ctx).GetKeyword(scheduledByKey); ok {
		return fmt.Errorf("the workflow was started by the Temporal Schedule %q, which starts another rotation of the same secret each time: "+
			"delete the schedule, and start the workflow once, with the id %s and the schedule in RotationRules", cut(id, 100), RotateUserWorkflowID(input.SecretID))
	}
	timeout := func(name string, after time.Duration) error {
		if after == 0 || after >= shortestLife {
			return nil
		}
		return fmt.Errorf("the workflow was started with the %s timeout %s, after which the secret would no longer be rotated: start it without one", name, after)
	}
	return cmp.Or(timeout("execution", info.WorkflowExecutionTimeout), timeout("run", info.WorkflowRunTimeout))
}

// shortestLife is the shortest timeout that a workflow may have that lives as long as a user.
const shortestLife = 10 * 365 * 24 * time.Hour

// scheduledByKey is set by Temporal on what a Schedule has started.
var scheduledByKey = temporal.NewSearchAttributeKeyKeyword("TemporalScheduledById")

var errOwnMaster = errors.New("MasterSecretId is the secret itself: name the secret of an administrator")

const (
	maxDrain       = 24 * time.Hour
	maxEndpoints   = 20
	defaultDays    = 30
	defaultOverlap = time.Hour
)

func (in RotateUserInput) rules() RotationRules {
	r := in.RotationRules
	if r.ScheduleExpression == "" && r.AutomaticallyAfterDays == 0 && !in.typed.has("RotationRules.AutomaticallyAfterDays") {
		r.AutomaticallyAfterDays = defaultDays
	}
	return r
}

func (in RotateUserInput) immediately() bool {
	return in.RotateImmediately == nil || *in.RotateImmediately
}

func (in RotateUserInput) overlap() time.Duration {
	if in.MinimumOverlap == nil {
		return defaultOverlap
	}
	return time.Duration(*in.MinimumOverlap)
}

// complete is the input with its defaults filled in.
func (in RotateUserInput) complete() *RotateUserInput {
	immediately, overlap := in.immediately(), schedule.Duration(in.overlap())
	in.RotationRules, in.RotateImmediately, in.MinimumOverlap = in.rules(), &immediately, &overlap
	in.typed = typed{}
	return &in
}

// validSecretID applies Secrets Manager's rule for names, so that a typo is
// found before a workflow runs on it.
func validSecretID(field, id string, required bool) error {
	if id == "" {
		if required {
			return fmt.Errorf("%s is required: the name or the ARN of the secret", field)
		}
		return nil
	}
	if len(id) > 2048 {
		return fmt.Errorf("%s is longer than 2048 characters", field)
	}
	for _, c := range id {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case c == '/', c == '_', c == '+', c == '=', c == '.', c == '@', c == '-', c == ':', c == '!':
		default:
			return fmt.Errorf("%s holds the character %q: a secret's name has letters, digits and /_+=.@-! only", field, c)
		}
	}
	return nil
}
