package workflows

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/rotate-user/rotate-user/internal/plaintext"
	"github.com/rotate-user/rotate-user/rotation"
)

// request requests as many rotations as may start now.
func (m *fleetRotation) request(ctx workflow.Context) {
	busy := map[string]int{}
	for _, r := range m.InProgress {
		busy[r.Host]++
	}
	hosts := workflow.DeterministicKeys(m.Pending)
	var batch []rotation.FleetRotation
	for len(batch) < requestsAtOnce {
		r, ok := m.take(ctx, hosts, busy, len(m.InProgress)+len(batch))
		if !ok {
			break
		}
		if r.Attempts == 0 || m.asksAgain(ctx) {
			r.RequestedAt = workflow.Now(ctx)
		}
		busy[r.Host]++
		batch = append(batch, r)
	}
	sent := make([]workflow.Future, len(batch))
	for i, r := range batch {
		if r.Attempts > 0 && !m.asksAgain(ctx) {
			continue
		}
		sent[i] = workflow.SignalExternalWorkflow(ctx, rotation.RotateUserWorkflowID(r.SecretID), "", rotation.RotateUpdate, m.input.Rotate)
	}
	for i, r := range batch {
		if sent[i] != nil && sent[i].Get(ctx, nil) != nil {
			m.skip(r, "its rotation no longer runs")
			continue
		}
		m.InProgress = append(m.InProgress, r)
	}
	if len(batch) > 0 {
		m.quiet = 0
	}
}

// asksAgain reports whether a failed rotation is requested again, as an earlier release did. Now
// its own workflow retries it.
func (m *fleetRotation) asksAgain(ctx workflow.Context) bool {
	return workflow.GetVersion(ctx, "a failed rotation retries itself", workflow.DefaultVersion, 1) == workflow.DefaultVersion
}

// take removes and returns the next rotation that may start: one that is waiting, or a pending one
// on the host with the fewest in progress. hosts are those that had pending ones, sorted.
func (m *fleetRotation) take(ctx workflow.Context, hosts []string, busy map[string]int, inProgress int) (r rotation.FleetRotation,
	ok bool) {
	now := workflow.Now(ctx)
	if m.Paused || m.Stopped != "" {
		return r, false
	}
	for i, r := range m.Waiting {
		if !r.RequestedAt.After(now) && busy[r.Host] < m.input.HostLimit() {
			m.Waiting = append(m.Waiting[:i:i], m.Waiting[i+1:]...)
			return r, true
		}
	}
	if m.canaries() && m.Begun >= m.input.Canaries() || now.Before(m.nextBegin()) || m.full(ctx, inProgress) {
		return r, false
	}
	best := ""
	for _, host := range hosts {
		if len(m.Pending[host]) == 0 || busy[host] >= m.input.HostLimit() {
			continue
		}
		if !ok || busy[host] < busy[best] || busy[host] == busy[best] && len(m.Pending[host]) > len(m.Pending[best]) {
			best, ok = host, true
		}
	}
	if !ok {
		return r, false
	}
	r = rotation.FleetRotation{SecretID: m.Pending[best][0], Host: best}
	if m.Pending[best] = m.Pending[best][1:]; len(m.Pending[best]) == 0 {
		delete(m.Pending, best)
	}
	m.Begun++
	return r, true
}

// full reports whether as many rotations are requested as a run can pass to the next.
func (m *fleetRotation) full(ctx workflow.Context, inProgress int) bool {
	return inProgress+len(m.Waiting) >= requestedAtMost &&
		workflow.GetVersion(ctx, "a limit of the requested rotations", workflow.DefaultVersion, 1) != workflow.DefaultVersion
}

// nextBegin returns when the next pending rotation may start.
func (m *fleetRotation) nextBegin() time.Time {
	if m.input.Over == 0 || m.Total == 0 {
		return m.StartedAt
	}
	return m.StartedAt.Add(time.Duration(float64(m.input.Over) * float64(m.Begun) / float64(m.Total)))
}

