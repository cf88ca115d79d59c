package workflows_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/rotate-user/rotate-user/rotation"
	"github.com/rotate-user/rotate-user/workflows"
)

// many fakes the rotations of a fleet on the hosts h0, h1 and so on. Each rotation takes a few
// seconds.
type many struct {
	t       *testing.T
	secrets []string
	hosts   []string
	takes   func(secretID string) time.Duration
	outcome func(secretID string, attempt int) rotation.RotationSeen

	now      func() time.Time
	mu       sync.Mutex // the environment sends signals concurrently
	asked    map[string][]time.Time
	ended    map[string]int // attempts
	running  map[string]int // by host
	most     map[string]int
	inFlight map[string]string // host by secret
	query    []string
	late     string // a secret that only the second listing finds
	runs     int
	largest  int // bytes that a run passed on or returned
}

func newMany(t *testing.T, secrets, hosts int) *many {
	m := &many{t: t, asked: map[string][]time.Time{}, ended: map[string]int{}, running: map[string]int{}, most: map[string]int{},
		inFlight: map[string]string{}}
	for i := range secrets {
		m.secrets, m.hosts = append(m.secrets, fmt.Sprintf("s%05d", i)), append(m.hosts, fmt.Sprintf("h%d", i%hosts))
	}
	m.takes = func(string) time.Duration { return 3 * time.Second }
	m.outcome = func(string, int) rotation.RotationSeen {
		return rotation.RotationSeen{Outcome: rotation.RotationSucceeded}
	}
	return m
}

// host returns the host of a secret by the number in its name.
func (m *many) host(id string) string {
	var i int
	if _, err := fmt.Sscanf(id[strings.LastIndex(id, "s"):], "s%d", &i); err != nil {
		m.t.Fatal(err)
	}
	return m.hosts[i]
}

// rotate runs the workflow to its end, over all its runs.
func (m *many) rotate(in any, during func(*testsuite.TestWorkflowEnvironment)) (status rotation.RotateFleetStatus, err error) {
	m.t.Helper()
	at := start
	var carried *rotation.RotateFleetState
	for {
		env := newEnvironment()
		env.SetStartTime(at)
		m.now = env.Now
		m.register(env)
		if during != nil {
			during(env)
		}
		if carried == nil {
			env.ExecuteWorkflow(rotation.RotateFleetWorkflow, in)
		} else {
			env.ExecuteWorkflow(rotation.RotateFleetWorkflow, in, carried)
		}
		m.runs++
		err := env.GetWorkflowError()
		var next *workflow.ContinueAsNewError
		if !errors.As(err, &next) {
			if err == nil {
				err = env.GetWorkflowResult(&status)
				result, encodeErr := converter.GetDefaultDataConverter().ToPayload(status)
				if encodeErr != nil {
					m.t.Fatal(encodeErr)
				}
				m.largest = max(m.largest, len(result.GetData()))
			}
			return status, err
		}
		var input rotation.RotateFleetInput
		carried = new(rotation.RotateFleetState)
		if err := converter.GetDefaultDataConverter().FromPayloads(next.Input, &input, carried); err != nil {
			m.t.Fatal(err)
		}
		for _, payload := range next.Input.GetPayloads() {
			m.largest = max(m.largest, len(payload.GetData()))
		}
		at = env.Now()
	}
}

