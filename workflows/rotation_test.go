package workflows_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"github.com/rotate-user/rotate-user/rotation"
)

func TestNodesThatCouldNotBeAskedAreInTheResult(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.unasked = []string{"node db3 was not asked"}
	r := execute(t, w, start, raw(`{"SecretId":"s","RequireAllNodes":true,"TestEndpoints":["reader:3306"],"ProxySecretIds":["a","b"]}`), nil,
		nil)
	if in := w.inputs[0]; !in.RequireAllNodes || !slices.Equal(in.TestEndpoints, []string{"reader:3306"}) ||
		!slices.Equal(in.ProxySecretIDs, []string{"a", "b"}) {
		t.Errorf("the steps' input is %+v: want RequireAllNodes, TestEndpoints and ProxySecretIds", in)
	}
	if got := r.state.Rotations; len(got) == 0 || !slices.Equal(got[0].Warnings, w.unasked) {
		t.Errorf("rotations are %+v: want the warnings %q", got, w.unasked)
	}
}

func TestAPromotionWhoseAnswerWasLostIsNotRepeated(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.fail = w.stuck
	r := execute(t, w, start, input(nil), nil, nil)
	if r.state.Rotations[0].Error == "" || !r.state.LastRotatedDate.IsZero() {
		t.Fatalf("recorded %+v: want a failure", r.state.Rotations[0])
	}
	w.calls = nil
	r = execute(t, w, r.env.Now(), r.input, r.state, nil)
	if want := []string{rotation.CloneUser, rotation.PromotePassword}; !slices.Equal(w.calls, want) {
		t.Errorf("steps %v: want only what is left, %v", w.calls, want)
	}
	if got := r.state; !slices.Equal(got.Usernames, []string{"app_clone", "app"}) || got.LastRotatedDate.IsZero() ||
		got.Rotations[0].Error != "" {
		t.Errorf("state %+v: want app_clone as the current user, and the rotation recorded", got)
	}
}

func TestASecondRotatorGivesWay(t *testing.T) {
	t.Parallel()
	no := false
	elsewhere := func(string, int) error {
		return temporal.NewNonRetryableApplicationError("use the other one", rotation.ErrorRotatedElsewhere, nil)
	}
	for _, in := range []rotation.RotateUserInput{input(nil), input(func(in *rotation.RotateUserInput) { in.RotateImmediately = &no })} {
		w := newWorld()
		w.fail = elsewhere
		r := execute(t, w, start, in, nil, nil)
		var app *temporal.ApplicationError
		if !errors.As(r.err, &app) || app.Type() != rotation.ErrorRotatedElsewhere || app.Message() != "use the other one" ||
			r.env.Now().Sub(start) > time.Hour {
			t.Errorf("%+v: the workflow continued, or ended late, with %v", in, r.err)
		}
	}
	w := newWorld()
	w.fail = elsewhere
	state := asleep(start)
	state.NextRotationDate = start
	if r := execute(t, w, start, input(nil), state, nil); r.err != nil || r.state == nil ||
		r.state.Rotations[0].ErrorType != rotation.ErrorRotatedElsewhere {
		t.Errorf("a workflow that has rotated before ended: %v", r.err)
	}
}

func TestAnIDThatIsTakenIsGivenUp(t *testing.T) {
	t.Parallel()
	for taken, want := range map[int]string{0: "", 1: "", 2: "", 3: rotation.ErrorTaken} {
		w := newWorld()
		w.fail = func(step string, _ int) error {
			if step == rotation.StagePassword && len(w.staged) <= taken {
				return temporal.NewNonRetryableApplicationError("it exists", rotation.ErrorTaken, nil)
			}
			return nil
		}
		r := execute(t, w, start, input(nil), nil, nil)
		rotated := r.state.Rotations[0]
		if rotated.ErrorType != want || len(w.staged) != min(taken+1, 3) {
			t.Errorf("with %d ids taken, the rotation ended as %q with %v staged: want %q", taken, rotated.ErrorType, w.staged, want)
		}
		last := w.staged[len(w.staged)-1]
		if slices.Index(w.staged, last) != len(w.staged)-1 || rotated.VersionID != last {
			t.Errorf("ids %v, recorded %s: want a new id each time, and the last one recorded", w.staged, rotated.VersionID)
		}
	}
}

