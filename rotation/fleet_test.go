package rotation_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/rotate-user/rotate-user/rotation"
)

func TestParseTag(t *testing.T) {
	t.Parallel()
	tests := []struct {
		value string
		rules string
		off   bool
		says  string // the error contains it
	}{
		{value: "", rules: "every 30 days"},
		{value: "30d", rules: "every 30 days"},
		{value: " 1d ", rules: "every day"},
		{value: "1000d", rules: "every 1000 days"},
		{value: "12h", rules: "rate(12 hours)"},
		{value: "48h", rules: "rate(48 hours)"},
		{value: "rate(10 days)", rules: "rate(10 days)"},
		{value: "rate 10 days", rules: "rate(10 days)"},
		{value: "cron(0 8 ? * MON *)", rules: "cron(0 8 ? * MON *)"},
		{value: "cron 0 8 none any MON any", rules: "cron(0 8 ? * MON *)"},
		{value: "cron 0 16 1+15 any none any", rules: "cron(0 16 1,15 * ? *)"},
		{value: "cron 0 1 none 1/3 SUN:1 any", rules: "cron(0 1 ? 1/3 SUN#1 *)"},
		{value: "cron 0 0 L any none any", rules: "cron(0 0 L * ? *)"},
		{value: "off", off: true},
		{value: "Off", off: true},
		{value: "weekly", says: `the tag's value is "weekly": write "30d"`},
		{value: "0d", says: "1 to 1000"},
		{value: "1001d", says: "1 to 1000"},
		{value: "3h", says: "4 to"},
		{value: "90m", says: "write"},
		{value: "1d12h", rules: "rate(36 hours)"},
		{value: "30", says: "write"},
		{value: "rate(1 week)", says: "week"},
		{value: "cron 0 8", says: "six fields"},
		{value: "30d; DROP TABLE", says: "write"},
		{value: strings.Repeat("x", 5000), says: "write"},
	}
	for _, test := range tests {
		rules, off, err := rotation.ParseTag(test.value)
		switch {
		case test.says != "":
			if err == nil || !strings.Contains(err.Error(), test.says) || len(err.Error()) > 500 {
				t.Errorf("%.50q: the error does not say %q: %v", test.value, test.says, err)
			}
		case err != nil:
			t.Errorf("%q: %v", test.value, err)
		case off != test.off || !off && rules.String() != test.rules:
			t.Errorf("%q: %v, off %v", test.value, rules, off)
		}
	}
}

func TestSyncFleetInput(t *testing.T) {
	t.Parallel()
	for text, says := range map[string]string{
		`{}`: "",
		`{"Tag":"rotate","Every":"15m","Over":"0s","AtOnce":5,"Defaults":{"MasterSecretId":"m","TimeZone":"Europe/Berlin","Blackout":["2026-12-24"],"RotationRules":{"Duration":"3h"}}}`: "",
		`{"Tags":"x"}`:                               "Tags",
		`{"Every":"1s"}`:                             "Every is 1s",
		`{"Every":5}`:                                "Every",
		`{"AtOnce":201}`:                             "AtOnce is 201",
		`{"Over":"100d"}`:                            "FirstRotationWithin",
		`{"Defaults":{"SecretId":"x"}}`:              "leave them out",
		`{"Defaults":{"Blackout":["x"]}}`:            "Defaults: Blackout[0]",
		`{"Defaults":{"TimeZne":"UTC"}}`:             "TimeZne",
		`{"Defaults":{"MasterSecretId":"m"}}`:        "",
		`{"Defaults":{"RotateImmediately":true}}`:    "",
		`{"Tag":"` + strings.Repeat("x", 129) + `"}`: "128 characters",
	} {
		var in rotation.SyncFleetInput
		if err := json.Unmarshal([]byte(text), &in); err != nil {
			t.Fatal(err)
		}
		if err := in.Validate(); (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q", text, err, says)
		}
	}
}

func TestSince(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, time.November, 28, 4, 0, 0, 0, time.UTC)
	ended := func(after time.Duration, text string) rotation.Rotation {
		return rotation.Rotation{StartedAt: at.Add(after - time.Second), EndedAt: at.Add(after), Error: text, ErrorType: text}
	}
	noted := func(after time.Duration, message string, outcome rotation.Outcome) rotation.Request {
		return rotation.Request{At: at.Add(after), Message: message, Outcome: outcome, Reason: "why"}
	}
	tests := []struct {
		name   string
		status rotation.Status
		want   rotation.RotationOutcome
		reason string
	}{
		{"no rotation yet", rotation.Status{Rotations: []rotation.Rotation{ended(-time.Hour, "")}}, "", ""},
		{"rotated", rotation.Status{Rotations: []rotation.Rotation{ended(5*time.Second, ""), ended(-time.Hour, "bad")}},
			rotation.RotationSucceeded, ""},
		{"joined a running rotation", rotation.Status{Rotations: []rotation.Rotation{ended(500*time.Millisecond, "")}},
			rotation.RotationSucceeded, ""},
		{"failed", rotation.Status{Rotations: []rotation.Rotation{ended(5*time.Second, "bad"), ended(-time.Hour, "")}}, rotation.RotationFailed,
			"bad"},
		{"in progress", rotation.Status{Current: &rotation.Rotation{}, Rotations: []rotation.Rotation{ended(5*time.Second, "bad")}}, "", ""},
		{"in its grace period", rotation.Status{Current: &rotation.Rotation{}, PreviousUntil: at.Add(time.Hour)}, rotation.RotationSucceeded, ""},
		{"too soon", rotation.Status{Requests: []rotation.Request{noted(time.Second, "rotate", rotation.OutcomeRefused)}},
			rotation.RotationSkipped, "refused: why"},
		{"later", rotation.Status{Requests: []rotation.Request{noted(time.Second, "rotate", rotation.OutcomeDeferred)}},
			rotation.RotationSkipped, "deferred: why"},
		{"another message", rotation.Status{Requests: []rotation.Request{noted(time.Second, "pause", rotation.OutcomeRefused)}}, "", ""},
		{"an old request", rotation.Status{Requests: []rotation.Request{noted(-time.Hour, "rotate", rotation.OutcomeRefused)}}, "", ""},
	}
	for _, test := range tests {
		if got := test.status.Since(at); got.Outcome != test.want || got.Reason != test.reason {
			t.Errorf("%s: %+v", test.name, got)
		}
	}
}

func TestAllowed(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{"": 20, "2%": 20, "0": 0, "7": 7, "100%": 1000, "0%": 0} {
		if got, err := (rotation.RotateFleetInput{MaxFailures: text}).Allowed(1000); err != nil || got != want {
			t.Errorf("%q of 1000: %d, %v", text, got, err)
		}
	}
}
