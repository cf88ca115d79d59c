package schedule_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/rotate-user/rotate-user/internal/schedule"
)

const minute = "2006-01-02 15:04"

func TestUnknownZonesAreRefused(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"Local", "CEST", "Europe/Atlantis", "+02:00", "../etc/passwd", "europe/Berlin ", "Europe / Berlin"} {
		if _, err := schedule.New(automatically(30), name, nil); err == nil || !strings.Contains(err.Error(), "TimeZone") {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{"", "UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Asia/Kolkata"} {
		if _, err := schedule.New(automatically(30), name, nil); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// TestWindowsInZones covers clock changes in both directions, and zones whose offset is not a whole
// number of hours. All times except those in the first three columns are UTC.
func TestWindowsInZones(t *testing.T) {
	t.Parallel()
	tests := []struct {
		zone  string
		rules schedule.Rules
		after string

		opens, closes string
	}{
		// An ordinary day.
		{"Europe/Berlin", expression("cron(0 2 * * ? *)"), "2026-07-01 12:00", "2026-07-02 00:00", "2026-07-02 22:00"},
		{"Europe/Berlin", automatically(30), "2026-06-30 22:30", "2026-07-30 22:00", "2026-07-31 22:00"}, // it is July there already
		{"America/New_York", expression("cron(0 2 * * ? *)"), "2026-12-01 12:00", "2026-12-02 07:00", "2026-12-03 05:00"},
		{"Asia/Kolkata", expression("cron(0 2 * * ? *)"), "2026-12-01 00:00", "2026-12-01 20:30", "2026-12-02 18:30"},
		// Spring: the hour from 2 to 3 does not exist on 28 March 2027, and the day has 23 hours.
		{"Europe/Berlin", expression("cron(0 1 * * ? *)"), "2027-03-27 13:00", "2027-03-28 00:00", "2027-03-28 22:00"},
		{"Europe/Berlin", expression("cron(0 2 * * ? *)"), "2027-03-27 13:00", "2027-03-28 01:00", "2027-03-28 22:00"},
		{"Europe/Berlin", expression("cron(0 3 * * ? *)"), "2027-03-27 13:00", "2027-03-28 01:00", "2027-03-28 22:00"},
		{"Europe/Berlin", expression("cron(0 2 * * ? *)"), "2027-03-28 12:00", "2027-03-29 00:00", "2027-03-29 22:00"},
		{"Europe/Berlin", automatically(1), "2027-03-27 12:00", "2027-03-27 23:00", "2027-03-28 22:00"},
		{"Europe/Berlin", schedule.Rules{AutomaticallyAfterDays: 1, Duration: "24h"}, "2027-03-27 12:00", "2027-03-27 23:00", "2027-03-28 22:00"},
		{"Europe/Berlin", schedule.Rules{ScheduleExpression: "cron(0 /4 * * ? *)", Duration: "4h"}, "2027-03-27 22:30", "2027-03-27 23:00",
			"2027-03-28 02:00"},
		{"Europe/Berlin", schedule.Rules{ScheduleExpression: "cron(0 2 * * ? *)", Duration: "1h"}, "2027-03-27 13:00", "2027-03-28 01:00",
			"2027-03-28 02:00"},
		// Autumn: the hour from 2 to 3 comes twice on 25 October 2026, and the day has 25 hours.
		{"Europe/Berlin", expression("cron(0 2 * * ? *)"), "2026-10-24 12:00", "2026-10-25 00:00", "2026-10-25 22:00"},
		{"Europe/Berlin", expression("cron(0 3 * * ? *)"), "2026-10-24 12:00", "2026-10-25 02:00", "2026-10-25 23:00"},
		{"Europe/Berlin", schedule.Rules{ScheduleExpression: "cron(0 2 * * ? *)", Duration: "2h"}, "2026-10-24 12:00", "2026-10-25 00:00",
			"2026-10-25 02:00"},
		{"Europe/Berlin", expression("cron(0 2 * * ? *)"), "2026-10-25 12:30", "2026-10-26 01:00", "2026-10-26 23:00"},
		{"Europe/Berlin", automatically(1), "2026-10-24 12:00", "2026-10-24 22:00", "2026-10-25 22:00"},
		// In Santiago, midnight itself does not exist or occurs twice.
		{"America/Santiago", automatically(1), "2026-09-05 12:00", "2026-09-06 04:00", "2026-09-07 03:00"},
		{"America/Santiago", automatically(1), "2027-04-03 12:00", "2027-04-04 04:00", "2027-04-05 04:00"},
		// The last hour of that Saturday does not exist, so its window opens on Sunday.
		{"America/Nuuk", expression("cron(0 23 * * ? *)"), "2027-03-27 12:00", "2027-03-28 01:00", "2027-03-28 02:00"},
		// Lord Howe changes by half an hour.
		{"Australia/Lord_Howe", expression("cron(0 2 * * ? *)"), "2026-10-03 01:00", "2026-10-03 15:30", "2026-10-04 13:00"},
		{"Australia/Lord_Howe", expression("cron(0 1 * * ? *)"), "2027-04-03 01:00", "2027-04-03 14:00", "2027-04-04 13:00"},
		// The last day of a month is the zone's last day.
		{"Pacific/Auckland", expression("cron(0 3 L * ? *)"), "2027-02-01 00:00", "2027-02-27 14:00", "2027-02-28 11:00"},
		{"Pacific/Auckland", expression("cron(0 3 L * ? *)"), "2028-02-01 00:00", "2028-02-28 14:00", "2028-02-29 11:00"},
		{"America/Los_Angeles", expression("cron(0 20 L * ? *)"), "2026-11-01 12:00", "2026-12-01 04:00", "2026-12-01 08:00"},
		{"America/Los_Angeles", expression("cron(0 20 ? * FRIL *)"), "2026-11-01 12:00", "2026-11-28 04:00", "2026-11-28 08:00"},
	}
	for _, test := range tests {
		window := in(test.zone, test.rules).Next(at(test.after), "MyTestDatabaseUserSecret")
		if !window.Opens.Equal(at(test.opens)) || !window.Closes.Equal(at(test.closes)) {
			t.Errorf("%s, %s after %s: the window is %s to %s, not %s to %s", test.zone, test.rules, test.after,
				window.Opens.Format(minute), window.Closes.Format(minute), test.opens, test.closes)
		}
		if window.At.Before(window.Opens) || !window.At.Before(window.Closes) {
			t.Errorf("%s, %s after %s: at %s, outside %s to %s", test.zone, test.rules, test.after, window.At, window.Opens, window.Closes)
		}
	}
}

// TestACentury computes every rotation until 2126 in zones with every kind of change, with and
// without blackouts. Rules that rotate often are tested in only one zone.
func TestACentury(t *testing.T) {
	t.Parallel()
	all := []string{"", "Europe/Berlin", "America/New_York", "America/Santiago", "Australia/Lord_Howe", "Asia/Kolkata", "America/Nuuk"}
	ruleSets := []struct {
		rules schedule.Rules
		zones []string
		least int // rotations a year, without a blackout
		hours []int
	}{
		{automatically(1), []string{"Europe/Berlin"}, 365, []int{0}},
		{automatically(30), all, 12, []int{0}},
		{schedule.Rules{AutomaticallyAfterDays: 7, Duration: "24h"}, all, 52, []int{0}},
		{expression("rate(36 hours)"), []string{""}, 243, nil},
		{expression("cron(0 2 * * ? *)"), []string{"America/New_York"}, 365, []int{2}},
		{schedule.Rules{ScheduleExpression: "cron(0 0/12 ? * * *)", Duration: "12h"}, []string{"America/Santiago"}, 730, []int{0, 12}},
		{expression("cron(0 3 L * ? *)"), all, 12, []int{3}},
		{expression("cron(0 23 ? * SUNL *)"), all, 12, []int{23}},
		{expression("cron(0 1 15W 1/3 ? *)"), all, 4, []int{1}},
		{expression("cron(0 2 ? * TUE#2 *)"), all, 12, []int{2}},
	}
	blackouts := [][]string{nil, {"Fri 16:00 - Mon 08:00", "2030-12-20/2031-01-06", "2060-06-01/2060-08-31"}}
	const years = 100
	start := time.Date(2026, time.January, 1, 12, 0, 0, 0, time.UTC)
	end := start.AddDate(years, 0, 0)
	for _, set := range ruleSets {
		for _, zone := range set.zones {
			for _, blackout := range blackouts {
				t.Run(fmt.Sprintf("%s in %s with %d blackouts", set.rules, zone, len(blackout)), func(t *testing.T) {
					t.Parallel()
					s := in(zone, set.rules, blackout...)
					location, err := time.LoadLocation(zone)
					if err != nil {
						t.Fatal(err)
					}
					n := 0
					var last schedule.Window
					for now := start; now.Before(end); now = last.At {
						w := s.Next(now, "shop/app")
						if !w.At.After(now) || w.At.Before(w.Opens) || !w.At.Before(w.Closes) {
							t.Fatalf("after %s: %+v", now, w)
						}
						if blackout == nil && w.Opens.Before(last.Closes) {
							t.Fatalf("%+v overlaps %+v", w, last)
						}
						if w.At.Sub(now) > 400*24*time.Hour {
							t.Fatalf("no rotation between %s and %s", now, w.At)
						}
						if free := s.Free(w.At); !free.Equal(w.At) {
							t.Fatalf("%s is in a blackout until %s", w.At, free)
						}
						if n > 0 && blackout == nil && w.At.Sub(now) < 3*time.Hour {
							t.Fatalf("%s, then %s", now, w.At)
						}
						opens := w.Opens.In(location)
						if !onTime(opens, set.hours) && (blackout == nil || s.Free(w.Opens.Add(-time.Second)).Equal(w.Opens.Add(-time.Second))) {
							t.Fatalf("opens at %s", opens)
						}
						last = w
						n++
					}
					if blackout == nil && n < set.least*years {
						t.Errorf("%d rotations in %d years, want at least %d", n, years, set.least*years)
					}
					if blackout != nil && n < set.least*years/2 {
						t.Errorf("%d rotations in %d years with a blackout, far fewer than %d", n, years, set.least*years)
					}
				})
			}
		}
	}
}

// onTime reports whether a window opens at one of the hours, or whether hours is empty. For an hour
// that does not exist, the first moment after it is right.
func onTime(opens time.Time, hours []int) bool {
	if hours == nil {
		return true
	}
	for _, hour := range hours {
		if opens.Hour() == hour && opens.Minute() == 0 {
			return true
		}
		if starts, _ := opens.ZoneBounds(); opens.Equal(starts) {
			return true
		}
	}
	return false
}