func TestTheNextRotationIsToldWhatIsStored(t *testing.T) {
	t.Parallel()
	w := newWorld()
	r := execute(t, w, start, input(nil), nil, nil)
	first := r.state.Rotations[0]
	r = execute(t, w, r.env.Now(), r.input, r.state, nil)
	got := w.inputs[1]
	if got.PromotedVersionID != first.VersionID || !got.PromotedAt.Equal(r.state.Rotations[1].EndedAt) || got.Server != "db:3306" ||
		got.Stored[first.Username] != "stored with "+first.VersionID {
		t.Errorf("the second rotation got %+v: want version %s of %s", got, first.VersionID, first.Username)
	}
	if len(r.state.Stored) != 2 {
		t.Errorf("Stored is %v: want both accounts", r.state.Stored)
	}
}

func TestTheNextAttemptIsToldWhatIsStaged(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.fail = func(step string, _ int) error {
		if step == rotation.SetPassword && len(w.inputs) == 1 {
			return temporal.NewNonRetryableApplicationError("not now", rotation.ErrorDatabase, nil)
		}
		return nil
	}
	r := execute(t, w, start, input(nil), nil, nil)
	r = execute(t, w, r.env.Now(), r.input, r.state, nil)
	if got := w.inputs[1]; got.EarlierVersionID != w.staged[0] || got.EarlierSHA256 != "digest of "+w.staged[0] {
		t.Errorf("the second attempt got version %q, digest %q: want those of %s", got.EarlierVersionID, got.EarlierSHA256, w.staged[0])
	}
	if r.state.EarlierVersionID+r.state.EarlierSHA256 != "" {
		t.Errorf("after a promotion the state still has %s, %s", r.state.EarlierVersionID, r.state.EarlierSHA256)
	}
}

// The next rotation gets the rights of the pair after the last rotation, and never those of an
// earlier one. A worker of an earlier release returns only a digest.
func TestTheNextRotationIsToldOfTheRightsAfterTheLast(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.digest, w.rights = "d1", "r1"
	first := execute(t, w, start, input(nil), nil, nil)
	w.digest, w.rights = "d2", ""
	second := execute(t, w, first.state.NextRotationDate, first.input, first.state, nil)
	third := execute(t, w, second.state.NextRotationDate, second.input, second.state, nil)
	if third.err != nil || len(w.inputs) != 3 {
		t.Fatalf("%d rotations, %v", len(w.inputs), third.err)
	}
	for i, want := range [][2]string{{"", ""}, {"d1", "r1"}, {"d2", ""}} {
		if got := [2]string{w.inputs[i].Digest, w.inputs[i].Rights}; got != want {
			t.Errorf("rotation %d got %q: want %q", i+1, got, want)
		}
	}
}

// The rights are in the result of the query, but not in the results of updates, which are kept in
// the history.
func TestTheRightsAreAnsweredToTheQueryOnly(t *testing.T) {
	t.Parallel()
	state := asleep(start)
	state.Rights = "r1"
	var paused *answer
	execute(t, newWorld(), start, input(nil), state, func(env *testsuite.TestWorkflowEnvironment) {
		env.RegisterDelayedCallback(func() {
			var s rotation.Status
			value, err := env.QueryWorkflow(rotation.StatusQuery)
			if err != nil || value.Get(&s) != nil || s.Rights != "r1" {
				t.Errorf("the query returned %+v, %v", s, err)
			}
		}, time.Minute)
		paused = update(env, 2*time.Minute, rotation.PauseUpdate, nil)
	})
	if paused.err != nil || paused.status.Rights != "" || paused.status.SecretID == "" {
		t.Errorf("the update returned %+v, %v", paused.status, paused.err)
	}
}

