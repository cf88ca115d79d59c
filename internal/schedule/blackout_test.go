package schedule_test

import (
	"strings"
	"testing"
	"time"

	"github.com/rotate-user/rotate-user/internal/schedule"
)

func TestInvalidBlackoutsAreRefused(t *testing.T) {
	t.Parallel()
	tests := []struct {
		says    string
		entries []string
	}{
		{`Blackout[0] "Christmas": write a date`, []string{"Christmas"}},
		{`Blackout[1] "": write a date`, []string{"2026-12-24", ""}},
		{"write a date", []string{"2026-02-29"}},
		{"write a date", []string{"2026-12-24T00:00:00Z/2027-01-02"}},
		{"write a date", []string{"2026-12-24/"}},
		{"write a date", []string{"2026-12-24 - 2027-01-02"}},
		{"ends before it begins", []string{"2027-01-02/2026-12-24"}},
		{"longer than a year", []string{"2026-01-01/2027-12-31"}},
		{"write a date", []string{"Fri - Mon"}},
		{"write a date", []string{"Fri 16 - Mon 08:00"}},
		{"write a date", []string{"Fri 16:00-Mon 08:00"}},
		{"write a date", []string{"Fri 25:00 - Mon 08:00"}},
		{"write a date", []string{"Fri 16:00 - Mon 8:00"}},
		{"write a date", []string{"Fre 16:00 - Mon 08:00"}},
		{"the whole week", []string{"Fri 16:00 - Fri 16:00"}},
		{"no full hour of the week", []string{"Fri 16:00 - Mon 08:00", "Mon 07:00 - Fri 15:30"}},
		{"no full hour of the week", []string{"Sun 00:00 - Wed 00:00", "Tue 00:00 - Sat 23:30"}},
		{"101 entries, but at most 100", make([]string, 101)},
	}
	for _, test := range tests {
		_, err := schedule.New(automatically(30), "", test.entries)
		if err == nil || !strings.Contains(err.Error(), test.says) || !strings.HasPrefix(err.Error(), "Blackout") {
			t.Errorf("%q: the error does not say %q: %v", test.entries, test.says, err)
		}
	}
	for _, entries := range [][]string{
		{"2026-12-24"},
		{"2026-12-24/2027-01-02", "fri 16:00 - mon 08:00"},
		{"Sat 00:00 - Sun 24:00"},
		{"Mon 08:00 - Mon 07:00"},
		{"Fri 16:00 - Mon 08:00", "Mon 07:00 - Fri 15:00"},
	} {
		if _, err := schedule.New(automatically(30), "", entries); err != nil {
			t.Errorf("%q: %v", entries, err)
		}
	}
}

func TestFree(t *testing.T) {
	t.Parallel()
	tests := []struct {
		zone     string
		blackout []string
		t, free  string
	}{
		{"", nil, "2026-11-28 12:00", "2026-11-28 12:00"},
		{"", []string{"2026-12-24/2027-01-02"}, "2026-12-23 23:59", "2026-12-23 23:59"},
		{"", []string{"2026-12-24/2027-01-02"}, "2026-12-24 00:00", "2027-01-03 00:00"},
		{"", []string{"2026-12-24/2027-01-02"}, "2027-01-02 23:59", "2027-01-03 00:00"},
		{"", []string{"2026-12-24/2027-01-02"}, "2027-01-03 00:00", "2027-01-03 00:00"},
		{"Europe/Berlin", []string{"2026-12-24"}, "2026-12-23 23:00", "2026-12-24 23:00"},
		{"", []string{"Fri 16:00 - Mon 08:00"}, "2026-11-27 15:59", "2026-11-27 15:59"},
		{"", []string{"Fri 16:00 - Mon 08:00"}, "2026-11-27 16:00", "2026-11-30 08:00"},
		{"", []string{"Fri 16:00 - Mon 08:00"}, "2026-11-29 12:00", "2026-11-30 08:00"},
		{"", []string{"Fri 16:00 - Mon 08:00"}, "2026-11-30 08:00", "2026-11-30 08:00"},
		{"", []string{"Mon 22:00 - Tue 04:00"}, "2026-12-01 03:00", "2026-12-01 04:00"},
		// One blackout ends in another.
		{"", []string{"Fri 16:00 - Mon 08:00", "2026-11-30"}, "2026-11-28 00:00", "2026-12-01 00:00"},
		{"", []string{"2026-11-30", "Fri 16:00 - Mon 08:00", "Mon 23:00 - Tue 02:00"}, "2026-11-28 00:00", "2026-12-01 02:00"},
		// Clocks change inside a blackout.
		{"Europe/Berlin", []string{"Fri 16:00 - Mon 08:00"}, "2026-10-24 12:00", "2026-10-26 07:00"},
		{"Europe/Berlin", []string{"Fri 16:00 - Mon 08:00"}, "2027-03-27 12:00", "2027-03-29 06:00"},
		{"Europe/Berlin", []string{"Sun 01:00 - Sun 02:30"}, "2026-10-25 00:10", "2026-10-25 00:30"}, // the first 02:30
		{"Europe/Berlin", []string{"Sun 01:00 - Sun 02:30"}, "2026-10-25 01:10", "2026-10-25 01:10"}, // the second 02:10
		{"Europe/Berlin", []string{"Sun 01:00 - Sun 02:30"}, "2027-03-28 00:30", "2027-03-28 01:00"}, // 03:00
	}
	for _, test := range tests {
		if got := in(test.zone, automatically(30), test.blackout...).Free(at(test.t)); !got.Equal(at(test.free)) {
			t.Errorf("%s %q: the first free time from %s is %s, want %s", test.zone, test.blackout, test.t, got.Format(minute), test.free)
		}
	}
}

