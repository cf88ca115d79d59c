package workflows

import (
	"fmt"
	"strings"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/rotate-user/rotate-user/internal/plaintext"
	"github.com/rotate-user/rotate-user/rotation"
)

// fleetRotation is one run of RotateFleetWorkflow.
type fleetRotation struct {
	rotation.RotateFleetState

	input   rotation.RotateFleetInput
	allowed int  // failures
	quiet   int  // consecutive checks without news
	woken   bool // a message has arrived
	ended   time.Time
}

// RotateFleetWorkflow rotates the secrets of all running rotations, or of those that a query finds.
// It starts with a few canaries, limits the rotations on each database host, and starts no more
// once too many have failed. Each secret's own workflow rotates it, and continues whatever happens
// to this workflow.
func (Workflows) RotateFleetWorkflow(ctx workflow.Context, input rotation.RotateFleetInput,
	carried *rotation.RotateFleetState) (rotation.RotateFleetStatus, error) {
	m := &fleetRotation{input: input}
	if carried != nil {
		m.RotateFleetState = *carried
	} else if err := input.Validate(); err != nil {
		return rotation.RotateFleetStatus{}, invalidInput(err)
	}
	if err := m.listen(ctx); err != nil {
		return rotation.RotateFleetStatus{}, err
	}
	if carried == nil {
		m.StartedAt = workflow.Now(ctx)
		if err := m.find(ctx); err != nil {
			return rotation.RotateFleetStatus{}, err
		}
	}
	m.allowed, _ = input.Allowed(m.Total) // Validate has checked it
	for !m.done() && ctx.Err() == nil {
		if info := workflow.GetInfo(ctx); info.GetContinueAsNewSuggested() {
			if err := workflow.Await(ctx, func() bool { return workflow.AllHandlersFinished(ctx) }); err != nil {
				break
			}
			return rotation.RotateFleetStatus{}, workflow.NewContinueAsNewError(ctx, info.WorkflowType.Name, m.input, m.RotateFleetState)
		}
		m.request(ctx)
		m.describe(ctx)
		if m.done() || !m.wait(ctx) {
			continue
		}
		m.look(ctx)
	}
	undisturbed, _ := workflow.NewDisconnectedContext(ctx)
	if err := workflow.Await(undisturbed, func() bool { return workflow.AllHandlersFinished(undisturbed) }); err != nil {
		return m.status(), err
	}
	m.ended = workflow.Now(undisturbed)
	m.describe(undisturbed)
	return m.status(), ctx.Err()
}

// find lists the secrets to rotate. It refuses more than the next run can be told.
func (m *fleetRotation) find(ctx workflow.Context) error {
	m.Pending = map[string][]string{}
	found := map[string]bool{}
	if err := m.list(ctx, m.input.Query, found); err != nil {
		return err
	}
	// A rotation that continues as new between two pages is on neither: its next run comes before the
	// pages that have been read.
	if workflow.GetVersion(ctx, "rotations that continue meanwhile are listed", workflow.DefaultVersion, 1) != workflow.DefaultVersion {
		since := "StartTime >= '" + m.StartedAt.Add(-time.Second).UTC().Format(time.RFC3339) + "'"
		if m.input.Query != "" {
			since = "(" + m.input.Query + ") AND " + since
		}
		if err := m.list(ctx, since, found); err != nil {
			return err
		}
	}
	size := 0
	for _, id := range workflow.DeterministicKeys(found) {
		size += len(id) + briefReason
	}
	if size > fleetBytes {
		return refused(rotation.ErrorInvalidInput, "%d secrets are too many for one workflow: select some of them by Query, "+
			"such as DatabaseHost = 'db1.example.com:3306', and rotate the others afterwards", m.Total)
	}
	return nil
}

// list adds the rotations that a query finds and that were not found before.
func (m *fleetRotation) list(ctx workflow.Context, query string, found map[string]bool) error {
	for token := []byte(nil); ; {
		var page rotation.ListRotationsResult
		in := rotation.ListRotationsInput{Query: query, NextPageToken: token}
		if err := workflow.ExecuteActivity(m.options(ctx), rotation.Activities.ListRotations, in).Get(ctx, &page); err != nil {
			return err
		}
		for i, id := range page.SecretIDs {
			if found[id] {
				continue
			}
			found[id] = true
			m.Pending[page.Hosts[i]] = append(m.Pending[page.Hosts[i]], id)
			m.Total++
		}
		if token = page.NextPageToken; len(token) == 0 {
			return nil
		}
	}
}

func (m *fleetRotation) options(ctx workflow.Context) workflow.Context {
	o := stepOptions(m.input.ActivityTaskQueue, "fleet")
	o.Priority = temporal.Priority{PriorityKey: schedulePriority}
	return workflow.WithActivityOptions(ctx, o)
}

func (m *fleetRotation) listen(ctx workflow.Context) error {
	if err := workflow.SetQueryHandler(ctx, rotation.StatusQuery,
		func() (rotation.RotateFleetStatus, error) { return m.status(), nil }); err != nil {
		return err
	}
	for _, message := range []struct {
		name, description string
		do                func()
	}{
		{rotation.PauseUpdate, "start no more rotations until resumed", func() { m.Paused = true }},
		{rotation.ResumeUpdate, "continue", func() { m.Paused = false }},
		{rotation.StopUpdate, "start no more rotations, and end after those in progress", func() { m.halt("by request") }},
	} {
		handler := func(ctx workflow.Context, _ rotation.Sender) (rotation.RotateFleetStatus, error) {
			message.do()
			m.woken = true
			m.describe(ctx)
			return m.status(), nil
		}
		if err := workflow.SetUpdateHandlerWithOptions(ctx, message.name, handler, workflow.UpdateHandlerOptions{
			Validator:   func(by rotation.Sender) error { return invalidInput(by.Validate()) },
			Description: message.description,
		}); err != nil {
			return err
		}
	}
	return nil
}