// UndoDrift applies to the rotation that was requested with it, and to no other.
func TestUndoDriftIsOfOneRotation(t *testing.T) {
	t.Parallel()
	w := newWorld()
	sessions := 1 // while they drain, a second request joins the first
	w.sessions = func() []string { return []string{"1 from 10.0.0.7"}[:sessions] }
	var a, b *answer
	first := execute(t, w, start, raw(`{"SecretId":"s","Drain":"30m"}`), asleep(start), func(env *testsuite.TestWorkflowEnvironment) {
		a = update(env, time.Hour, rotation.RotateUpdate, raw(`{"UndoDrift":true}`))
		b = update(env, time.Hour+30*time.Second, rotation.RotateUpdate, raw(`{"Force":true}`))
		env.RegisterDelayedCallback(func() { sessions = 0 }, time.Hour+40*time.Second)
	})
	if a.err != nil || b.err != nil || len(w.inputs) != 2 {
		t.Fatalf("results %v, %v; steps %+v", a.err, b.err, w.inputs)
	}
	for i, in := range w.inputs {
		if !in.UndoDrift || in.Force != (i == 1) {
			t.Errorf("step %d got %+v", i+1, in)
		}
	}
	execute(t, w, first.state.NextRotationDate, first.input, first.state, nil)
	if len(w.inputs) != 3 || w.inputs[2].UndoDrift {
		t.Errorf("steps %+v", w.inputs)
	}
}

func TestRevokePreviousFollowsThePromotion(t *testing.T) {
	t.Parallel()
	w := newWorld()
	var a *answer
	r := execute(t, w, start, input(nil), asleep(start), func(env *testsuite.TestWorkflowEnvironment) {
		a = update(env, time.Hour, rotation.RotateUpdate, raw(`{"RevokePrevious":true,"Grace":"10m"}`))
	})
	if a.err != nil || !a.result.Revoked || w.calls[len(w.calls)-1] != rotation.RevokePrevious {
		t.Fatalf("result %+v, steps %v", a, w.calls)
	}
	if a.result.SessionsEnded != 3 {
		t.Errorf("%d sessions were ended: want the 1 of the standby and the 2 of the previous account", a.result.SessionsEnded)
	}
	if got, want := a.result.Steps[len(a.result.Steps)-1].Text, "'app'@'%' is locked, its password is gone, "+
		"2 of its sessions were ended and none is left"; got != want {
		t.Errorf("the revocation says %q, want %q", got, want)
	}
	if wait := r.env.Now().Sub(w.promoted[0]); wait < 10*time.Minute {
		t.Errorf("revoked %s after the promotion: want the grace of 10m", wait)
	}
}

func TestAGraceEndsWithTheNextRequestToRevoke(t *testing.T) {
	t.Parallel()
	w := newWorld()
	var first, plain, now *answer
	var during rotation.Status
	var shown string
	r := execute(t, w, start, input(nil), asleep(start), func(env *testsuite.TestWorkflowEnvironment) {
		first = update(env, time.Hour, rotation.RotateUpdate, raw(`{"RevokePrevious":true,"Grace":"20h"}`))
		env.RegisterDelayedCallback(func() { during, shown = status(t, env), details(t, env) }, 2*time.Hour-time.Minute)
		plain = update(env, 2*time.Hour, rotation.RotateUpdate, raw(`{"Force":true}`))
		now = update(env, 3*time.Hour, rotation.RotateUpdate, raw(`{"Force":true,"RevokePrevious":true}`))
	})
	promoted := start.Add(time.Hour)
	if during.Username != "app_clone" || during.StandbyUsername != "app" || !during.LastRotatedDate.Equal(promoted) ||
		!during.PreviousUntil.Equal(promoted.Add(20*time.Hour)) {
		t.Errorf("during the grace period the status is %+v", during)
	}
	for _, line := range []string{"- current user: `app_clone`, standby: `app`",
		"- **AWSPREVIOUS**, user `app`, logs in until it is revoked at 2026-02-01 06:30 UTC", "- PromotePassword: "} {
		if !strings.Contains(shown, line) {
			t.Errorf("during the grace period the UI does not show %q:\n%s", line, shown)
		}
	}
	if !r.status.PreviousUntil.IsZero() {
		t.Errorf("after the revocation the status is %+v", r.status)
	}
	var app *temporal.ApplicationError
	if !errors.As(plain.err, &app) || app.Type() != rotation.ErrorJustRotated {
		t.Errorf("another rotation during the grace period returned %v: want a refusal", plain.err)
	}
	if first.err != nil || now.err != nil || !first.result.Revoked || !now.result.Revoked {
		t.Errorf("results %+v, %+v: want a revocation for both", first, now)
	}
	if wait := r.env.Now().Sub(w.promoted[0]); len(w.promoted) != 1 || wait < time.Hour || wait > 3*time.Hour {
		t.Errorf("revoked %s after the promotion: want it with the second request", wait)
	}
}
