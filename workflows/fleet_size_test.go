package workflows_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/converter"

	"github.com/rotate-user/rotate-user/rotation"
)

// A payload of Temporal has at most 2 MB.
const payloadLimit = 2 << 20

func TestEverySecretOfALargeFleetIsNamed(t *testing.T) {
	t.Parallel()
	const secrets = 10000
	for _, c := range []struct {
		name, input, errorType   string
		failed, skipped, pending int
	}{
		{name: "all fail", input: `{"Canary":0,"MaxFailures":"100%","PerHost":100}`, errorType: rotation.ErrorUnreachable, failed: secrets},
		{name: "all are refused", input: `{"Canary":0,"PerHost":100}`, skipped: secrets},
		{name: "a canary fails", input: `{"Canary":1}`, errorType: "NotOurs", failed: 1, pending: secrets - 1},
	} {
		m := newMany(t, secrets, 1000)
		for i := range m.secrets { // as long as most ARNs
			m.secrets[i] = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:production/some-team/database/" + m.secrets[i]
			m.hosts[i] = fmt.Sprintf("%s.abcdefghijkl.eu-central-1.rds.amazonaws.com:3306", m.hosts[i])
		}
		inProgress := 0
		m.outcome = func(string, int) rotation.RotationSeen {
			inProgress = max(inProgress, len(m.inFlight))
			if c.skipped > 0 {
				return rotation.RotationSeen{Outcome: rotation.RotationSkipped, Reason: strings.Repeat("refused ", 200)}
			}
			return rotation.RotationSeen{Outcome: rotation.RotationFailed, Reason: strings.Repeat("no answer ", 200), ErrorType: c.errorType}
		}
		s, err := m.rotate(raw(c.input), nil)
		if err != nil || s.Failed != c.failed || s.Skipped != c.skipped || s.Pending != c.pending || len(s.Failures) != c.failed ||
			len(s.Skips) != c.skipped || len(s.PendingSecrets) != c.pending || len(s.RotatedSecrets) != 0 {
			t.Errorf("%s: %s, %v", c.name, s, err)
		}
		if m.largest > payloadLimit || inProgress > 500 {
			t.Errorf("%s: a payload of %d bytes, %d in progress", c.name, m.largest, inProgress)
		}
		for _, text := range slices.Concat(s.Failures, s.Skips) {
			if !strings.Contains(text, ": no answer") && !strings.Contains(text, ": refused") {
				t.Fatalf("%s: no reason in %q", c.name, text)
			}
		}
		t.Logf("%s: %d runs, at most %d bytes", c.name, m.runs, m.largest)
	}
}

func TestAFleetThatIsTooLargeIsRefused(t *testing.T) {
	t.Parallel()
	m := newMany(t, 50000, 10)
	if _, err := m.rotate(raw(`{}`), nil); err == nil || !strings.Contains(err.Error(), "select some of them by Query") || len(m.asked) > 0 {
		t.Errorf("%d requested, %v", len(m.asked), err)
	}
}

// TestAFleetStartsItsRotationsInBatches adopts more secrets than one run handles.
func TestAFleetStartsItsRotationsInBatches(t *testing.T) {
	t.Parallel()
	var all []string
	for i := range 1200 {
		all = append(all, fmt.Sprintf("s%04d", i), "30d")
	}
	s := &tags{secrets: tagged(all...)}
	in := raw(`{"AtOnce":100,"Over":"0s"}`)
	state, err := s.pass(t, start, in, nil, nil)
	if err != nil || state.LastPass.Started != 500 || state.LastPass.Deferred != 700 || state.NextPass.After(start) {
		t.Fatalf("%+v, %v", state, err)
	}
	if n := len(state.LastPass.Changes); n != 100 {
		t.Errorf("%d lines", n)
	}
	if took := s.startsAt[499].Sub(s.startsAt[0]); took < 40*time.Second || took > time.Minute {
		t.Errorf("500 rotations were started within %s: want a pause of ten seconds after each 100", took)
	}
	if in := s.started["s0007"]; !in.Immediately() {
		t.Errorf("started with %+v: want an immediate rotation", in)
	}
	for range 2 { // visibility does not list them yet; a server would refuse to start them again, but this environment does not
		s.running = append(s.running, keys(state.Managed)...)
		if state, err = s.pass(t, start, in, state, nil); err != nil {
			t.Fatal(err)
		}
	}
	if len(state.Managed) != 1200 || state.LastPass.Started != 200 || !state.NextPass.After(start) {
		t.Errorf("%d managed, %+v", len(state.Managed), state.LastPass)
	}
}

// TestAFleetTakesNoMoreThanItCanPassOn lets a workflow follow as many secrets as Temporal accepts in one payload, and one more.
func TestAFleetTakesNoMoreThanItCanPassOn(t *testing.T) {
	t.Parallel()
	var all []string
	carried := &rotation.FleetState{Managed: map[string]rotation.Managed{}}
	for i := range 1_500_000 / 500 {
		name := fmt.Sprintf("%0460d", i) // 500 bytes with what is known of it
		all = append(all, name, "30d")
		if i > 0 {
			carried.Managed[name] = rotation.Managed{Schedule: "another"}
		}
	}
	s := &tags{secrets: tagged(append(all, "one-too-many", "30d", "off", "off")...), running: keys(carried.Managed)}
	state, err := s.pass(t, start, rotation.SyncFleetInput{}, carried, nil)
	if err != nil || state.LastPass.Started+state.LastPass.Rescheduled != 500 || state.LastPass.Off != 1 {
		t.Fatalf("%+v, %v", state, err)
	}
	if p := state.LastPass.Problems; len(p) != 1 || !strings.HasPrefix(p[0], "one-too-many: not managed, ") ||
		!strings.HasSuffix(p[0], "run: starter fleet sync --tag rotate-user-2") {
		t.Errorf("problems %q", p)
	}
	if carried, err := converter.GetDefaultDataConverter().ToPayload(state); err != nil || len(carried.GetData()) > 2_000_000 {
		t.Errorf("%d bytes, which Temporal does not accept; %v", len(carried.GetData()), err)
	}
}

func keys(m map[string]rotation.Managed) (all []string) {
	for k := range m {
		all = append(all, k)
	}
	return all
}