// halt starts no further rotation, and counts those waiting for another attempt as failed.
func (m *fleetRotation) halt(reason string) {
	if m.Stopped != "" {
		return
	}
	m.Stopped = reason
	for _, r := range m.Waiting {
		m.failed(r)
	}
	m.Waiting = nil
}

// failed counts a secret that was not rotated.
func (m *fleetRotation) failed(r rotation.FleetRotation) {
	m.Failed++
	m.Failures = addLine(m.Failures, r.SecretID, r.Reason)
}

// addLine adds a secret and the reason why it was not rotated, which is cut short after the first
// two hundred.
func addLine(lines []string, secretID, reason string) []string {
	most := fullLine
	if len(lines) >= fleetLines {
		most = len(secretID) + briefReason
	}
	return append(lines, plaintext.Line(plaintext.Cut(secretID+": "+reason, most)))
}

func (m *fleetRotation) pending() (n int) {
	for _, host := range workflow.DeterministicKeys(m.Pending) {
		n += len(m.Pending[host])
	}
	return n
}

func (m *fleetRotation) done() bool {
	return len(m.InProgress) == 0 && (m.Stopped != "" || len(m.Waiting) == 0 && m.pending() == 0)
}

// canaries reports whether only the canaries are being rotated.
func (m *fleetRotation) canaries() bool {
	n := min(m.input.Canaries(), m.Total)
	return n > 0 && (m.Begun < n || m.Rotated+m.Skipped+m.Failed < n)
}

func (m *fleetRotation) status() rotation.RotateFleetStatus {
	s := rotation.RotateFleetStatus{
		StartedAt: m.StartedAt, EndedAt: m.ended, Total: m.Total, Rotated: m.Rotated, Failed: m.Failed, Skipped: m.Skipped,
		InProgress: len(m.InProgress) + len(m.Waiting), Pending: m.pending(), Canary: m.canaries(), Paused: m.Paused, Stopped: m.Stopped,
		Failures: firstLines(m.Failures), Skips: firstLines(m.Skips),
	}
	if !m.ended.IsZero() {
		m.report(&s)
	}
	return s
}

// report adds what the result alone contains: every secret by name.
func (m *fleetRotation) report(s *rotation.RotateFleetStatus) {
	s.Failures, s.Skips, s.RotatedSecrets = m.Failures, m.Skips, m.Done
	for _, host := range workflow.DeterministicKeys(m.Pending) {
		if n := len(m.Pending[host]); n > 0 {
			if s.PendingHosts == nil {
				s.PendingHosts = map[string]int{}
			}
			s.PendingHosts[host] = n
			s.PendingSecrets = append(s.PendingSecrets, m.Pending[host]...)
		}
	}
}

func firstLines(lines []string) []string { return lines[:min(len(lines), fleetLines)] }

// describe sets the Markdown that the Temporal UI shows for the run.
func (m *fleetRotation) describe(ctx workflow.Context) {
	s := m.status()
	lines := []string{"**Rotation of a fleet**: " + plaintext.Code(s.String()), ""}
	for _, text := range firstLines(s.Failures) {
		lines = append(lines, "- **failed**: "+link(text))
	}
	for _, text := range firstLines(s.Skips) {
		lines = append(lines, "- skipped: "+link(text))
	}
	setDetails(ctx, strings.Join(lines, "\n"))
}

const (
	// fleetLines is how many failed and how many skipped secrets are described in full.
	fleetLines = 200
	// fullLine, fullReason and briefReason limit bytes: of a line in full, of the reason of a
	// rotation that is attempted again, and of the reason in a brief line.
	fullLine, fullReason, briefReason = 500, 300, 45
	// fleetBytes limits the names of all secrets, with a brief reason for each. What one run passes
	// to the next must fit into 2 MB.
	fleetBytes = 1_500_000
	// requestedAtMost is how many rotations are in progress or waiting for another attempt.
	requestedAtMost = 500
	// requestsAtOnce is how many requests are sent between two checks.
	requestsAtOnce = 100
	// fleetTries is how many attempts a rotation gets if its errors may be temporary.
	fleetTries = 3
	// betweenRequests is the time until a failed rotation is first checked again, if it is unknown
	// when it ended.
	betweenRequests = time.Minute
	// outcomePatience is how long a rotation may take.
	outcomePatience = 30 * time.Minute

	firstLook  = 2 * time.Second
	rarestLook = 30 * time.Second
)

// mayPass reports whether an error may be temporary.
func mayPass(errorType string) bool {
	switch errorType {
	case rotation.ErrorUnreachable, rotation.ErrorThrottled, rotation.ErrorUnknown, "Timeout":
		return true
	default:
		return false
	}
}

func tooMany(failed, allowed int) string {
	return fmt.Sprintf("%s failed; at most %d may fail", plaintext.Count(failed, "rotation"), allowed)
}
