package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.temporal.io/sdk/converter"

	"github.com/rotate-user/rotate-user/internal/program"
	"github.com/rotate-user/rotate-user/rotation"
)

func TestTaskQueueFromEnvironment(t *testing.T) {
	var out, errs bytes.Buffer
	a := newApp(&out, &errs)
	a.lookup = func(name string) (string, bool) { return "from-environment", name == "ROTATE_USER_TASK_QUEUE" }
	f := &fake{}
	a.dial = func(context.Context) (temporal, converter.DataConverter, error) { return f, nil, nil }
	if code := a.run(t.Context(), []string{"start", "--secret-id", "shop/app", "--no-wait"}); code != program.Done {
		t.Fatalf("exit %d: %s", code, errs.String())
	}
	if len(f.asked) != 1 || !strings.Contains(f.asked[0], " on from-environment ") {
		t.Errorf("sent %q", f.asked)
	}
}

func TestUnreachable(t *testing.T) {
	var out, errs bytes.Buffer
	if code := newApp(&out, &errs).run(t.Context(), []string{"list"}); code != program.Failed ||
		!strings.Contains(errs.String(), "no server") {
		t.Errorf("exit %d: %s", code, errs.String())
	}
}

func TestInterrupted(t *testing.T) {
	var out, errs bytes.Buffer
	a := newApp(&out, &errs)
	a.dial = func(context.Context) (temporal, converter.DataConverter, error) { return &fake{}, nil, nil }
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if code := a.run(ctx, []string{"validate", "--secret-id", "x"}); code != program.Failed ||
		!strings.Contains(errs.String(), "interrupted") {
		t.Errorf("exit %d: %s", code, errs.String())
	}
}

func TestProgress(t *testing.T) {
	for _, test := range []struct {
		live bool
		want string
	}{
		{false, "  ✓ CloneUser         100ms  'app_clone'@'%' made equal to 'app'@'%' by 2 changes\n" +
			"  ✓ StagePassword     100ms  AWSPENDING is version " + version + "\n"},
		{true, "  … CloneUser\r\033[K  ✓ CloneUser         100ms  'app_clone'@'%' made equal to 'app'@'%' by 2 changes\n" +
			"  … StagePassword\r\033[K  ✓ StagePassword     100ms  AWSPENDING is version " + version + "\n"},
	} {
		var out bytes.Buffer
		p := &progress{out: &out, live: test.live}
		for _, seen := range [][]rotation.Step{nil, steps(1, false), steps(1, false), steps(2, false), steps(1, true), steps(2, true)} {
			p.show(seen)
		}
		if diff := cmp.Diff(test.want, out.String()); diff != "" {
			t.Errorf("live %v:\n%s", test.live, diff)
		}
	}
}

func TestDate(t *testing.T) {
	for _, test := range []struct {
		from time.Duration
		want string
	}{
		{0, "now"},
		{999 * time.Millisecond, "now"},
		{time.Second, "in 1 second"},
		{-90 * time.Second, "2 minutes ago"},
		{59*time.Minute + 59*time.Second, "in 60 minutes"},
		{time.Hour, "in 1 hour"},
		{36 * time.Hour, "in 2 days"},
		{-30 * 24 * time.Hour, "30 days ago"},
	} {
		got := date(now.Add(test.from), now)
		if want := now.Add(test.from).Format("2006-01-02 15:04 UTC") + " (" + test.want + ")"; got != want {
			t.Errorf("%s: got %q, want %q", test.from, got, want)
		}
	}
	if got := date(time.Time{}, now); got != "" {
		t.Errorf("the zero time gives %q", got)
	}
}