// TestWindowsAroundBlackouts checks the time and the end of rotations whose window a blackout
// shortens or covers.
func TestWindowsAroundBlackouts(t *testing.T) {
	t.Parallel()
	hours := func(expr string) schedule.Rules { return schedule.Rules{ScheduleExpression: expr, Duration: "4h"} }
	tests := []struct {
		name     string
		rules    schedule.Rules
		blackout []string
		after    string

		opens, earliest, latest, closes string
	}{
		{"no blackout near", hours("cron(0 2 ? * SUN *)"), []string{"2026-12-24/2027-01-02"}, "2026-11-28 00:00",
			"2026-11-29 02:00", "2026-11-29 02:00", "2026-11-29 04:00", "2026-11-29 06:00"},
		{"the first half is cut", hours("cron(0 2 ? * SUN *)"), []string{"Sun 00:00 - Sun 05:00"}, "2026-11-28 00:00",
			"2026-11-29 02:00", "2026-11-29 05:00", "2026-11-29 05:30", "2026-11-29 06:00"},
		{"all but the first minutes are cut", hours("cron(0 2 ? * SUN *)"), []string{"Sun 02:10 - Sun 09:00"}, "2026-11-28 00:00",
			"2026-11-29 02:00", "2026-11-29 02:00", "2026-11-29 02:10", "2026-11-29 06:00"},
		{"the second half is cut", hours("cron(0 2 ? * SUN *)"), []string{"Sun 04:00 - Sun 09:00"}, "2026-11-28 00:00",
			"2026-11-29 02:00", "2026-11-29 02:00", "2026-11-29 04:00", "2026-11-29 06:00"},
		{"all is covered, and the next window is a week away", hours("cron(0 2 ? * SUN *)"), []string{"Fri 16:00 - Mon 08:00"},
			"2026-11-28 00:00",
			"2026-11-30 08:00", "2026-11-30 08:00", "2026-11-30 10:00", "2026-11-30 12:00"},
		{"all is covered, and the next window is near", hours("cron(0 2 * * ? *)"), []string{"2026-12-24/2027-01-02"}, "2026-12-23 12:00",
			"2027-01-03 02:00", "2027-01-03 02:00", "2027-01-03 04:00", "2027-01-03 06:00"},
		{"days are counted, and moved", automatically(30), []string{"2026-12-24/2027-01-02"}, "2026-11-28 12:00",
			"2027-01-03 00:00", "2027-01-03 00:00", "2027-01-03 12:00", "2027-01-04 00:00"},
		{"days are counted, and part of the day is free", automatically(2), []string{"Fri 16:00 - Mon 08:00"}, "2026-11-25 12:00",
			"2026-11-27 00:00", "2026-11-27 00:00", "2026-11-27 12:00", "2026-11-28 00:00"},
		{"hours are counted, and moved", expression("rate(12 hours)"), []string{"Fri 16:00 - Mon 08:00"}, "2026-11-27 12:00",
			"2026-11-30 08:00", "2026-11-30 08:00", "2026-11-30 08:30", "2026-11-30 09:00"},
		{"the end lies just before another blackout", hours("cron(0 2 ? * SUN *)"), []string{"Fri 16:00 - Mon 08:00", "Mon 09:00 - Mon 20:00"},
			"2026-11-28 00:00",
			"2026-11-30 08:00", "2026-11-30 08:00", "2026-11-30 09:00", "2026-11-30 12:00"},
	}
	for _, test := range tests {
		s := in("", test.rules, test.blackout...)
		for _, key := range []string{"a", "b", "shop/app", "MyTestDatabaseUserSecret", "x1", "x2", "x3", "x4"} {
			w := s.Next(at(test.after), key)
			if !w.Opens.Equal(at(test.opens)) || !w.Closes.Equal(at(test.closes)) {
				t.Errorf("%s, %s: the window is %s to %s, not %s to %s", test.name, key, w.Opens.Format(minute), w.Closes.Format(minute), test.opens,
					test.closes)
			}
			if w.At.Before(at(test.earliest)) || !w.At.Before(at(test.latest)) {
				t.Errorf("%s, %s: at %s, not from %s to %s", test.name, key, w.At, test.earliest, test.latest)
			}
			if again := s.Next(w.At, key); !again.At.After(w.At.Add(time.Minute)) || again.Opens.Equal(w.Opens) {
				t.Errorf("%s, %s: rotated in %v, and then in %v", test.name, key, w, again)
			}
		}
	}
}

// FuzzBlackout checks that any accepted blackout gives a window.
func FuzzBlackout(f *testing.F) {
	f.Add("2026-12-24/2027-01-02", "Fri 16:00 - Mon 08:00", "Europe/Berlin")
	f.Add("2026-12-24", "Sun 00:00 - Sat 23:00", "America/Santiago")
	f.Fuzz(func(t *testing.T, one, other, zone string) {
		s, err := schedule.New(expression("cron(0 /4 * * ? *)"), zone, []string{one, other})
		if err != nil {
			return
		}
		after := at("2026-11-28 03:00")
		w := s.Next(after, "shop/app")
		if !w.At.After(after) || !w.Closes.After(w.At) || !s.Free(w.At).Equal(w.At) {
			t.Fatalf("%q %q %s: %+v", one, other, zone, w)
		}
	})
}
