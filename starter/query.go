package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"

	"github.com/rotate-user/rotate-user/internal/plaintext"
	"github.com/rotate-user/rotate-user/rotation"
)

// query returns the status of a rotation. A workflow that has ended still answers.
func (a *app) query(ctx context.Context, secretID string) (rotation.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	var status rotation.Status
	answer, err := a.temporal.QueryWorkflow(ctx, rotation.RotateUserWorkflowID(secretID), "", rotation.StatusQuery)
	if err != nil {
		return status, err
	}
	return status, answer.Get(&status)
}

// lastStatus returns the status of a rotation. It is empty if there is none, or if the rotation
// failed before it could answer. It is an error if the rotation does not answer, because commands
// must not act without what it knows about its pair.
func (a *app) lastStatus(ctx context.Context, secretID string) (rotation.Status, error) {
	status, err := a.query(ctx, secretID)
	var none *serviceerror.NotFound
	var failed *serviceerror.QueryFailed
	switch {
	case err == nil:
		return status, nil
	case errors.As(err, &none), errors.As(err, &failed):
		return rotation.Status{}, nil
	default:
		return rotation.Status{}, a.unanswered(ctx, err, secretID)
	}
}

// unanswered explains why the workflow of a secret did not answer a query.
func (a *app) unanswered(ctx context.Context, err error, secretID string) error {
	if !isUnanswered(err) || ctx.Err() != nil {
		return a.noRotation(ctx, err, secretID)
	}
	if text := a.diagnose(ctx, rotation.RotateUserWorkflowID(secretID)); text != "" {
		return fmt.Errorf("the rotation of secret %s does not answer: %s", secretID, text)
	}
	queue := a.taskQueue
	if d, err := a.describe(ctx, rotation.RotateUserWorkflowID(secretID)); err == nil {
		queue = cmp.Or(d.GetExecutionConfig().GetTaskQueue().GetName(), queue)
	}
	if !a.hasPoller(ctx, queue, enums.TASK_QUEUE_TYPE_WORKFLOW) {
		return fmt.Errorf("the rotation of secret %s does not answer: no worker polls task queue %s", secretID, queue)
	}
	return fmt.Errorf("the rotation of secret %s does not answer: see the log of the worker on task queue %s", secretID, queue)
}

// noRotation explains that a secret has no running workflow, and how the last one ended if there was one.
func (a *app) noRotation(ctx context.Context, err error, secretID string) error {
	var gone *serviceerror.NotFound
	if !errors.As(err, &gone) {
		return err
	}
	advice := "Start one with: starter start --secret-id " + secretID
	if e, ended := a.hasEnded(ctx, secretID); ended {
		text := fmt.Sprintf("the rotation of secret %s %s", secretID, e.text(a.now()))
		if lost := a.lostRevocation(ctx, secretID); lost != "" {
			text += ". " + lost
		}
		return advised{errors.New(text), advice}
	}
	if name := friendlyName(secretID); name != "" {
		d, err := a.describe(ctx, rotation.RotateUserWorkflowID(name))
		if err == nil && d.GetWorkflowExecutionInfo().GetStatus() == enums.WORKFLOW_EXECUTION_STATUS_RUNNING {
			advice = "A rotation of secret " + name + " is running: if that is the same secret, use this name"
		}
	}
	return advise(advice, "no rotation of secret %s is running", secretID)
}

// friendlyName returns the name in the ARN of a secret, or an empty string if arn is not an ARN.
func friendlyName(arn string) string {
	parts := strings.SplitN(arn, ":", 7)
	if len(parts) < 7 || parts[0] != "arn" || parts[5] != "secret" {
		return ""
	}
	name := parts[6]
	if i := strings.LastIndexByte(name, '-'); i >= 0 && len(name)-i == len("-AbCdEf") {
		name = name[:i]
	}
	return name
}

// lostRevocationText reports that a workflow ended before it carried out a revocation. It is empty
// if there was none to carry out.
func (a *app) lostRevocationText(s rotation.Status) string {
	r := s.Current
	if r.Promotion() == nil {
		return ""
	}
	last := r.Steps[len(r.Steps)-1]
	var what string
	switch {
	case !s.PreviousUntil.IsZero():
		what = fmt.Sprintf("The revocation of %s, due at %s, did not happen: %[1]s still logs in, as AWSPREVIOUS", s.StandbyUsername,
			date(s.PreviousUntil, a.now()))
	case last.Name == rotation.RevokePrevious && last.EndedAt.IsZero():
		what = fmt.Sprintf("The revocation of %s was under way: it may still log in, and its sessions may still be open", s.StandbyUsername)
	default:
		return ""
	}
	return plaintext.Line(what + ". Start the rotation again, and then revoke it with: starter rotate --secret-id " + s.SecretID +
		" --force --revoke-previous")
}

// lostRevocation is lostRevocationText for the last workflow of a secret, if that has ended.
func (a *app) lostRevocation(ctx context.Context, secretID string) string {
	if _, ended := a.hasEnded(ctx, secretID); !ended {
		return ""
	}
	status, err := a.query(ctx, secretID)
	if err != nil {
		return ""
	}
	return a.lostRevocationText(status)
}
