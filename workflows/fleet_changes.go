package workflows

import (
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/rotate-user/rotate-user/internal/plaintext"
	"github.com/rotate-user/rotate-user/rotation"
)

// fleetChange is a change to one secret's rotation.
type fleetChange struct {
	does string // started, rescheduled or stopped
	// secretID is the secret as its workflow's id names it. name is its friendly name.
	secretID, name string
	input          rotation.RotateUserInput
}

const (
	started     = "started"
	rescheduled = "rescheduled"
	stoppedNow  = "stopped"
)

// changes compares the tags with the running rotations, and returns what to change, sorted by name.
func (f *fleet) changes(ctx workflow.Context) ([]fleetChange, error) {
	secrets, err := f.listSecrets(ctx)
	if err != nil {
		return nil, err
	}
	running, err := f.listRotations(ctx)
	if err != nil {
		return nil, err
	}
	var all []fleetChange
	seen := map[string]bool{}
	f.size = 0
	for _, name := range workflow.DeterministicKeys(f.Managed) {
		f.size += len(name) + managedBytes
	}
	for _, s := range secrets {
		seen[s.Name], seen[s.ARN] = true, true
		if s.Deleted { // its deletion holds the rotation, and may be undone
			continue
		}
		f.pass.Tagged++
		all = append(all, f.wants(s, running)...)
	}
	f.remember(ctx, seen)
	for _, name := range workflow.DeterministicKeys(f.Managed) {
		if !seen[name] {
			all = append(all, f.untagged(name, running)...)
		}
	}
	slices.SortStableFunc(all, func(a, b fleetChange) int { return strings.Compare(a.name, b.name) })
	return all, nil
}

// remember adds the rotations that this workflow declared before it was last stopped.
func (f *fleet) remember(ctx workflow.Context, seen map[string]bool) {
	for _, id := range workflow.DeterministicKeys(f.owners) {
		if _, managed := f.Managed[id]; !managed && !seen[id] && f.owner != "" && f.owners[id] == f.owner {
			f.Managed[id] = rotation.Managed{}
		}
	}
}

// owns reports whether this workflow declared a running rotation: it started it, took it over, or manages it since a
// release without owners.
func (f *fleet) owns(name, id string) bool {
	owner := f.owners[id]
	_, managed := f.Managed[name]
	return f.owner == "" || owner == f.owner || owner == "" && managed
}

// fits reports whether the state that is passed from run to run has room for one more secret, and takes it.
func (f *fleet) fits(name string) bool {
	if f.size+len(name)+managedBytes > fleetBytes {
		return false
	}
	f.size += len(name) + managedBytes
	return true
}

// managedBytes is what FleetState needs for one secret besides its name.
const managedBytes = 40

// elsewhere records that a rotation is not changed, because something else declares it.
func (f *fleet) elsewhere(name, id string) {
	f.pass.Elsewhere++
	delete(f.Managed, name)
	text := fmt.Sprintf("%s: its rotation is declared by %s. To let the tag declare it, run: starter stop --secret-id %s", name,
		f.owners[id], id)
	if len(f.pass.Skips) < keptLines {
		f.pass.Skips = append(f.pass.Skips, plaintext.Line(plaintext.Cut(text, 500)))
	}
}

// wants returns the changes that the tag of a secret requires.
func (f *fleet) wants(s rotation.TaggedSecret, running map[string]bool) []fleetChange {
	id := s.Name
	if running[s.ARN] && !running[s.Name] {
		id = s.ARN
	}
	input, off, err := f.input.Rotation(id, s.Value)
	if err != nil {
		f.problem(s.Name, err.Error())
		return nil
	}
	known, managed := f.Managed[s.Name]
	// A rotation that was started by hand becomes the tag's.
	if running[id] && f.owners[id] != "" && !f.owns(s.Name, id) {
		f.elsewhere(s.Name, id)
		return nil
	}
	switch {
	case !off && !managed && !f.fits(s.Name):
		f.problem(s.Name, fmt.Sprintf("not managed, because one workflow follows about 20,000 secrets: give this one another tag, and run: "+
			"starter fleet sync --tag %s-2", f.input.Key()))
		return nil
	case off && running[id]:
		f.pass.Off++
		return []fleetChange{{does: stoppedNow, secretID: id, name: s.Name}}
	case off:
		f.pass.Off++
		delete(f.Managed, s.Name)
		return nil
	case !running[id]:
		return []fleetChange{{does: started, secretID: id, name: s.Name, input: input}}
	case managed && known.Schedule == fingerprint(input):
		if known.Missing { // the previous check was out of date
			known.Missing = false
			f.Managed[s.Name] = known
		}
		f.pass.Unchanged++
		return nil
	default:
		return []fleetChange{{does: rescheduled, secretID: id, name: s.Name, input: input}}
	}
}

// untagged stops the rotation of a secret whose tag was missing in two checks in a row.
func (f *fleet) untagged(name string, running map[string]bool) []fleetChange {
	known := f.Managed[name]
	switch {
	case !running[name] || !f.owns(name, name): // or it runs under the secret's ARN, so this workflow did not start it
		delete(f.Managed, name)
		return nil
	case !known.Missing:
		known.Missing = true
		f.Managed[name] = known
		f.pass.Deferred++
		f.soon(f.pass.StartedAt.Add(secondLook))
		return nil
	default:
		return []fleetChange{{does: stoppedNow, secretID: name, name: name}}
	}
}

