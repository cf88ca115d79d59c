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

// rotatorLabel begins the staging label that every version of ours has, which says who staged it last. It goes along with
// the put and costs no call. Secrets Manager moves it from version to version.
const rotatorLabel = "rotate-user:"

// rotateUserWorkflow is the type of the workflows that rotate a secret, one for each, idPrefix what their ids begin with,
// statusQuery what they answer, and databaseHost the search attribute that says on which server, where the cluster has it.
const (
	rotateUserWorkflow = rotation.RotateUserWorkflow
	idPrefix           = "rotate-user/"
	statusQuery        = "status"
	databaseHost       = "DatabaseHost"
)

// rotator is the workflow that an activity works for.
type rotator struct{ namespace, workflowID string }

// rotatorOf is empty for an activity of another workflow, such as a plan.
func rotatorOf(ctx context.Context) rotator {
	if !activity.IsActivity(ctx) {
		return rotator{}
	}
	info := activity.GetInfo(ctx)
	if info.WorkflowType == nil || info.WorkflowType.Name != rotateUserWorkflow {
		return rotator{}
	}
	return rotator{info.Namespace, info.WorkflowExecution.ID}
}

// maxLabel is Secrets Manager's limit for a staging label, in characters.
const maxLabel = 256

// label is the staging label of a rotator. An id that is too long for one is cut, with a digest of the whole in its place.
func (r rotator) label() string {
	label := rotatorLabel + r.namespace + "/" + r.workflowID
	if len(label) <= maxLabel {
		return label
	}
	sum := sha256.Sum256([]byte(label))
	digest := "~" + hex.EncodeToString(sum[:8])
	return label[:maxLabel-len(digest)] + digest
}

// parseRotator reads a label of ours. The namespace holds no slash.
func parseRotator(label string) (r rotator, ok bool) {
	rest, ours := strings.CutPrefix(label, rotatorLabel)
	r.namespace, r.workflowID, ok = strings.Cut(rest, "/")
	return r, ours && ok
}

// onlyRotator refuses where another workflow rotates the secret: one that was started under another spelling of its name, or
// in another namespace or cluster. Force takes over from one that cannot be asked.
func (t *attempt) onlyRotator(ctx context.Context, in rotation.CloneUserInput, d secret.Description) error {
	me := rotatorOf(ctx)
	if me == (rotator{}) {
		return nil
	}
	if len(in.Pair) == 0 { // one that has rotated before goes on under the id that it has
		id, err := t.canonicalID(ctx, in.SecretID, d)
		if err != nil {
			return err
		}
		if me.workflowID != idPrefix+id {
			return refuse(rotation.ErrorRotatedElsewhere, "secret %s is rotated by the workflow %s only, so that no other spelling of its name starts a second rotation: run `starter start --secret-id %s`", d.Name, idPrefix+id, id)
		}
	}
	for label, version := range d.Stages {
		other, ok := parseRotator(label)
		if !ok || label == me.label() || !lastPut(d, version) {
			continue
		}
		if other.namespace == me.namespace {
			running, sure, err := t.rotates(ctx, other.workflowID, d)
			if err != nil {
				return err
			}
			if running && (sure || !in.Force) {
				return refuse(rotation.ErrorRotatedElsewhere, "secret %s is rotated by the workflow %s already: use that one, or stop it first", d.Name, other.workflowID)
			}
			continue
		}
		if !in.Force {
			return refuse(rotation.ErrorRotatedElsewhere, "secret %s was last rotated by the workflow %s in namespace %s, which this worker cannot ask: stop it there, and then take the secret over with `starter rotate --secret-id %[1]s --force`", d.Name, other.workflowID, other.namespace)
		}
	}
	return nil
}

// lastPut reports whether a version is the one that was staged or promoted last. An edit takes AWSCURRENT to a version without
// the label of a rotator; then the one before it counts.
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

// canonicalID is the one spelling of a secret that workflows go by: its name where that is enough to find it from here, and
// its ARN elsewhere.
func (t *attempt) canonicalID(ctx context.Context, id string, d secret.Description) (string, error) {
	if id == d.Name {
		return id, nil
	}
	byName, err := t.Secrets.Describe(ctx, d.Name)
	if err != nil {
		if v := judge(err); v.retry {
			return "", err
		}
		return d.ARN, nil // no such name here, or none that the worker may see
	}
	if byName.ARN != d.ARN {
		return d.ARN, nil
	}
	return d.Name, nil
}

// answersSoon is how long a running rotation may take to say which secret it rotates.
const answersSoon = 10 * time.Second

// rotates asks Temporal whether a workflow of this namespace runs and rotates the secret: whoever may edit a secret can give it
// the label of any workflow. One that does not answer is not surely a rotation of it.
func (t *attempt) rotates(ctx context.Context, workflowID string, d secret.Description) (running, sure bool, err error) {
	answer, err := t.Temporal.DescribeWorkflowExecution(ctx, workflowID, "")
	var missing *serviceerror.NotFound
	if errors.As(err, &missing) {
		return false, false, nil
	}
	if err != nil {
		return false, false, fmt.Errorf("look whether the workflow %s runs: %w", workflowID, err)
	}
	info := answer.GetWorkflowExecutionInfo()
	if info.GetStatus() != enums.WORKFLOW_EXECUTION_STATUS_RUNNING || info.GetType().GetName() != rotateUserWorkflow {
		return false, false, nil
	}
	status, err := t.statusOf(ctx, workflowID)
	if err != nil {
		return true, false, ctx.Err() // it runs, and no worker of it answers
	}
	return d.Is(status.SecretID), true, nil
}
