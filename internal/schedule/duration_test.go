package schedule_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/rotate-user/rotate-user/internal/schedule"
	"pgregory.net/rapid"
)

func TestDuration(t *testing.T) {
	tests := []struct {
		text      string
		want      time.Duration
		canonical string
	}{
		{"0s", 0, "0s"},
		{"0", 0, "0s"},
		{"90m", 90 * time.Minute, "1h30m"},
		{"3h", 3 * time.Hour, "3h"},
		{"30d", 720 * time.Hour, "30d"},
		{"1d12h", 36 * time.Hour, "1d12h"},
		{"36h", 36 * time.Hour, "1d12h"},
		{"1h0m10s", time.Hour + 10*time.Second, "1h0m10s"},
		{"10s", 10 * time.Second, "10s"},
		{"100ms", 100 * time.Millisecond, "100ms"},
		{"106751d", 106751 * 24 * time.Hour, "106751d"},
	}
	for _, test := range tests {
		got, err := schedule.ParseDuration(test.text)
		if err != nil || time.Duration(got) != test.want || got.String() != test.canonical {
			t.Errorf("%q: %s (%d), %v; want %s (%d)", test.text, got, got, err, test.canonical, test.want)
		}
	}
	for _, text := range []string{
		"", "30", "h", "d", "-3h", "+3h", "1d-2h", "3 h", "3x", "2w", "1d1d", "1.5d", "12h1d", "106752d", "106751d24h", "99999999999999999999d",
	} {
		if got, err := schedule.ParseDuration(text); err == nil {
			t.Errorf("%q was parsed as %s", text, got)
		}
	}
}

func TestDurationJSON(t *testing.T) {
	type input struct{ Drain schedule.Duration }
	var got input
	if err := json.Unmarshal([]byte(`{"Drain":"1d12h"}`), &got); err != nil || got.Drain != schedule.Duration(36*time.Hour) {
		t.Errorf("got %v, %v", got, err)
	}
	if text, err := json.Marshal(got); err != nil || string(text) != `{"Drain":"1d12h"}` {
		t.Errorf("got %s, %v", text, err)
	}
	if err := json.Unmarshal([]byte(`{"Drain":null}`), &got); err != nil {
		t.Error(err)
	}
	for _, value := range []string{`3600`, `1.5`, `true`, `{}`, `["3h"]`, `"3"`, `"-3h"`, `""`} {
		err := json.Unmarshal([]byte(`{"Drain":`+value+`}`), &got)
		if err == nil {
			t.Errorf("%s was parsed as %s", value, got.Drain)
			continue
		}
		for _, says := range []string{"Drain", value, "a duration is text"} {
			if !strings.Contains(err.Error(), says) {
				t.Errorf("%s: the error does not say %q: %v", value, says, err)
			}
		}
	}
}

func TestDurationRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := schedule.Duration(rapid.Int64Min(0).Draw(t, "nanoseconds"))
		got, err := schedule.ParseDuration(want.String())
		if err != nil || got != want {
			t.Fatalf("%d is %q, parsed as %d, %v", want, want.String(), got, err)
		}
	})
}

func FuzzParseDuration(f *testing.F) {
	for _, seed := range []string{"3h", "30d", "1d12h", "-1s", "1.5h", "9223372036854775807ns"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := schedule.ParseDuration(text)
		if err != nil {
			return
		}
		if again, err := schedule.ParseDuration(d.String()); err != nil || again != d || d < 0 {
			t.Fatalf("%q is %d, %q, parsed again as %d, %v", text, d, d, again, err)
		}
	})
}
