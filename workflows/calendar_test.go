package workflows_test

import (
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"github.com/rotate-user/rotate-user/rotation"
)

const freeze = "2026-12-24/2027-01-02"

// inZone sets a schedule for every night at two in Berlin, except at weekends and in the freeze.
func inZone(in *rotation.RotateUserInput) {
	in.RotationRules = rotation.RotationRules{ScheduleExpression: "cron(0 2 * * ? *)", Duration: "2h"}
	in.TimeZone = "Europe/Berlin"
	in.Blackout = []string{"Sat 00:00 - Mon 00:00", freeze}
}

// TestAYearInATimeZone runs through both clock changes and a blackout, with a rotation that fails
// now and then.
func TestAYearInATimeZone(t *testing.T) {
	t.Parallel()
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld()
	w.fail = func(step string, attempt int) error {
		if step == rotation.CloneUser && attempt%5 == 3 && len(w.inputs)%3 != 0 {
			return temporal.NewNonRetryableApplicationError("not today", "NotOurs", nil)
		}
		return nil
	}
	var state *rotation.State
	in, at := input(inZone), start
	for at.Before(start.AddDate(1, 0, 0)) {
		r := execute(t, w, at, in, state, nil)
		if r.err != nil {
			t.Fatalf("at %s: %v", at, r.err)
		}
		in, state, at = r.input, r.state, r.env.Now()
	}
	if n := len(w.promoted); n < 240 || n > 262 {
		t.Errorf("%d rotations: want one on every weekday outside the freeze", n)
	}
	for _, promoted := range w.promoted[1:] { // the first one is the rotation at the start
		local := promoted.In(berlin)
		if local.Hour() < 2 || local.Hour() > 4 || local.Weekday() == time.Saturday || local.Weekday() == time.Sunday {
			t.Errorf("rotated at %s", local)
		}
		if day := local.Format(time.DateOnly); day >= "2026-12-24" && day <= "2027-01-02" {
			t.Errorf("rotated in the freeze, at %s", local)
		}
	}
}

// TestABlackoutHoldsWhatIsScheduledAlone starts each run in the middle of a freeze: scheduled
// rotations wait, requested ones do not.
func TestABlackoutHoldsWhatIsScheduledAlone(t *testing.T) {
	t.Parallel()
	inFreeze := time.Date(2026, time.December, 26, 12, 0, 0, 0, time.UTC)
	end := time.Date(2027, time.January, 3, 0, 0, 0, 0, time.UTC)
	frozen := func(in *rotation.RotateUserInput) { in.Blackout = []string{freeze} }
	due := func() *rotation.State {
		s := asleep(inFreeze.AddDate(0, 0, -3))
		s.NextRotationDate, s.WindowCloses = inFreeze.AddDate(0, 0, -3), inFreeze.AddDate(0, 0, -2)
		s.Rotations = []rotation.Rotation{{}}
		return s
	}

	t.Run("the start is a request", func(t *testing.T) {
		t.Parallel()
		w := newWorld()
		execute(t, w, inFreeze, input(frozen), nil, nil)
		if len(w.promoted) != 1 || !w.promoted[0].Equal(inFreeze) {
			t.Errorf("rotated at %s", w.promoted)
		}
	})
	t.Run("a missed rotation waits for the end", func(t *testing.T) {
		t.Parallel()
		w := newWorld()
		execute(t, w, inFreeze, input(frozen), due(), nil)
		if len(w.promoted) != 1 || w.promoted[0].Before(end) || w.promoted[0].After(end.Add(15*time.Minute)) {
			t.Errorf("rotated at %s, want just after %s", w.promoted, end)
		}
	})
	t.Run("a rotation in an open window waits for the end", func(t *testing.T) {
		t.Parallel()
		w := newWorld()
		state := due()
		state.NextRotationDate, state.WindowCloses = inFreeze.Add(-time.Minute), end.Add(time.Hour)
		execute(t, w, inFreeze, input(frozen), state, nil)
		if len(w.promoted) != 1 || !w.promoted[0].Equal(end) {
			t.Errorf("rotated at %s, want %s", w.promoted, end)
		}
	})
	t.Run("a request does not wait", func(t *testing.T) {
		t.Parallel()
		w := newWorld()
		state := due()
		state.NextRotationDate, state.WindowCloses = end, end.Add(time.Hour)
		execute(t, w, inFreeze, input(frozen), state, func(env *testsuite.TestWorkflowEnvironment) {
			update(env, time.Hour, rotation.RotateUpdate, rotation.RotateRequest{Force: true})
		})
		if len(w.promoted) != 1 || !w.promoted[0].Equal(inFreeze.Add(time.Hour)) {
			t.Errorf("rotated at %s, want %s", w.promoted, inFreeze.Add(time.Hour))
		}
	})
	t.Run("a retry waits for the end", func(t *testing.T) {
		t.Parallel()
		w := newWorld()
		w.fail = func(string, int) error {
			return temporal.NewNonRetryableApplicationError("no", "NotOurs", nil)
		}
		state := due()
		before := time.Date(2026, time.December, 23, 23, 59, 30, 0, time.UTC)
		state.NextRotationDate, state.WindowCloses = before, end.Add(time.Hour)
		r := execute(t, w, before, input(frozen), state, nil)
		if r.state == nil || !r.state.NextRotationDate.Equal(end) {
			t.Errorf("%+v: want the next attempt at %s", r.state, end)
		}
	})
}