func (m *many) register(env *testsuite.TestWorkflowEnvironment) {
	workflows.Register(env, workflows.Workflows{})
	env.RegisterActivityWithOptions(func(_ context.Context, in rotation.ListRotationsInput) (rotation.ListRotationsResult, error) {
		m.query = append(m.query, in.Query)
		result := rotation.ListRotationsResult{SecretIDs: slices.Clone(m.secrets), Hosts: m.hosts}
		if i := slices.Index(m.secrets, m.late); i >= 0 && len(m.query) == 1 {
			result.SecretIDs[i] = m.secrets[0]
		}
		return result, nil
	}, activity.RegisterOptions{Name: rotation.ListRotations})
	looks := 0
	env.RegisterActivityWithOptions(func(_ context.Context, in rotation.LookAtRotationsInput) (result rotation.LookAtRotationsResult,
		err error) {
		if looks++; looks == 200 {
			env.SetContinueAsNewSuggested(true)
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		for _, r := range in.Rotations {
			if m.now().Sub(r.RequestedAt) < m.takes(r.SecretID) {
				continue
			}
			m.ended[r.SecretID]++
			s := m.outcome(r.SecretID, m.ended[r.SecretID])
			s.SecretID, s.EndedAt = r.SecretID, m.now()
			result.Seen = append(result.Seen, s)
			m.running[m.inFlight[r.SecretID]]--
			delete(m.inFlight, r.SecretID)
		}
		return result, nil
	}, activity.RegisterOptions{Name: rotation.LookAtRotations})
	env.OnSignalExternalWorkflow(mock.Anything, mock.Anything, mock.Anything, rotation.RotateUpdate, mock.Anything).Return(
		func(_, workflowID, _, _ string, _ any) error {
			id, _ := strings.CutPrefix(workflowID, "rotate-user/")
			m.mu.Lock()
			defer m.mu.Unlock()
			m.asked[id] = append(m.asked[id], m.now())
			if id == "gone" {
				return errors.New("no such workflow")
			}
			host := m.host(id)
			m.inFlight[id] = host
			m.running[host]++
			m.most[host] = max(m.most[host], m.running[host])
			return nil
		})
}

func TestAFleetIsRotated(t *testing.T) {
	t.Parallel()
	m := newMany(t, 10000, 10)
	m.late = "s07000"
	s, err := m.rotate(raw(`{"Query":"DatabaseHost != 'x'","PerHost":3}`), nil)
	if err != nil || s.Rotated != 10000 || s.Total != 10000 || s.Failed+s.Skipped+s.Pending+s.InProgress != 0 || s.EndedAt.IsZero() {
		t.Fatalf("%+v, %v", s, err)
	}
	for host, most := range m.most {
		if most != 3 {
			t.Errorf("%d at once on %s, want 3", most, host)
		}
	}
	if len(s.RotatedSecrets) != 10000 || len(slices.Compact(slices.Sorted(slices.Values(s.RotatedSecrets)))) != 10000 {
		t.Errorf("the result names %d rotated secrets", len(s.RotatedSecrets))
	}
	since := "(DatabaseHost != 'x') AND StartTime >= '" + start.Add(-time.Second).Format(time.RFC3339) + "'"
	if !slices.Equal(m.query, []string{"DatabaseHost != 'x'", since}) || m.runs < 2 {
		t.Errorf("queries %q, %d runs: want the query passed on twice, and several runs", m.query, m.runs)
	}
	var first []time.Time
	for id, asked := range m.asked {
		if len(asked) != 1 {
			t.Errorf("%s was asked %d times", id, len(asked))
		}
		first = append(first, asked[0])
	}
	slices.SortFunc(first, time.Time.Compare)
	if !first[4].Equal(start) || first[5].Sub(start) < 3*time.Second {
		t.Errorf("the first rotations start at %s: want five canaries first", first[:7])
	}
}

func TestAHostThatIsDownDelaysNoOther(t *testing.T) {
	t.Parallel()
	m := newMany(t, 400, 10)
	m.takes = func(id string) time.Duration {
		if m.host(id) == "h7" {
			return 10 * time.Minute
		}
		return 3 * time.Second
	}
	m.outcome = func(id string, _ int) rotation.RotationSeen {
		if m.host(id) == "h7" {
			return rotation.RotationSeen{Outcome: rotation.RotationFailed, Reason: "h7 does not answer", ErrorType: rotation.ErrorUnreachable}
		}
		return rotation.RotationSeen{Outcome: rotation.RotationSucceeded}
	}
	m.secrets, m.hosts = append(m.secrets, "gone"), append(m.hosts, "h1")
	var others time.Time
	s, err := m.rotate(raw(`{"MaxFailures":"100%","Canary":3}`), nil)
	for id, asked := range m.asked {
		if id != "gone" && m.inFlight[id] == "" && m.host(id) != "h7" && asked[0].After(others) {
			others = asked[0]
		}
	}
	if err != nil || s.Rotated != 360 || s.Failed != 40 || s.Skipped != 1 || len(s.Failures) != 40 ||
		!strings.Contains(s.Failures[0], "h7 does not answer") {
		t.Fatalf("%+v, %v", s, err)
	}
	if took := others.Sub(start); took > 5*time.Minute {
		t.Errorf("the other hosts took %s", took)
	}
	if asked, ended := len(m.asked["s00007"]), m.ended["s00007"]; asked != 1 || ended != 3 {
		t.Errorf("a rotation whose error may pass was requested %d times, and %d attempts were awaited: want 1, 3", asked, ended)
	}
}

func TestTooManyFailuresStopAFleet(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, input string
		fails       int // the first secret that fails
		says        string
		most        int // requested
	}{
		{"a canary", `{"Canary":5}`, 3, "a canary failed: s00003: not ours", 5},
		{"a share", `{"Canary":0,"MaxFailures":"2%"}`, 300, "failed; at most 20 may fail", 350},
		{"a number", `{"Canary":5,"MaxFailures":"0"}`, 300, "1 rotation failed; at most 0 may fail", 330},
	} {
		m := newMany(t, 1000, 10)
		m.outcome = func(id string, _ int) rotation.RotationSeen {
			if slices.Index(m.secrets, id) >= c.fails {
				return rotation.RotationSeen{Outcome: rotation.RotationFailed, Reason: "not ours", ErrorType: "NotOurs"}
			}
			return rotation.RotationSeen{Outcome: rotation.RotationSucceeded}
		}
		s, err := m.rotate(raw(c.input), nil)
		if err != nil || !strings.Contains(s.Stopped, c.says) || len(m.asked) > c.most || s.Pending == 0 || s.InProgress != 0 ||
			len(s.PendingHosts) == 0 ||
			s.Rotated+s.Failed+s.Pending != 1000 {
			t.Errorf("%s: %d requested, %v, %v", c.name, len(m.asked), s, err)
		}
	}
}

