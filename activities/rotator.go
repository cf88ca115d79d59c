package activities

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/activity"

	"github.com/rotate-user/rotate-user/internal/secret"
	"github.com/rotate-user/rotate-user/rotation"
)

// rotatorLabel is the prefix of a staging label that names the workflow of a rotation. Every
// version that a rotation stages has one. It is set together with the value, without an extra call,
// and Secrets Manager moves it from version to version.
const rotatorLabel = "rotate-user:"

// rotator is the workflow of a rotation.
type rotator struct{ namespace, workflowID string }

// rotatorOf returns the rotator that an activity runs for. It is empty if the activity belongs to
// another kind of workflow, such as a plan.
func rotatorOf(ctx context.Context) rotator {
	if !activity.IsActivity(ctx) {
		return rotator{}
	}
	info := activity.GetInfo(ctx)
	if info.WorkflowType == nil || info.WorkflowType.Name != rotation.RotateUserWorkflow {
		return rotator{}
	}
	return rotator{info.Namespace, info.WorkflowExecution.ID}
}

// maxLabel is Secrets Manager's limit for a staging label, in characters.
const maxLabel = 256

// label returns the staging label of a rotator. If it is too long, a digest replaces its end.
func (r rotator) label() string {
	label := rotatorLabel + r.namespace + "/" + r.workflowID
	if len(label) <= maxLabel {
		return label
	}
	sum := sha256.Sum256([]byte(label))
	digest := "~" + hex.EncodeToString(sum[:8])
	return label[:maxLabel-len(digest)] + digest
}

// parseRotator parses a rotator's label. A namespace contains no slash.
func parseRotator(label string) (r rotator, ok bool) {
	rest, ours := strings.CutPrefix(label, rotatorLabel)
	r.namespace, r.workflowID, ok = strings.Cut(rest, "/")
	return r, ours && ok
}

// onlyRotator refuses a secret that another workflow rotates: one that was started with another
// spelling of the secret's name, or in another namespace or cluster. With Force, it takes over from
// one that does not answer.
func (a *Activities) onlyRotator(ctx context.Context, in rotation.CloneUserInput, d secret.Description) error {
	me := rotatorOf(ctx)
	if me == (rotator{}) {
		return nil
	}
	if len(in.Pair) == 0 { // a workflow that has already rotated keeps its id
		id, err := a.canonicalID(ctx, in.SecretID, d)
		if err != nil {
			return err
		}
		if only := rotation.RotateUserWorkflowID(id); me.workflowID != only {
			return refuse(rotation.ErrorRotatedElsewhere, "only the workflow %s may rotate secret %s, "+
				"so that another spelling of its name does not start"+
				" a second rotation: run `starter start --secret-id %s`", only, d.Name, id)
		}
	}
	for label, version := range d.Stages {
		other, ok := parseRotator(label)
		if !ok || label == me.label() || !lastPut(d, version) {
			continue
		}
		if other.namespace == me.namespace {
			running, sure, err := a.rotates(ctx, other.workflowID, d)
			if err != nil {
				return err
			}
			if running && (sure || !in.Force) {
				return refuse(rotation.ErrorRotatedElsewhere, "the workflow %s already rotates secret %s: use that workflow, or stop it first",
					other.workflowID, d.Name)
			}
			continue
		}
		if !in.Force {
			return refuse(rotation.ErrorRotatedElsewhere, "the workflow %[2]s in namespace %[3]s, which this worker cannot reach, "+
				"rotated secret %[1]s last:"+
				" stop it there, then take over with `starter rotate --secret-id %[1]s --force`", d.Name, other.workflowID, other.namespace)
		}
	}
	return nil
}

// lastPut reports whether a version is the one that was last staged or promoted. After an edit,
// AWSCURRENT is on a version without a rotator's label, and the previous version counts.
func lastPut(d secret.Description, version string) bool {
	if version == d.Stages[secret.Current] || version == d.Stages[secret.Pending] {
		return true
	}
	for label, labelled := range d.Stages {
		if _, ok := parseRotator(label); ok && labelled == d.Stages[secret.Current] {
			return false
		}
	}
	return version == d.Stages[secret.Previous]
}

// canonicalID returns the spelling of a secret that workflow ids use: its name if the worker can
// find the secret by its name, and otherwise its ARN.
func (a *Activities) canonicalID(ctx context.Context, id string, d secret.Description) (string, error) {
	if id == d.Name {
		return id, nil
	}
	byName, err := a.Secrets.Describe(ctx, d.Name)
	if err != nil {
		if v := judge(err); v.retry {
			return "", err
		}
		return d.ARN, nil // there is no such name here, or the worker may not see it
	}
	if byName.ARN != d.ARN {
		return d.ARN, nil
	}
	return d.Name, nil
}

// answersSoon is how long a running rotation may take to say which secret it rotates.
const answersSoon = 10 * time.Second

// rotates asks Temporal whether a workflow of this namespace is running and rotates the secret. The
// label alone proves nothing, because anyone who can edit a secret can give it any label. sure is
// false if the workflow does not answer.
func (a *Activities) rotates(ctx context.Context, workflowID string, d secret.Description) (running, sure bool, err error) {
	answer, err := a.Temporal.DescribeWorkflow(ctx, workflowID, "")
	var missing *serviceerror.NotFound
	if errors.As(err, &missing) {
		return false, false, nil
	}
	if err != nil {
		return false, false, fmt.Errorf("describe the workflow %s: %w", workflowID, err)
	}
	if answer.Status != enums.WORKFLOW_EXECUTION_STATUS_RUNNING || answer.WorkflowType.Name != rotation.RotateUserWorkflow {
		return false, false, nil
	}
	status, err := a.statusOf(ctx, workflowID)
	if err != nil {
		return true, false, ctx.Err() // it runs, but none of its workers answers
	}
	return d.Is(status.SecretID), true, nil
}