// wait returns when it is time to check the rotations in progress or to start others. It reports
// whether there are rotations to check.
func (m *fleetRotation) wait(ctx workflow.Context) bool {
	now := workflow.Now(ctx)
	length := time.Duration(0) // until a message arrives
	if len(m.InProgress) > 0 {
		length = min(firstLook<<min(m.quiet, 10), rarestLook)
	}
	if !m.Paused {
		until := func(at time.Time) {
			if d := max(at.Sub(now), time.Second); length == 0 || d < length {
				length = d
			}
		}
		for _, r := range m.Waiting {
			if r.RequestedAt.After(now) {
				until(r.RequestedAt)
			}
		}
		if m.pending() > 0 && m.nextBegin().After(now) {
			until(m.nextBegin())
		}
	}
	if length == 0 && !m.Paused { // none of the rotations that were requested is running any longer
		length = time.Second
	}
	m.woken = false
	timers, cancel := workflow.WithCancel(ctx)
	defer cancel()
	var timer workflow.Future
	if length > 0 {
		timer = workflow.NewTimerWithOptions(timers, length, workflow.TimerOptions{Summary: short("next check: " + m.status().String())})
	}
	err := workflow.Await(ctx, func() bool { return m.woken || timer != nil && timer.IsReady() })
	return err == nil && len(m.InProgress) > 0
}

// look records the outcomes of the rotations in progress.
func (m *fleetRotation) look(ctx workflow.Context) {
	var result rotation.LookAtRotationsResult
	in := rotation.LookAtRotationsInput{Rotations: m.InProgress}
	if err := workflow.ExecuteActivity(m.options(ctx), rotation.Activities.LookAtRotations, in).Get(ctx, &result); err != nil {
		workflow.GetLogger(ctx).Warn("the rotations of a fleet could not be checked", "error", err)
	}
	seen := map[string]rotation.RotationSeen{}
	for _, s := range result.Seen {
		seen[s.SecretID] = s
	}
	m.quiet++
	now := workflow.Now(ctx)
	var left []rotation.FleetRotation
	for _, r := range m.InProgress {
		s := seen[r.SecretID]
		if s.Outcome == "" && now.Sub(r.RequestedAt) > outcomePatience {
			s.Outcome, s.Reason = rotation.RotationFailed, fmt.Sprintf("no outcome within %s", rotation.Duration(outcomePatience))
			if r.Reason != "" {
				s.Reason += " after it failed: " + r.Reason
			}
		}
		switch s.Outcome {
		case rotation.RotationSucceeded:
			m.Rotated++
			m.Done = append(m.Done, r.SecretID)
		case rotation.RotationSkipped:
			m.skip(r, s.Reason)
		case rotation.RotationFailed:
			m.fail(ctx, r, s)
		default:
			left = append(left, r)
			continue
		}
		m.quiet = 0
	}
	m.InProgress = left
}

// fail waits for the next attempt of a rotation if its error may be temporary, and counts it as
// failed otherwise. The rotation's own workflow decides when it retries. During half of that time,
// the host's place is free for other rotations.
func (m *fleetRotation) fail(ctx workflow.Context, r rotation.FleetRotation, s rotation.RotationSeen) {
	r.Attempts++
	r.Reason = plaintext.Cut(s.Reason, fullReason)
	if mayPass(s.ErrorType) && r.Attempts < fleetTries && m.Stopped == "" {
		r.RequestedAt = workflow.Now(ctx).Add(betweenRequests << (r.Attempts - 1))
		if !s.EndedAt.IsZero() {
			r.RequestedAt = s.EndedAt.Add(backoff(r.Attempts) / 2)
		}
		m.Waiting = append(m.Waiting, r)
		return
	}
	canary := m.canaries()
	m.failed(r)
	switch {
	case canary:
		m.halt("a canary failed: " + plaintext.Cut(r.SecretID+": "+r.Reason, 300))
	case m.Failed > m.allowed:
		m.halt(tooMany(m.Failed, m.allowed))
	}
}

func (m *fleetRotation) skip(r rotation.FleetRotation, reason string) {
	m.Skipped++
	m.Skips = addLine(m.Skips, r.SecretID, reason)
}