func TestAFleetIsPausedResumedAndStopped(t *testing.T) {
	t.Parallel()
	m := newMany(t, 100, 2)
	send := func(env *testsuite.TestWorkflowEnvironment, after time.Duration, name string) {
		env.RegisterDelayedCallback(func() {
			env.UpdateWorkflow(name, name, &testsuite.TestUpdateCallback{
				OnAccept: func() {}, OnReject: func(err error) { t.Error(err) }, OnComplete: func(_ any, err error) {
					if err != nil {
						t.Error(err)
					}
				},
			}, rotation.Sender{})
		}, after)
	}
	s, err := m.rotate(raw(`{"Canary":0}`), func(env *testsuite.TestWorkflowEnvironment) {
		send(env, 10*time.Second, rotation.PauseUpdate)
		send(env, 2*time.Hour, rotation.ResumeUpdate)
		send(env, 2*time.Hour+10*time.Second, rotation.StopUpdate)
	})
	if err != nil || s.Stopped != "by request" || s.Rotated < 8 || s.Rotated > 60 || s.Rotated+s.Pending != 100 {
		t.Fatalf("%v, %v", s, err)
	}
	for id, asked := range m.asked {
		if since := asked[0].Sub(start); since > 10*time.Second && since < 2*time.Hour {
			t.Errorf("%s was requested during the pause, after %s", id, since)
		}
	}
}

func TestAFleetIsSpreadOverATime(t *testing.T) {
	t.Parallel()
	m := newMany(t, 60, 3)
	s, err := m.rotate(raw(`{"Canary":0,"Over":"1h"}`), nil)
	if err != nil || s.Rotated != 60 {
		t.Fatalf("%v, %v", s, err)
	}
	perQuarter := map[int]int{}
	for _, asked := range m.asked {
		perQuarter[int(asked[0].Sub(start)/(15*time.Minute))]++
	}
	for quarter := range 4 {
		if n := perQuarter[quarter]; n < 14 || n > 16 {
			t.Errorf("%d rotations started in quarter %d: %v", n, quarter, perQuarter)
		}
	}
}

func TestAFleetOfNone(t *testing.T) {
	t.Parallel()
	m := newMany(t, 0, 1)
	if s, err := m.rotate(raw(`{}`), nil); err != nil || s.Total != 0 || s.EndedAt.IsZero() {
		t.Errorf("%+v, %v", s, err)
	}
	for text, says := range map[string]string{
		`{"MaxFailures":"many"}`: "MaxFailures", `{"MaxFailures":"101%"}`: "MaxFailures", `{"PerHost":-1}`: "PerHost", `{"Canary":-1}`: "Canary",
		`{"Rotate":{"Grace":"1h"}}`: "Grace needs RevokePrevious", `{"Over":"31d"}`: "Over", `{"Querry":"x"}`: "Querry",
		`{"Rotate":{"Forced":true}}`: "Forced",
	} {
		if _, err := m.rotate(raw(text), nil); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