func TestAFirstRunThatWaitsCountsInItsZone(t *testing.T) {
	t.Parallel()
	midnight := time.Date(2026, time.March, 2, 0, 0, 0, 0, time.UTC)
	for zone, want := range map[string]time.Time{"": midnight, "Europe/Berlin": midnight.Add(-time.Hour)} {
		w := newWorld()
		no := false
		r := execute(t, w, start, input(func(in *rotation.RotateUserInput) {
			in.TimeZone, in.RotateImmediately, in.RotationRules.AutomaticallyAfterDays, in.RotationRules.Duration = zone, &no, 30, "1h"
		}), nil, nil)
		if len(w.promoted) != 1 || w.promoted[0].Before(want) || !w.promoted[0].Before(want.Add(30*time.Minute)) {
			t.Errorf("%q: rotated at %s, want from %s on; %v", zone, w.promoted, want, r.err)
		}
	}
}

func TestRescheduleChangesWhatItNames(t *testing.T) {
	t.Parallel()
	w := newWorld()
	var a *answer
	send := func(in rotation.RotateUserInput, q string) rotation.RotateUserInput {
		t.Helper()
		return execute(t, w, start, in, asleep(start), func(env *testsuite.TestWorkflowEnvironment) {
			a = update(env, time.Hour, rotation.RescheduleUpdate, raw(q))
			update(env, 2*time.Hour, rotation.PauseUpdate) // ends the run if the reschedule was refused
		}).input
	}
	in := send(input(nil), `{"TimeZone":"Asia/Tokyo","Blackout":["Fri 16:00 - Mon 08:00"]}`)
	if got := in.ScheduleText(); got != "every 30 days in Asia/Tokyo, but for Fri 16:00 - Mon 08:00" {
		t.Errorf("zone and blackout: %s, %v", got, a.err)
	}
	in = send(in, `{"RotationRules":{"AutomaticallyAfterDays":7}}`)
	if got := in.ScheduleText(); got != "every 7 days in Asia/Tokyo, but for Fri 16:00 - Mon 08:00" {
		t.Errorf("rules: %s, %v", got, a.err)
	}
	in = send(in, `{"Blackout":[]}`)
	if got := in.ScheduleText(); got != "every 7 days in Asia/Tokyo" {
		t.Errorf("no blackout: %s, %v", got, a.err)
	}
	for q, field := range map[string]string{
		`{}`:                                    "RotationRules",
		`{"RotationRules":{},"TimeZone":"UTC"}`: "RotationRules",
		`{"TimeZone":"Mars"}`:                   "TimeZone",
		`{"Blackout":["always"]}`:               "Blackout[0]",
	} {
		send(in, q)
		if a.err == nil || !strings.Contains(a.err.Error(), field) {
			t.Errorf("%s: %v: want a refusal that names %s", q, a.err, field)
		}
	}
}