// carryOut makes the changes in batches.
func (f *fleet) carryOut(ctx workflow.Context, changes []fleetChange) {
	for len(changes) > 0 && ctx.Err() == nil {
		batch := changes[:min(len(changes), f.input.Batch())]
		changes = changes[len(batch):]
		ends := make([]workflow.Future, len(batch))
		starts := false
		for i, c := range batch {
			ends[i] = f.begin(ctx, c)
			starts = starts || c.does == started
		}
		for i, c := range batch {
			f.ended(ctx, c, ends[i].Get(ctx, nil))
		}
		f.describe(ctx)
		if starts && len(changes) > 0 {
			summary := fmt.Sprintf("%s to follow", plaintext.Count(len(changes), "change"))
			timer := workflow.NewTimerWithOptions(ctx, betweenBatches, workflow.TimerOptions{Summary: summary})
			if timer.Get(ctx, nil) != nil {
				return
			}
		}
	}
}

// begin starts a change.
func (f *fleet) begin(ctx workflow.Context, c fleetChange) workflow.Future {
	id := rotation.RotateUserWorkflowID(c.secretID)
	switch c.does {
	case started:
		ctx = workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{
			WorkflowID:        id,
			ParentClosePolicy: enums.PARENT_CLOSE_POLICY_ABANDON, // the rotation lives as long as its user
			Memo:              map[string]any{rotation.DeclaredByMemo: workflow.GetInfo(ctx).WorkflowExecution.ID},
			StaticSummary:     short("secret " + c.secretID + ", by tag " + f.input.Key()),
		})
		return workflow.ExecuteChildWorkflow(ctx, rotation.RotateUserWorkflow, c.input).GetChildWorkflowExecution()
	case rescheduled:
		request := rotation.RescheduleTo(c.input)
		if f.owners[c.secretID] == "" {
			request.DeclaredBy = f.owner
		}
		return workflow.SignalExternalWorkflow(ctx, id, "", rotation.RescheduleUpdate, request)
	default:
		return workflow.SignalExternalWorkflow(ctx, id, "", rotation.StopUpdate, rotation.Sender{SentAt: workflow.Now(ctx)})
	}
}

// ended records the result of a change.
func (f *fleet) ended(ctx workflow.Context, c fleetChange, err error) {
	var running *temporal.ChildWorkflowExecutionAlreadyStartedError
	if c.does == started && errors.As(err, &running) { // visibility did not show it yet
		known, managed := f.Managed[c.name]
		if known.Schedule == fingerprint(c.input) {
			f.pass.Unchanged++
			return
		}
		if !managed && f.owner != "" { // the next pass will see what declares it
			f.pass.Deferred++
			f.soon(f.pass.StartedAt.Add(secondLook))
			return
		}
		c.does = rescheduled
		err = f.begin(ctx, c).Get(ctx, nil)
	}
	if err != nil {
		f.problem(c.name, "not "+c.does+": "+plaintext.Line(err.Error()))
		return
	}
	text := fmt.Sprintf("%s: %s", c.name, c.does)
	switch c.does {
	case started:
		f.pass.Started++
		text += ", " + c.input.ScheduleText()
	case rescheduled:
		f.pass.Rescheduled++
		text += ", " + c.input.ScheduleText()
	default:
		f.pass.Stopped++
		delete(f.Managed, c.name)
	}
	if c.does != stoppedNow {
		f.Managed[c.name] = rotation.Managed{Schedule: fingerprint(c.input)}
	}
	f.pass.Changes = append(f.pass.Changes, plaintext.Line(plaintext.Cut(text, 500)))[:min(len(f.pass.Changes)+1, keptLines)]
}

func (f *fleet) problem(name, text string) {
	f.pass.Failed++
	if len(f.pass.Problems) < keptLines {
		f.pass.Problems = append(f.pass.Problems, plaintext.Line(plaintext.Cut(name+": "+text, 500)))
	}
}

// fingerprint returns a hash of an input's schedule.
func fingerprint(in rotation.RotateUserInput) string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(in.ScheduleText())) // never fails
	return fmt.Sprintf("%016x", h.Sum64())
}

func (f *fleet) status() rotation.FleetStatus {
	s := rotation.FleetStatus{Tag: f.input.Key(), Managed: len(f.Managed), NextPass: f.NextPass, LastPass: f.LastPass, Input: &f.input}
	if f.pass != nil {
		pass := *f.pass
		s.InProgress, s.LastPass = true, &pass
	}
	if f.stop {
		s.NextPass = time.Time{}
	}
	return s
}

// describe sets the Markdown that the Temporal UI shows for the run.
func (f *fleet) describe(ctx workflow.Context) {
	s := f.status()
	lines := []string{fmt.Sprintf("**Fleet** of the tag %s: %s managed", plaintext.Code(s.Tag), plaintext.Count(s.Managed, "secret")), ""}
	say := func(format string, args ...any) { lines = append(lines, "- "+fmt.Sprintf(format, args...)) }
	if p := s.LastPass; p != nil {
		word := "last check at " + clock(p.StartedAt)
		if s.InProgress {
			word = "checking since " + clock(p.StartedAt)
		}
		say("%s: %s", word, plaintext.Code(p.String()))
		for _, text := range p.Problems {
			say("**failed**: %s", plaintext.Code(text))
		}
		for _, text := range p.Skips {
			say("not changed: %s", link(text))
		}
		for _, text := range p.Changes {
			say("%s", link(text))
		}
	}
	if !s.NextPass.IsZero() && !s.InProgress {
		say("next check: %s", clock(s.NextPass))
	}
	setDetails(ctx, strings.Join(lines, "\n"))
}
